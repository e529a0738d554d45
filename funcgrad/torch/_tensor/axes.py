"""Moving axes and elements of tensors; the transformations of functions use these."""

from collections.abc import Sequence
from typing import Any

from funcgrad.engine import Variable
from funcgrad.torch._levels.axes import (
    concatenate_op,
    expand_op,
    move_op,
    reshape_op,
    select_op,
    stack_op,
    take_op,
)
from funcgrad.torch._tensor.operands import call
from funcgrad.torch._tensor.tensor import Tensor


def move_axis(tensor: Variable, source: int, target: int) -> Any:
    """The tensor with an axis moved to another position."""
    return tensor if source == target else call(move_op(source, target), tensor)


def reshape(tensor: Tensor, shape: Sequence[int]) -> Tensor:
    """The same elements in another shape."""
    return call(reshape_op(tuple(shape)), tensor)


def expand(tensor: Tensor, size: int, axis: int) -> Tensor:
    """The tensor repeated along a new axis."""
    return call(expand_op(size, axis), tensor)


def take(tensor: Tensor, start: int, stop: int, axis: int = 0) -> Tensor:
    """The part of a tensor from `start` to `stop` along an axis."""
    return call(take_op(start, stop, axis), tensor)


def select(tensor: Tensor, index: int, axis: int = 0) -> Tensor:
    """The part of a tensor at one index of an axis; the axis is dropped."""
    return call(select_op(index, axis), tensor)


def concatenate(parts: Sequence[Tensor], axis: int = 0) -> Tensor:
    """Tensors one after the other along an axis."""
    return parts[0] if len(parts) == 1 else call(concatenate_op(axis), *parts)


def stack(parts: Sequence[Tensor], axis: int = 0) -> Tensor:
    """Tensors of one shape along a new axis."""
    return call(stack_op(axis), *parts)
