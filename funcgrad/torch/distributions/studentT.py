"""`StudentT`."""

import math
from typing import Any, ClassVar

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.distributions import constraints
from funcgrad.torch.distributions.chi2 import Chi2
from funcgrad.torch.distributions.distribution import Distribution
from funcgrad.torch.distributions.utils import _standard_normal, broadcast_all

__all__ = ["StudentT"]


def __dir__() -> list[str]:
    return __all__


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
        self.df, self.loc, self.scale = broadcast_all(df, loc, scale)
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
        normal = _standard_normal(self._extended_shape(sample_shape), self.df.dtype, self.df.device)
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
