"""`Bernoulli`."""

import math
from typing import Any

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.distributions import constraints
from funcgrad.torch.distributions._bases import _cross_entropy, _OfTrials
from funcgrad.torch.distributions.exp_family import ExponentialFamily
from funcgrad.torch.distributions.utils import broadcast_all

__all__ = ["Bernoulli"]


def __dir__() -> list[str]:
    return __all__


class Bernoulli(_OfTrials, ExponentialFamily):
    """One with a probability, else zero.

    Args:
        probs: the probabilities of a one.
        logits: instead of `probs`, the logarithms of the odds.
        validate_args: whether to check parameters and values.

    Raises:
        ValueError: both or none of `probs` and `logits` are given.
    """

    support = constraints.boolean
    has_enumerate_support = True

    param_shape = property(lambda self: self._param.size())
    mean = property(lambda self: self.probs)
    variance = property(lambda self: self.probs * (1 - self.probs))

    @property
    def mode(self) -> Tensor:
        """The likelier value; NaN where both are as likely."""
        likelier = (self.probs >= 0.5).to(self.probs)
        return torch.where(self.probs == 0.5, math.nan, likelier)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Drawn zeros and ones."""
        with torch.no_grad():
            return torch.bernoulli(self.probs.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the probability of a value."""
        if self._validate_args:
            self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        return -_cross_entropy(logits, value)

    def entropy(self) -> Tensor:
        """The entropy in nats."""
        return _cross_entropy(self.logits, self.probs)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """Zero and one, along the first dimension."""
        values = torch.arange(2, dtype=self._param.dtype)
        values = values.view(-1, *(1,) * len(self._batch_shape))
        return values.expand((-1, *self._batch_shape)) if expand else values
