"""`Weibull`."""

from typing import Any, ClassVar

import numpy as np

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.distributions import constraints
from funcgrad.torch.distributions.exponential import Exponential
from funcgrad.torch.distributions.transformed_distribution import _OfParameters
from funcgrad.torch.distributions.transforms import AffineTransform, PowerTransform
from funcgrad.torch.distributions.utils import broadcast_all

__all__ = ["Weibull"]


def __dir__() -> list[str]:
    return __all__


class Weibull(_OfParameters):
    """The Weibull distribution, of lifetimes.

    Args:
        scale: positive.
        concentration: the shape, positive.
        validate_args: whether to check parameters and values.
    """

    arg_constraints: ClassVar[Any] = {
        "scale": constraints.positive,
        "concentration": constraints.positive,
    }
    support = constraints.positive
    _given = ("scale", "concentration")

    def __init__(self, scale: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.scale, self.concentration = broadcast_all(scale, concentration)
        self.concentration_reciprocal = self.concentration.reciprocal()
        base = Exponential(torch.ones_like(self.scale), validate_args=validate_args)
        steps = [
            PowerTransform(self.concentration_reciprocal),
            AffineTransform(loc=0, scale=self.scale),
        ]
        super().__init__(base, steps, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        """The mean."""
        return self.scale * torch.exp(torch.lgamma(1 + self.concentration_reciprocal))

    @property
    def mode(self) -> Tensor:
        """The most likely value."""
        k = self.concentration
        return self.scale * ((k - 1) / k) ** k.reciprocal()

    @property
    def variance(self) -> Tensor:
        """The variance."""
        inverse = self.concentration_reciprocal
        first, second = torch.lgamma(1 + inverse), torch.lgamma(1 + 2 * inverse)
        return self.scale.pow(2) * (torch.exp(second) - torch.exp(2 * first))

    def entropy(self) -> Tensor:
        """The entropy in nats."""
        inverse = self.concentration_reciprocal
        return np.euler_gamma * (1 - inverse) + torch.log(self.scale * inverse) + 1
