# %% [markdown] lang="en"
# # 8. Moving a script, each step checked
#
# Here is a training in PyTorch's way: the lesson with momentum. We move it to pure JAX in six steps. After each, one line
# asks: is the difference rounding, or a mistake? `parity` answers for functions, `trajectory` for trainings.
# %% [markdown] lang="fr"
# # 8. Porter un script, chaque étape vérifiée
#
# Voici un entraînement à la manière de PyTorch : la leçon, avec inertie. Nous le portons vers JAX pur en six étapes. Après
# chacune, une ligne demande : l'écart est-il un arrondi, ou une erreur ? `parity` répond pour les fonctions, `trajectory`
# pour les entraînements.
# %%
import funcgrad.torch as torch

# %%
import jax
import jax.numpy as jnp
import numpy as np
from exercises import check

from funcgrad.compare import parity, trajectory

torch.manual_seed(0)
x = torch.rand(20, 2)
y_true = torch.rand(20)
w_start = torch.rand(2)


def script(steps):
    w = w_start.clone().requires_grad_()
    velocity = torch.zeros(2)
    for _ in range(steps):
        w.grad = None
        loss = ((x @ w - y_true) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            velocity = 0.9 * velocity + w.grad
            w -= 0.1 * velocity
    return w.tolist(), loss.item()


script_w, script_loss = script(40)
print([f"{each:.4f}" for each in script_w], f"loss {script_loss:.4f}")
arrays = tuple(each.numpy().copy() for each in (w_start, x, y_true))

# %% [markdown] lang="en"
# ## Step 1: name the loss
#
# A loss that is given all it needs can be compared, tested and differentiated. The script's loss read `x` and `y_true` from
# outside.
# %% [markdown] lang="fr"
# ## Étape 1 : nommer la perte
#
# Une perte qui reçoit tout ce dont elle a besoin peut être comparée, testée et dérivée. Celle du script lisait `x` et
# `y_true` à l'extérieur.


# %%
def torch_loss(w, x, y_true):
    return torch.mean((x @ w - y_true) ** 2)


# %% [markdown] lang="en"
# ## Step 2: the same loss in JAX
#
# Value and gradient are compared in one call. `order=2` adds second derivatives.
# %% [markdown] lang="fr"
# ## Étape 2 : la même perte en JAX
#
# Valeur et gradient sont comparés en un appel. `order=2` ajoute les dérivées secondes.


# %%
def jax_loss(w, x, y_true):
    return jnp.mean((x @ w - y_true) ** 2)


report = parity(torch_loss, jax_loss, *arrays, order=2)
print("losses agree:", report.ok)
report

# %% [markdown] lang="en"
# ## Step 3: one training step as a function
#
# A step takes the *state* (weights and velocity: all that lives on) and a batch. It returns the new state and the loss. This
# form is the bridge: both worlds can have it.
# %% [markdown] lang="fr"
# ## Étape 3 : un pas d'entraînement comme fonction
#
# Un pas prend l'*état* (les poids et la vitesse : tout ce qui survit) et un lot. Il renvoie le nouvel état et la perte. Cette
# forme est le pont : les deux mondes peuvent l'avoir.


# %%
def torch_step(state, batch):
    w, velocity = state["w"], state["velocity"]
    loss = torch_loss(w, *batch)
    loss.backward()
    with torch.no_grad():
        velocity = 0.9 * velocity + w.grad
        w -= 0.1 * velocity
    return {"w": w, "velocity": velocity}, loss


# %% [markdown] lang="en"
# ## Step 4: the step in JAX
#
# `backward()` becomes `jax.value_and_grad`; writing becomes returning; clearing the gradient has nothing to become.
# `trajectory` runs both trainings, and also each step from the same state, so that growing rounding is not taken for a fault.
# %% [markdown] lang="fr"
# ## Étape 4 : le pas en JAX
#
# `backward()` devient `jax.value_and_grad` ; écrire devient renvoyer ; effacer le gradient n'a plus d'objet. `trajectory`
# exécute les deux entraînements, et aussi chaque pas depuis le même état, pour ne pas prendre pour une faute un arrondi qui
# grandit.


# %%
def jax_step(state, batch):
    loss, gradient = jax.value_and_grad(jax_loss)(state["w"], *batch)
    velocity = 0.9 * state["velocity"] + gradient
    return {"w": state["w"] - 0.1 * velocity, "velocity": velocity}, loss


start = {"w": arrays[0], "velocity": np.zeros(2, np.float32)}
report = trajectory(torch_step, jax_step, start, arrays[1:], steps=10)
print("trainings agree:", report.ok)

# %% [markdown] lang="en"
# ## Step 5: compile the step
#
# `jax.jit` changes the time, and may change the last digit.
# %% [markdown] lang="fr"
# ## Étape 5 : compiler le pas
#
# `jax.jit` change la durée, et parfois le dernier chiffre.
# %%
compiled_step = jax.jit(jax_step)
print("compiled agrees:", trajectory(jax_step, compiled_step, start, arrays[1:], steps=10).ok)

# %% [markdown] lang="en"
# ## Step 6: hand over the loop
#
# `jax.lax.scan` makes the whole training one program. It ends where the script ended.
# %% [markdown] lang="fr"
# ## Étape 6 : confier la boucle
#
# `jax.lax.scan` fait de tout l'entraînement un seul programme. Il arrive là où le script arrivait.
# %%
end, losses = jax.lax.scan(
    lambda state, _: jax_step(state, arrays[1:]), jax.tree.map(jnp.asarray, start), length=40
)
print([f"{each:.4f}" for each in end["w"].tolist()], f"loss {losses[-1]:.4f}")
print("same end:", bool(np.allclose(end["w"], script_w, atol=1e-5)))

# %% [markdown] lang="en"
# ## Exercise: find the planted bug
#
# A colleague's port trains to the same weights, digit for digit almost. Yet it is not the same program: with a rate that
# decays it would go elsewhere. At which step does the difference begin, and in which array of the state?
# %% [markdown] lang="fr"
# ## Exercice : trouver la faute cachée
#
# Le portage d'un collègue arrive aux mêmes poids, presque au chiffre près. Ce n'est pourtant pas le même programme : avec un
# taux décroissant, il irait ailleurs. À quel pas l'écart commence-t-il, et dans quel tableau de l'état ?


# %%
def suspicious_step(state, batch):
    loss, gradient = jax.value_and_grad(jax_loss)(state["w"], *batch)
    velocity = 0.9 * state["velocity"] + 0.1 * gradient
    return {"w": state["w"] - velocity, "velocity": velocity}, loss


state = jax.tree.map(jnp.asarray, start)
for _ in range(40):
    state, _ = suspicious_step(state, arrays[1:])
print("its weights:", [f"{each:.4f}" for each in state["w"].tolist()])

# %% tags=["exercise"]
step, leaf = 0, "state['w']"  # ← ask `trajectory`

# %% tags=["solution"]
report = trajectory(torch_step, suspicious_step, start, arrays[1:], steps=5)
step, leaf = report.step, report.leaf
print(report.verdict, step, leaf)

# %%
check("8", (step, leaf))
