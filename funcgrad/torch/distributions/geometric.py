"""`Geometric`."""

from typing import Any

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.distributions import constraints
from funcgrad.torch.distributions._bases import _cross_entropy, _OfTrials
from funcgrad.torch.distributions.utils import broadcast_all

__all__ = ["Geometric"]


def __dir__() -> list[str]:
    return __all__


class Geometric(_OfTrials):
    """The number of failures before the first success.

    Args:
        probs: the probabilities of a success, positive.
        logits: instead of `probs`, the logarithms of the odds.
        validate_args: whether to check parameters and values.

    Raises:
        ValueError: both or none of `probs` and `logits` are given, or a probability is zero.
    """

    support = constraints.nonnegative_integer

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        super().__init__(probs, logits, validate_args)
        if self._validate_args and probs is not None and not (self.probs > 0).all():
            wrong = self.probs[~(self.probs > 0)]
            raise ValueError(
                f"Expected parameter probs ({type(self.probs).__name__} of shape {tuple(self.probs.shape)}) of "
                f"distribution {self!r} to be positive but found invalid values:\n{wrong}"
            )

    mean = property(lambda self: 1.0 / self.probs - 1.0)
    mode = property(lambda self: torch.zeros_like(self.probs))
    variance = property(lambda self: (1.0 / self.probs - 1.0) / self.probs)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Drawn numbers of failures."""
        tiny = torch.finfo(self.probs.dtype).tiny
        with torch.no_grad():
            u = torch.empty(self._extended_shape(sample_shape), dtype=self.probs.dtype)
            return (u.uniform_(tiny, 1).log() / (-self.probs).log1p()).floor()

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the probability of a number."""
        if self._validate_args:
            self._validate_sample(value)
        value, probs = broadcast_all(value, self.probs)
        probs = torch.where((probs == 1) & (value == 0), 0.0, probs)
        return value * (-probs).log1p() + self.probs.log()

    def entropy(self) -> Tensor:
        """The entropy in nats."""
        return _cross_entropy(self.logits, self.probs) / self.probs
