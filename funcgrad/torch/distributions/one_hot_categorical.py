"""`OneHotCategorical` and `OneHotCategoricalStraightThrough`."""

from typing import Any, ClassVar, Self

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.size import Size
from funcgrad.torch.distributions import constraints
from funcgrad.torch.distributions.categorical import Categorical
from funcgrad.torch.distributions.distribution import Distribution

__all__ = ["OneHotCategorical", "OneHotCategoricalStraightThrough"]


def __dir__() -> list[str]:
    return __all__


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
    _param = property(lambda self: self._categorical._param)

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

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        """The same distribution with its batch shape expanded."""
        made = self._categorical.expand(batch_shape)
        return self._remade(_instance, logits=made.logits)


class OneHotCategoricalStraightThrough(OneHotCategorical):
    """A `OneHotCategorical` whose draws have the gradient of the probabilities."""

    has_rsample = True

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Drawn vectors; the gradient goes to the probabilities."""
        return self.sample(sample_shape) + (self.probs - self.probs.detach())
