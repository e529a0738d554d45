"""`NegativeBinomial`."""

from typing import Any, ClassVar

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.distributions import constraints
from funcgrad.torch.distributions.binomial import _Counted
from funcgrad.torch.distributions.gamma import Gamma

__all__ = ["NegativeBinomial"]


def __dir__() -> list[str]:
    return __all__


class NegativeBinomial(_Counted):
    """The number of successes before `total_count` failures.

    Args:
        total_count: the number of failures, which need not be an integer.
        probs: the probability of a success.
        logits: instead of `probs`, the logarithm of the odds.
        validate_args: whether to check parameters and values.

    Raises:
        ValueError: both or none of `probs` and `logits` are given.
    """

    arg_constraints: ClassVar[Any] = {
        "total_count": constraints.greater_than_eq(0),
        "probs": constraints.half_open_interval(0.0, 1.0),
        "logits": constraints.real,
    }
    support = constraints.nonnegative_integer

    mean = property(lambda self: self.total_count * torch.exp(self.logits))
    variance = property(lambda self: self.mean / torch.sigmoid(-self.logits))

    @property
    def mode(self) -> Tensor:
        """The most likely number."""
        found: Any = ((self.total_count - 1) * self.logits.exp()).floor()
        return found.clamp(min=0.0)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Drawn numbers: of a Poisson distribution whose rate is a gamma draw."""
        with torch.no_grad():
            rate = Gamma(self.total_count, torch.exp(-self.logits), validate_args=False)
            return torch.poisson(rate.sample(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the probability of a number."""
        if self._validate_args:
            self._validate_sample(value)
        n, log_sigmoid = self.total_count, torch.nn.functional.logsigmoid
        found = n * log_sigmoid(-self.logits) + value * log_sigmoid(self.logits)
        norm: Any = torch.lgamma(1.0 + value) + torch.lgamma(n) - torch.lgamma(n + value)
        return found - norm.masked_fill(n + value == 0.0, 0.0)
