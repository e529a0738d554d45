# %% [markdown] lang="en"
# # 3. Define by run
#
# The graph is not declared: it is what happened. So Python's own `if` and `while` decide what it is, anew in each run. This
# notebook shows the freedom this gives, and the price: gradients that pile up.
# %% [markdown] lang="fr"
# # 3. Le graphe naît de l'exécution (« define-by-run »)
#
# Le graphe n'est pas déclaré : il est ce qui s'est passé. Les `if` et les `while` de Python décident donc de sa forme, à
# chaque exécution. Ce carnet montre la liberté que cela donne, et son prix : des gradients qui s'accumulent.
# %%
import funcgrad.torch as torch

# %%
from exercises import check

from funcgrad.compare import draw

torch.manual_seed(0)
x = torch.rand(20, 2)
y_true = torch.rand(20)
w = torch.rand(2, requires_grad=True)

# %% [markdown] lang="en"
# ## An `if`: two runs, two graphs
#
# A robust loss counts large errors in proportion and small ones by their square. Here one `if` looks at the largest error.
# The branch that did not run is nowhere in the graph.
# %% [markdown] lang="fr"
# ## Un `if` : deux exécutions, deux graphes
#
# Une perte robuste compte les grandes erreurs en proportion, et les petites par leur carré. Ici, un `if` regarde la plus
# grande erreur. La branche qui ne s'est pas exécutée n'est nulle part dans le graphe.


# %%
def robust(y_pred, y_true, limit):
    error = (y_pred - y_true).abs()
    if error.max() > limit:
        return error.mean()
    return (error**2).mean()


strict, lenient = robust(x @ w, y_true, 0.1), robust(x @ w, y_true, 2.0)
print(type(strict.grad_fn.next_functions[0][0]).__name__)
print(type(lenient.grad_fn.next_functions[0][0]).__name__)
draw(strict).beside(draw(lenient))

# %% [markdown] lang="en"
# ## A `while`: a depth that depends on the data
#
# Halve the number until it is small. How often depends on the number, so the depth of the graph does too. The derivative
# follows: three halvings give $1/8$, six give $1/64$.
# %% [markdown] lang="fr"
# ## Un `while` : une profondeur qui dépend des données
#
# On divise le nombre par deux jusqu'à ce qu'il soit petit. Le nombre de fois dépend du nombre : la profondeur du graphe
# aussi. La dérivée suit : trois divisions donnent $1/8$, six donnent $1/64$.


# %%
def halve(value):
    while value > 1:
        value = value / 2
    return value


for start in (5.0, 50.0):
    number = torch.tensor(start, requires_grad=True)
    halve(number).backward()
    print(f"start {start:4}: derivative 1/{1 / number.grad.item():.0f}")

# %% [markdown] lang="en"
# ## Gradients accumulate
#
# `backward()` *adds* to `.grad`. That is useful: a batch too large for memory goes in two halves. The gradient of a sum is
# the sum of the gradients.
# %% [markdown] lang="fr"
# ## Les gradients s'accumulent
#
# `backward()` *ajoute* à `.grad`. C'est utile : un lot trop grand pour la mémoire passe en deux moitiés. Le gradient d'une
# somme est la somme des gradients.
# %%
((x @ w - y_true) ** 2).mean().backward()
whole, w.grad = w.grad, None
for half in (slice(0, 10), slice(10, 20)):
    (((x[half] @ w - y_true[half]) ** 2).sum() / 20).backward()
print("whole: ", whole)
print("halves:", w.grad)

# %% [markdown] lang="en"
# ## ... and go wrong
#
# In a loop that never clears it, `.grad` is the sum over all steps. The first step is right: the loss falls to `0.1322`. From
# then on the old gradients go on pushing. The loss rises and falls for ever; at step 20 it is `0.2398`, worse than at the
# start. Nothing raises an error. Cleared before each `backward()`, it goes to the bottom and stays there: `0.1314`.
# %% [markdown] lang="fr"
# ## ... et cela tourne mal
#
# Dans une boucle qui ne l'efface jamais, `.grad` est la somme sur tous les pas. Le premier pas est juste : la perte tombe à
# `0.1322`. Ensuite, les anciens gradients continuent de pousser. La perte monte et descend sans fin ; au pas 20 elle vaut
# `0.2398`, plus qu'au départ. Aucune erreur n'est levée. Si l'on efface le gradient avant chaque `backward()`, elle va au fond
# et y reste : `0.1314`.


# %%
def train(clear, steps=41):
    w = torch.tensor([0.7262, 0.7011], requires_grad=True)
    losses = []
    for _ in range(steps):
        if clear:
            w.grad = None  # optimizer.zero_grad() does this
        loss = ((x @ w - y_true) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            w -= w.grad
        losses.append(loss.item())
    return losses


wrong, right = train(clear=False), train(clear=True)
for step in (0, 1, 10, 20, 30, 40):
    print(f"step {step:2}: never cleared {wrong[step]:.4f}   cleared {right[step]:.4f}")

# %% tags=["figure"]
import matplotlib.pyplot as plt

figure, axes = plt.subplots(figsize=(5, 3.5))
axes.plot(wrong, label="never cleared")
axes.plot(right, label="cleared")
axes.set(xlabel="step", ylabel="loss")
_ = axes.legend()

# %% [markdown] lang="en"
# ## Exercise: a graph that depends on a sign
#
# Write `choose(loss)`: `exp()` of a positive loss, its negative otherwise, by an `if`. The last node of the graph must tell
# which branch ran.
# %% [markdown] lang="fr"
# ## Exercice : un graphe qui dépend d'un signe
#
# Écrivez `choose(loss)` : l'exponentielle (`exp()`) d'une perte positive, son opposé sinon, avec un `if`. Le dernier nœud du
# graphe doit dire quelle branche s'est exécutée.


# %% tags=["exercise"]
def choose(loss):
    return loss * 1  # ←


# %% tags=["solution"]
def choose(loss):
    if loss > 0:
        return loss.exp()
    return -loss


# %%
plus, minus = (torch.tensor(v, requires_grad=True) for v in (1.0, -1.0))
names = tuple(type(choose(each).grad_fn).__name__ for each in (plus, minus))
check("3", names)
