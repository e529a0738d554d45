"""`Multinomial`."""

from typing import Any, Self

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.size import Size
from funcgrad.torch.distributions import constraints
from funcgrad.torch.distributions.categorical import Categorical
from funcgrad.torch.distributions.one_hot_categorical import _Classes
from funcgrad.torch.distributions.utils import broadcast_all

__all__ = ["Multinomial"]


def __dir__() -> list[str]:
    return __all__


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

    @constraints.dependent_property(is_discrete=True, event_dim=1)
    def support(self) -> Any:
        """The values that can be drawn."""
        return constraints.multinomial(self.total_count)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Drawn counts."""
        drawn = self._categorical.sample(Size((self.total_count, *sample_shape))).movedim(0, -1)
        counts = torch.zeros(self._extended_shape(sample_shape), dtype=drawn.dtype)
        return counts.scatter_add_(-1, drawn, torch.ones_like(drawn)).type_as(self.probs.detach())

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the probability of counts."""
        if self._validate_args:
            self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        logits = torch.where((value == 0) & (logits == -torch.inf), 0.0, logits)
        orders = torch.lgamma(value.sum(-1) + 1) - torch.lgamma(value + 1).sum(-1)
        return orders + (logits * value).sum(-1)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        """The same distribution with its batch shape expanded."""
        made = self._categorical.expand(batch_shape)
        return self._remade(_instance, self.total_count, logits=made.logits)
