"""Elements put into a copy of a tensor: with a reduction, at places of the flattened tensor, or in place of a view."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcgrad.torch._memory.geometry import wrap_dim
from funcgrad.torch._ops.along_a_dim import norm_along
from funcgrad.torch._ops.index_put import added
from funcgrad.torch._ops.index_put import put as put_at
from funcgrad.torch._ops.out import CASTS, EXACT
from funcgrad.torch._ops.row import Array, Dim, Index, op
from funcgrad.torch._ops.selecting import (
    check_bounds,
    check_index,
    check_scatter,
    check_slices,
    corner,
    mesh,
)
from funcgrad.torch._ops.slopes import with_derivative_of
from funcgrad.torch._tensor.registry import METHODS, publish
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.dtypes import int64
from funcgrad.torch._types.warning import warn

# ------------------------------------------------------------------------------------------- with a reduction

REDUCTIONS = ("sum", "prod", "mean", "amax", "amin")


def reduced(
    input: Any, places: tuple[Any, ...], source: Any, reduce: str, include_self: bool
) -> Any:
    """A copy of `input` with the elements of `source` reduced into it at places.

    Args:
        input: the array.
        places: an index array for each dimension.
        source: the elements.
        reduce: one of `REDUCTIONS`.
        include_self: whether the elements of `input` take part.
    """
    neutral = {"sum": 0, "mean": 0, "prod": 1, "amax": _least(input), "amin": _most(input)}[reduce]
    if not include_self:
        input = input.at[places].set(jnp.asarray(neutral, input.dtype))
    if reduce in ("sum", "mean"):
        made = added(input, places, source)
        if reduce == "mean":
            start = jnp.ones(input.shape, np.int64)
            start = start if include_self else start.at[places].set(0)
            count = jnp.maximum(start.at[places].add(1), 1)
            whole = input.dtype.kind in "iu"
            made = (
                jnp.floor_divide(made, count.astype(input.dtype))
                if whole
                else made / count.astype(input.dtype)
            )
        return made
    if reduce == "prod":
        if jnp.issubdtype(input.dtype, jnp.inexact):
            return _multiplied(input, places, source)
        at = input.at[places]
        return at.min(source) if input.dtype == bool else at.multiply(source)
    made = jax.lax.stop_gradient(
        input.at[places].max(source) if reduce == "amax" else input.at[places].min(source)
    )
    if not jnp.issubdtype(input.dtype, jnp.inexact):
        return made
    # As in PyTorch, all elements that equal the extreme share its gradient.
    own, given = input == made, source == made[places]
    if not include_self:
        own = own & ~jnp.zeros(input.shape, bool).at[places].set(True)
    count = jnp.maximum(own.astype(input.dtype).at[places].add(given.astype(input.dtype)), 1)
    shares = jnp.where(given, source / count[places], 0)
    return with_derivative_of(made, jnp.where(own, input / count, 0).at[places].add(shares))


def _multiplied(input: Any, places: tuple[Any, ...], source: Any) -> Any:
    """A copy of `input` with elements multiplied into it at places, of which several may be one.

    JAX has no derivative of such a scatter, so the factors of a place are brought together and multiplied one by one.
    """
    count = input.size
    of = jnp.ravel_multi_index(places, input.shape, mode="wrap").reshape(-1)
    of = jnp.concatenate([jnp.arange(count, dtype=of.dtype), of])
    order = jnp.argsort(of, stable=True)
    factors = jnp.concatenate([input.reshape(-1), source.reshape(-1)])[order]
    begins = jnp.diff(of[order], prepend=-1) != 0

    def combined(before: Any, here: Any) -> Any:
        (first, product), (begins, factor) = before, here
        return first | begins, jnp.where(begins, factor, product * factor)

    _, products = jax.lax.associative_scan(combined, (begins, factors))
    last = jnp.cumsum(jnp.zeros(count, of.dtype).at[of].add(1)) - 1
    return products[last].reshape(input.shape)


def _least(x: Any) -> Any:
    return (
        -jnp.inf
        if jnp.issubdtype(x.dtype, jnp.floating)
        else False
        if x.dtype == bool
        else jnp.iinfo(x.dtype).min
    )


def _most(x: Any) -> Any:
    return (
        jnp.inf
        if jnp.issubdtype(x.dtype, jnp.floating)
        else True
        if x.dtype == bool
        else jnp.iinfo(x.dtype).max
    )


def _check_reduce(
    input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, include_self: bool
) -> None:
    check_index("scatter", input, dim, index)
    if reduce not in REDUCTIONS:
        raise RuntimeError(
            f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}"
        )
    check_scatter(input, dim, index, src)


@op(
    "scatter_reduce",
    "ScatterReduceBackward0",
    keeps=(0, 1),
    prepare=_check_reduce,
    in_place=True,
    disjoint=True,
    out=EXACT,
)
def scatter_reduce(
    input: Array, dim: Dim, index: Index, src: Array, reduce: str, *, include_self: bool = True
) -> Any:
    """A copy of the tensor with the elements of `src` reduced into it at the places that `index` names along a dimension.

    Args:
        input: the tensor.
        dim: the dimension.
        index: the places.
        src: the elements.
        reduce: "sum", "prod", "mean", "amax" or "amin".
        include_self: whether the tensor's own elements take part.
    """
    if not index.size:
        return input
    if not input.ndim:
        made = reduced(input[None], (jnp.zeros(1, int),), src.reshape(1), reduce, include_self)
        return made[0]
    places = tuple(jnp.broadcast_arrays(*mesh(index, dim)))
    return reduced(input, places, corner(src, index), reduce, include_self)


def _check_index_reduce(
    input: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, include_self: bool
) -> Any:
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise RuntimeError(
            f"index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got {reduce}."
        )
    index = check_slices("index_reduce_", input, dim, index, source)
    warn("index_reduce() is in beta and the API may change at any time.")
    return [input, dim, index, source, reduce, include_self]


@op(
    "index_reduce",
    "IndexReduceBackward0",
    keeps=(0, 1),
    prepare=_check_index_reduce,
    in_place=True,
    out=EXACT,
)
def index_reduce(
    input: Array, dim: Dim, index: Index, source: Array, reduce: str, *, include_self: bool = True
) -> Any:
    """A copy of the tensor with slices of `source` reduced into it at the places that `index` names along a dimension."""
    if not input.ndim:
        return reduced(input[None], (jnp.zeros(1, int),), source.reshape(1), reduce, include_self)[
            0
        ]
    full = jnp.broadcast_to(
        index.reshape([-1 if k == dim else 1 for k in range(input.ndim)]), source.shape
    )
    places = tuple(jnp.broadcast_arrays(*mesh(full, dim)))
    return reduced(input, places, source, reduce, include_self)


# ------------------------------------------------------------------------------------------- places of the flat tensor


def _check_put(input: Tensor, index: Tensor, source: Tensor, accumulate: bool) -> None:
    if index.dtype is not int64:
        raise RuntimeError(
            f"put_(): Expected a long tensor for index, but got {index.dtype.scalar_type}"
        )
    if source.dtype is not input.dtype:
        raise RuntimeError(
            f"put_(): self and source expected to have the same dtype, but got self.dtype = {input.dtype.scalar_type} and "
            f"source.dtype = {source.dtype.scalar_type}"
        )
    if index.numel() != source.numel():
        raise RuntimeError(
            "put_(): Expected source and index to have the same number of elements, but got source.numel() = "
            f"{source.numel()}, index.numel() = {index.numel()}"
        )
    length = input.numel()
    if not length and index.numel():
        raise IndexError("put_(): Tried to put elements into an empty tensor")
    check_bounds(
        index,
        length,
        lambda bad: IndexError(
            f"out of range: tried to access index {bad} on a tensor of {length} elements."
        ),
        low=-length,
    )


@op("put", "PutBackward0", keeps=(1,), prepare=_check_put, in_place=True)
def put(input: Array, index: Index, source: Array, accumulate: bool = False) -> Any:
    """A copy of the tensor with the elements of `source` put, or added, at places of the flattened tensor."""
    flat, index, source = input.reshape(-1), index.reshape(-1), source.reshape(-1)
    made = added(flat, index, source) if accumulate else put_at((0,), flat, source, index)
    return made.reshape(input.shape)


# ------------------------------------------------------------------------------------------- in place of a view


def _written(place: Tensor, src: Tensor) -> Tensor:
    """A tensor that is put in another's place, in that one's dtype."""
    if tuple(place.shape) != tuple(src.shape):
        raise RuntimeError(
            f"expected src to have a size equal to the slice of self. src size = {list(src.shape)}, slice size = "
            f"{list(place.shape)}"
        )
    return src if src.dtype is place.dtype else METHODS["to"](src, place.dtype)


@op("select_scatter.at", "SelectScatterBackward0")
def _selected(input: Array, src: Array, dim: int, index: int) -> Any:
    return input.at[(*[slice(None)] * dim, index)].set(src)


def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """A copy of the tensor with `src` in place of one slice."""
    src = _written(METHODS["select"](input, dim, index), src)
    return _selected(input, src, wrap_dim(dim, input.ndim), int(index))


@op("slice_scatter.at", "SliceScatterBackward0")
def _sliced(input: Array, src: Array, dim: int, start: int, end: int, step: int) -> Any:
    places = (*[slice(None)] * dim, slice(start, end, step))
    return input.at[places].set(src)


def slice_scatter(
    input: Tensor,
    src: Tensor,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Tensor:
    """A copy of the tensor with `src` in place of a range along a dimension."""
    if step <= 0:
        raise RuntimeError("slice step must be positive")
    dim = wrap_dim(dim, input.ndim)
    bounds = slice(start, end, step).indices(input.shape[dim])
    key: Any = (*[slice(None)] * dim, slice(*bounds))
    src = _written(input[key], src)
    return _sliced(input, src, dim, *bounds)


@op("diagonal_scatter.at", "DiagonalScatterBackward0")
def _diagonal(input: Array, src: Array, offset: int, dim1: int, dim2: int) -> Any:
    moved = jnp.moveaxis(input, (dim1, dim2), (-2, -1))
    along = jnp.arange(src.shape[-1])
    rows, columns = along + max(-offset, 0), along + max(offset, 0)
    moved = moved.at[..., rows, columns].set(src)
    return jnp.moveaxis(moved, (-2, -1), (dim1, dim2))


def diagonal_scatter(
    input: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1
) -> Tensor:
    """A copy of the tensor with `src` in place of a diagonal."""
    src = _written(METHODS["diagonal"](input, offset, dim1, dim2), src)
    return _diagonal(input, src, offset, wrap_dim(dim1, input.ndim), wrap_dim(dim2, input.ndim))


def as_strided_scatter(
    input: Tensor, src: Tensor, size: Any, stride: Any, storage_offset: int | None = None
) -> Tensor:
    """A copy of the tensor with `src` in place of the elements that a size and strides name."""
    made: Any = input.clone()
    place = METHODS["as_strided"](made, size, stride, storage_offset)
    place.copy_(_written(place, src))
    return made


for _each in (select_scatter, slice_scatter, diagonal_scatter, as_strided_scatter):
    publish(_each)


# ------------------------------------------------------------------------------------------- renorm


def _check_renorm(input: Tensor, p: float, dim: int, maxnorm: float) -> Any:
    if p <= 0:
        raise RuntimeError("renorm: non-positive-norm not supported")
    if maxnorm < 0:
        raise RuntimeError("renorm: expected maxnorm to be >= 0 but got " + f"{maxnorm:g}")
    if input.ndim < 2:
        raise RuntimeError(
            f"renorm: input needs at least 2 dimensions, got {input.ndim} dimensions"
        )
    if not (input.dtype.is_floating_point or input.dtype.is_complex):
        raise RuntimeError(
            "linalg.vector_norm: Expected a floating point or complex tensor as input. Got "
            f"{input.dtype.scalar_type}"
        )
    return [input, float(p), dim, float(maxnorm)]


@op(
    "renorm",
    "RenormBackward0",
    saves="self",
    accumulates=True,
    prepare=_check_renorm,
    in_place=True,
    out=CASTS,
)
def renorm(input: Array, p: float, dim: Dim, maxnorm: float) -> Any:
    """The tensor with each slice along a dimension scaled down, if its p-norm is larger than `maxnorm`."""
    axes = tuple(k for k in range(input.ndim) if k != dim)
    norm = norm_along(input, p, axes, True)
    return input * jnp.where(norm > maxnorm, maxnorm / (norm + 1e-7), 1).astype(norm.dtype)
