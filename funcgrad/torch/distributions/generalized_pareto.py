"""`GeneralizedPareto`."""

import math
from typing import Any, ClassVar

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.distributions import constraints
from funcgrad.torch.distributions.distribution import Distribution
from funcgrad.torch.distributions.utils import broadcast_all

__all__ = ["GeneralizedPareto"]


def __dir__() -> list[str]:
    return __all__


class GeneralizedPareto(Distribution):
    """The generalized Pareto distribution, of values beyond a threshold.

    Args:
        loc: the threshold, the least value.
        scale: positive.
        concentration: the shape; zero is the exponential distribution.
        validate_args: whether to check parameters and values.
    """

    arg_constraints: ClassVar[Any] = {
        "loc": constraints.real,
        "scale": constraints.positive,
        "concentration": constraints.real,
    }
    has_rsample = True
    _given = ("loc", "scale", "concentration")

    def __init__(
        self, loc: Any, scale: Any, concentration: Any, validate_args: bool | None = None
    ) -> None:
        self.loc, self.scale, self.concentration = broadcast_all(loc, scale, concentration)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> Any:
        """From the threshold on; up to a bound if the concentration is negative."""
        bound = self.loc - self.scale / self.concentration
        return constraints.interval(self.loc, torch.where(self.concentration < 0, bound, math.inf))

    mode = property(lambda self: self.loc)

    @property
    def mean(self) -> Tensor:
        """The mean; NaN from a concentration of one on."""
        finite = self.concentration < 1
        found = self.loc + self.scale / (1 - torch.where(finite, self.concentration, 0.5))
        return torch.where(finite, found, math.nan)

    @property
    def variance(self) -> Tensor:
        """The variance; NaN from a concentration of a half on."""
        finite = self.concentration < 0.5
        shape = torch.where(finite, self.concentration, 0.25)
        found = self.scale**2 / ((1 - shape) ** 2 * (1 - 2 * shape))
        return torch.where(finite, found, math.nan)

    def _shape(self) -> tuple[Tensor, Tensor]:
        """Where the distribution is exponential, and the concentration, which is one there."""
        exponential = torch.isclose(self.concentration, torch.zeros_like(self.concentration))
        return exponential, torch.where(exponential, 1.0, self.concentration)

    def _scaled(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        return (value - self.loc) / self.scale

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws, by the quantile of a uniform one."""
        shape = self._extended_shape(sample_shape)
        return self.icdf(torch.rand(shape, dtype=self.loc.dtype, device=self.loc.device))

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        away = self._scaled(value)
        exponential, shape = self._shape()
        power = 1 / shape + torch.ones_like(away)
        pareto = torch.where(power == 0, power, power * torch.log1p(shape * away))
        return -self.scale.log() - torch.where(exponential, away, pareto)

    def log_survival_function(self, value: Tensor) -> Tensor:
        """The logarithm of the probability of more than a value."""
        away = self._scaled(value)
        exponential, shape = self._shape()
        return torch.where(exponential, -away, -torch.log1p(shape * away) / shape)

    def log_cdf(self, value: Tensor) -> Tensor:
        """The logarithm of the probability of at most a value."""
        return torch.log1p(-torch.exp(self.log_survival_function(value)))

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of at most a value."""
        return torch.exp(self.log_cdf(value))

    def icdf(self, value: Tensor) -> Tensor:
        """The quantile of a probability."""
        exponential, shape = self._shape()
        rest = torch.log1p(-value)
        pareto = self.loc + self.scale / shape * torch.expm1(-shape * rest)
        return torch.where(exponential, self.loc - self.scale * rest, pareto)

    def entropy(self) -> Tensor:
        """The entropy in nats."""
        return self.scale.log() + self.concentration + 1
