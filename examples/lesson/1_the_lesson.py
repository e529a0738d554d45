# %% [markdown] lang="en"
# # 1. The lesson
#
# A computer can compute the derivative of a program. PyTorch does so with a *graph* that it records while your code
# runs. This notebook shows it on the smallest training there is: one linear regression, one step.
#
# The code below is PyTorch's. Only the import names another library, `funcgrad.torch`, which runs it on JAX. Change the
# line to `import torch`, and each number stays the same.
# %% [markdown] lang="fr"
# # 1. La leçon
#
# Un ordinateur sait calculer la dérivée d'un programme. PyTorch s'appuie pour cela sur un *graphe*, enregistré pendant
# que votre code s'exécute. Ce carnet le montre sur le plus petit entraînement qui soit : une régression linéaire, un pas.
#
# Le code est celui de PyTorch. Seul l'import nomme une autre bibliothèque, `funcgrad.torch`, qui l'exécute sur JAX.
# Remplacez cette ligne par `import torch` : chaque nombre reste le même.
# %%
import funcgrad.torch as torch

# %%
from exercises import check

from funcgrad.compare import draw

# %% [markdown] lang="en"
# ## The data and the weights
#
# Twenty rows of two features, and a number to predict for each row. `requires_grad=True` asks for the derivative with
# respect to `w`. Such a tensor is a *leaf* of the graph: no op made it.
# %% [markdown] lang="fr"
# ## Les données et les poids
#
# Vingt lignes de deux variables, et un nombre à prédire par ligne. `requires_grad=True` demande la dérivée par rapport
# à `w`. Un tel tenseur est une *feuille* du graphe : aucune opération ne l'a produit.
# %%
torch.manual_seed(0)
x = torch.rand(20, 2)
y_true = torch.rand(20)
w = torch.rand(2, requires_grad=True)
print("w =", w)
print("leaf:", w.is_leaf, " gradient:", w.grad)

# %% [markdown] lang="en"
# ## The prediction leaves a node
#
# The product `x @ w` gives the predictions. It also leaves a *node* in the graph, with what its derivative will need.
# %% [markdown] lang="fr"
# ## La prédiction laisse un nœud
#
# Le produit `x @ w` donne les prédictions. Il laisse aussi un *nœud* dans le graphe, avec ce dont sa dérivée aura besoin.
# %%
y_pred = x @ w
print(y_pred.shape, type(y_pred.grad_fn).__name__)
draw(y_pred)

# %% [markdown] lang="en"
# ## The loss: the graph has grown
#
# The loss is the mean of the squared errors. Subtraction, square and mean add a node each. Read the picture from the leaf
# `w` down to the loss: it is the list of what was computed, in the order in which it happened.
# %% [markdown] lang="fr"
# ## La perte : le graphe a grandi
#
# La perte est la moyenne des carrés des erreurs. La soustraction, le carré et la moyenne ajoutent chacun un nœud. Lisez
# l'image de la feuille `w` vers la perte : c'est la liste de ce qui a été calculé, dans l'ordre.
# %%
loss = ((y_pred - y_true) ** 2).mean()
print("loss =", loss)
draw(loss)

# %% [markdown] lang="en"
# ## Exercise: predict the gradient
#
# Before you run `backward()`: which gradient will appear in `w.grad`? Write the formula with `x`, `w` and `y_true`, and
# compute it without autograd (`detach()` takes a tensor out of the graph).
# %% [markdown] lang="fr"
# ## Exercice : prédire le gradient
#
# Avant d'exécuter `backward()` : quel gradient apparaîtra dans `w.grad` ? Écrivez la formule avec `x`, `w` et `y_true`,
# et calculez-la sans autograd (`detach()` sort un tenseur du graphe).
# %% tags=["exercise"]
w_grad = torch.zeros(2)  # ← 2/n ...

# %% tags=["solution"]
residual = (x @ w - y_true).detach()
w_grad = 2 / len(x) * x.T @ residual
print(w_grad)

# %%
check("1", w_grad)

# %% [markdown] lang="en"
# ## Backward: the graph is walked the other way
#
# `backward()` starts at the loss, asks each node for its derivative, multiplies (the chain rule), and puts the result in
# the leaf. The picture now has `.grad` in `w`. The saved tensors are freed: they have served.
# %% [markdown] lang="fr"
# ## Backward : le graphe parcouru à l'envers
#
# `backward()` part de la perte, demande à chaque nœud sa dérivée, multiplie (c'est la règle de la chaîne) et dépose le
# résultat dans la feuille. L'image montre maintenant `.grad` dans `w`. Les tenseurs gardés sont libérés : ils ont servi.
# %%
loss.backward()
print("w.grad =", w.grad)
draw(loss)

# %% [markdown] lang="en"
# ## One step downhill
#
# The gradient points where the loss grows fastest. So subtract it. `w.data` writes to the numbers without recording: the
# update is no part of the function that we differentiate. A step subtracts the gradient times a *learning rate*, which is
# one here; notebook 6 is about it. The loss falls from `0.2313` to `0.1322`.
# %% [markdown] lang="fr"
# ## Un pas vers le bas
#
# Le gradient indique la direction où la perte augmente le plus vite. On le soustrait donc. `w.data` modifie les nombres
# sans rien enregistrer : la mise à jour ne fait pas partie de la fonction que l'on dérive. Un pas soustrait le gradient
# multiplié par un *taux d'apprentissage*, qui vaut un ici ; le carnet 6 lui est consacré. La perte passe de `0.2313` à
# `0.1322`.
# %%
before = w.detach().clone()
w.data -= w.grad
new_loss = ((x @ w - y_true) ** 2).mean()
print(f"loss: {loss.item():.4f} -> {new_loss.item():.4f}")

# %% [markdown] lang="en"
# ## The landscape
#
# With two weights the loss is a surface, and it can be drawn. Each line joins weights of equal loss. The step goes at a
# right angle to the line where it starts. The valley's bottom lies at `0.1314`, not at 0: the twenty numbers to predict are
# random, so no weights fit them all.
# %% [markdown] lang="fr"
# ## Le paysage
#
# Avec deux poids, la perte est une surface que l'on peut dessiner. Chaque courbe relie des poids de même perte. Le pas part
# à angle droit de la courbe où il commence. Le fond de la vallée est à `0.1314`, et non à 0 : les vingt nombres à prédire
# sont tirés au hasard, aucun choix de poids ne les donne tous.
# %%
best = torch.linalg.lstsq(x, y_true[:, None]).solution[:, 0]
lowest = ((x @ best - y_true) ** 2).mean()
print(f"lowest loss: {lowest.item():.4f} at ({best[0].item():.4f}, {best[1].item():.4f})")

# %% tags=["figure"]
import matplotlib.pyplot as plt
import numpy as np

first, second = np.meshgrid(np.linspace(0, 1, 60), np.linspace(-0.1, 0.9, 60))
grid = np.stack([first.ravel(), second.ravel()])
surface = ((x.numpy() @ grid - y_true.numpy()[:, None]) ** 2).mean(0).reshape(first.shape)
figure, axes = plt.subplots(figsize=(5, 4))
lines = axes.contour(first, second, surface, levels=15)
figure.colorbar(lines, label="loss")
axes.annotate("", w.tolist(), before.tolist(), arrowprops={"arrowstyle": "->", "color": "red"})
axes.plot(*best.tolist(), "k*")
_ = axes.set(xlabel="w[0]", ylabel="w[1]", aspect="equal")
