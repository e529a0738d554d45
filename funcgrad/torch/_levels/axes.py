"""Ops that move axes and elements, for the transformations. `_tensor.axes` has their forms for tensors."""

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp

from funcgrad.engine import Op, Variable, record
from funcgrad.engine.graph import made


@lru_cache(maxsize=1024)
def move_op(source: int, target: int) -> Op:
    """The op that moves an axis."""
    return Op("movedim", lambda x: jnp.moveaxis(x, source, target), label="MovedimBackward0")


@lru_cache(maxsize=1024)
def reshape_op(shape: tuple[int, ...]) -> Op:
    """The op that gives the same elements another shape."""
    return Op("reshape", lambda x: x.reshape(shape), label="ViewBackward0")


@lru_cache(maxsize=1024)
def expand_op(size: int, axis: int) -> Op:
    """The op that repeats along a new axis."""
    return Op(
        "expand",
        lambda x: jnp.broadcast_to(
            jnp.expand_dims(x, axis), (*x.shape[:axis], size, *x.shape[axis:])
        ),
        label="ExpandBackward0",
    )


@lru_cache(maxsize=1024)
def take_op(start: int, stop: int, axis: int) -> Op:
    """The op that takes the places from `start` to `stop` along an axis."""
    return Op(
        "slice", lambda x: jax.lax.slice_in_dim(x, start, stop, axis=axis), label="SliceBackward0"
    )


@lru_cache(maxsize=1024)
def select_op(index: int, axis: int) -> Op:
    """The op that takes one place of an axis, and removes the axis."""
    return Op(
        "select",
        lambda x: jax.lax.index_in_dim(x, index, axis, keepdims=False),
        label="SelectBackward0",
    )


@lru_cache(maxsize=1024)
def concatenate_op(axis: int) -> Op:
    """The op that joins arrays along an axis."""
    return Op("cat", lambda *parts: jnp.concatenate(parts, axis), label="CatBackward0")


@lru_cache(maxsize=1024)
def stack_op(axis: int) -> Op:
    """The op that joins arrays along a new axis."""
    return Op("stack", lambda *parts: jnp.stack(parts, axis), label="StackBackward0")


def move_axis(variable: Any, source: int, target: int) -> Any:
    """The variable with an axis moved."""
    return variable if source == target else made(record(move_op(source, target), (variable,)))


def expand(variable: Variable, size: int, axis: int) -> Variable:
    """The variable repeated along a new axis."""
    return made(record(expand_op(size, axis), (variable,)))
