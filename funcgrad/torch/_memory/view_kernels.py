"""The engine's ops behind PyTorch's view ops: the JAX function of each, by the name of its graph node."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import accumulate
from operator import index
from typing import Any

import jax.numpy as jnp
from jax import lax

from funcgrad.engine import Op
from funcgrad.torch._memory import geometry as geometries
from funcgrad.torch._memory.geometry import Geometry
from funcgrad.torch._memory.layouts import layout, reader


def _slice(dim: int, length: int, step: int) -> Callable[[Any, Any], Any]:
    reach = (length - 1) * step + 1 if length else 0

    def function(x: Any, start: Any) -> Any:
        block = lax.dynamic_slice_in_dim(x, start, reach, dim)
        return block if step == 1 else lax.slice_in_dim(block, 0, reach, step, dim)

    return function


def _split(sizes: tuple[int, ...], dim: int) -> Callable[[Any], Any]:
    ends = list(accumulate(sizes))
    return lambda x: tuple(
        [lax.slice_in_dim(x, end - n, end, axis=dim) for n, end in zip(sizes, ends, strict=True)]
    )


def _unfold(dim: int, size: int, step: int) -> Callable[[Any], Any]:
    def function(x: Any) -> Any:
        of = geometries.contiguous(x.shape)
        read = reader(layout(x.shape, geometries.unfold(of, dim, size, step)))
        return read(x, jnp.int32(0))

    return function


def _reshape(size: tuple[int, ...]) -> Callable[[Any], Any]:
    return lambda x: x.reshape(size)


_SHAPED: Callable[..., Any] = _reshape


def _exchange(a: int, b: int) -> Callable[[Any], Any]:
    return lambda x: x.swapaxes(a, b) if x.ndim else x


def _strided(view: Geometry) -> Callable[[Any], Any]:
    return lambda x: reader(layout(x.shape, view))(x, jnp.int32(view.offset))


FUNCTION_OF: dict[str, Callable[..., Any]] = {
    "AsStridedBackward1": _strided,
    "AliasBackward0": lambda: lambda x: x,
    "DiagonalBackward0": lambda offset, dim1, dim2: lambda x: jnp.diagonal(x, offset, dim1, dim2),
    "ExpandBackward0": lambda size: lambda x: jnp.broadcast_to(x, size),
    "PermuteBackward0": lambda dims: lambda x: x.transpose(dims),
    "ReshapeAliasBackward0": _SHAPED,
    "SelectBackward0": lambda dim: lambda x, at: lax.dynamic_index_in_dim(x, at, dim, False),
    "SliceBackward0": _slice,
    "SplitBackward0": _split,
    "SplitWithSizesBackward0": _split,
    "SqueezeBackward0": _SHAPED,
    "SqueezeBackward1": _SHAPED,
    "SqueezeBackward2": _SHAPED,
    "SqueezeBackward3": _SHAPED,
    "SqueezeBackward4": _SHAPED,
    "SqueezeBackward5": _SHAPED,
    "TBackward0": lambda: lambda x: x.transpose(),
    "TBackward1": lambda: lambda x: x.transpose(),
    "TransposeBackward0": _exchange,
    "TransposeBackward1": _exchange,
    "UnbindBackward0": lambda dim: (
        lambda x: tuple([lax.index_in_dim(x, k, dim, False) for k in range(x.shape[dim])])
    ),
    "UnfoldBackward0": _unfold,
    "UnsafeViewBackward0": _SHAPED,
    "UnsqueezeBackward0": _SHAPED,
    "UnsqueezeBackward1": _SHAPED,
    "ViewBackward0": _SHAPED,
}


@lru_cache(maxsize=4096)
def op(label: str, *static: Any) -> Op:
    """The op with this node name and these static arguments."""
    name = label.split("Backward")[0].lower()
    return Op(name, FUNCTION_OF[label](*static), label=label, counted=1, constants_from=1)


def ints(given: Sequence[Any]) -> tuple[int, ...]:
    """Numbers given one by one or as one sequence."""
    if len(given) == 1 and isinstance(given[0], (tuple, list)):
        given = given[0]
    return tuple([index(each) for each in given])
