"""`FisherSnedecor`."""

import math
from typing import Any, ClassVar

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.distributions import constraints
from funcgrad.torch.distributions.distribution import Distribution
from funcgrad.torch.distributions.gamma import Gamma
from funcgrad.torch.distributions.utils import broadcast_all

__all__ = ["FisherSnedecor"]


def __dir__() -> list[str]:
    return __all__


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
        self.df1, self.df2 = broadcast_all(df1, df2)
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
