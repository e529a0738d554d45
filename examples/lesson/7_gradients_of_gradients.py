# %% [markdown] lang="en"
# # 7. Gradients of gradients, and Newton's step
#
# The gradient is computed by a program, so it has a derivative too. With second derivatives one knows the curvature, and
# then how far to go: Newton's step.
# %% [markdown] lang="fr"
# # 7. Dérivées de dérivées, et le pas de Newton
#
# Le gradient est calculé par un programme : il a donc lui aussi une dérivée. Avec les dérivées secondes, on connaît la
# courbure, et l'on sait alors jusqu'où aller : c'est le pas de Newton.
# %%
import funcgrad.torch as torch

# %%
import jax
import jax.numpy as jnp
from exercises import check

# %% [markdown] lang="en"
# ## Three times in a row
#
# `create_graph=True` records the backward walk as well, so that it can be walked in turn. For $t^4$ at $t = 2$ the first
# three derivatives are $4t^3 = 32$, $12t^2 = 48$ and $24t = 48$.
# %% [markdown] lang="fr"
# ## Trois fois de suite
#
# `create_graph=True` enregistre aussi le parcours à l'envers, qui peut à son tour être parcouru. Pour $t^4$ en $t = 2$, les
# trois premières dérivées sont $4t^3 = 32$, $12t^2 = 48$ et $24t = 48$.
# %%
t = torch.tensor(2.0, requires_grad=True)
value = t**4
for order in (1, 2, 3):
    (value,) = torch.autograd.grad(value, t, create_graph=True)
    print(f"order {order}: {value.item()}")
print("jax:", jax.grad(jax.grad(jax.grad(lambda t: t**4)))(2.0))

# %% [markdown] lang="en"
# ## The Hessian of the lesson
#
# One row a weight: differentiate each element of the gradient. In JAX `jax.hessian` does it in one call, forwards over
# backwards. Both give $\frac2n x^\top x$, whatever `w`: the loss is a parabola.
# %% [markdown] lang="fr"
# ## La hessienne de la leçon
#
# Une ligne par poids : on dérive chaque élément du gradient. En JAX, `jax.hessian` le fait en un appel, vers l'avant
# par-dessus l'arrière. Les deux donnent $\frac2n x^\top x$, quel que soit `w` : la perte est une parabole.
# %%
torch.manual_seed(0)
x = torch.rand(20, 2)
y_true = torch.rand(20)
w = torch.rand(2, requires_grad=True)


def loss_of(w, x, y_true):
    y_pred = x @ w
    return ((y_pred - y_true) ** 2).mean()


(gradient,) = torch.autograd.grad(loss_of(w, x, y_true), w, create_graph=True)
rows = [torch.autograd.grad(each, w, retain_graph=True)[0] for each in gradient]
hessian = torch.stack(rows)
print("double backward:", hessian)
arrays = [jnp.asarray(each.detach().numpy()) for each in (w, x, y_true)]
print(
    "jax.hessian:    ",
    [[f"{v:.4f}" for v in row] for row in jax.hessian(loss_of)(*arrays).tolist()],
)
print("by hand:        ", 2 / len(x) * x.T @ x)

# %% [markdown] lang="en"
# ## Exercise: Newton's step
#
# Replace the loss by the parabola that has its value, gradient $g$ and Hessian $H$ at $w$. The bottom of that parabola is at
# $w - H^{-1} g$. Compute it with `torch.linalg.solve(H, g)`: where does the lesson land, after one step?
# %% [markdown] lang="fr"
# ## Exercice : le pas de Newton
#
# Remplacez la perte par la parabole de même valeur, de même gradient $g$ et de même hessienne $H$ en $w$. Le fond de cette
# parabole est en $w - H^{-1} g$. Calculez-le avec `torch.linalg.solve(H, g)` : où la leçon arrive-t-elle, en un seul pas ?
# %% tags=["exercise"]
w_newton = w.detach()  # ←

# %% tags=["solution"]
with torch.no_grad():
    w_newton = w - torch.linalg.solve(hessian, gradient)
print(w_newton)

# %%
check("7", w_newton)
print(f"loss {loss_of(w, x, y_true).item():.4f} -> {loss_of(w_newton, x, y_true).item():.4f}")

# %% [markdown] lang="en"
# ## When the loss is no parabola
#
# Then one step is not enough, but near the minimum each step doubles the number of right digits. For $w - \ln w$ (minimum at
# 1) the error is squared each time: `0.5`, `0.25`, `0.0625` ... Gradient descent only multiplies it by a factor.
# %% [markdown] lang="fr"
# ## Quand la perte n'est pas une parabole
#
# Un pas ne suffit plus, mais près du minimum chaque pas double le nombre de chiffres justes. Pour $w - \ln w$ (minimum en 1),
# l'erreur est élevée au carré à chaque fois : `0.5`, `0.25`, `0.0625`... La descente de gradient ne fait que la multiplier
# par un facteur.


# %%
def curve(w):
    return w - torch.log(w)


newton = descent = torch.tensor(0.5, dtype=torch.float64)
for step in range(6):
    print(
        f"step {step}: Newton off by {abs(1 - newton.item()):.3g}, descent by {abs(1 - descent.item()):.3g}"
    )
    w = newton.clone().requires_grad_()
    (first,) = torch.autograd.grad(curve(w), w, create_graph=True)
    (second,) = torch.autograd.grad(first, w)
    newton = newton - (first / second).detach()
    w = descent.clone().requires_grad_()
    descent = descent - 0.4 * torch.autograd.grad(curve(w), w)[0]
