"""`ExpRelaxedCategorical` and `RelaxedOneHotCategorical`."""

from typing import Any, ClassVar, Self

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.distributions import constraints
from funcgrad.torch.distributions.categorical import Categorical
from funcgrad.torch.distributions.distribution import Distribution
from funcgrad.torch.distributions.relaxed_bernoulli import _Relaxed
from funcgrad.torch.distributions.transforms import ExpTransform
from funcgrad.torch.distributions.utils import broadcast_all, clamp_probs

__all__ = ["ExpRelaxedCategorical", "RelaxedOneHotCategorical"]


def __dir__() -> list[str]:
    return __all__


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

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        """The same distribution with its batch shape expanded."""
        logits = self.logits.expand((*batch_shape, *self.event_shape))
        return self._remade(_instance, self.temperature, logits=logits)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws: Gumbel noise added to the logarithms, divided by the temperature and normalised."""
        shape = self._extended_shape(sample_shape)
        noise: Any = clamp_probs(torch.rand(shape, dtype=self.logits.dtype))
        scores = (self.logits - (-noise.log()).log()) / self.temperature
        return scores - scores.logsumexp(dim=-1, keepdim=True)

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        if self._validate_args:
            self._validate_sample(value)
        count = self._categorical._num_events
        logits, value = broadcast_all(self.logits, value)
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
