"""Distributions made of gamma draws: `Gamma`, `Chi2`, `StudentT`, `Dirichlet`, `Beta`."""

import math
from numbers import Number
from typing import Any, ClassVar, Self

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.size import Size
from funcgrad.torch.distributions import constraints
from funcgrad.torch.distributions.distribution import Distribution, _broadcast_all

__all__ = ["Beta", "Chi2", "Dirichlet", "Gamma", "StudentT"]


class Gamma(Distribution):
    """The gamma distribution.

    Args:
        concentration: the shape, positive.
        rate: one over the scale, positive.
        validate_args: whether to check parameters and values.

    >>> import funcgrad.torch as torch
    >>> torch.distributions.Gamma(2.0, 1.0).log_prob(torch.tensor(1.0))
    tensor(-1.)
    """

    arg_constraints: ClassVar[Any] = {
        "concentration": constraints.positive,
        "rate": constraints.positive,
    }
    support = constraints.nonnegative
    has_rsample = True
    _given: tuple[str, ...] = ("concentration", "rate")

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        self.concentration, self.rate = _broadcast_all(concentration, rate)
        super().__init__(self.concentration.shape, validate_args=validate_args)

    mean = property(lambda self: self.concentration / self.rate)
    mode = property(lambda self: ((self.concentration - 1) / self.rate).clamp(min=0))
    variance = property(lambda self: self.concentration / self.rate.pow(2))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws of rate one, divided by the rate."""
        shape = self._extended_shape(sample_shape)
        value = torch._standard_gamma(self.concentration.expand(shape)) / self.rate.expand(shape)
        value.detach().clamp_(min=torch.finfo(value.dtype).tiny)
        return value

    def log_prob(self, value: Any) -> Tensor:
        """The logarithm of the density."""
        value = torch.as_tensor(value, dtype=self.rate.dtype)
        if self._validate_args:
            self._validate_sample(value)
        powers = torch.xlogy(self.concentration, self.rate)
        powers = powers + torch.xlogy(self.concentration - 1, value)
        return powers - self.rate * value - torch.lgamma(self.concentration)

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of at most a value."""
        if self._validate_args:
            self._validate_sample(value)
        return torch.special.gammainc(self.concentration, self.rate * value)

    def entropy(self) -> Tensor:
        """The entropy in nats."""
        whole = self.concentration - torch.log(self.rate) + torch.lgamma(self.concentration)
        return whole + (1.0 - self.concentration) * torch.digamma(self.concentration)


class Chi2(Gamma):
    """The chi-squared distribution: a gamma distribution of shape `df / 2` and rate 1/2.

    Args:
        df: the degrees of freedom, positive.
        validate_args: whether to check parameters and values.
    """

    arg_constraints: ClassVar[Any] = {"df": constraints.positive}

    def __init__(self, df: Any, validate_args: bool | None = None) -> None:
        super().__init__(0.5 * df, 0.5, validate_args=validate_args)

    df = property(lambda self: self.concentration * 2)

    def expand(self, batch_shape: Any) -> Self:
        """The same distribution with its batch shape expanded."""
        return type(self)(self.df.expand(Size(batch_shape)), validate_args=False)


class StudentT(Distribution):
    """Student's t distribution.

    Args:
        df: the degrees of freedom, positive.
        loc: the centre.
        scale: positive.
        validate_args: whether to check parameters and values.
    """

    arg_constraints: ClassVar[Any] = {
        "df": constraints.positive,
        "loc": constraints.real,
        "scale": constraints.positive,
    }
    support = constraints.real
    has_rsample = True
    _given = ("df", "loc", "scale")

    def __init__(
        self, df: Any, loc: Any = 0.0, scale: Any = 1.0, validate_args: bool | None = None
    ) -> None:
        self.df, self.loc, self.scale = _broadcast_all(df, loc, scale)
        self._chi2 = Chi2(self.df)
        super().__init__(self.df.shape, validate_args=validate_args)

    mode = property(lambda self: self.loc)

    @property
    def mean(self) -> Tensor:
        """The centre; NaN up to one degree of freedom."""
        return torch.where(self.df <= 1, math.nan, self.loc)

    @property
    def variance(self) -> Tensor:
        """The variance; infinite up to two degrees of freedom, NaN up to one."""
        finite = self.scale.pow(2) * self.df / (self.df - 2)
        finite = torch.where(self.df <= 2, math.inf, finite)
        return torch.where(self.df <= 1, math.nan, finite)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """A normal over the root of a chi-squared draw."""
        normal = torch.empty(self._extended_shape(sample_shape), dtype=self.df.dtype).normal_()
        ratio = normal * torch.rsqrt(self._chi2.rsample(sample_shape) / self.df)
        return self.loc + self.scale * ratio

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        if self._validate_args:
            self._validate_sample(value)
        away = (value - self.loc) / self.scale
        constant = self.scale.log() + 0.5 * self.df.log() + 0.5 * math.log(math.pi)
        constant = constant + torch.lgamma(0.5 * self.df) - torch.lgamma(0.5 * (self.df + 1.0))
        return -0.5 * (self.df + 1.0) * torch.log1p(away**2.0 / self.df) - constant

    def entropy(self) -> Tensor:
        """The entropy in nats."""
        half, more = 0.5 * self.df, 0.5 * (self.df + 1)
        log_beta = torch.lgamma(half) + math.lgamma(0.5) - torch.lgamma(more)
        spread = more * (torch.digamma(more) - torch.digamma(half))
        return self.scale.log() + spread + 0.5 * self.df.log() + log_beta


class Dirichlet(Distribution):
    """The Dirichlet distribution of probabilities along the last dimension.

    Args:
        concentration: positive, of at least one dimension.
        validate_args: whether to check parameters and values.

    Raises:
        ValueError: `concentration` has no dimension.
    """

    arg_constraints: ClassVar[Any] = {
        "concentration": constraints.independent(constraints.positive, 1)
    }
    support = constraints.simplex
    has_rsample = True
    _given = ("concentration",)

    def __init__(self, concentration: Tensor, validate_args: bool | None = None) -> None:
        if concentration.dim() < 1:
            raise ValueError("`concentration` parameter must be at least one-dimensional.")
        self.concentration = concentration
        shape = concentration.shape
        super().__init__(shape[:-1], shape[-1:], validate_args=validate_args)

    mean = property(lambda self: self.concentration / self.concentration.sum(-1, True))

    @property
    def mode(self) -> Tensor:
        """The likeliest probabilities; one class where all concentrations are below one."""
        above = (self.concentration - 1).clamp(min=0.0)
        inside = above / above.sum(-1, True)
        edge = torch.nn.functional.one_hot(inside.argmax(dim=-1), above.shape[-1]).to(inside)
        return torch.where((self.concentration < 1).all(dim=-1, keepdim=True), edge, inside)

    @property
    def variance(self) -> Tensor:
        """The variance of each probability."""
        total = self.concentration.sum(-1, True)
        return self.concentration * (total - self.concentration) / (total.pow(2) * (total + 1))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws, which cannot be differentiated here.

        Raises:
            NotImplementedError: the concentrations require grad.
        """
        shape = self._extended_shape(sample_shape)
        return torch._sample_dirichlet(self.concentration.expand(shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        if self._validate_args:
            self._validate_sample(value)
        powers = torch.xlogy(self.concentration - 1.0, value).sum(-1)
        powers = powers + torch.lgamma(self.concentration.sum(-1))
        return powers - torch.lgamma(self.concentration).sum(-1)

    def entropy(self) -> Tensor:
        """The entropy in nats."""
        total = self.concentration.sum(-1)
        whole = torch.lgamma(self.concentration).sum(-1) - torch.lgamma(total)
        whole = whole - (self.concentration.size(-1) - total) * torch.digamma(total)
        each = (self.concentration - 1.0) * torch.digamma(self.concentration)
        return whole - each.sum(-1)


class Beta(Distribution):
    """The beta distribution: the first of two Dirichlet probabilities.

    Args:
        concentration1: alpha, positive.
        concentration0: beta, positive.
        validate_args: whether to check parameters and values.
    """

    arg_constraints: ClassVar[Any] = {
        "concentration1": constraints.positive,
        "concentration0": constraints.positive,
    }
    support = constraints.unit_interval
    has_rsample = True

    def __init__(
        self, concentration1: Any, concentration0: Any, validate_args: bool | None = None
    ) -> None:
        both = _both(concentration1, concentration0)
        self._dirichlet = Dirichlet(both, validate_args=validate_args)
        super().__init__(self._dirichlet.batch_shape, validate_args=validate_args)

    concentration1 = property(lambda self: self._dirichlet.concentration[..., 0])
    concentration0 = property(lambda self: self._dirichlet.concentration[..., 1])
    mean = property(lambda self: self.concentration1 / (self.concentration1 + self.concentration0))
    mode = property(lambda self: self._dirichlet.mode[..., 0])

    @property
    def variance(self) -> Tensor:
        """The variance."""
        total = self.concentration1 + self.concentration0
        return self.concentration1 * self.concentration0 / (total.pow(2) * (total + 1))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws, which cannot be differentiated here.

        Raises:
            NotImplementedError: the concentrations require grad.
        """
        return self._dirichlet.rsample(sample_shape).select(-1, 0)

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        if self._validate_args:
            self._validate_sample(value)
        return self._dirichlet.log_prob(torch.stack([value, 1.0 - value], -1))

    def entropy(self) -> Tensor:
        """The entropy in nats."""
        return self._dirichlet.entropy()

    def expand(self, batch_shape: Any) -> Self:
        """The same distribution with its batch shape expanded."""
        shape = Size(batch_shape)
        one, zero = self.concentration1.expand(shape), self.concentration0.expand(shape)
        return type(self)(one, zero, validate_args=False)


def _both(one: Any, zero: Any) -> Tensor:
    if isinstance(one, Number) and isinstance(zero, Number):
        return torch.tensor([float(one), float(zero)])  # type: ignore[arg-type]
    return torch.stack([*_broadcast_all(one, zero)], -1)
