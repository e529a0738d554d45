"""Sizes along the dimensions of a window (kernel, stride, padding, ...): one number for all, or one for each."""

from collections.abc import Sequence
from typing import Any

from funcgrad.torch._tensor.tensor import Tensor


def listed(of: Sequence[Any], between: str = ", ") -> str:
    """Numbers as PyTorch prints them in a text."""
    return between.join(str(each) for each in of)


def as_numbers(name: str, argument: str, position: int, given: Any) -> tuple[int, ...]:
    """A number or a sequence of numbers as a tuple.

    Raises:
        TypeError: something else was given.
    """
    many = isinstance(given, (tuple, list))
    try:
        if isinstance(given, (bool, str)):
            raise TypeError
        return tuple([each.__index__() for each in (given if many else (given,))])
    except (TypeError, AttributeError):
        kind = (
            "tuple of " + type(given[0]).__name__ + "s" if many and given else type(given).__name__
        )
        raise TypeError(
            f"{name}(): argument '{argument}' (position {position}) must be tuple of ints, not {kind}"
        ) from None


def of_batches(input: Tensor, dims: int) -> tuple[Tensor, bool]:
    """The input with a first dimension for batches, and whether it had one.

    Args:
        input: a tensor, (batches, channels, ...) or (channels, ...).
        dims: the number of dimensions after the channels.
    """
    batched = input.ndim == dims + 2
    return (input if batched else input.unsqueeze(0)), batched
