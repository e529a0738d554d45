"""`Categorical`."""

import math
from functools import cached_property
from typing import Any, ClassVar

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.size import Size
from funcgrad.torch.distributions import constraints
from funcgrad.torch.distributions._bases import _ONE_OF_TWO
from funcgrad.torch.distributions.distribution import Distribution
from funcgrad.torch.distributions.utils import clamp_probs

__all__ = ["Categorical"]


def __dir__() -> list[str]:
    return __all__


class Categorical(Distribution):
    """A choice among the classes along the last dimension of the parameter.

    Args:
        probs: weights of the classes, not negative; they are divided by their sum.
        logits: instead of `probs`, logarithms of weights.
        validate_args: whether to check parameters and values.

    Raises:
        ValueError: both or none of `probs` and `logits` are given, or they have no dimension.

    >>> import funcgrad.torch as torch
    >>> torch.distributions.Categorical(probs=torch.tensor([1.0, 3.0])).log_prob(torch.tensor(1))
    tensor(-0.2877)
    """

    arg_constraints: ClassVar[Any] = {
        "probs": constraints.simplex,
        "logits": constraints.real_vector,
    }
    has_enumerate_support = True

    def __init__(
        self,
        probs: Tensor | None = None,
        logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        if (probs is None) == (logits is None):
            raise ValueError(_ONE_OF_TWO)
        if probs is not None:
            if probs.dim() < 1:
                raise ValueError("`probs` parameter must be at least one-dimensional.")
            self.probs = probs / probs.sum(-1, keepdim=True)
        elif logits is not None:
            if logits.dim() < 1:
                raise ValueError("`logits` parameter must be at least one-dimensional.")
            self.logits = logits - logits.logsumexp(dim=-1, keepdim=True)
        self._param = self.probs if probs is not None else self.logits
        self._num_events = self._param.size()[-1]
        super().__init__(self._param.shape[:-1], validate_args=validate_args)

    @cached_property
    def probs(self) -> Tensor:
        """The probabilities."""
        with torch.enable_grad():
            return self.logits.softmax(dim=-1)

    @cached_property
    def logits(self) -> Tensor:
        """The logarithms of the probabilities."""
        with torch.enable_grad():
            return torch.log(clamp_probs(self.probs))

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        """The values that can be drawn."""
        return constraints.integer_interval(0, self._num_events - 1)

    param_shape = property(lambda self: self._param.size())
    mean = variance = property(
        lambda self: torch.full(self._extended_shape(), math.nan, dtype=self.probs.dtype)
    )
    mode = property(lambda self: self.probs.argmax(dim=-1))

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Drawn classes, as int64."""
        shape = Size(sample_shape)
        rows = self.probs.reshape(-1, self._num_events)
        drawn = torch.multinomial(rows, shape.numel(), True).T
        return drawn.reshape(self._extended_shape(shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the probability of a class."""
        if self._validate_args:
            self._validate_sample(value)
        value, logits = torch.broadcast_tensors(value.long().unsqueeze(-1), self.logits)
        return logits.gather(-1, value[..., :1]).squeeze(-1)

    def entropy(self) -> Tensor:
        """The entropy in nats."""
        logits = torch.clamp(self.logits, min=torch.finfo(self.logits.dtype).min)
        return -(logits * self.probs).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """The numbers of all classes, along the first dimension."""
        values = torch.arange(self._num_events).view(-1, *(1,) * len(self._batch_shape))
        return values.expand((-1, *self._batch_shape)) if expand else values
