# %% [markdown] lang="en"
# # 5. Errors that teach
#
# Autograd's errors look obscure, yet each names one of a few misunderstandings. Here you meet eight of them, six in
# PyTorch's world and two in JAX's, and repair each. With `funcgrad.torch` the message is PyTorch's, word for word, and a note
# below it has the cure.
# %% [markdown] lang="fr"
# # 5. Des erreurs qui enseignent
#
# Les erreurs d'autograd paraissent obscures ; chacune désigne pourtant l'un de quelques malentendus. En voici huit, six dans
# le monde de PyTorch et deux dans celui de JAX ; à vous de les réparer. Avec `funcgrad.torch`, le message est mot pour mot
# celui de PyTorch, et une note en dessous donne le remède.
# %%
import funcgrad.torch as torch

# %%
import jax
import jax.numpy as jnp
from exercises import check


def start():
    return torch.tensor([1.0, 2.0], requires_grad=True)


def attempt(call):
    """Run a call; show its error as a traceback would, without the traceback."""
    try:
        return call()
    except Exception as error:
        print(f"{type(error).__name__}: {str(error).splitlines()[0][:75]}")
        return error


# %% [markdown] lang="en"
# ## One error and its note
#
# After `backward()` what the graph had saved is gone. A second one cannot work.
# %% [markdown] lang="fr"
# ## Une erreur et sa note
#
# Après `backward()`, ce que le graphe avait gardé n'est plus là. Un second appel ne peut pas aboutir.


# %%
def twice():
    w = start()
    loss = (w * w).sum()
    loss.backward()
    loss.backward()
    return w.grad.tolist()


error = attempt(twice)

# %% tags=["shim"]
print(*error.__notes__, sep="\n")

# %% [markdown] lang="en"
# ## Why autograd is strict about changes in place
#
# The derivative of $y^2$ is $2y$, so the node keeps $y$. If $y$ is changed before `backward()`, the kept number is wrong, and
# so would be the gradient. Each tensor therefore counts its changes; the node remembers the count, and compares.
# %% [markdown] lang="fr"
# ## Pourquoi autograd est strict sur les modifications en place
#
# La dérivée de $y^2$ est $2y$ : le nœud garde donc $y$. Si $y$ est modifié avant `backward()`, le nombre gardé est faux, et
# le gradient le serait aussi. Chaque tenseur compte donc ses modifications ; le nœud se souvient du compte et le compare.
# %%
w = start()
y = w * 3
loss = (y * y).sum()
print("version when saved:", y._version)
y += 1
print("version now:       ", y._version)
_ = attempt(loss.backward)
# %% [markdown] lang="en"
# ## The mistake without an error
#
# `w = w - rate * w.grad` works once. Its result comes from an op, so it is no leaf, and its `.grad` stays `None`. PyTorch
# only warns, when you look.
# %% [markdown] lang="fr"
# ## La faute sans erreur
#
# `w = w - rate * w.grad` fonctionne une fois. Son résultat vient d'une opération : ce n'est plus une feuille, et son `.grad`
# reste `None`. PyTorch n'émet qu'un avertissement, si l'on y regarde.
# %%
w = start()
(w * w).sum().backward()
w = w - 0.1 * w.grad
print("leaf:", w.is_leaf)

# %% [markdown] lang="en"
# ## Exercise: repair eight functions
#
# Each should return the list in the comment. Run them, read, repair. The last two are JAX's: its arrays never change, and
# its derivative is that of one number.
# %% [markdown] lang="fr"
# ## Exercice : réparez huit fonctions
#
# Chacune devrait renvoyer la liste en commentaire. Exécutez, lisez, réparez. Les deux dernières sont celles de JAX : ses
# tableaux ne changent jamais, et sa dérivée est celle d'un seul nombre.


# %% tags=["exercise"]
def second_backward():  # [4.0, 8.0]: the gradient twice
    w = start()
    loss = (w * w).sum()
    loss.backward()
    loss.backward()
    return w.grad.tolist()


def update_that_is_recorded():  # [0.0, 0.0]
    w = start()
    (w * w).sum().backward()
    w -= 0.5 * w.grad
    return w.tolist()


def saved_and_changed():  # [18.0, 36.0]: the gradient of (3 w)²
    w = start()
    y = w * 3
    loss = (y * y).sum()
    y += 1  # for later
    loss.backward()
    return w.grad.tolist()


def second_step():  # [0.25, 0.5]: two steps
    w = start()
    for _ in range(2):
        w.grad = None
        (w * w).sum().backward()
        w = w - 0.25 * w.grad
    return w.tolist()


def whole_numbers():  # [2.0, 4.0]
    w = torch.tensor([1, 2], requires_grad=True)
    (w * w).sum().backward()
    return w.grad.tolist()


def shapes():  # [5.0, 11.0, 0.0]: a prediction for each column
    x = torch.tensor([[1.0, 3.0, 0.0], [2.0, 4.0, 0.0]])
    return (x @ start()).tolist()


def a_write():  # [0.0, 2.0]
    w = jnp.array([1.0, 2.0])
    w[0] = 0.0
    return w.tolist()


def derivative_of_a_vector():  # [2.0, 4.0]
    return jax.grad(lambda w: w * w)(jnp.array([1.0, 2.0])).tolist()


# %% tags=["solution"]
def second_backward():
    w = start()
    loss = (w * w).sum()
    loss.backward(retain_graph=True)
    loss.backward()
    return w.grad.tolist()


def update_that_is_recorded():
    w = start()
    (w * w).sum().backward()
    with torch.no_grad():
        w -= 0.5 * w.grad
    return w.tolist()


def saved_and_changed():
    w = start()
    y = w * 3
    loss = (y * y).sum()
    y = y + 1  # a new tensor: the saved one stays as it was
    loss.backward()
    return w.grad.tolist()


def second_step():
    w = start()
    for _ in range(2):
        w.grad = None
        (w * w).sum().backward()
        with torch.no_grad():
            w -= 0.25 * w.grad
    return w.tolist()


def whole_numbers():
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    (w * w).sum().backward()
    return w.grad.tolist()


def shapes():
    x = torch.tensor([[1.0, 3.0, 0.0], [2.0, 4.0, 0.0]])
    return (x.T @ start()).tolist()


def a_write():
    w = jnp.array([1.0, 2.0])
    w = w.at[0].set(0.0)
    return w.tolist()


def derivative_of_a_vector():
    return jax.grad(lambda w: (w * w).sum())(jnp.array([1.0, 2.0])).tolist()


# %%
wanted = {
    second_backward: [4.0, 8.0],
    update_that_is_recorded: [0.0, 0.0],
    saved_and_changed: [18.0, 36.0],
    second_step: [0.25, 0.5],
    whole_numbers: [2.0, 4.0],
    shapes: [5.0, 11.0, 0.0],
    a_write: [0.0, 2.0],
    derivative_of_a_vector: [2.0, 4.0],
}
repaired = sum(attempt(function) == value for function, value in wanted.items())
print(repaired, "of", len(wanted), "are repaired")
check("5", repaired)
