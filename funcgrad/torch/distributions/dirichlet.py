"""`Dirichlet`."""

from typing import Any, ClassVar

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.distributions import constraints
from funcgrad.torch.distributions.exp_family import ExponentialFamily

__all__ = ["Dirichlet"]


def __dir__() -> list[str]:
    return __all__


class Dirichlet(ExponentialFamily):
    """The Dirichlet distribution of probabilities along the last dimension.

    Args:
        concentration: positive, of at least one dimension.
        validate_args: whether to check parameters and values.

    Raises:
        ValueError: `concentration` has no dimension.
    """

    arg_constraints: ClassVar[Any] = {
        "concentration": constraints.independent(constraints.positive, 1)
    }
    support = constraints.simplex
    has_rsample = True
    _given = ("concentration",)

    def __init__(self, concentration: Tensor, validate_args: bool | None = None) -> None:
        if concentration.dim() < 1:
            raise ValueError("`concentration` parameter must be at least one-dimensional.")
        self.concentration = concentration
        shape = concentration.shape
        super().__init__(shape[:-1], shape[-1:], validate_args=validate_args)

    mean = property(lambda self: self.concentration / self.concentration.sum(-1, True))

    @property
    def mode(self) -> Tensor:
        """The likeliest probabilities; one class where all concentrations are below one."""
        above = (self.concentration - 1).clamp(min=0.0)
        inside = above / above.sum(-1, True)
        edge = torch.nn.functional.one_hot(inside.argmax(dim=-1), above.shape[-1]).to(inside)
        return torch.where((self.concentration < 1).all(dim=-1, keepdim=True), edge, inside)

    @property
    def variance(self) -> Tensor:
        """The variance of each probability."""
        total = self.concentration.sum(-1, True)
        return self.concentration * (total - self.concentration) / (total.pow(2) * (total + 1))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws, which cannot be differentiated here.

        Raises:
            NotImplementedError: the concentrations require grad.
        """
        shape = self._extended_shape(sample_shape)
        return torch._sample_dirichlet(self.concentration.expand(shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        if self._validate_args:
            self._validate_sample(value)
        powers = torch.xlogy(self.concentration - 1.0, value).sum(-1)
        powers = powers + torch.lgamma(self.concentration.sum(-1))
        return powers - torch.lgamma(self.concentration).sum(-1)

    def entropy(self) -> Tensor:
        """The entropy in nats."""
        total = self.concentration.sum(-1)
        whole = torch.lgamma(self.concentration).sum(-1) - torch.lgamma(total)
        whole = whole - (self.concentration.size(-1) - total) * torch.digamma(total)
        each = (self.concentration - 1.0) * torch.digamma(self.concentration)
        return whole - each.sum(-1)
