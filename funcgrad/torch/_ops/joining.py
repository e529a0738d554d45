"""Ops that put tensors together, and those that repeat one or put its elements in another order."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import index
from typing import Any

import jax.numpy as jnp
import numpy as np

from funcgrad.engine import Op, record
from funcgrad.torch._memory.geometry import wrap_dim
from funcgrad.torch._ops.out import with_out
from funcgrad.torch._ops.pointwise import FUNCTIONS as POINTWISE
from funcgrad.torch._ops.views import views
from funcgrad.torch._tensor.operands import laid_out, promoted
from funcgrad.torch._tensor.tensor import Tensor, tensor_of

Tensors = Sequence[Tensor]


def _triangle(function: Callable[..., Any]) -> Callable[[int], Callable[[Any], Any]]:
    return lambda diagonal: lambda x: function(x, diagonal)


def _cat(dim: int, to: np.dtype) -> Callable[..., Any]:
    return lambda *parts: jnp.concatenate([part.astype(to) for part in parts], dim)


def _stack(dim: int, to: np.dtype) -> Callable[..., Any]:
    return lambda *parts: jnp.stack([part.astype(to) for part in parts], dim)


def _embed(offset: int, dim1: int, dim2: int) -> Callable[[Any], Any]:
    def function(x: Any) -> Any:
        count = x.shape[-1]
        size = count + abs(offset)
        along = jnp.arange(count)
        rows, columns = along + max(-offset, 0), along + max(offset, 0)
        made = jnp.zeros((*x.shape[:-1], size, size), x.dtype).at[..., rows, columns].set(x)
        return jnp.moveaxis(made, (-2, -1), (dim1, dim2))

    return function


_FUNCTIONS: dict[str, Callable[..., Callable[..., Any]]] = {
    "CatBackward0": _cat,
    "DiagEmbedBackward0": _embed,
    "DiagonalBackward0_copy": lambda offset: lambda x: jnp.diagonal(x, offset),
    "FlipBackward0": lambda dims: lambda x: jnp.flip(x, dims),
    "RepeatBackward0": lambda times: lambda x: jnp.tile(x, times),
    "RollBackward0": lambda shifts, dims: lambda x: jnp.roll(x, shifts, dims),
    "StackBackward0": _stack,
    "TrilBackward0": _triangle(jnp.tril),
    "TriuBackward0": _triangle(jnp.triu),
}


@lru_cache(maxsize=2048)
def _op(label: str, *static: Any) -> Op:
    return Op(label.split("Backward")[0].lower(), _FUNCTIONS[label](*static), label=label)


def _recorded(label: str, inputs: Tensors, *static: Any) -> Tensor:
    return tensor_of(*record(_op(label, *static), inputs))


# ------------------------------------------------------------------------------------------- several tensors


def _check_tensors(tensors: Any, name: str) -> list[Tensor]:
    if isinstance(tensors, Tensor):
        raise TypeError(
            f"{name}(): argument 'tensors' (position 1) must be tuple of Tensors, not Tensor"
        )
    found = list(tensors)
    for k, each in enumerate(found):
        if not isinstance(each, Tensor):
            raise TypeError(
                f"expected Tensor as element {k} in argument 0, but got {type(each).__name__}"
            )
    return found


def cat(tensors: Tensors, dim: int = 0) -> Tensor:
    """Tensors one after another along a dimension that they have.

    Raises:
        ValueError: there are none.
        RuntimeError: their other dimensions differ.

    >>> import funcgrad.torch as torch
    >>> torch.cat([torch.ones(2), torch.zeros(1)])
    tensor([1., 1., 0.])
    """
    given = _check_tensors(tensors, "cat")
    if not given:
        raise ValueError("torch.cat(): expected a non-empty list of Tensors")
    for k, each in enumerate(given):
        if not each.ndim:
            raise RuntimeError(f"zero-dimensional tensor (at position {k}) cannot be concatenated")
    to = promoted(tuple(given)).numpy_dtype
    # As PyTorch has always had it: an empty vector goes with anything.
    full = [each for each in given if tuple(each.shape) != (0,)]
    if not full:
        return _recorded("CatBackward0", given, 0, to)
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
    return _recorded("CatBackward0", full, dim, to)


def stack(tensors: Tensors, dim: int = 0) -> Tensor:
    """Tensors of one shape side by side along a new dimension."""
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
    to = promoted(tuple(given)).numpy_dtype
    return _recorded("StackBackward0", given, wrap_dim(dim, len(first) + 1), to)


def _at_least(tensor: Tensor, ndim: int) -> Tensor:
    if tensor.ndim >= ndim:
        return tensor
    if ndim == 1:
        return views.reshape(tensor, 1)
    if ndim == 2:
        return views.unsqueeze(_at_least(tensor, 1), 0)
    return views.unsqueeze(_at_least(tensor, 2), -1)


def hstack(tensors: Tensors) -> Tensor:
    """Tensors side by side: along the second dimension, or the only one."""
    given = [_at_least(each, 1) for each in _check_tensors(tensors, "hstack")]
    return cat(given, 0 if given and given[0].ndim == 1 else 1)


def vstack(tensors: Tensors) -> Tensor:
    """Tensors one below another, vectors as rows."""
    return cat([_at_least(each, 2) for each in _check_tensors(tensors, "vstack")], 0)


def dstack(tensors: Tensors) -> Tensor:
    """Tensors one behind another, along the third dimension."""
    return cat([_at_least(each, 3) for each in _check_tensors(tensors, "dstack")], 2)


def column_stack(tensors: Tensors) -> Tensor:
    """Tensors side by side, vectors as columns."""
    given = _check_tensors(tensors, "column_stack")
    return hstack(
        [views.reshape(each, each.numel(), 1) if each.ndim < 2 else each for each in given]
    )


# ------------------------------------------------------------------------------------------- one tensor


def _dims(dims: Any) -> tuple[int, ...]:
    return tuple(dims) if isinstance(dims, (tuple, list)) else (index(dims),)


def flip(input: Tensor, *dims: Any) -> Tensor:
    """In the reverse order along dimensions; a copy."""
    wanted = tuple([wrap_dim(dim, input.ndim) for dim in views.ints(dims)])
    if len(set(wanted)) < len(wanted):
        twice = next(dim for dim in wanted if wanted.count(dim) > 1)
        raise RuntimeError(f"dim {twice} appears multiple times in the list of dims")
    return laid_out(_recorded("FlipBackward0", (input,), wanted), input)


def fliplr(input: Tensor) -> Tensor:
    """In the reverse order along the second dimension."""
    if input.ndim < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return flip(input, 1)


def flipud(input: Tensor) -> Tensor:
    """In the reverse order along the first dimension."""
    if input.ndim < 1:
        raise RuntimeError("Input must be >= 1-d.")
    return flip(input, 0)


def roll(input: Tensor, shifts: Any, dims: Any = None) -> Tensor:
    """Shifted along dimensions, what goes out at the end coming in at the start; over all elements without dimensions."""
    by = _dims(shifts)
    if dims is None:
        if len(by) != 1:
            raise RuntimeError(f"shifts and dimensions must align. shifts: {len(by)}, dims:0")
        return _recorded("RollBackward0", (input,), by[0], None)
    along = _dims(dims)
    if len(by) != len(along):
        raise RuntimeError(
            f"shifts and dimensions must align. shifts: {len(by)}, dims:{len(along)}"
        )
    return _recorded("RollBackward0", (input,), by, tuple([wrap_dim(d, input.ndim) for d in along]))


def _triangular(name: str, label: str) -> Callable[..., Tensor]:
    def function(input: Tensor, diagonal: int = 0) -> Tensor:
        if input.ndim < 2:
            raise RuntimeError(f"{name}: input tensor must have at least 2 dimensions")
        return _recorded(label, (input,), diagonal)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"One triangle of a matrix, zeros elsewhere, as `torch.{name}`."
    return function


def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """The diagonal of a matrix as a vector, or a matrix with a vector as its diagonal; a copy."""
    if input.ndim == 1:
        return diag_embed(input, diagonal)
    if input.ndim != 2:
        raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {input.ndim}D")
    return _recorded("DiagonalBackward0_copy", (input,), diagonal)


def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Matrices that have the elements along the last dimension as their diagonals."""
    a, b = wrap_dim(dim1, input.ndim + 1), wrap_dim(dim2, input.ndim + 1)
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    return _recorded("DiagEmbedBackward0", (input,), offset, a, b)


def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """The products of each element of one vector with each of another."""
    if input.ndim != 1:
        raise RuntimeError(f"outer: Expected 1-D argument self, but got {input.ndim}-D")
    if vec2.ndim != 1:
        raise RuntimeError(f"outer: Expected 1-D argument vec2, but got {vec2.ndim}-D")
    return POINTWISE["mul"](views.reshape(input, input.numel(), 1), vec2)


def repeat(input: Tensor, *repeats: Any) -> Tensor:
    """So many copies along each dimension; further dimensions come in front."""
    times = views.ints(repeats)
    if len(times) < input.ndim:
        raise RuntimeError(
            "Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor"
        )
    return _recorded("RepeatBackward0", (input,), times)


def tile(input: Tensor, *dims: Any) -> Tensor:
    """As `repeat`, with ones for the dimensions in front that are not said."""
    times = views.ints(dims)
    return repeat(input, (1,) * (input.ndim - len(times)) + times)


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """Vectors expanded over a grid, one dimension for each."""
    given = (
        list(tensors[0]) if len(tensors) == 1 and not isinstance(tensors[0], Tensor) else tensors
    )
    swap = indexing == "xy" and len(given) > 1
    vectors = [given[1], given[0], *given[2:]] if swap else list(given)
    shape = [each.numel() for each in vectors]
    grids = [
        views.expand(views.view(each, [-1 if k == j else 1 for j in range(len(shape))]), shape)
        for k, each in enumerate(vectors)
    ]
    if swap:
        grids[0], grids[1] = grids[1], grids[0]
    return tuple(grids)


_OF_ONE: dict[str, Callable[..., Any]] = {
    "diag": diag,
    "diag_embed": diag_embed,
    "flip": flip,
    "fliplr": fliplr,
    "flipud": flipud,
    "outer": outer,
    "roll": roll,
    "tile": tile,
    "tril": _triangular("tril", "TrilBackward0"),
    "triu": _triangular("triu", "TriuBackward0"),
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    **_OF_ONE,
    "cat": with_out("cat", cat),
    "column_stack": column_stack,
    "concat": with_out("cat", cat),
    "concatenate": with_out("cat", cat),
    "dstack": dstack,
    "hstack": hstack,
    "meshgrid": meshgrid,
    "stack": with_out("stack", stack),
    "vstack": vstack,
}
METHODS: dict[str, Callable[..., Any]] = {**_OF_ONE, "repeat": repeat}
