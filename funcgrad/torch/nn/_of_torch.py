"""Functions of `torch` that have the name of one in `torch.nn.functional`, with other arguments: `reduction` is a number.

Without it nothing is reduced. PyTorch's documentation of them says mean, and its Python functions give this.
"""

import inspect
from collections.abc import Callable
from typing import Any

from funcgrad.torch.nn import functional

_REDUCTIONS = ("none", "mean", "sum")


def _of(function: Callable[..., Any], *names: str) -> Callable[..., Any]:
    """The function, with PyTorch's order of arguments here."""

    def call(*args: Any, **kwargs: Any) -> Any:
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        if len(args) > len(names):
            raise TypeError(f"{function.__name__}() takes {len(names)} positional arguments")
        given["reduction"] = _REDUCTIONS[given.get("reduction", 0)]
        return function(**given)

    taken = inspect.signature(function).parameters
    listed = [taken[each] for each in names if each != "reduction"]
    listed.insert(names.index("reduction"), taken["reduction"].replace(default=0, annotation=int))
    if "log_target" in taken:
        listed.append(taken["log_target"].replace(kind=inspect.Parameter.KEYWORD_ONLY))
    call.__signature__ = inspect.Signature(listed)  # type: ignore[attr-defined]
    call.__name__ = call.__qualname__ = function.__name__
    call.__doc__ = f"`torch.nn.functional.{function.__name__}` of ({', '.join(names)}); a reduction is 0 for none, 1 for mean, 2 for sum."
    return call


def _kl_div(input: Any, target: Any, reduction: str = "mean", log_target: bool = False) -> Any:
    """`functional.kl_div`, which warns of a mean."""
    if reduction == "mean":
        each: Any = functional.kl_div(input, target, reduction="none", log_target=log_target)
        return each.mean()
    return functional.kl_div(input, target, reduction=reduction, log_target=log_target)


_kl_div.__name__ = "kl_div"
binary_cross_entropy_with_logits = _of(
    functional.binary_cross_entropy_with_logits,
    *("input", "target", "weight", "pos_weight", "reduction"),
)
cosine_embedding_loss = _of(
    functional.cosine_embedding_loss, *("input1", "input2", "target", "margin", "reduction")
)
ctc_loss = _of(
    functional.ctc_loss,
    *("log_probs", "targets", "input_lengths", "target_lengths", "blank", "reduction"),
    "zero_infinity",
)
hinge_embedding_loss = _of(
    functional.hinge_embedding_loss, "input", "target", "margin", "reduction"
)
kl_div = _of(_kl_div, "input", "target", "reduction")
margin_ranking_loss = _of(
    functional.margin_ranking_loss, *("input1", "input2", "target", "margin", "reduction")
)
poisson_nll_loss = _of(
    functional.poisson_nll_loss, *("input", "target", "log_input", "full", "eps", "reduction")
)
triplet_margin_loss = _of(
    functional.triplet_margin_loss,
    *("anchor", "positive", "negative", "margin", "p", "eps", "swap", "reduction"),
)


def embedding(
    weight: Any,
    indices: Any,
    padding_idx: int = -1,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    """`torch.nn.functional.embedding`, with the weight first; a `padding_idx` of -1 is none."""
    padding = None if padding_idx == -1 else padding_idx
    return functional.embedding(indices, weight, padding, None, 2.0, scale_grad_by_freq, sparse)
