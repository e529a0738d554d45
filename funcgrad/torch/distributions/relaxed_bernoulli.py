"""`LogitRelaxedBernoulli` and `RelaxedBernoulli`."""

from typing import Any, ClassVar, Self

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.distributions import constraints
from funcgrad.torch.distributions._bases import _OfTrials
from funcgrad.torch.distributions.transformed_distribution import TransformedDistribution
from funcgrad.torch.distributions.transforms import SigmoidTransform
from funcgrad.torch.distributions.utils import broadcast_all, clamp_probs

__all__ = ["LogitRelaxedBernoulli", "RelaxedBernoulli"]


def __dir__() -> list[str]:
    return __all__


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

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        """The same distribution with its batch shape expanded."""
        name = "probs" if self._param is self.__dict__.get("probs") else "logits"
        given: Any = {name: self._param.expand(batch_shape)}
        return self._remade(_instance, self.temperature, **given)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws: logistic noise added to the logarithm of the odds, divided by the temperature."""
        shape = self._extended_shape(sample_shape)
        probs: Any = clamp_probs(self.probs.expand(shape))
        noise: Any = clamp_probs(torch.rand(shape, dtype=probs.dtype))
        odds = noise.log() - (-noise).log1p() + probs.log() - (-probs).log1p()
        return odds / self.temperature

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        if self._validate_args:
            self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        away: Any = logits - value.mul(self.temperature)
        return self.temperature.log() + away - 2 * away.exp().log1p()


class _Relaxed(TransformedDistribution):
    """A distribution of a temperature, whose base has the parameters."""

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
