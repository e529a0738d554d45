"""The ops that choose elements by masks and by index tensors, as JAX functions: gathered from a tensor, or put into one."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax.numpy as jnp
import numpy as np

from funcgrad.engine import Aval, Op
from funcgrad.torch._ops.index_put import put
from funcgrad.torch._tensor.operands import check_broadcast

Array = Any


def _mesh(index: Array, dim: int) -> tuple[Array, ...]:
    """An index that goes along `dim` as `index` says, and along the other dimensions with it."""
    return tuple(
        index
        if k == dim
        else jnp.arange(n).reshape([-1 if each == k else 1 for each in range(index.ndim)])
        for k, n in enumerate(index.shape)
    )


def _corner(source: Array, index: Array) -> Array:
    return source[tuple([slice(0, n) for n in index.shape])]


def _gather(dim: int) -> Callable[..., Array]:
    def function(x: Array, index: Array) -> Array:
        if not index.ndim:
            return x.reshape(-1)[index]
        return x[_mesh(index, dim)] if x.ndim else x.reshape(1)[index]

    return function


def _scatter(dim: int) -> Callable[..., Array]:
    def function(x: Array, source: Array, index: Array) -> Array:
        if not x.ndim:
            return source.reshape(()).astype(x.dtype)
        source = (
            jnp.broadcast_to(source, index.shape) if not source.ndim else _corner(source, index)
        )
        mesh = jnp.broadcast_arrays(*_mesh(index, dim))
        return put(tuple(range(x.ndim)), x, source, *mesh)

    return function


def _scatter_add(dim: int) -> Callable[..., Array]:
    return lambda x, source, index: (
        x.at[_mesh(index, dim)].add(_corner(source, index)) if x.ndim else x + source.reshape(())
    )


def _along(dim: int, index: Array) -> tuple[Any, ...]:
    return (*[slice(None)] * dim, index)


def _index_put(dim: int, x: Array, index: Array, source: Array) -> Array:
    if not x.ndim:
        return source.reshape(())
    return jnp.moveaxis(
        put((0,), jnp.moveaxis(x, dim, 0), jnp.moveaxis(source, dim, 0), index), 0, dim
    )


def _index_fill(dim: int) -> Callable[..., Array]:
    def function(x: Array, value: Array, index: Array) -> Array:
        # By a mask, so that a place named twice counts once in the value's gradient.
        length = x.shape[dim] if x.ndim else 1
        mask = jnp.zeros(length, bool).at[index].set(True)
        shape = [length if k == dim else 1 for k in range(x.ndim)]
        return jnp.where(mask.reshape(shape), value.astype(x.dtype), x)

    return function


def _masked_scatter() -> Callable[..., Array]:
    def function(x: Array, source: Array, mask: Array) -> Array:
        mask = jnp.broadcast_to(mask, x.shape)
        order = jnp.cumsum(mask.reshape(-1)) - 1
        chosen = source.reshape(-1)[jnp.clip(order, 0, max(source.size - 1, 0))]
        return jnp.where(mask, chosen.reshape(x.shape), x)

    return function


_FUNCTIONS: dict[str, Callable[..., Callable[..., Array]]] = {
    "GatherBackward0": _gather,
    "IndexAddBackward0": lambda dim: (
        lambda x, source, index, alpha: (
            x.at[_along(dim, index)].add(source * alpha)
            if x.ndim
            else x + source.reshape(()) * alpha
        )
    ),
    "IndexCopyBackward0": lambda dim: lambda x, source, i: _index_put(dim, x, i, source),
    "IndexFillBackward0": _index_fill,
    "IndexFillBackward1": _index_fill,
    "IndexSelectBackward0": lambda dim: lambda x, i: jnp.take(x, i, dim) if x.ndim else x,
    "MaskedFillBackward0": lambda: lambda x, value, m: jnp.where(m, value.astype(x.dtype), x),
    "MaskedFillBackward1": lambda: lambda x, value, m: jnp.where(m, value.astype(x.dtype), x),
    "MaskedScatterBackward0": _masked_scatter,
    "MaskedSelectBackward0": lambda shape: (
        lambda x, *places: jnp.broadcast_to(x, shape)[places] if shape else x.reshape(1)[places[0]]
    ),
    "ScatterAddBackward0": _scatter_add,
    "ScatterBackward0": _scatter,
    "ScatterBackward1": _scatter,
    "TakeBackward0": lambda: lambda x, index: x.reshape(-1)[index],
    "WhereBackward0": lambda to: lambda a, b, m: jnp.where(m, a.astype(to), b.astype(to)),
}


# Ops whose second argument is an input of the graph node, too.
_OF_TWO = {
    "IndexAddBackward0",
    "IndexCopyBackward0",
    "IndexFillBackward1",
    "MaskedFillBackward1",
    "MaskedScatterBackward0",
    "ScatterAddBackward0",
    "ScatterBackward0",
    "WhereBackward0",
}


# Arguments that PyTorch saves beside those that the derivative needs.
_SAVES = {
    "GatherBackward0": (0,),
    "IndexAddBackward0": (1,),
    "IndexCopyBackward0": (1,),
    "MaskedSelectBackward0": (0,),
    "TakeBackward0": (0,),
}


@lru_cache(maxsize=4096)
def selection_op(label: str, *static: Any) -> Op:
    """The op of a graph node's label, for what is static of its arguments."""
    name = label.split("Backward")[0].lower()
    check: Any = {"maskedfill": check_broadcast, "where": _check_where}.get(name)
    counted = 2 if label in _OF_TWO else 1
    # The index or mask, which comes last, is saved also where it names nothing, so that a walk frees it.
    saves = (*_SAVES.get(label, ()), -1)
    return Op(
        name, _FUNCTIONS[label](*static), label=label, check=check, counted=counted, saves=saves
    )


def _check_where(a: Aval, b: Aval, condition: Aval) -> None:
    check_broadcast(a, b)
    check_broadcast(condition, Aval(np.broadcast_shapes(a.shape, b.shape), a.dtype))
