"""The moves of axes and elements that transformations of functions are made of, as ops."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp

from funcgrad.engine import Op, Variable, record
from funcgrad.torch.tensor import Tensor, tensor_of


def _call(op: Op, *tensors: Variable) -> Tensor:
    return tensor_of(*record(op, tensors))


@lru_cache(maxsize=1024)
def _move(source: int, target: int) -> Op:
    return Op("movedim", lambda x: jnp.moveaxis(x, source, target), label="MovedimBackward0")


def move_axis(tensor: Variable, source: int, target: int) -> Any:
    """The tensor with an axis at another place."""
    return tensor if source == target else _call(_move(source, target), tensor)


@lru_cache(maxsize=1024)
def _reshape(shape: tuple[int, ...]) -> Op:
    return Op("reshape", lambda x: x.reshape(shape), label="ViewBackward0")


def reshape(tensor: Tensor, shape: Sequence[int]) -> Tensor:
    """The same elements in another shape."""
    return _call(_reshape(tuple(shape)), tensor)


@lru_cache(maxsize=1024)
def _expand(size: int, axis: int) -> Op:
    return Op(
        "expand",
        lambda x: jnp.broadcast_to(
            jnp.expand_dims(x, axis), (*x.shape[:axis], size, *x.shape[axis:])
        ),
        label="ExpandBackward0",
    )


def expand(tensor: Tensor, size: int, axis: int) -> Tensor:
    """The tensor repeated along a new axis."""
    return _call(_expand(size, axis), tensor)


@lru_cache(maxsize=1024)
def _take(start: int, stop: int, axis: int) -> Op:
    return Op(
        "slice", lambda x: jax.lax.slice_in_dim(x, start, stop, axis=axis), label="SliceBackward0"
    )


def take(tensor: Tensor, start: int, stop: int, axis: int = 0) -> Tensor:
    """The part of a tensor from `start` to `stop` along an axis."""
    return _call(_take(start, stop, axis), tensor)


@lru_cache(maxsize=1024)
def _select(index: int, axis: int) -> Op:
    return Op(
        "select",
        lambda x: jax.lax.index_in_dim(x, index, axis, keepdims=False),
        label="SelectBackward0",
    )


def select(tensor: Tensor, index: int, axis: int = 0) -> Tensor:
    """The part of a tensor at one index of an axis, which goes."""
    return _call(_select(index, axis), tensor)


@lru_cache(maxsize=1024)
def _concatenate(axis: int) -> Op:
    return Op("cat", lambda *parts: jnp.concatenate(parts, axis), label="CatBackward0")


def concatenate(parts: Sequence[Tensor], axis: int = 0) -> Tensor:
    """Tensors one after the other along an axis."""
    return parts[0] if len(parts) == 1 else _call(_concatenate(axis), *parts)


@lru_cache(maxsize=1024)
def _stack(axis: int) -> Op:
    return Op("stack", lambda *parts: jnp.stack(parts, axis), label="StackBackward0")


def stack(parts: Sequence[Tensor], axis: int = 0) -> Tensor:
    """Tensors of one shape along a new axis."""
    return _call(_stack(axis), *parts)
