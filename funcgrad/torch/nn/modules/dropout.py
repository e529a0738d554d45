"""Dropout.

Behaviour: https://pytorch.org/docs/stable/nn.html#dropout-layers
"""

from collections.abc import Callable
from typing import ClassVar

from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.nn import functional
from funcgrad.torch.nn.modules.module import Module

__all__ = [
    "AlphaDropout",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "FeatureAlphaDropout",
]


def __dir__() -> list[str]:
    return __all__


class _DropoutNd(Module):
    __constants__ = ("p", "inplace")
    _function: ClassVar[Callable[..., Tensor]]

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if p < 0 or p > 1:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        self.p, self.inplace = p, inplace

    def forward(self, input: Tensor) -> Tensor:
        """The input, and in training with elements dropped."""
        return type(self)._function(input, self.p, self.training, self.inplace)

    def extra_repr(self) -> str:
        """Its options."""
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_DropoutNd):
    """In training, set elements to zero at random, and divide the others by `1 - p`.

    Args:
        p: the probability that an element is dropped.
        inplace: whether to store the result in the input.

    Raises:
        ValueError: the probability is not in [0, 1].
    """

    _function = functional.dropout


class Dropout1d(_DropoutNd):
    """`Dropout` of whole channels of one dimension."""

    _function = functional.dropout1d


class Dropout2d(_DropoutNd):
    """`Dropout` of whole channels of two dimensions."""

    _function = functional.dropout2d


class Dropout3d(_DropoutNd):
    """`Dropout` of whole channels of three dimensions."""

    _function = functional.dropout3d


class AlphaDropout(_DropoutNd):
    """`Dropout` that keeps mean and variance behind `SELU`."""

    _function = functional.alpha_dropout

    def forward(self, input: Tensor) -> Tensor:
        """The input, and in training with elements dropped. As in PyTorch, never in place."""
        return type(self)._function(input, self.p, self.training)


class FeatureAlphaDropout(AlphaDropout):
    """`AlphaDropout` of whole channels."""

    _function = functional.feature_alpha_dropout
