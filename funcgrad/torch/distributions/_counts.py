"""Distributions of counts and of classes written as vectors: `Poisson`, `Geometric`, `Multinomial`, `OneHotCategorical`."""

from typing import Any, ClassVar, Self

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.size import Size
from funcgrad.torch.distributions import constraints
from funcgrad.torch.distributions._discrete import (
    Categorical,
    _cross_entropy,
    _OfTrials,
)
from funcgrad.torch.distributions.distribution import Distribution, _broadcast_all

__all__ = [
    "Geometric",
    "Multinomial",
    "OneHotCategorical",
    "OneHotCategoricalStraightThrough",
    "Poisson",
]


class Poisson(Distribution):
    """The Poisson distribution.

    Args:
        rate: the mean, not negative.
        validate_args: whether to check parameters and values.

    >>> import funcgrad.torch as torch
    >>> torch.distributions.Poisson(1.0).log_prob(torch.tensor(0.0))
    tensor(-1.)
    """

    arg_constraints: ClassVar[Any] = {"rate": constraints.nonnegative}
    support = constraints.nonnegative_integer
    _given = ("rate",)

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        (self.rate,) = _broadcast_all(rate)
        super().__init__(self.rate.shape, validate_args=validate_args)

    mean = variance = property(lambda self: self.rate)
    mode = property(lambda self: self.rate.floor())

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Drawn numbers of events."""
        with torch.no_grad():
            return torch.poisson(self.rate.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the probability of a number."""
        if self._validate_args:
            self._validate_sample(value)
        rate, value = _broadcast_all(self.rate, value)
        return value.xlogy(rate) - rate - (value + 1).lgamma()


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
        value, probs = _broadcast_all(value, self.probs)
        probs = torch.where((probs == 1) & (value == 0), 0.0, probs)
        return value * (-probs).log1p() + self.probs.log()

    def entropy(self) -> Tensor:
        """The entropy in nats."""
        return _cross_entropy(self.logits, self.probs) / self.probs


class _Classes(Distribution):
    """A distribution of vectors with an element a class, made of a `Categorical`."""

    arg_constraints: ClassVar[Any] = {
        "probs": constraints.simplex,
        "logits": constraints.real_vector,
    }
    _categorical: Categorical

    probs = property(lambda self: self._categorical.probs)
    logits = property(lambda self: self._categorical.logits)
    param_shape = property(lambda self: self._categorical.param_shape)

    def _shapes(self) -> tuple[Size, Size]:
        return self._categorical.batch_shape, self._categorical.param_shape[-1:]


class OneHotCategorical(_Classes):
    """A `Categorical` whose draws are vectors with a one at the class.

    Args:
        probs, logits: as of `Categorical`.
        validate_args: whether to check parameters and values.
    """

    support = constraints.one_hot
    has_enumerate_support = True

    def __init__(
        self,
        probs: Tensor | None = None,
        logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        self._categorical = Categorical(probs, logits)
        super().__init__(*self._shapes(), validate_args=validate_args)

    mean = property(lambda self: self.probs)
    mode = property(lambda self: self._vectors(self.probs.argmax(dim=-1)))
    variance = property(lambda self: self.probs * (1 - self.probs))

    def _vectors(self, classes: Tensor) -> Tensor:
        function = torch.nn.functional.one_hot
        return function(classes, self._categorical._num_events).to(self.probs)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Drawn vectors."""
        return self._vectors(self._categorical.sample(sample_shape)).detach()

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the probability of a vector."""
        if self._validate_args:
            self._validate_sample(value)
        return self._categorical.log_prob(value.max(-1)[1])

    def entropy(self) -> Tensor:
        """The entropy in nats."""
        return self._categorical.entropy()

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """The vectors of all classes, along the first dimension."""
        (count,) = self._event_shape
        values = torch.eye(count, dtype=self._categorical._param.dtype)
        values = values.view(count, *(1,) * len(self._batch_shape), count)
        return values.expand((count, *self._batch_shape, count)) if expand else values

    def expand(self, batch_shape: Any) -> Self:
        """The same distribution with its batch shape expanded."""
        made = self._categorical.expand(batch_shape)
        return type(self)(logits=made.logits, validate_args=False)


class OneHotCategoricalStraightThrough(OneHotCategorical):
    """A `OneHotCategorical` whose draws have the gradient of the probabilities."""

    has_rsample = True

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Drawn vectors; the gradient goes to the probabilities."""
        return self.sample(sample_shape) + (self.probs - self.probs.detach())


class Multinomial(_Classes):
    """How often each class is drawn in a number of trials.

    Args:
        total_count: the number of trials.
        probs, logits: as of `Categorical`.
        validate_args: whether to check parameters and values.

    Raises:
        NotImplementedError: the number of trials is a tensor.
    """

    def __init__(
        self,
        total_count: int = 1,
        probs: Tensor | None = None,
        logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        if not isinstance(total_count, int):
            raise NotImplementedError("inhomogeneous total_count is not supported")
        self.total_count = total_count
        self._categorical = Categorical(probs=probs, logits=logits)
        super().__init__(*self._shapes(), validate_args=validate_args)

    mean = property(lambda self: self.probs * self.total_count)
    variance = property(lambda self: self.total_count * self.probs * (1 - self.probs))
    support = property(lambda self: constraints.multinomial(self.total_count))

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Drawn counts."""
        drawn = self._categorical.sample(Size((self.total_count, *sample_shape))).movedim(0, -1)
        counts = torch.zeros(self._extended_shape(sample_shape), dtype=drawn.dtype)
        return counts.scatter_add_(-1, drawn, torch.ones_like(drawn)).type_as(self.probs.detach())

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the probability of counts."""
        if self._validate_args:
            self._validate_sample(value)
        logits, value = _broadcast_all(self.logits, value)
        logits = torch.where((value == 0) & (logits == -torch.inf), 0.0, logits)
        orders = torch.lgamma(value.sum(-1) + 1) - torch.lgamma(value + 1).sum(-1)
        return orders + (logits * value).sum(-1)

    def expand(self, batch_shape: Any) -> Self:
        """The same distribution with its batch shape expanded."""
        made = self._categorical.expand(batch_shape)
        return type(self)(self.total_count, logits=made.logits, validate_args=False)
