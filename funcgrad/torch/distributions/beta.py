"""`Beta`."""

from numbers import Number
from typing import Any, ClassVar, Self

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.size import Size
from funcgrad.torch.distributions import constraints
from funcgrad.torch.distributions.dirichlet import Dirichlet
from funcgrad.torch.distributions.exp_family import ExponentialFamily
from funcgrad.torch.distributions.utils import broadcast_all

__all__ = ["Beta"]


def __dir__() -> list[str]:
    return __all__


class Beta(ExponentialFamily):
    """The beta distribution: the first of two Dirichlet probabilities.

    Args:
        concentration1: alpha, positive.
        concentration0: beta, positive.
        validate_args: whether to check parameters and values.
    """

    arg_constraints: ClassVar[Any] = {
        "concentration1": constraints.positive,
        "concentration0": constraints.positive,
    }
    support = constraints.unit_interval
    has_rsample = True

    def __init__(
        self, concentration1: Any, concentration0: Any, validate_args: bool | None = None
    ) -> None:
        both = _both(concentration1, concentration0)
        self._dirichlet = Dirichlet(both, validate_args=validate_args)
        super().__init__(self._dirichlet.batch_shape, validate_args=validate_args)

    concentration1 = property(lambda self: self._dirichlet.concentration[..., 0])
    concentration0 = property(lambda self: self._dirichlet.concentration[..., 1])
    mean = property(lambda self: self.concentration1 / (self.concentration1 + self.concentration0))
    mode = property(lambda self: self._dirichlet.mode[..., 0])

    @property
    def variance(self) -> Tensor:
        """The variance."""
        total = self.concentration1 + self.concentration0
        return self.concentration1 * self.concentration0 / (total.pow(2) * (total + 1))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws, which cannot be differentiated here.

        Raises:
            NotImplementedError: the concentrations require grad.
        """
        return self._dirichlet.rsample(sample_shape).select(-1, 0)

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        if self._validate_args:
            self._validate_sample(value)
        return self._dirichlet.log_prob(torch.stack([value, 1.0 - value], -1))

    def entropy(self) -> Tensor:
        """The entropy in nats."""
        return self._dirichlet.entropy()

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        """The same distribution with its batch shape expanded."""
        shape = Size(batch_shape)
        one, zero = self.concentration1.expand(shape), self.concentration0.expand(shape)
        return self._remade(_instance, one, zero)


def _both(one: Any, zero: Any) -> Tensor:
    if isinstance(one, Number) and isinstance(zero, Number):
        return torch.tensor([float(one), float(zero)])  # type: ignore[arg-type]
    return torch.stack([*broadcast_all(one, zero)], -1)
