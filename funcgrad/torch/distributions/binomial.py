"""`Binomial`."""

from typing import Any, ClassVar, Self

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.distributions import constraints
from funcgrad.torch.distributions._bases import _OfTrials
from funcgrad.torch.distributions.utils import broadcast_all

__all__ = ["Binomial"]


def __dir__() -> list[str]:
    return __all__


class _Counted(_OfTrials):
    """Base of the distributions of several trials."""

    def __init__(
        self,
        total_count: Any = 1,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        if (probs is None) != (logits is None):
            count, given = broadcast_all(total_count, logits if probs is None else probs)
            self.total_count = count.type_as(given)
            probs, logits = (None, given) if probs is None else (given, None)
        super().__init__(probs, logits, validate_args=validate_args)

    param_shape = property(lambda self: self._param.size())

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        """The same distribution with its batch shape expanded."""
        name = "probs" if self._param is self.__dict__.get("probs") else "logits"
        given: Any = {name: self._param.expand(batch_shape)}
        return self._remade(_instance, self.total_count.expand(batch_shape), **given)


class Binomial(_Counted):
    """The number of successes in `total_count` trials.

    Args:
        total_count: the number of trials.
        probs: the probability of a success.
        logits: instead of `probs`, the logarithm of the odds.
        validate_args: whether to check parameters and values.

    Raises:
        ValueError: both or none of `probs` and `logits` are given.

    >>> import funcgrad.torch as torch
    >>> torch.distributions.Binomial(2, torch.tensor(0.5)).log_prob(torch.tensor(1.0)).exp()
    tensor(0.5000)
    """

    arg_constraints: ClassVar[Any] = {
        "total_count": constraints.nonnegative_integer,
        **_OfTrials.arg_constraints,
    }
    has_enumerate_support = True

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        """The values that can be drawn."""
        return constraints.integer_interval(0, self.total_count)

    mean = property(lambda self: self.total_count * self.probs)
    variance = property(lambda self: self.total_count * self.probs * (1 - self.probs))

    @property
    def mode(self) -> Tensor:
        """The most likely number."""
        found: Any = ((self.total_count + 1) * self.probs).floor()
        return found.clamp(max=self.total_count)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Drawn numbers of successes."""
        shape = self._extended_shape(sample_shape)
        with torch.no_grad():
            return torch.binomial(self.total_count.expand(shape), self.probs.expand(shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the probability of a number."""
        if self._validate_args:
            self._validate_sample(value)
        n, logits = self.total_count, self.logits
        positive = (logits.clamp(min=0) + logits - logits.clamp(max=0)) / 2
        norm = n * positive + n * torch.log1p(torch.exp(-torch.abs(logits)))
        chosen = torch.lgamma(n + 1) - torch.lgamma(value + 1) - torch.lgamma(n - value + 1)
        return value * logits + chosen - norm

    def entropy(self) -> Tensor:
        """The entropy in nats.

        Raises:
            NotImplementedError: the numbers of trials differ.
        """
        found = self.log_prob(self._numbers("entropy", expand=False))
        return -(torch.exp(found) * found).sum(0)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All numbers that can be drawn, along the first dimension.

        Raises:
            NotImplementedError: the numbers of trials differ.
        """
        return self._numbers("enumerate_support", expand)

    def _numbers(self, function: str, expand: bool) -> Any:
        count = int(self.total_count.max())
        if self.total_count.min() != count:
            raise NotImplementedError(f"Inhomogeneous total count not supported by `{function}`.")
        values = torch.arange(1 + count, dtype=self._param.dtype)
        values = values.view(-1, *(1,) * len(self.batch_shape))
        return values.expand(-1, *self.batch_shape) if expand else values
