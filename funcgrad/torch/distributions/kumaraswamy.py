"""`Kumaraswamy`."""

import math
from typing import Any, ClassVar

import numpy as np

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.distributions import constraints
from funcgrad.torch.distributions.transformed_distribution import _OfParameters
from funcgrad.torch.distributions.transforms import AffineTransform, PowerTransform
from funcgrad.torch.distributions.uniform import Uniform
from funcgrad.torch.distributions.utils import broadcast_all

__all__ = ["Kumaraswamy"]


def __dir__() -> list[str]:
    return __all__


class Kumaraswamy(_OfParameters):
    """The Kumaraswamy distribution, of numbers between 0 and 1.

    Args:
        concentration1: the first shape, positive.
        concentration0: the second shape, positive.
        validate_args: whether to check parameters and values.
    """

    arg_constraints: ClassVar[Any] = {
        "concentration1": constraints.positive,
        "concentration0": constraints.positive,
    }
    support = constraints.unit_interval
    _given = ("concentration1", "concentration0")

    def __init__(
        self, concentration1: Any, concentration0: Any, validate_args: bool | None = None
    ) -> None:
        self.concentration1, self.concentration0 = broadcast_all(concentration1, concentration0)
        zeros, ones = (torch.full_like(self.concentration0, each) for each in (0, 1))
        steps = [
            PowerTransform(self.concentration0.reciprocal()),
            AffineTransform(loc=1.0, scale=-1.0),
            PowerTransform(self.concentration1.reciprocal()),
        ]
        base = Uniform(zeros, ones, validate_args=validate_args)
        super().__init__(base, steps, validate_args=validate_args)

    def _moment(self, order: int) -> Any:
        a, b = 1 + order / self.concentration1, self.concentration0
        return b * torch.exp(torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b))

    mean = property(lambda self: self._moment(1))
    variance = property(lambda self: self._moment(2) - torch.pow(self.mean, 2))

    @property
    def mode(self) -> Tensor:
        """The most likely value; NaN where the density has no single peak."""
        a, b = self.concentration1, self.concentration0
        found = (b.reciprocal() * (-b).log1p() - (-b * a).log1p()).exp()
        return torch.where((b < 1) | (a < 1), math.nan, found)

    def entropy(self) -> Tensor:
        """The entropy in nats."""
        a, b = self.concentration1, self.concentration0
        harmonic = torch.digamma(b + 1) + np.euler_gamma
        logs = torch.log(a) + torch.log(b)
        return (1 - b.reciprocal()) + (1 - a.reciprocal()) * harmonic - logs
