"""Ops that join tensors, repeat one, or reorder its elements."""

from collections.abc import Callable, Iterable, Sequence
from operator import index
from typing import Any

import jax.numpy as jnp

from funcgrad.torch._memory.geometry import wrap_dim
from funcgrad.torch._ops.out import CASTS, EXACT, store
from funcgrad.torch._ops.pointwise import MUL
from funcgrad.torch._ops.row import PROMOTED, Array, Arrays, Dim, Dims, named, op
from funcgrad.torch._ops.views import views
from funcgrad.torch._tensor.kinds import Ints
from funcgrad.torch._tensor.registry import publish
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.numbers import kind_of
from funcgrad.torch._types.variadic import variadic
from funcgrad.torch._types.warning import warn

Tensors = Sequence[Tensor]


# ------------------------------------------------------------------------------------------- several tensors


def _check_tensors(tensors: Any, name: str) -> list[Tensor]:
    if isinstance(tensors, Tensor):
        raise TypeError(
            f"{name}(): argument 'tensors' (position 1) must be tuple of Tensors, not Tensor"
        )
    return check_tensors(tensors)


def check_tensors(tensors: Iterable[Any]) -> list[Tensor]:
    """Tensors as a list.

    Raises:
        TypeError: one is no tensor.
    """
    found = list(tensors)
    for k, each in enumerate(found):
        if not isinstance(each, Tensor):
            raise TypeError(
                f"expected Tensor as element {k} in argument 0, but got {kind_of(each)}"
            )
    return found


def _check_cat(tensors: Any, dim: int) -> Any:
    given = _check_tensors(tensors, "cat")
    if not given:
        raise ValueError("torch.cat(): expected a non-empty list of Tensors")
    for k, each in enumerate(given):
        if not each.ndim:
            raise RuntimeError(f"zero-dimensional tensor (at position {k}) cannot be concatenated")
    # A legacy rule of PyTorch: an empty vector is skipped, whatever the other shapes.
    full = [each for each in given if tuple(each.shape) != (0,)]
    if not full:
        return [given, 0]
    dim = wrap_dim(dim, full[0].ndim)
    first = tuple(full[0].shape)
    for k, each in enumerate(given):
        shape = tuple(each.shape)
        if shape == (0,):
            continue
        if len(shape) != len(first):
            raise RuntimeError(
                f"Tensors must have same number of dimensions: got {len(first)} and {len(shape)}"
            )
        for other, (n, m) in enumerate(zip(first, shape, strict=True)):
            if other != dim and n != m:
                raise RuntimeError(
                    f"Sizes of tensors must match except in dimension {dim}. Expected size {n} but got size {m} for "
                    f"tensor number {k} in the list."
                )
    return [full, dim]


@op(
    "cat",
    "CatBackward0",
    aliases=("concat", "concatenate"),
    dtype=PROMOTED,
    prepare=_check_cat,
    out=CASTS,
    in_format=all,
)
def cat(tensors: Arrays, dim: Dim = 0) -> Any:
    """Tensors one after another along an existing dimension.

    Raises:
        ValueError: the sequence is empty.
        RuntimeError: their other dimensions differ.

    >>> import funcgrad.torch as torch
    >>> torch.cat([torch.ones(2), torch.zeros(1)])
    tensor([1., 1., 0.])
    """
    return jnp.concatenate(tensors, dim)


def _check_stack(tensors: Any, dim: int) -> Any:
    given = _check_tensors(tensors, "stack")
    if not given:
        raise RuntimeError("stack expects a non-empty TensorList")
    first = list(given[0].shape)
    for k, each in enumerate(given):
        if list(each.shape) != first:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {first} at entry 0 and {list(each.shape)} at "
                f"entry {k}"
            )
    return [given, wrap_dim(dim, len(first) + 1)]


@op("stack", "StackBackward0", dtype=PROMOTED, prepare=_check_stack, out=CASTS)
def stack(tensors: Arrays, dim: Dim = 0) -> Any:
    """Tensors of one shape side by side along a new dimension."""
    return jnp.stack(tensors, dim)


def _at_least(tensor: Tensor, ndim: int) -> Tensor:
    if tensor.ndim >= ndim:
        return tensor
    if ndim == 1:
        return views.reshape(tensor, 1)
    if ndim == 2:
        return views.unsqueeze(_at_least(tensor, 1), 0)
    return views.unsqueeze(_at_least(tensor, 2), -1)


def _check_some(tensors: Any, name: str) -> list[Tensor]:
    """As `_check_tensors`, and that there is one."""
    found = _check_tensors(tensors, name)
    if not found:
        raise RuntimeError(f"{name} expects a non-empty TensorList")
    return found


def hstack(tensors: Tensors, *, out: Tensor | None = None) -> Tensor:
    """Tensors side by side: along the second dimension, or the only one."""
    given = [_at_least(each, 1) for each in _check_some(tensors, "hstack")]
    return cat(given, 0 if given[0].ndim == 1 else 1, out=out)


def vstack(tensors: Tensors, *, out: Tensor | None = None) -> Tensor:
    """Tensors one below another, vectors as rows."""
    return cat([_at_least(each, 2) for each in _check_some(tensors, "vstack")], 0, out=out)


def dstack(tensors: Tensors, *, out: Tensor | None = None) -> Tensor:
    """Tensors one behind another, along the third dimension."""
    return cat([_at_least(each, 3) for each in _check_some(tensors, "dstack")], 2, out=out)


def column_stack(tensors: Tensors, *, out: Tensor | None = None) -> Tensor:
    """Tensors side by side, vectors as columns."""
    given = _check_some(tensors, "column_stack")
    return hstack(
        [views.reshape(each, each.numel(), 1) if each.ndim < 2 else each for each in given],
        out=out,
    )


# ------------------------------------------------------------------------------------------- one tensor


def _check_flip(input: Tensor, dims: Any) -> Any:
    return [input, dims or ()]


@op("flip", "FlipBackward0", prepare=_check_flip, laid_out=EXACT)
def flip(input: Array, dims: Dims) -> Any:
    """The elements in reverse order along dimensions; a copy."""
    return jnp.flip(input, dims)


def fliplr(input: Tensor) -> Tensor:
    """The elements in reverse order along the second dimension."""
    if input.ndim < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return flip(input, 1)


def flipud(input: Tensor) -> Tensor:
    """The elements in reverse order along the first dimension."""
    if input.ndim < 1:
        raise RuntimeError("Input must be >= 1-d.")
    return flip(input, 0)


publish(fliplr)
publish(flipud)


def _numbers(dims: Any) -> tuple[int, ...]:
    return tuple(dims) if isinstance(dims, (tuple, list)) else (index(dims),)


def _check_roll(input: Tensor, shifts: Any, dims: Any) -> Any:
    by, along = _numbers(shifts), () if dims is None else _numbers(dims)
    if not by:
        raise RuntimeError("`shifts` required")
    if len(by) != len(along) and (along or len(by) != 1):
        raise RuntimeError(
            f"shifts and dimensions must align. shifts: {len(by)}, dims:{len(along)}"
        )
    if not along:
        return [input, by[0], None]
    if not input.ndim:
        raise IndexError(f"Dimension specified as {along[0]} but tensor has no dimensions")
    return [input, by, tuple([wrap_dim(d, input.ndim) for d in along])]


@op("roll", "RollBackward0", prepare=_check_roll, in_format=any)
def roll(input: Array, shifts: Ints, dims: Ints | None = None) -> Any:
    """Elements shifted along dimensions; elements past the end come in at the start. Without `dims`, over all elements."""
    return jnp.roll(input, shifts, dims)


def _triangle(name: str, node: str, function: Callable[..., Any]) -> None:
    def check(input: Tensor, diagonal: int) -> None:
        if input.ndim < 2:
            raise RuntimeError(f"{name}: input tensor must have at least 2 dimensions")

    @op(name, node, prepare=check, out=EXACT)
    def triangle(input: Array, diagonal: int = 0) -> Any:
        return function(input, diagonal)


_triangle("tril", "TrilBackward0", jnp.tril)
_triangle("triu", "TriuBackward0", jnp.triu)


def _check_diagonals(input: Tensor, offset: int, dim1: int, dim2: int) -> Any:
    a, b = wrap_dim(dim1, input.ndim + 1), wrap_dim(dim2, input.ndim + 1)
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    return [input, offset, a, b]


@op("diag_embed", "DiagEmbedBackward0", prepare=_check_diagonals)
def diag_embed(input: Array, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Matrices that have the elements along the last dimension as their diagonals."""
    count = input.shape[-1]
    size = count + abs(offset)
    along = jnp.arange(count)
    rows, columns = along + max(-offset, 0), along + max(offset, 0)
    made = jnp.zeros((*input.shape[:-1], size, size), input.dtype)
    made = made.at[..., rows, columns].set(input)
    return jnp.moveaxis(made, (-2, -1), (dim1, dim2))


@op("diagonal.copy", "DiagonalBackward0_copy")
def _diagonal_copy(input: Array, offset: int) -> Any:
    return jnp.diagonal(input, offset)


def diag(input: Tensor, diagonal: int = 0, *, out: Tensor | None = None) -> Tensor:
    """The diagonal of a matrix as a vector, or a matrix with a vector as its diagonal; a copy."""
    if out is not None:
        return store("diag", out, (input,), lambda: diag(input, diagonal), EXACT)
    if input.ndim == 1:
        return diag_embed(input, diagonal)
    if input.ndim != 2:
        raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {input.ndim}D")
    return _diagonal_copy(input, diagonal)


publish(diag)


def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """The product of each element of one vector with each element of another."""
    if input.ndim != 1:
        raise RuntimeError(f"outer: Expected 1-D argument self, but got {input.ndim}-D")
    if vec2.ndim != 1:
        raise RuntimeError(f"outer: Expected 1-D argument vec2, but got {vec2.ndim}-D")
    return MUL.operator()(views.reshape(input, input.numel(), 1), vec2)


publish(outer)


@op("repeat.times", "RepeatBackward0")
def _repeated(input: Array, repeats: tuple[int, ...]) -> Any:
    return jnp.tile(input, repeats)


@variadic("repeats")
def repeat(input: Tensor, *repeats: Any) -> Tensor:
    """`repeats` copies along each dimension; extra dimensions come in front."""
    times = views.ints(repeats, "repeat(): argument 'repeats'")
    if len(times) < input.ndim:
        raise RuntimeError(
            "Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor"
        )
    return _repeated(input, times)


publish(repeat, function=False)


@variadic("dims")
def _tiled(input: Tensor, *dims: Any) -> Tensor:
    times = views.ints(dims, "tile(): argument 'dims'")
    return repeat(input, (1,) * (input.ndim - len(times)) + times)


def tile(input: Tensor, dims: Sequence[int]) -> Tensor:
    """As `repeat`, with 1 for each missing dimension in front."""
    return _tiled(input, dims)


publish(tile, method=False)
publish(named(_tiled, "tile", str(tile.__doc__)), function=False)


def meshgrid(*tensors: Any, indexing: str | None = None) -> tuple[Tensor, ...]:
    """Vectors expanded over a grid, one dimension for each vector.

    Args:
        tensors: the vectors, or one sequence of them.
        indexing: "ij", or "xy" to swap the first two dimensions.

    Warns:
        UserWarning: no `indexing` is given; it is "ij" then.
    """
    given = (
        list(tensors[0]) if len(tensors) == 1 and not isinstance(tensors[0], Tensor) else tensors
    )
    if indexing is None:
        warn(
            "torch.meshgrid: in an upcoming release, it will be required to pass the indexing argument."
        )
    if not given:
        raise RuntimeError("meshgrid expects a non-empty TensorList")
    if indexing not in (None, "ij", "xy"):
        raise RuntimeError(
            f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}'
        )
    swap = indexing == "xy" and len(given) > 1
    for k, each in enumerate(given):
        if not isinstance(each, Tensor):
            raise TypeError(
                f"expected Tensor as element {k} in argument 0, but got {kind_of(each)}"
            )
        if each.dtype is not given[0].dtype:
            raise RuntimeError("meshgrid expects all tensors to have the same dtype")
        if each.ndim > 1:
            kind = f"[ torch.{each.dtype.scalar_type}Tensor{{{','.join(map(str, each.shape))}}} ]"
            raise RuntimeError(
                f"torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got: {kind}"
            )
    vectors = [given[1], given[0], *given[2:]] if swap else list(given)
    shape = [each.numel() for each in vectors]
    grids = [
        views.expand(views.view(each, [-1 if k == j else 1 for j in range(len(shape))]), shape)
        for k, each in enumerate(vectors)
    ]
    if swap:
        grids[0], grids[1] = grids[1], grids[0]
    return tuple(grids)


for _function in (column_stack, dstack, hstack, meshgrid, vstack):
    publish(_function, method=False)
