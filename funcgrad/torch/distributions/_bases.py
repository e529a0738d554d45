"""Bases of several distributions, and what they share."""

from functools import cached_property
from typing import Any, ClassVar

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.distributions import constraints
from funcgrad.torch.distributions.distribution import Distribution
from funcgrad.torch.distributions.utils import broadcast_all, clamp_probs


class _Located(Distribution):
    """A distribution of all real numbers, symmetric around `loc` and spread by `scale`."""

    arg_constraints: ClassVar[Any] = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True
    _given = ("loc", "scale")

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = broadcast_all(loc, scale)
        super().__init__(self.loc.shape, validate_args=validate_args)

    mean = mode = property(lambda self: self.loc)


_ONE_OF_TWO = "Either `probs` or `logits` must be specified, but not both."


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
            (self.probs,) = broadcast_all(probs)
        else:
            (self.logits,) = broadcast_all(logits)
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
            probs = clamp_probs(self.probs)
            return torch.log(probs) - torch.log1p(-probs)


def _cross_entropy(logits: Tensor, probs: Tensor) -> Tensor:
    function = torch.nn.functional.binary_cross_entropy_with_logits
    return function(logits, probs, reduction="none")
