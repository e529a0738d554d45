"""`Laplace`."""

from typing import Any

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.distributions._bases import _Located

__all__ = ["Laplace"]


def __dir__() -> list[str]:
    return __all__


class Laplace(_Located):
    """The Laplace distribution.

    Args:
        loc: the mean.
        scale: positive.
        validate_args: whether to check parameters and values.
    """

    stddev = property(lambda self: (2**0.5) * self.scale)
    variance = property(lambda self: 2 * self.scale.pow(2))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws of uniform numbers, folded."""
        edge = torch.finfo(self.loc.dtype).eps - 1
        u = torch.empty(self._extended_shape(sample_shape), dtype=self.loc.dtype)
        u = u.uniform_(edge, 1)
        return self.loc - self.scale * u.sign() * torch.log1p(-u.abs())

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        if self._validate_args:
            self._validate_sample(value)
        return -torch.log(2 * self.scale) - torch.abs(value - self.loc) / self.scale

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of at most a value."""
        if self._validate_args:
            self._validate_sample(value)
        away = value - self.loc
        return 0.5 - 0.5 * away.sign() * torch.expm1(-away.abs() / self.scale)

    def icdf(self, value: Tensor) -> Tensor:
        """The quantile of a probability."""
        centred = value - 0.5
        return self.loc - self.scale * centred.sign() * torch.log1p(-2 * centred.abs())

    def entropy(self) -> Tensor:
        """The entropy in nats."""
        return 1 + torch.log(2 * self.scale)
