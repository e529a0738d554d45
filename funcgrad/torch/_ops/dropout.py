"""Dropout: PyTorch's CPU random numbers decide which elements are set to zero."""

import math
from typing import Any

from funcgrad.engine import grad_mode
from funcgrad.torch._ops.row import named
from funcgrad.torch._tensor.registry import FUNCTIONS, publish
from funcgrad.torch._tensor.tensor import Tensor

# Minus the value of a dropped element in alpha dropout: the scale times the alpha of `selu`.
_ALPHA = 1.7580993408473766


def _dropout(name: str, doc: str, *, features: bool = False, alpha: bool = False) -> None:
    """Publish a dropout and its in-place form.

    Args:
        name: PyTorch's name.
        doc: its docstring's first line.
        features: whether all elements of a channel have one fate.
        alpha: whether mean and variance are kept.
    """

    def dropped(input: Any, p: float, train: bool, in_place: bool) -> Tensor:
        if not 0 <= p <= 1:
            raise RuntimeError(f"dropout probability has to be between 0 and 1, but got {p:g}")
        if not train or p == 0 or not input.numel():
            return input
        if p == 1:
            zeros = FUNCTIONS["zeros"]((), dtype=input.dtype)
            return input.mul_(zeros) if in_place else input * zeros
        with grad_mode(False):
            noise = (_like_channels if features else _like)(input).bernoulli_(1 - p)
            if not alpha:
                noise.div_(1 - p)
            else:
                scale = 1 / math.sqrt((_ALPHA * _ALPHA * p + 1) * (1 - p))
                shift = noise.add(-1).mul_(_ALPHA * scale).add_(_ALPHA * scale * p)
                noise.mul_(scale)
        if not alpha:
            return input.mul_(noise) if in_place else input * noise
        return input.mul_(noise).add_(shift) if in_place else input * noise + shift

    def function(input: Tensor, p: float, train: bool) -> Tensor:
        return dropped(input, p, train, False)

    def function_in_place(input: Tensor, p: float, train: bool) -> Tensor:
        return dropped(input, p, train, True)

    publish(named(function, name, f"{doc}\n\n{_ARGUMENTS}"), method=False)
    publish(named(function_in_place, f"{name}_", f"As `{name}`, in place."), method=False)


_ARGUMENTS = """    Args:
        input: of floating point.
        p: the probability that an element is dropped.
        train: whether to drop any; if not, the input itself is returned.

    Raises:
        RuntimeError: the probability is not in [0, 1].
    """


def _like(input: Any) -> Any:
    return FUNCTIONS["empty_like"](input)


def _like_channels(input: Any) -> Any:
    if input.ndim < 2:
        raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
    return input.new_empty((*input.shape[:2], *[1] * (input.ndim - 2)))


_DROPOUTS: tuple[tuple[str, str, dict[str, bool]], ...] = (
    ("dropout", "Set elements to zero at random, and scale the others.", {}),
    (
        "feature_dropout",
        "Set channels to zero at random, and scale the others.",
        {"features": True},
    ),
    ("alpha_dropout", "Dropout that keeps mean and variance behind `selu`.", {"alpha": True}),
    (
        "feature_alpha_dropout",
        "`alpha_dropout` of whole channels.",
        {"features": True, "alpha": True},
    ),
)
for _name, _doc, _facts in _DROPOUTS:
    _dropout(_name, _doc, **_facts)
