# %% [markdown] lang="en"
# # 2. What is a derivative, and how many digits does it have?
#
# Three ways to one gradient: by hand, by small differences, by `backward()`. They agree, but not in every digit. How many
# digits may we expect? That question will decide later whether two programs are "the same".
# %% [markdown] lang="fr"
# # 2. Qu'est-ce qu'une dérivée, et combien de chiffres a-t-elle ?
#
# Trois chemins vers un même gradient : à la main, par petites différences, par `backward()`. Ils s'accordent, mais pas sur
# tous les chiffres. Combien peut-on en attendre ? Cette question dira plus tard si deux programmes sont « le même ».
# %%
import funcgrad.torch as torch

# %%
import numpy as np
from exercises import check

torch.manual_seed(0)
x = torch.rand(20, 2)
y_true = torch.rand(20)
w = torch.rand(2, requires_grad=True)


def loss_of(w):
    y_pred = x @ w
    return ((y_pred - y_true) ** 2).mean()


loss = loss_of(w)
loss.backward()
print("backward:", w.grad)

# %% [markdown] lang="en"
# ## By hand
#
# The loss is $L(w) = \frac1n \sum_i (x_i \cdot w - y_i)^2$. The derivative of a square is twice its root times the root's
# derivative, and $x_i \cdot w$ moves by $x_{ij}$ when $w_j$ moves by 1:
#
# $$\frac{\partial L}{\partial w_j} = \frac2n \sum_i (x_i \cdot w - y_i)\, x_{ij}
# \qquad\text{so}\qquad \nabla L = \frac2n x^\top (x w - y).$$
# %% [markdown] lang="fr"
# ## À la main
#
# La perte est $L(w) = \frac1n \sum_i (x_i \cdot w - y_i)^2$. La dérivée d'un carré est deux fois sa base multipliée par la
# dérivée de la base, et $x_i \cdot w$ bouge de $x_{ij}$ quand $w_j$ bouge de 1 :
#
# $$\frac{\partial L}{\partial w_j} = \frac2n \sum_i (x_i \cdot w - y_i)\, x_{ij}
# \qquad\text{donc}\qquad \nabla L = \frac2n x^\top (x w - y).$$
# %%
with torch.no_grad():
    by_hand = 2 / len(x) * x.T @ (x @ w - y_true)
print("by hand: ", by_hand)

# %% [markdown] lang="en"
# ## By small differences
#
# A derivative is a slope: move one weight by $h$ to both sides and divide. No formula is needed, so it can check any
# program. It costs two evaluations a weight: for a million weights, two million. `backward()` costs a few, for all of them
# together.
# %% [markdown] lang="fr"
# ## Par petites différences
#
# Une dérivée est une pente : on déplace un poids de $h$ de chaque côté, et l'on divise. Aucune formule n'est nécessaire :
# cela permet de vérifier n'importe quel programme. Il faut deux évaluations par poids : deux millions pour un million de
# poids. `backward()` en coûte quelques-unes, pour tous les poids ensemble.


# %%
def slope(h, dtype=torch.float32):
    """The derivative by w[0], by a central difference."""
    move = torch.tensor([h, 0.0], dtype=dtype)
    features, target, weights = x.to(dtype), y_true.to(dtype), w.detach().to(dtype)
    above = ((features @ (weights + move) - target) ** 2).mean()
    below = ((features @ (weights - move) - target) ** 2).mean()
    return ((above - below) / (2 * h)).item()


print(f"h = 1e-2: {slope(1e-2):.4f}   h = 1e-7: {slope(1e-7, torch.float64):.4f} in float64")

# %% [markdown] lang="en"
# ## Too small an h
#
# In float32 there are about seven digits. If $h$ is tiny, both losses agree in nearly all of them, and the difference keeps
# what is left: noise. The figure shows the error for each $h$.
# %% [markdown] lang="fr"
# ## Un h trop petit
#
# En float32, on dispose d'environ sept chiffres. Si $h$ est minuscule, les deux pertes coïncident sur presque tous, et la
# différence ne garde que le reste : du bruit. La figure montre l'erreur pour chaque $h$.
# %%
exact = slope(1e-3, torch.float64)
steps = [1e-2, 1e-3, 1e-4, 1e-5, 1e-8]
errors = [abs(slope(h) - exact) for h in steps]
print("largest h is the best:", errors[0] == min(errors))
print("h = 1e-8 leaves nothing:", slope(1e-8))

# %% tags=["figure"]
import matplotlib.pyplot as plt

many = np.logspace(-8, 0, 60)
figure, axes = plt.subplots(figsize=(5, 3.5))
axes.loglog(many, [abs(slope(h) - exact) + 1e-12 for h in many], label="float32")
axes.loglog(many, [abs(slope(h, torch.float64) - exact) + 1e-12 for h in many], label="float64")
axes.set(xlabel="h", ylabel="error")
_ = axes.legend()
# %% [markdown] lang="en"
# ## Units in the last place
#
# Floating-point numbers are not equally dense: their distance grows with their size. The distance from one to the next is
# the *unit in the last place*, ulp. "They differ by 2 ulps" says more than "by 6e-8": it counts the numbers in between.
# Two correct programs that add the same numbers in another order may differ by a few ulps. Neither is wrong.
# %% [markdown] lang="fr"
# ## Unités en dernière position
#
# Les nombres à virgule flottante ne sont pas répartis également : leur écart grandit avec leur taille. La distance d'un
# nombre au suivant est l'*unité en dernière position*, ulp. « Ils diffèrent de 2 ulps » en dit plus que « de 6e-8 » : cela
# compte les nombres qui les séparent. Deux programmes corrects qui additionnent les mêmes nombres dans un autre ordre
# peuvent différer de quelques ulps. Aucun des deux n'a tort.
# %%
for number in (1.0, 0.2617, 1000.0):
    print(f"{number:8}: 1 ulp = {np.spacing(np.float32(number)):.1e}")
apart = np.abs(by_hand.numpy() - w.grad.numpy()) / np.spacing(w.grad.numpy())
print("by hand and backward are within 8 ulps:", bool(np.all(apart <= 8)))

# %% [markdown] lang="en"
# ## Exercise: the bias
#
# Add a bias: $y_{pred} = x w + b$. Derive $\partial L / \partial b$ by hand, and compute it at $b = 0$ with the weights
# above. Which column of $x$ would belong to $b$?
# %% [markdown] lang="fr"
# ## Exercice : le biais
#
# Ajoutons un biais : $y_{pred} = x w + b$. Calculez $\partial L / \partial b$ à la main, et évaluez-la en $b = 0$ avec les
# poids ci-dessus. Quelle colonne de $x$ correspondrait à $b$ ?
# %% tags=["exercise"]
b_grad = torch.tensor(0.0)  # ←

# %% tags=["solution"]
with torch.no_grad():
    b_grad = 2 * (x @ w - y_true).mean()
print(b_grad)

# %%
check("2 bias", b_grad)
b = torch.zeros((), requires_grad=True)
((x @ w.detach() + b - y_true) ** 2).mean().backward()
print("backward:", b.grad)

# %% [markdown] lang="en"
# ## Exercise: the best h
#
# Which of the five `steps` above is the best in float32 *for this loss*? Can you say why no smaller one helps?
# %% [markdown] lang="fr"
# ## Exercice : le meilleur h
#
# Lequel des cinq `steps` ci-dessus est le meilleur en float32 *pour cette perte* ? Pourquoi un plus petit n'aide-t-il pas ?
# %% tags=["exercise"]
best_h = 0.0  # ←

# %% tags=["solution"]
best_h = steps[int(np.argmin(errors))]
print(best_h)

# %%
check("2 best h", best_h)
