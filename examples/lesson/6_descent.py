# %% [markdown] lang="en"
# # 6. Descent: how long may a step be?
#
# The gradient says where to go, not how far: a step subtracts it times a learning rate, or rate for short. Which rate is
# good depends on the *curvature*. This notebook measures it, finds the largest
# stable rate, and explains why some losses hardly fall at all.
# %% [markdown] lang="fr"
# # 6. La descente : quelle longueur pour un pas ?
#
# Le gradient dit où aller, pas jusqu'où : un pas le soustrait, multiplié par un taux d'apprentissage, ou taux en bref. Le bon
# taux dépend de la *courbure*. Ce carnet la mesure, trouve le plus grand taux stable,
# et explique pourquoi certaines pertes ne baissent presque pas.
# %%
import funcgrad.torch as torch

# %%
from exercises import check

torch.manual_seed(0)
x = torch.rand(20, 2)
y_true = torch.rand(20)
w_start = torch.rand(2)


def train(x, y_true, w_start, rate, steps, momentum=0.0):
    """The weights of each step, and the loss at each."""
    w = w_start.clone().requires_grad_()
    velocity = torch.zeros_like(w)
    path, losses = [], []
    for _ in range(steps + 1):
        w.grad = None
        loss = ((x @ w - y_true) ** 2).mean()
        loss.backward()
        path.append(w.tolist())
        losses.append(loss.item())
        with torch.no_grad():
            velocity = momentum * velocity + w.grad
            w -= rate * velocity
    return path, losses


# %% [markdown] lang="en"
# ## Four rates
#
# With `0.1` the loss creeps. With `1.0` it is down after ten steps. With `1.8` it jumps from side to side and comes down all
# the same. With `1.9` each jump is longer than the one before.
# %% [markdown] lang="fr"
# ## Quatre taux
#
# Avec `0.1`, la perte descend très lentement. Avec `1.0`, elle est en bas après dix pas. Avec `1.8`, elle saute d'un versant à l'autre et
# descend tout de même. Avec `1.9`, chaque saut est plus long que le précédent.
# %%
rates = (0.1, 1.0, 1.8, 1.9)
runs = {rate: train(x, y_true, w_start, rate, 60) for rate in rates}
for rate, (_, losses) in runs.items():
    print(
        f"rate {rate}: loss {losses[0]:.4f}, after 10 steps {losses[10]:.4f}, after 20 {losses[20]:.3f}"
    )

# %% tags=["figure"]
import matplotlib.pyplot as plt

figure, axes = plt.subplots(figsize=(5, 3.5))
for rate, (_, losses) in runs.items():
    axes.semilogy([each - 0.13135 for each in losses], label=f"rate {rate}")
axes.set(xlabel="step", ylabel="loss - lowest loss")
_ = axes.legend()

# %% [markdown] lang="en"
# ## Curvature
#
# The second derivatives of the loss form a matrix, $H = \frac2n x^\top x$. Its eigenvectors are the directions of the valley,
# its eigenvalues the curvature along them: `0.0913` along the valley, `1.0856` across it. Their ratio, the *condition
# number*, is `11.9`: the valley is twelve times as curved across as along.
#
# In each direction a step multiplies the distance to the minimum by $1 - \text{rate} \cdot \text{curvature}$.
# %% [markdown] lang="fr"
# ## La courbure
#
# Les dérivées secondes de la perte forment une matrice, $H = \frac2n x^\top x$. Ses vecteurs propres sont les directions de la
# vallée, ses valeurs propres la courbure dans ces directions : `0.0913` le long de la vallée, `1.0856` en travers. Leur
# rapport, le *conditionnement*, vaut `11.9` : la vallée est douze fois plus courbe en travers qu'en long.
#
# Dans chaque direction, un pas multiplie la distance au minimum par $1 - \text{taux} \cdot \text{courbure}$.


# %%
def curvatures(x):
    wide = x.double()
    return torch.linalg.eigvalsh(2 / len(x) * wide.T @ wide)


low, high = curvatures(x).tolist()
print(f"curvatures {low:.4f} and {high:.4f}, condition number {high / low:.1f}")
for rate in rates:
    print(f"rate {rate}: factors {1 - rate * low:6.3f} and {1 - rate * high:6.3f}")

# %% [markdown] lang="en"
# ## Exercise: the largest stable rate
#
# From which rate on do the steps grow instead of shrinking? Compute it from `high`.
# %% [markdown] lang="fr"
# ## Exercice : le plus grand taux stable
#
# À partir de quel taux les pas grandissent-ils au lieu de diminuer ? Calculez-le à partir de `high`.
# %% tags=["exercise"]
largest_rate = 0.0  # ←

# %% tags=["solution"]
largest_rate = 2 / high
print(f"{largest_rate:.4f}")

# %%
check("6", largest_rate)

# %% [markdown] lang="en"
# ## When the loss does not fall
#
# Take two rows instead of twenty. The loss comes down from `0.3065` to `0.1637` in ten steps, and then it stays: `0.1636`
# after fifty, `0.1633` after two hundred. Is the program broken? No. Two equations in two unknowns have a solution with loss 0. But one curvature
# is `7.0e-06`, so in that direction a step covers seven millionths of the way. A hundred thousand steps would halve the distance.
# %% [markdown] lang="fr"
# ## Quand la perte ne descend pas
#
# Prenons deux lignes au lieu de vingt. La perte passe de `0.3065` à `0.1637` en dix pas, puis elle y reste : `0.1636` après
# cinquante, `0.1633` après deux cents. Le programme est-il faux ? Non. Deux équations à deux inconnues ont une solution de perte nulle. Mais l'une des
# courbures vaut `7.0e-06` : dans cette direction, un pas parcourt sept millionièmes du chemin. Il faudrait cent mille
# pas pour réduire la distance de moitié.
# %%
torch.manual_seed(0)
few_x, few_y, few_w = torch.rand(2, 2), torch.rand(2), torch.rand(2)
_, losses = train(few_x, few_y, few_w, 1.0, 200)
print(
    f"loss {losses[0]:.4f}, after 10 steps {losses[10]:.4f}, after 50 {losses[50]:.4f}, after 200 {losses[200]:.4f}"
)
low2, high2 = curvatures(few_x).tolist()
print(f"curvatures {low2:.1e} and {high2:.4f}")
print(f"steps to halve the distance: {0.6931 / low2:.0e}")

# %% [markdown] lang="en"
# ## Momentum
#
# A ball that rolls keeps part of its speed: *velocity = momentum · velocity + gradient*. Across the valley the jumps cancel
# out; along it the speed adds up. With a small rate of `0.03`, twenty steps leave the loss at `0.1580` without momentum, and
# at `0.1317` with it. (Notebook 3's forgotten `zero_grad` is a momentum of 1: a ball without friction.)
# %% [markdown] lang="fr"
# ## L'inertie
#
# Une bille qui roule garde une partie de sa vitesse : *vitesse = inertie · vitesse + gradient*. En travers de la vallée, les
# sauts se compensent ; en long, la vitesse s'ajoute. Avec un petit taux de `0.03`, vingt pas laissent la perte à `0.1580` sans
# inertie, et à `0.1317` avec. (L'oubli de `zero_grad` du carnet 3 est une inertie de 1 : une bille sans frottement.)
# %%
plain_path, plain = train(x, y_true, w_start, 0.03, 20)
ball_path, ball = train(x, y_true, w_start, 0.03, 20, momentum=0.7)
print(f"rate 0.03, after 20 steps: {plain[20]:.4f} without momentum, {ball[20]:.4f} with it")

# %% tags=["figure"]
import numpy as np
from matplotlib.animation import FuncAnimation

plt.rcParams["animation.html"] = "jshtml"
first, second = np.meshgrid(np.linspace(0, 1, 60), np.linspace(-0.1, 0.9, 60))
corners = np.stack([first.ravel(), second.ravel()])
surface = ((x.numpy() @ corners - y_true.numpy()[:, None]) ** 2).mean(0).reshape(first.shape)
figure, axes = plt.subplots(figsize=(5, 4))
axes.contour(first, second, surface, levels=15, alpha=0.5)
trails = [axes.plot([], [], "o-", ms=3, label=name)[0] for name in ("momentum 0", "momentum 0.7")]
axes.set(xlabel="w[0]", ylabel="w[1]")
axes.legend()


def show(step):
    for trail, path in zip(trails, (plain_path, ball_path), strict=True):
        trail.set_data(*zip(*path[: step + 1], strict=True))
    return trails


animation = FuncAnimation(figure, show, frames=len(plain_path), interval=150)
plt.close(figure)
animation
