"""Distributions of classes and of zeros and ones: `Categorical`, `Bernoulli`."""

import math
from functools import cached_property
from typing import Any, ClassVar

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.size import Size
from funcgrad.torch.distributions import constraints
from funcgrad.torch.distributions.distribution import Distribution, _broadcast_all

__all__ = ["Bernoulli", "Categorical"]

_ONE_OF_TWO = "Either `probs` or `logits` must be specified, but not both."


def _clamped(probs: Tensor) -> Tensor:
    eps = torch.finfo(probs.dtype).eps
    return probs.clamp(min=eps, max=1 - eps)


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
            return torch.log(_clamped(self.probs))

    support = property(lambda self: constraints.integer_interval(0, self._num_events - 1))
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


class _OfTrials(Distribution):
    """Base of the distributions of trials that succeed with a probability, given as such or as the logarithm of its odds."""

    arg_constraints: ClassVar[Any] = {
        "probs": constraints.unit_interval,
        "logits": constraints.real,
    }

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        if (probs is None) == (logits is None):
            raise ValueError(_ONE_OF_TWO)
        if probs is not None:
            (self.probs,) = _broadcast_all(probs)
        else:
            (self.logits,) = _broadcast_all(logits)
        self._param = self.probs if probs is not None else self.logits
        super().__init__(self._param.shape, validate_args=validate_args)

    @cached_property
    def probs(self) -> Tensor:
        """The probabilities of a success."""
        with torch.enable_grad():
            return torch.sigmoid(self.logits)

    @cached_property
    def logits(self) -> Tensor:
        """The logarithms of the odds."""
        with torch.enable_grad():
            probs = _clamped(self.probs)
            return torch.log(probs) - torch.log1p(-probs)


class Bernoulli(_OfTrials):
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
        logits, value = _broadcast_all(self.logits, value)
        return -_cross_entropy(logits, value)

    def entropy(self) -> Tensor:
        """The entropy in nats."""
        return _cross_entropy(self.logits, self.probs)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """Zero and one, along the first dimension."""
        values = torch.arange(2, dtype=self._param.dtype)
        values = values.view(-1, *(1,) * len(self._batch_shape))
        return values.expand((-1, *self._batch_shape)) if expand else values


def _cross_entropy(logits: Tensor, probs: Tensor) -> Tensor:
    function = torch.nn.functional.binary_cross_entropy_with_logits
    return function(logits, probs, reduction="none")
