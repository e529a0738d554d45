"""The cures that errors carry as notes, in English and in French. PyTorch's message itself stays word for word.

Tests run the code of each cure, as the note shows it.
"""

from textwrap import indent
from typing import NamedTuple, TypeVar

from funcgrad.teaching.settings import settings

ErrorType = TypeVar("ErrorType", bound=Warning | Exception)


class Cure(NamedTuple):
    """A cure: its text in both languages, and code that shows it."""

    en: str
    fr: str
    code: str


_UPDATE = "with torch.no_grad():\n    w -= lr * w.grad"

CURES = {
    "second backward": Cure(
        "backward() frees what the graph had saved. In a training loop, compute the loss anew before each backward(), and detach() "
        "what an earlier step left. To go through one graph twice, keep it the first time:",
        "backward() libère ce que le graphe avait gardé. Dans une boucle d'entraînement, recalculez la perte avant chaque "
        "backward(), et appelez detach() sur ce qui vient d'un pas précédent. Pour parcourir deux fois un même graphe, "
        "conservez-le la première fois :",
        "loss.backward(retain_graph=True)\nloss.backward()",
    ),
    "leaf in place": Cure(
        "Autograd cannot record a change of the very tensor whose gradient is asked for. An update is not to be recorded:",
        "Autograd ne peut pas enregistrer la modification du tenseur même dont on demande le gradient. Une mise à jour ne "
        "s'enregistre pas :",
        _UPDATE,
    ),
    "view of a leaf in place": Cure(
        "Autograd cannot record a change of part of the very tensor whose gradient is asked for. A change that is not to be "
        "recorded goes into no_grad(); in a computation, change a copy:",
        "Autograd ne peut pas enregistrer la modification d'une partie du tenseur même dont on demande le gradient. Une "
        "modification à ne pas enregistrer va dans no_grad() ; dans un calcul, modifiez une copie :",
        "with torch.no_grad():\n    w[0] = 0.0\n\ny = w.clone()\ny[0] = 0.0",
    ),
    "result changed": Cure(
        "The derivative of an op needs this tensor as it was, and an in-place op has changed it since. Make a new tensor instead "
        "(y = y * 2, not y *= 2):",
        "La dérivée d'une opération a besoin de ce tenseur tel qu'il était, et une opération en place l'a modifié depuis. Créez "
        "plutôt un nouveau tenseur (y = y * 2, et non y *= 2) :",
        "y = y * 2",
    ),
    "leaf changed": Cure(
        "The derivative of an op needs this tensor as it was, and it was updated before backward(). Update after it:",
        "La dérivée d'une opération a besoin de ce tenseur tel qu'il était, et il a été mis à jour avant backward(). Mettez-le "
        "à jour après :",
        f"loss.backward()\n{_UPDATE}",
    ),
    "not a leaf": Cure(
        "An op made this tensor, so backward() leaves no gradient in it. `w = w - lr * w.grad` is such an op: update in place, "
        "without recording.",
        "Ce tenseur est le résultat d'une opération : backward() n'y laisse pas de gradient. `w = w - lr * w.grad` est une telle "
        "opération : faites la mise à jour en place, sans enregistrement.",
        _UPDATE,
    ),
    "nothing asked": Cure(
        "No tensor that the loss was computed from asked for a gradient, or the graph was cut by no_grad(), detach(), .data or "
        "item(). Ask before the loss is computed:",
        "Aucun tenseur dont la perte dépend n'a demandé de gradient, ou bien no_grad(), detach(), .data ou item() a coupé le "
        "graphe. Demandez-le avant de calculer la perte :",
        "w.requires_grad_()",
    ),
    "not a scalar": Cure(
        "A gradient is that of one number. Reduce the result to one:",
        "Un gradient est celui d'un seul nombre. Réduisez le résultat à un nombre :",
        "y.sum().backward()",
    ),
    "integers": Cure(
        "A derivative needs small changes, and integers have none. Convert to floating point first:",
        "Une dérivée demande de petites variations, et les entiers n'en ont pas. Convertissez d'abord en virgule flottante :",
        "w = w.float().requires_grad_()",
    ),
    "gradients add up": Cure(
        "backward() adds to .grad, and the gradient of an earlier step is still there although the tensor was updated since. Clear "
        "it before each backward(), or call optimizer.zero_grad():",
        "backward() ajoute à .grad, et le gradient d'un pas précédent y est encore alors que le tenseur a été mis à jour depuis. "
        "Effacez-le avant chaque backward(), ou appelez optimizer.zero_grad() :",
        "w.grad = None",
    ),
    "product": Cure(
        "A product a @ b needs as many columns of a as rows of b.",
        "Un produit a @ b demande autant de colonnes à a que de lignes à b.",
        "",
    ),
    "product by a transpose": Cure(
        "A product a @ b needs as many columns of a as rows of b. With b transposed the shapes fit:",
        "Un produit a @ b demande autant de colonnes à a que de lignes à b. Avec b transposé, les formes conviennent :",
        "a @ b.T",
    ),
    "product of a transpose": Cure(
        "A product a @ b needs as many columns of a as rows of b. With a transposed the shapes fit:",
        "Un produit a @ b demande autant de colonnes à a que de lignes à b. Avec a transposé, les formes conviennent :",
        "a.T @ b",
    ),
    "linear": Cure(
        "A linear layer takes rows of in_features numbers; its weight is out_features x in_features. For this input:",
        "Une couche linéaire prend des lignes de in_features nombres ; son poids est out_features x in_features. Pour cette "
        "entrée :",
        "layer = torch.nn.Linear(x.shape[-1], out_features)",
    ),
    "broadcast": Cure(
        "Shapes are compared from the last dimension on: in each, the lengths are equal or one of them is 1.",
        "Les formes se comparent à partir de la dernière dimension : dans chacune, les longueurs sont égales ou l'une vaut 1.",
        "",
    ),
    "broadcast a row": Cure(
        "Shapes are compared from the last dimension on: in each, the lengths are equal or one of them is 1. For one number of "
        "the smaller tensor to each row of the larger:",
        "Les formes se comparent à partir de la dernière dimension : dans chacune, les longueurs sont égales ou l'une vaut 1. "
        "Pour un nombre du petit tenseur par ligne du grand :",
        "small.unsqueeze(-1)",
    ),
    "two dtypes": Cure(
        "The operands of a product have one dtype. NumPy's numbers are float64, PyTorch's float32 by default:",
        "Les opérandes d'un produit ont un même type. Les nombres de NumPy sont en float64, ceux de PyTorch en float32 par "
        "défaut :",
        "a @ b.to(a.dtype)",
    ),
    "two libraries": Cure(
        "One program has both. Every import of torch has to change, those of its modules too:",
        "Un même programme a les deux. Il faut changer chaque import de torch, ceux de ses modules aussi :",
        "import funcgrad.torch as torch\nfrom funcgrad.torch import nn",
    ),
    "an array in an op": Cure(
        "An op of torch takes tensors. A function written with them becomes one of arrays, for jax.grad, jax.jit and fit:",
        "Une opération de torch prend des tenseurs. Une fonction écrite avec eux devient une fonction de tableaux, pour jax.grad, "
        "jax.jit et fit :",
        "loss = funcgrad.pure(loss)",
    ),
    "a tensor in a function of JAX": Cure(
        "`pure` gives the function tensors, and JAX's functions take arrays. A function of arrays is pure already. One that has "
        "both takes JAX's part as an op:",
        "`pure` donne des tenseurs à la fonction, et les fonctions de JAX prennent des tableaux. Une fonction de tableaux est déjà "
        "pure. Si elle a les deux, la partie de JAX y devient une opération :",
        "op = torch.from_jax(jax_function)",
    ),
    "a module in a pure function": Cure(
        "Parameters are a pytree of arrays here. A module gives its own, and the pure function that takes them:",
        "Les paramètres sont ici un arbre de tableaux. Un module donne les siens, et la fonction pure qui les prend :",
        "forward = funcgrad.pure(module)\nparams = forward.parameters()",
    ),
    "tensors in a pure function": Cure(
        "This half takes arrays of NumPy or JAX. A tensor's elements are one:",
        "Cette moitié prend des tableaux de NumPy ou de JAX. Les éléments d'un tenseur en sont un :",
        "x.detach().numpy()",
    ),
    "an optimizer of PyTorch": Cure(
        "`fit` keeps the optimizer's state itself, so it takes an optax optimizer:",
        "`fit` tient lui-même l'état de l'optimiseur ; il prend donc un optimiseur d'optax :",
        "optimizer = optax.sgd(0.1)",
    ),
}


def cured(error: ErrorType, name: str) -> ErrorType:
    """Add a cure to an error as a note, in the language of the settings; returns the error.

    >>> print(cured(ValueError("no"), "integers").__notes__[0].splitlines()[-1])
        w = w.float().requires_grad_()
    """
    cure = CURES[name]
    text = cure.fr if settings.language == "fr" else cure.en
    error.add_note(f"{text}\n{indent(cure.code, '    ')}" if cure.code else text)
    return error


class NotedWarning(UserWarning):
    """A UserWarning that prints its notes too; its text is the message alone."""

    def __format__(self, spec: str) -> str:
        """The message and the notes: Python prints a warning by formatting it."""
        return "\n".join([format(str(self), spec), *getattr(self, "__notes__", ())])


# Python prints the name of a warning's class, which is to be PyTorch's.
NotedWarning.__name__ = UserWarning.__name__
