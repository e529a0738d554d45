"""`ContinuousBernoulli`."""

import math
from functools import cached_property
from typing import Any, Self

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.distributions import constraints
from funcgrad.torch.distributions._bases import _cross_entropy, _OfTrials
from funcgrad.torch.distributions.exp_family import ExponentialFamily
from funcgrad.torch.distributions.utils import broadcast_all, clamp_probs

__all__ = ["ContinuousBernoulli"]


def __dir__() -> list[str]:
    return __all__


class ContinuousBernoulli(_OfTrials, ExponentialFamily):
    """The Bernoulli density, normalised over the numbers between 0 and 1.

    Args:
        probs: the parameter, between 0 and 1.
        logits: instead of `probs`, the logarithms of the odds.
        lims: between these `probs` a Taylor series is used, since the formulas lose all digits at one half.
        validate_args: whether to check parameters and values.

    Source: Loaiza-Ganem, Cunningham, "The continuous Bernoulli", 2019.
    """

    support = constraints.unit_interval
    has_rsample = True

    def __init__(
        self,
        probs: Any = None,
        logits: Any = None,
        lims: tuple[float, float] = (0.499, 0.501),
        validate_args: bool | None = None,
    ) -> None:
        self._lims = lims
        super().__init__(probs, logits, validate_args=validate_args)

    @cached_property
    def _at(self) -> Any:
        """The probability, away from 0 and 1."""
        return clamp_probs(self.probs)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        """The same distribution with its batch shape expanded."""
        name = "probs" if self._param is self.__dict__.get("probs") else "logits"
        given: Any = {name: self._param.expand(batch_shape)}
        return self._remade(_instance, **given, lims=self._lims)

    def _away(self) -> Any:
        """Whether the formulas hold, and a parameter that they can take everywhere."""
        away = (self._at <= self._lims[0]) | (self._at > self._lims[1])
        return away, torch.where(away, self._at, self._lims[0])

    def _log_norm(self) -> Tensor:
        away, p = self._away()
        spread = torch.log(torch.abs(torch.log1p(-p) - torch.log(p)))
        found = spread - torch.log(torch.abs(1 - 2 * p))
        square = torch.pow(self._at - 0.5, 2)
        series = math.log(2.0) + (4.0 / 3.0 + 104.0 / 45.0 * square) * square
        return torch.where(away, found, series)

    @property
    def mean(self) -> Tensor:
        """The mean."""
        away, p = self._away()
        found = p / (2 * p - 1) + 1 / (torch.log1p(-p) - torch.log(p))
        x = self._at - 0.5
        return torch.where(away, found, 0.5 + (1 / 3 + 16 / 45 * torch.pow(x, 2)) * x)

    @property
    def variance(self) -> Tensor:
        """The variance."""
        away, p = self._away()
        log_odds = torch.log1p(-p) - torch.log(p)
        found = p * (p - 1) / torch.pow(1 - 2 * p, 2) + 1 / torch.pow(log_odds, 2)
        square = torch.pow(self._at - 0.5, 2)
        return torch.where(away, found, 1 / 12 - (1 / 15 - 128 / 945 * square) * square)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws by the inverse of `cdf`."""
        return self.icdf(torch.rand(self._extended_shape(sample_shape), dtype=self._at.dtype))

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        if self._validate_args:
            self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        return -_cross_entropy(logits, value) + self._log_norm()

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of at most a value."""
        if self._validate_args:
            self._validate_sample(value)
        away, p = self._away()
        found = (torch.pow(p, value) * torch.pow(1 - p, 1 - value) + p - 1) / (2 * p - 1)
        return torch.where(away, found, value).clamp(0, 1)

    def icdf(self, value: Tensor) -> Tensor:
        """The quantile of a probability."""
        away, p = self._away()
        rest = torch.log1p(-p)
        found = (torch.log1p(-p + value * (2 * p - 1)) - rest) / (torch.log(p) - rest)
        return torch.where(away, found, value)

    def entropy(self) -> Tensor:
        """The entropy in nats."""
        zero, one = torch.log1p(-self._at), torch.log(self._at)
        return self.mean * (zero - one) - self._log_norm() - zero
