"""Relaxations, whose draws have gradients where a choice has none: `RelaxedBernoulli`, `RelaxedOneHotCategorical`; and `ContinuousBernoulli`."""

import math
from functools import cached_property
from typing import Any, ClassVar, Self

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.distributions import constraints
from funcgrad.torch.distributions._discrete import (
    Categorical,
    _clamped,
    _cross_entropy,
    _OfTrials,
)
from funcgrad.torch.distributions._transformed import TransformedDistribution
from funcgrad.torch.distributions.distribution import Distribution, _broadcast_all
from funcgrad.torch.distributions.transforms import ExpTransform, SigmoidTransform

__all__ = ["ContinuousBernoulli", "RelaxedBernoulli", "RelaxedOneHotCategorical"]


class LogitRelaxedBernoulli(_OfTrials):
    """The logarithm of the odds of a `RelaxedBernoulli` draw.

    Args:
        temperature: positive; the lower, the closer draws are to a choice.
        probs: the probabilities of a one.
        logits: instead of `probs`, the logarithms of the odds.
        validate_args: whether to check parameters and values.
    """

    support = constraints.real
    has_rsample = True

    def __init__(
        self,
        temperature: Any,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        self.temperature = temperature
        super().__init__(probs, logits, validate_args=validate_args)

    def expand(self, batch_shape: Any) -> Self:
        """The same distribution with its batch shape expanded."""
        name = "probs" if self._param is self.__dict__.get("probs") else "logits"
        given: Any = {name: self._param.expand(batch_shape)}
        return type(self)(self.temperature, **given, validate_args=False)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws: logistic noise added to the logarithm of the odds, divided by the temperature."""
        shape = self._extended_shape(sample_shape)
        probs: Any = _clamped(self.probs.expand(shape))
        noise: Any = _clamped(torch.rand(shape, dtype=probs.dtype))
        odds = noise.log() - (-noise).log1p() + probs.log() - (-probs).log1p()
        return odds / self.temperature

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        if self._validate_args:
            self._validate_sample(value)
        logits, value = _broadcast_all(self.logits, value)
        away: Any = logits - value.mul(self.temperature)
        return self.temperature.log() + away - 2 * away.exp().log1p()


class _Relaxed(TransformedDistribution):
    """A distribution of a temperature, whose base has the parameters."""

    def _of(self, base: Any) -> Any:
        made = object.__new__(type(self))
        TransformedDistribution.__init__(made, base, self.transforms, validate_args=False)
        return made

    temperature = property(lambda self: self.base_dist.temperature)
    logits = property(lambda self: self.base_dist.logits)
    probs = property(lambda self: self.base_dist.probs)


class RelaxedBernoulli(_Relaxed):
    """Numbers between 0 and 1 that come close to zero or one as the temperature falls.

    Args:
        temperature: a tensor, positive.
        probs: the probabilities of a one.
        logits: instead of `probs`, the logarithms of the odds.
        validate_args: whether to check values.

    Source: Maddison, Mnih, Teh, "The Concrete Distribution", 2017.
    """

    arg_constraints: ClassVar[Any] = _OfTrials.arg_constraints
    support = constraints.unit_interval

    def __init__(
        self,
        temperature: Any,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        base = LogitRelaxedBernoulli(temperature, probs, logits)
        super().__init__(base, SigmoidTransform(), validate_args=validate_args)


class ExpRelaxedCategorical(Distribution):
    """The logarithm of a `RelaxedOneHotCategorical` draw.

    Args:
        temperature: positive; the lower, the closer draws are to a choice.
        probs: weights of the classes.
        logits: instead of `probs`, logarithms of weights.
        validate_args: whether to check parameters and values.
    """

    arg_constraints: ClassVar[Any] = Categorical.arg_constraints
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self,
        temperature: Any,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        self._categorical = Categorical(probs, logits)
        self.temperature = temperature
        of = self._categorical
        super().__init__(of.batch_shape, of.param_shape[-1:], validate_args=validate_args)

    logits = property(lambda self: self._categorical.logits)
    probs = property(lambda self: self._categorical.probs)

    def expand(self, batch_shape: Any) -> Self:
        """The same distribution with its batch shape expanded."""
        logits = self.logits.expand((*batch_shape, *self.event_shape))
        return type(self)(self.temperature, logits=logits, validate_args=False)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws: Gumbel noise added to the logarithms, divided by the temperature and normalised."""
        shape = self._extended_shape(sample_shape)
        noise: Any = _clamped(torch.rand(shape, dtype=self.logits.dtype))
        scores = (self.logits - (-noise.log()).log()) / self.temperature
        return scores - scores.logsumexp(dim=-1, keepdim=True)

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        if self._validate_args:
            self._validate_sample(value)
        count = self._categorical._num_events
        logits, value = _broadcast_all(self.logits, value)
        scale: Any = torch.full_like(self.temperature, float(count)).lgamma()
        scale = scale + self.temperature.log() * (count - 1)
        score: Any = logits - value.mul(self.temperature)
        return (score - score.logsumexp(dim=-1, keepdim=True)).sum(-1) + scale


class RelaxedOneHotCategorical(_Relaxed):
    """Vectors of positive numbers with sum 1 that come close to a choice among classes as the temperature falls.

    Args:
        temperature: a tensor, positive.
        probs: weights of the classes.
        logits: instead of `probs`, logarithms of weights.
        validate_args: whether to check values.

    Source: Jang, Gu, Poole, "Categorical Reparameterization with Gumbel-Softmax", 2017.
    """

    arg_constraints: ClassVar[Any] = Categorical.arg_constraints
    support = constraints.simplex

    def __init__(
        self,
        temperature: Any,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        base = ExpRelaxedCategorical(temperature, probs, logits, validate_args=validate_args)
        super().__init__(base, ExpTransform(), validate_args=validate_args)


class ContinuousBernoulli(_OfTrials):
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
        return _clamped(self.probs)

    def expand(self, batch_shape: Any) -> Self:
        """The same distribution with its batch shape expanded."""
        name = "probs" if self._param is self.__dict__.get("probs") else "logits"
        given: Any = {name: self._param.expand(batch_shape)}
        return type(self)(**given, lims=self._lims, validate_args=False)

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
        logits, value = _broadcast_all(self.logits, value)
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
