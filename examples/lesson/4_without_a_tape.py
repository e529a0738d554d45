# %% [markdown] lang="en"
# # 4. The same without a tape
#
# JAX takes another road to the same number. The loss is a *function* of all it needs, and `jax.grad` makes another function
# of it. Nothing is recorded between calls, and nothing is written into `w`.
# %% [markdown] lang="fr"
# # 4. La même chose sans enregistrement
#
# JAX arrive au même nombre par un autre chemin. La perte est une *fonction* de tout ce dont elle a besoin, et `jax.grad` en
# fait une autre fonction. Rien n'est enregistré entre deux appels, et rien n'est écrit dans `w`.
# %%
import funcgrad.torch as torch

# %%
import jax
import jax.numpy as jnp
from exercises import check

from funcgrad.compare import draw, parity

torch.manual_seed(0)
x = torch.rand(20, 2)
y_true = torch.rand(20)
w = torch.rand(2, requires_grad=True)
loss = ((x @ w - y_true) ** 2).mean()
loss.backward()
arrays = [jnp.asarray(each.detach().numpy()) for each in (w, x, y_true)]

# %% [markdown] lang="en"
# ## The loss as a function, and its gradient as one
#
# `jax.grad(loss_of)` is a function with the same arguments. It returns the derivative by the first. There is no
# `requires_grad`: you say what to differentiate by, at the call. There is nothing to clear either.
# %% [markdown] lang="fr"
# ## La perte est une fonction, son gradient aussi
#
# `jax.grad(loss_of)` est une fonction des mêmes arguments ; elle renvoie la dérivée par rapport au premier. Il n'y a pas de
# `requires_grad` : on dit à l'appel par rapport à quoi dériver. Il n'y a rien à effacer non plus.


# %%
def loss_of(w, x, y_true):
    y_pred = x @ w
    return ((y_pred - y_true) ** 2).mean()


print("torch:", [f"{each:.4f}" for each in w.grad.tolist()])
print("jax:  ", [f"{each:.4f}" for each in jax.grad(loss_of)(*arrays).tolist()])

# %% [markdown] lang="en"
# ## The jaxpr beside the tape
#
# To differentiate the function, JAX runs it once on *tracers*: objects that know shapes but no numbers. The list of ops it
# gets is a *jaxpr*. Compare it with the graph of the tensor: ops that do the same have one colour. The tape was made by
# running; the jaxpr is made by tracing, so it holds for all numbers. That is why an `if` on a value is refused there.
# %% [markdown] lang="fr"
# ## Le jaxpr à côté du graphe
#
# Pour dériver la fonction, JAX l'exécute une fois sur des *traceurs* : des objets qui connaissent les formes, mais pas les
# nombres. La liste d'opérations qu'il obtient est un *jaxpr*. Comparez-le au graphe du tenseur : les opérations qui font la
# même chose ont la même couleur. Le graphe naît de l'exécution ; le jaxpr naît du traçage, il vaut donc pour tous les
# nombres. C'est pourquoi un `if` sur une valeur y est refusé.
# %%
loss = ((x @ w - y_true) ** 2).mean()
draw(loss).beside(draw(loss_of, *arrays))

# %%
try:
    jax.grad(lambda w: w[0] if w[0] > 0 else -w[0])(arrays[0])
except jax.errors.TracerBoolConversionError as error:
    print(type(error).__name__)
print(jax.grad(lambda w: jnp.where(w[0] > 0, w[0], -w[0]))(arrays[0]).tolist())

# %% [markdown] lang="en"
# ## `jit` compiles the loss once
#
# `jax.jit` gives the jaxpr to a compiler, once for each set of shapes. The function body then does not run any more: a
# `print` in it shows at the first call only.
# %% [markdown] lang="fr"
# ## Ce que fait `jit`
#
# `jax.jit` donne le jaxpr à un compilateur, une fois pour chaque jeu de formes. Ensuite, le corps de la fonction ne s'exécute
# plus : un `print` à l'intérieur n'apparaît qu'au premier appel.


# %%
@jax.jit
def compiled(w, x, y_true):
    print("traced with", type(w).__name__ != "ArrayImpl" and "a tracer")
    return loss_of(w, x, y_true)


print(f"{compiled(*arrays):.4f}")
print(f"{compiled(*arrays):.4f}")

# %% [markdown] lang="en"
# ## Why the digits agree
#
# Both roads use the same rule for each op, and the chain rule puts them together in the same order, from the loss
# backwards. What may differ is the order in which a sum adds its terms. `parity` measures it: it moves every input by one
# ulp and looks how far the result moves (a *band*). A difference within 8 bands is rounding.
# %% [markdown] lang="fr"
# ## Pourquoi les chiffres s'accordent
#
# Les deux chemins emploient la même règle pour chaque opération, et la règle de la chaîne les assemble dans le même ordre, à
# partir de la perte. Seul l'ordre des termes d'une somme peut changer. `parity` le mesure : il déplace chaque entrée d'une
# ulp et regarde de combien le résultat bouge (une *bande*). Un écart de moins de 8 bandes est un arrondi.


# %%
def torch_loss(w, x, y_true):
    return torch.mean((x @ w - y_true) ** 2)


report = parity(torch_loss, loss_of, *arrays)
print("agree:", report.ok)
report

# %% [markdown] lang="en"
# ## Exercise: the step as a pure function
#
# Below is notebook 1's step in PyTorch's way, as a function of `w`. Write `pure_step` for JAX: weights go in, new weights
# come out, nothing is changed. `parity` will compare it, with its derivatives.
# %% [markdown] lang="fr"
# ## Exercice : le pas comme fonction pure
#
# Voici le pas du premier carnet à la manière de PyTorch, comme fonction de `w`. Écrivez `pure_step` pour JAX : des poids
# entrent, de nouveaux poids sortent, rien n'est modifié. `parity` comparera, dérivées comprises.


# %%
def torch_step(w, x, y_true):
    loss = torch.mean((x @ w - y_true) ** 2)
    (gradient,) = torch.autograd.grad(loss, w, create_graph=True)
    return w - gradient


# %% tags=["exercise"]
def pure_step(w, x, y_true):
    return jnp.zeros_like(w)  # ←


# %% tags=["solution"]
def pure_step(w, x, y_true):
    return w - jax.grad(loss_of)(w, x, y_true)


# %%
check("4", parity(torch_step, pure_step, *arrays).ok)
