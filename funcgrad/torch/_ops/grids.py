"""Index grids, products of sets, tensors side by side on a diagonal, and window functions."""

import inspect
import itertools
import math
from collections.abc import Callable
from operator import index
from typing import Any

import jax.numpy as jnp
import numpy as np

from funcgrad.torch._memory.geometry import wrap_dim
from funcgrad.torch._ops.creation import factory
from funcgrad.torch._ops.joining import _at_least, check_tensors, diag_embed, meshgrid, stack
from funcgrad.torch._ops.row import PROMOTED, Array, Arrays, op
from funcgrad.torch._ops.selecting import index_select
from funcgrad.torch._ops.views import views
from funcgrad.torch._tensor.registry import FUNCTIONS, publish
from funcgrad.torch._tensor.tensor import Tensor, place, tensor_of
from funcgrad.torch._types.dtypes import dtype, get_default_dtype, int64
from funcgrad.torch._types.size import Size

# ------------------------------------------------------------------------------------------- shapes


def _at_least_of(ndim: int) -> Callable[..., Any]:
    def function(*tensors: Any) -> Any:
        if len(tensors) == 1:
            if isinstance(tensors[0], Tensor):
                return _at_least(tensors[0], ndim)
            tensors = tuple(tensors[0])
        return tuple([_at_least(each, ndim) for each in check_tensors(tensors)])

    function.__name__ = function.__qualname__ = f"atleast_{ndim}d"
    function.__doc__ = f"Tensors, with dimensions of length 1 added up to {ndim}."
    return function


for _ndim in (1, 2, 3):
    publish(_at_least_of(_ndim), method=False)


def broadcast_shapes(*shapes: Any) -> Size:
    """The shape to which these broadcast."""
    given = [(each,) if isinstance(each, int) else tuple(each) for each in shapes]
    for shape in given:
        for n in shape:
            if n < 0:
                raise RuntimeError(f"Trying to create tensor with negative dimension ({n}): ({n})")
    try:
        return Size(np.broadcast_shapes(*given))
    except ValueError:
        raise RuntimeError(
            "Shape mismatch: objects cannot be broadcast to a single shape"
        ) from None


def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """Tensors expanded to the shape to which they broadcast; one that has it already is returned as it is."""
    given = check_tensors(
        tensors[0] if len(tensors) == 1 and not isinstance(tensors[0], Tensor) else tensors
    )
    shape: tuple[int, ...] = ()
    for each in given:
        try:
            shape = np.broadcast_shapes(shape, tuple(each.shape))
        except ValueError:
            for back in range(1, min(len(shape), each.ndim) + 1):
                a, b = shape[-back], each.shape[-back]
                if a != b and 1 not in (a, b):
                    raise RuntimeError(
                        f"The size of tensor a ({a}) must match the size of tensor b ({b}) at non-singleton dimension "
                        f"{max(len(shape), each.ndim) - back}"
                    ) from None
    return tuple([each if each.shape == shape else views.expand(each, shape) for each in given])


publish(broadcast_shapes, method=False)
publish(broadcast_tensors, method=False)


def rot90(input: Tensor, k: int = 1, dims: Any = (0, 1)) -> Tensor:
    """The tensor turned by `k` right angles, from the first of two dimensions towards the second."""
    if len(dims) != 2:
        raise RuntimeError(f"expected total rotation dims == 2, but got dims = {len(dims)}")
    if input.ndim < 2:
        raise RuntimeError(f"expected total dims >= 2, but got total dims = {input.ndim}")
    if dims[0] == dims[1] or abs(dims[0] - dims[1]) == input.ndim:
        raise RuntimeError(
            f"expected rotation dims to be different, but got dim0 = {dims[0]} and dim1 = {dims[1]}"
        )
    for each in dims:
        if not -input.ndim <= each < input.ndim:
            raise RuntimeError(
                f"Rotation dim0 out of range, dim0 = {each}"
                if each == dims[0]
                else f"Rotation dim1 out of range, dim1 = {each}"
            )
    return _turned(input, k % 4, tuple([wrap_dim(each, input.ndim) for each in dims]))


@op("rot90.turns", "Rot90Backward0")
def _turned(input: Array, k: int, dims: tuple[int, int]) -> Any:
    return jnp.rot90(input, k, dims)


publish(rot90)


def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """A matrix with the flattened tensor as its diagonal."""
    return diag_embed(views.reshape(input, -1), offset)


publish(diagflat)


def _check_blocks(*tensors: Any) -> list[Tensor]:
    for k, each in enumerate(check_tensors(tensors)):
        if each.ndim > 2:
            raise RuntimeError(
                f"torch.block_diag: Input tensors must have 2 or fewer dimensions. Input {k} has {each.ndim} dimensions"
            )
    return [_at_least(each, 2) for each in tensors]


@op("block_diag.of", "BlockDiagBackward0", dtype=PROMOTED)
def _block_diag(tensors: Arrays) -> Any:
    height, width = (sum(each.shape[k] for each in tensors) for k in (0, 1))
    made = jnp.zeros((height, width), tensors[0].dtype)
    row = column = 0
    for each in tensors:
        made = made.at[row : row + each.shape[0], column : column + each.shape[1]].set(each)
        row, column = row + each.shape[0], column + each.shape[1]
    return made


def block_diag(*tensors: Tensor) -> Tensor:
    """A matrix with these matrices on its diagonal."""
    return _block_diag(_check_blocks(*tensors))


publish(block_diag, method=False)


def cartesian_prod(*tensors: Tensor) -> Tensor:
    """All combinations of one element of each vector, one a row."""
    for each in check_tensors(tensors):
        if each.ndim != 1:
            raise RuntimeError(f"Expect a 1D vector, but got shape {list(each.shape)}")
    if len(tensors) == 1:
        return tensors[0]
    return stack([views.reshape(each, -1) for each in meshgrid(*tensors, indexing="ij")], 1)


def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All combinations of `r` elements of a vector, one a row."""
    if input.ndim != 1:
        raise RuntimeError(f"Expect a 1D vector, but got shape {list(input.shape)}")
    if r < 0:
        raise RuntimeError(f"Expect a non-negative number, but got {r}")
    if r == 0:
        return input.new_empty(0)
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    found = np.array(list(choose(range(input.shape[0]), r)), np.int64).reshape(-1, r)
    columns = [index_select(input, 0, tensor_of(place(found[:, k].copy()))) for k in range(r)]
    return stack(columns, 1)


publish(cartesian_prod, method=False)
publish(combinations, method=False)


def powers_of(x: Any, n: int) -> Any:
    """The powers of an array from 0 to `n - 1`, along a new last dimension; integers in int64."""
    whole = x.astype(np.int64) if x.dtype.kind in "iub" else x
    factors = jnp.broadcast_to(whole[..., None], (*whole.shape, max(n - 1, 0)))
    ones = jnp.ones((*whole.shape, 1), whole.dtype)
    return jnp.cumprod(jnp.concatenate([ones, factors], -1), -1)[..., :n]


@op("vander.n", "FlipBackward0")
def _vander(x: Array, n: int, increasing: bool) -> Any:
    powers = powers_of(x, n)
    return powers if increasing else jnp.flip(powers, 1)


def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """The Vandermonde matrix of a vector: its powers as columns, the highest first unless `increasing`."""
    if x.ndim != 1:
        raise RuntimeError("x must be a one-dimensional tensor.")
    n = x.shape[0] if N is None else N
    if n < 0:
        raise RuntimeError("N must be non-negative.")
    return _vander(x, n, increasing)


publish(vander, method=False)

# ------------------------------------------------------------------------------------------- indices


def _triangle(name: str, chosen: Callable[..., Any]) -> None:
    def indices(row: int, col: int, offset: int = 0, *, dtype: dtype | None = None) -> np.ndarray:
        for what, each in (("row", row), ("col", col)):
            if each < 0:
                raise RuntimeError(f"{what} must be non-negative, got{each}")
        wanted = dtype or int64
        if wanted.name not in ("int32", "int64"):
            raise NotImplementedError(f"\"{name}\" not implemented for '{wanted.scalar_type}'")
        return np.stack(chosen(row, col, offset)).astype(wanted.numpy_dtype)

    indices.__name__ = indices.__qualname__ = name
    indices.__doc__ = f"The indices of a triangle of a matrix, as `torch.{name}`."
    publish(factory(indices, out=False), method=False)


_triangle("tril_indices", lambda row, col, offset: np.nonzero(np.tri(row, col, offset)))
_triangle("triu_indices", lambda row, col, offset: np.nonzero(1 - np.tri(row, col, offset - 1)))


def _inclusive(
    start: float = 0, end: Any = None, step: float = 1, *, dtype: dtype | None = None
) -> np.ndarray:
    """Numbers from `start` to `end`, both included; `arange` leaves `end` out, and is the better choice."""
    if end is None:
        start, end = 0, start
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if (end - start) * step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    count = math.floor((end - start) / step) + 1
    wanted = (dtype or get_default_dtype()).numpy_dtype
    return (start + step * np.arange(count)).astype(wanted)


_inclusive.__name__ = _inclusive.__qualname__ = "range"
publish(factory(_inclusive), "range", method=False)


def unravel_index(indices: Tensor, shape: Any) -> tuple[Tensor, ...]:
    """The indices of each dimension, of places in a flattened tensor of this shape."""
    if not isinstance(indices, Tensor):
        raise TypeError(f"expected Tensor as the first argument, but got {type(indices).__name__}")
    if indices.dtype.is_floating_point or indices.dtype.is_complex or indices.dtype.name == "bool":
        raise ValueError(
            f"unravel_index(): expected indices to be integer dtype, got torch.{indices.dtype.name}"
        )
    if isinstance(shape, (int, Tensor)):
        shape = (
            (index(shape),) if isinstance(shape, int) or not shape.ndim else tuple(shape.tolist())
        )
    sizes = tuple(map(index, shape))
    found, rest = [], indices.to(int64)
    for n in reversed(sizes):
        found.append(FUNCTIONS["remainder"](rest, n))
        rest = FUNCTIONS["floor_divide"](rest, n)
    return tuple(reversed(found))


publish(unravel_index, method=False)

# ------------------------------------------------------------------------------------------- windows


def _window(
    name: str, values: Callable[..., np.ndarray], parameters: tuple[tuple[str, float], ...] = ()
) -> None:
    """Declare a window function.

    Args:
        name: PyTorch's name.
        values: the window at the places 0, 1, ... of a period of n - 1, given these, n - 1 and the parameters.
        parameters: the names and the defaults of its parameters.
    """

    def window(
        window_length: int,
        periodic: bool = True,
        *args: float,
        dtype: dtype | None = None,
        **more: float,
    ) -> Any:
        given = (
            dict(parameters)
            | dict(zip([each for each, _ in parameters], args, strict=False))
            | more
        )
        if unknown := given.keys() - {each for each, _ in parameters}:
            raise TypeError(f"{name}() got an unexpected keyword argument '{min(unknown)}'")
        wanted = dtype or get_default_dtype()
        if not wanted.is_floating_point:
            raise RuntimeError(
                f"{name} expects floating point dtypes, got: TensorOptions(dtype={C_NAME.get(wanted.name, wanted.name)}, "
                "device=cpu, layout=Strided, requires_grad=false (default), pinned_memory=false (default), "
                "memory_format=(nullopt))"
            )
        if window_length < 0:
            raise RuntimeError(
                f"{name} requires non-negative window_length, got window_length={window_length}"
            )
        if window_length < 2:
            return np.ones(window_length, wanted.numpy_dtype)
        period = window_length if periodic else window_length - 1
        at = np.arange(window_length, dtype=np.float64)
        return values(at, period, **given).astype(wanted.numpy_dtype)

    window.__name__ = window.__qualname__ = name
    window.__doc__ = f"A window of this length, as `torch.{name}`; for periodic use if `periodic`."
    made: Any = factory(window, out=False)
    shown = made.__signature__
    own = [each for each in shown.parameters.values() if each.kind is not each.VAR_POSITIONAL]
    more = [
        inspect.Parameter(each, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default)
        for each, default in parameters
    ]
    made.__signature__ = shown.replace(parameters=[*own[:2], *more, *own[2:]])
    publish(made, method=False)


C_NAME = {"int64": "long", "int32": "int", "bool": "bool"}


def _cosines(at: np.ndarray, period: int, alpha: float, beta: float) -> np.ndarray:
    return alpha - beta * np.cos(2 * np.pi * at / period)


def _blackman(at: np.ndarray, period: int) -> np.ndarray:
    angle = 2 * np.pi * at / period
    return 0.42 - 0.5 * np.cos(angle) + 0.08 * np.cos(2 * angle)


def _kaiser(at: np.ndarray, period: int, beta: float) -> np.ndarray:
    inside = np.clip(1 - (2 * at / period - 1) ** 2, 0, None)
    return np.i0(beta * np.sqrt(inside)) / np.i0(beta)


_window("hann_window", lambda at, period: _cosines(at, period, 0.5, 0.5))
_window("hamming_window", _cosines, (("alpha", 0.54), ("beta", 0.46)))
_window("bartlett_window", lambda at, period: 1 - np.abs(2 * at / period - 1))
_window("blackman_window", _blackman)
_window("kaiser_window", _kaiser, (("beta", 12.0),))
