"""`InverseGamma`."""

import math
from typing import Any, ClassVar

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.distributions import constraints
from funcgrad.torch.distributions.gamma import Gamma
from funcgrad.torch.distributions.transformed_distribution import TransformedDistribution
from funcgrad.torch.distributions.transforms import PowerTransform

__all__ = ["InverseGamma"]


def __dir__() -> list[str]:
    return __all__


class InverseGamma(TransformedDistribution):
    """The reciprocal of a gamma value.

    Args:
        concentration: the gamma's shape, positive.
        rate: its rate, positive.
        validate_args: whether to check parameters and values.
    """

    arg_constraints: ClassVar[Any] = {
        "concentration": constraints.positive,
        "rate": constraints.positive,
    }
    support = constraints.positive

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        base = Gamma(concentration, rate, validate_args=validate_args)
        power = PowerTransform(-base.rate.new_ones(()))
        super().__init__(base, power, validate_args=validate_args)

    concentration = property(lambda self: self.base_dist.concentration)
    rate = property(lambda self: self.base_dist.rate)
    mode = property(lambda self: self.rate / (self.concentration + 1))

    @property
    def mean(self) -> Tensor:
        """The mean; infinite up to a shape of 1."""
        found = self.rate / (self.concentration - 1)
        return torch.where(self.concentration > 1, found, math.inf)

    @property
    def variance(self) -> Tensor:
        """The variance; infinite up to a shape of 2."""
        shape = self.concentration
        found = self.rate.square() / ((shape - 1).square() * (shape - 2))
        return torch.where(shape > 2, found, math.inf)

    def entropy(self) -> Tensor:
        """The entropy in nats."""
        shape = self.concentration
        return shape + self.rate.log() + shape.lgamma() - (1 + shape) * shape.digamma()
