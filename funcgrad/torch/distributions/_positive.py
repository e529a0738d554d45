"""Distributions of positive numbers made of others: `HalfCauchy`, `Weibull`, `Pareto`, `InverseGamma`, `Kumaraswamy`, `FisherSnedecor`."""

import math
from typing import Any, ClassVar, Self

import numpy as np

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.distributions import constraints
from funcgrad.torch.distributions._continuous import Cauchy, Exponential, Uniform
from funcgrad.torch.distributions._gammas import Gamma
from funcgrad.torch.distributions._transformed import HalfNormal, TransformedDistribution
from funcgrad.torch.distributions.distribution import Distribution, _broadcast_all
from funcgrad.torch.distributions.transforms import (
    AbsTransform,
    AffineTransform,
    ExpTransform,
    PowerTransform,
)

__all__ = ["FisherSnedecor", "HalfCauchy", "InverseGamma", "Kumaraswamy", "Pareto", "Weibull"]


class HalfCauchy(HalfNormal):
    """The absolute value of a Cauchy value around zero.

    Args:
        scale: the Cauchy's scale, positive.
        validate_args: whether to check parameters and values.
    """

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        base = Cauchy(0, scale, validate_args=False)
        TransformedDistribution.__init__(self, base, AbsTransform(), validate_args=validate_args)

    mean = property(lambda self: torch.full_like(self.scale, math.inf))
    variance = property(lambda self: self.base_dist.variance)


class _OfParameters(TransformedDistribution):
    """Base of transformed distributions that are made anew of their parameters."""

    def expand(self, batch_shape: Any) -> Self:
        """The same distribution with its batch shape expanded."""
        given = {name: getattr(self, name).expand(batch_shape) for name in self._given}
        return type(self)(**given, validate_args=False)


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
        self.scale, self.concentration = _broadcast_all(scale, concentration)
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


class Pareto(_OfParameters):
    """The Pareto distribution, of sizes above a scale.

    Args:
        scale: the smallest value, positive.
        alpha: the exponent, positive.
        validate_args: whether to check parameters and values.
    """

    arg_constraints: ClassVar[Any] = {"alpha": constraints.positive, "scale": constraints.positive}
    _given = ("scale", "alpha")

    def __init__(self, scale: Any, alpha: Any, validate_args: bool | None = None) -> None:
        self.scale, self.alpha = _broadcast_all(scale, alpha)
        base = Exponential(self.alpha, validate_args=validate_args)
        steps = [ExpTransform(), AffineTransform(loc=0, scale=self.scale)]
        super().__init__(base, steps, validate_args=validate_args)

    support = property(lambda self: constraints.greater_than_eq(self.scale))
    mode = property(lambda self: self.scale)

    @property
    def mean(self) -> Tensor:
        """The mean; infinite up to an exponent of 1."""
        alpha = self.alpha.clamp(min=1)
        return alpha * self.scale / (alpha - 1)

    @property
    def variance(self) -> Tensor:
        """The variance; infinite up to an exponent of 2."""
        alpha = self.alpha.clamp(min=2)
        return self.scale.pow(2) * alpha / ((alpha - 1).pow(2) * (alpha - 2))

    def entropy(self) -> Tensor:
        """The entropy in nats."""
        return (self.scale / self.alpha).log() + (1 + self.alpha.reciprocal())


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

    def _of(self, base: Any) -> Any:
        return type(self)(base.concentration, base.rate, validate_args=False)

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
        self.concentration1, self.concentration0 = _broadcast_all(concentration1, concentration0)
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


class FisherSnedecor(Distribution):
    """The F distribution: the ratio of two chi squared values, each divided by its degrees of freedom.

    Args:
        df1, df2: the degrees of freedom, positive.
        validate_args: whether to check parameters and values.
    """

    arg_constraints: ClassVar[Any] = {"df1": constraints.positive, "df2": constraints.positive}
    support = constraints.positive
    has_rsample = True
    _given = ("df1", "df2")

    def __init__(self, df1: Any, df2: Any, validate_args: bool | None = None) -> None:
        self.df1, self.df2 = _broadcast_all(df1, df2)
        super().__init__(self.df1.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        """The mean; NaN up to 2 degrees of freedom in the denominator."""
        return torch.where(self.df2 <= 2, math.nan, self.df2 / (self.df2 - 2))

    @property
    def mode(self) -> Tensor:
        """The most likely value; NaN up to 2 degrees of freedom in the numerator."""
        found = (self.df1 - 2) / self.df1 * self.df2 / (self.df2 + 2)
        return torch.where(self.df1 <= 2, math.nan, found)

    @property
    def variance(self) -> Tensor:
        """The variance; NaN up to 4 degrees of freedom in the denominator."""
        a, b = self.df1, self.df2
        found = 2 * b.pow(2) * (a + b - 2) / (a * (b - 2).pow(2) * (b - 4))
        return torch.where(b <= 4, math.nan, found)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws with a gradient: ratios of gamma values."""
        tiny = torch.finfo(self.df1.dtype).tiny
        above, below = (
            Gamma(df * 0.5, df, validate_args=False).rsample(sample_shape)
            for df in (self.df1, self.df2)
        )
        return (above / below.clamp(min=tiny)).clamp(min=tiny)

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        if self._validate_args:
            self._validate_sample(value)
        a, b, ratio = self.df1 * 0.5, self.df2 * 0.5, self.df1 / self.df2
        scaled = a * ratio.log() + (a - 1) * torch.log(value)
        constant = (a + b).lgamma() - a.lgamma() - b.lgamma()
        return constant + scaled - (a + b) * torch.log1p(ratio * value)
