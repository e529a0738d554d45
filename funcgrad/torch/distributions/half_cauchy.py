"""`HalfCauchy`."""

import math
from typing import Any

import funcgrad.torch as torch
from funcgrad.torch.distributions.cauchy import Cauchy
from funcgrad.torch.distributions.half_normal import HalfNormal
from funcgrad.torch.distributions.transformed_distribution import TransformedDistribution
from funcgrad.torch.distributions.transforms import AbsTransform

__all__ = ["HalfCauchy"]


def __dir__() -> list[str]:
    return __all__


class HalfCauchy(HalfNormal):
    """The absolute value of a Cauchy value around zero.

    Args:
        scale: the Cauchy's scale, positive.
        validate_args: whether to check parameters and values.
    """

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        base = Cauchy(0, scale, validate_args=False)
        TransformedDistribution.__init__(self, base, AbsTransform(), validate_args=validate_args)

    mean = property(lambda self: torch.full_like(self.scale, math.inf))
    variance = property(lambda self: self.base_dist.variance)
