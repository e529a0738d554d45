"""`Cauchy`."""

import math
from typing import Any

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.distributions._bases import _Located

__all__ = ["Cauchy"]


def __dir__() -> list[str]:
    return __all__


class Cauchy(_Located):
    """The Cauchy distribution.

    Args:
        loc: the median.
        scale: half the width at half the height, positive.
        validate_args: whether to check parameters and values.
    """

    mode = property(lambda self: self.loc)
    mean = property(lambda self: torch.full_like(self.loc.detach(), math.nan))
    variance = property(lambda self: torch.full_like(self.loc.detach(), math.inf))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws `loc + eps * scale` of standard Cauchy `eps`."""
        eps = torch.empty(self._extended_shape(sample_shape), dtype=self.loc.dtype).cauchy_()
        return self.loc + eps * self.scale

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        if self._validate_args:
            self._validate_sample(value)
        squares = ((value - self.loc) / self.scale) ** 2
        return -math.log(math.pi) - self.scale.log() - squares.log1p()

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of at most a value."""
        if self._validate_args:
            self._validate_sample(value)
        return torch.atan((value - self.loc) / self.scale) / math.pi + 0.5

    def icdf(self, value: Tensor) -> Tensor:
        """The quantile of a probability."""
        return torch.tan(math.pi * (value - 0.5)) * self.scale + self.loc

    def entropy(self) -> Tensor:
        """The entropy in nats."""
        return math.log(4 * math.pi) + self.scale.log()
