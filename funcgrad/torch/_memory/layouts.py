"""Reading and writing the elements of a view in the array that holds its memory, as pure JAX functions.

The array's shape and the view's size and stride are part of a function. The offset is an argument, so that the rows of
a matrix share one program. The geometry decides the way to read: a block of the array, a rectangular pattern in the
flat array, or a gather.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from math import prod
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax

from funcgrad.torch._memory.geometry import Geometry, Sizes, contiguous


class Layout(NamedTuple):
    """A view's place in an array of shape `shape`, without the offset; `way` is the way to read it."""

    shape: Sizes
    size: Sizes
    stride: Sizes
    way: str


def layout_of(shape: Sizes, view: Geometry) -> Layout:
    """The layout of a view in an array."""
    return Layout(shape, view.size, view.stride, _way(shape, view))


@lru_cache(maxsize=4096)
def _way(shape: Sizes, view: Geometry) -> str:
    if 0 in view.size:
        return "empty"
    if view.is_contiguous and prod(view.size) == prod(shape):
        return "whole"
    dims = _dims(shape, view.size, view.stride)
    if dims is not None:
        strides = contiguous(shape).stride
        fits = all(
            view.offset // strides[dim] % shape[dim] + view.size[k] <= shape[dim]
            for k, dim in dims.items()
        )
        if fits:
            return "block"
    if view.is_contiguous:
        return "range"
    inner = 1
    for step, length in sorted(_proper(view.size, view.stride)):
        if step < inner:
            return "scattered"
        inner = (length - 1) * step + inner
    return "nested"


def _proper(size: Sizes, stride: Sizes) -> list[tuple[int, int]]:
    """(stride, length) of each proper dimension: one longer than 1, with a stride other than 0."""
    return [(s, n) for n, s in zip(size, stride, strict=True) if n > 1 and s != 0]


def _dims(shape: Sizes, size: Sizes, stride: Sizes) -> dict[int, int] | None:
    """For each proper dimension of a view, the array's dimension that it runs along; None if one runs along none."""
    along = {
        step: dim
        for dim, (step, length) in enumerate(zip(contiguous(shape).stride, shape, strict=True))
        if length > 1
    }
    found: dict[int, int] = {}
    for k, (n, s) in enumerate(zip(size, stride, strict=True)):
        if n > 1 and s != 0:
            dim = along.pop(s, None)
            if dim is None:
                return None
            found[k] = dim
    return found


def reader(of: Layout) -> Callable[[Any, Any], Any]:
    """The function (array, offset) -> the view's elements."""
    return _READERS[of.way](of)


def numpy_reader(of: Layout, otherwise: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """`reader` for NumPy's arrays in C order; `otherwise` reads the others."""
    size, stride = of.size, of.stride

    def read(array: Any, offset: Any) -> Any:
        if not array.flags.c_contiguous:
            return otherwise(array, offset)
        step = array.itemsize
        places = np.ndarray(
            size, array.dtype, np.asarray(array), int(offset) * step, [s * step for s in stride]
        )
        # As a view it would keep the whole memory alive.
        return places.copy()

    if of.way == "empty":
        return lambda array, offset: np.empty(size, array.dtype)
    return (lambda array, offset: array.reshape(size)) if of.way == "whole" else read


def writer(of: Layout) -> Callable[[Any, Any, Any], Any]:
    """The function (array, offset, new elements of the view) -> the new array.

    If several elements of the view share a place, the last one is written.
    """
    return _WRITERS[of.way](of)


def _once(of: Layout) -> Callable[[Any], Any]:
    """The function that cuts each repeated dimension of the view's new elements to its last place, of length 1."""
    index = tuple(
        [
            slice(n - 1, n) if n > 1 and s == 0 else slice(None)
            for n, s in zip(of.size, of.stride, strict=True)
        ]
    )
    repeats = any(each != slice(None) for each in index)
    return (lambda new: new[index]) if repeats else (lambda new: new)


# An empty view is also read from the array and joined to it, so that the derivative saves the same as for other views.


def _read_empty(of: Layout) -> Any:
    return lambda array, offset: array.ravel()[:0].reshape(of.size)


def _write_empty(of: Layout) -> Any:
    return lambda array, offset, new: jnp.concatenate([array.ravel(), new.ravel()]).reshape(
        array.shape
    )


def _read_whole(of: Layout) -> Any:
    return lambda array, offset: array.reshape(of.size)


def _write_whole(of: Layout) -> Any:
    return lambda array, offset, new: new.reshape(of.shape)


# Offsets are never negative.
_window = partial(lax.dynamic_slice, allow_negative_indices=False)
_with_window = partial(lax.dynamic_update_slice, allow_negative_indices=False)


def _read_range(of: Layout) -> Any:
    count = prod(of.size)

    def read(array: Any, offset: Any) -> Any:
        return _window(array.reshape(-1), (offset,), (count,)).reshape(of.size)

    return read


def _write_range(of: Layout) -> Any:
    def write(array: Any, offset: Any, new: Any) -> Any:
        flat = array.reshape(-1)
        return _with_window(flat, new.reshape(-1), (offset,)).reshape(of.shape)

    return write


def _block(of: Layout) -> tuple[Any, Sizes, Sizes, Sizes]:
    """The block's starts as a function of the offset, its lengths, the order of the array's dimensions in the view, and the
    view's size with 1 for each repeated dimension.
    """
    dims = _dims(of.shape, of.size, of.stride) or {}
    lengths = [1] * len(of.shape)
    for k, dim in dims.items():
        lengths[dim] = of.size[k]
    order = (*dims.values(), *[d for d in range(len(of.shape)) if d not in dims.values()])
    single = tuple([n if k in dims else 1 for k, n in enumerate(of.size)])
    strides = contiguous(of.shape).stride

    def starts(offset: Any) -> list[Any]:
        kind = offset.dtype.type
        found: list[Any] = []
        for step, length in zip(strides, of.shape, strict=True):
            start = kind(0)
            if length > 1:
                start = offset if step == 1 else lax.div(offset, kind(step))
                # The outermost dimension that has several elements is the last to be counted through.
                if any(n > 1 for n in of.shape[: len(found)]):
                    start = lax.rem(start, kind(length))
            found.append(start)
        return found

    return starts, tuple(lengths), order, single


def _read_block(of: Layout) -> Any:
    starts, lengths, order, single = _block(of)

    def read(array: Any, offset: Any) -> Any:
        if lengths != of.shape:
            array = _window(array, starts(offset), lengths)
        return jnp.broadcast_to(array.transpose(order).reshape(single), of.size)

    return read


def _write_block(of: Layout) -> Any:
    starts, lengths, order, _ = _block(of)
    once = _once(of)
    back = tuple([order.index(dim) for dim in range(len(order))])

    def write(array: Any, offset: Any, new: Any) -> Any:
        block = once(new).reshape([lengths[dim] for dim in order]).transpose(back)
        if lengths == of.shape:
            return block
        return _with_window(array, block, starts(offset))

    return write


def _levels(of: Layout) -> tuple[list[tuple[int, int, int]], Sizes, Sizes]:
    """The levels (stride, length, reach of one place) from the outermost in, the view's dimension of each level, and the
    view's size with 1 for each repeated dimension.
    """
    order = sorted(
        [k for k, (n, s) in enumerate(zip(of.size, of.stride, strict=True)) if n > 1 and s != 0],
        key=lambda k: -of.stride[k],
    )
    levels = []
    reach = 1
    for k in reversed(order):
        levels.append((of.stride[k], of.size[k], reach))
        reach += (of.size[k] - 1) * of.stride[k]
    single = tuple([n if k in order else 1 for k, n in enumerate(of.size)])
    return levels[::-1], tuple(order), single


def _reach(levels: list[tuple[int, int, int]]) -> int:
    return levels[0][2] + (levels[0][1] - 1) * levels[0][0]


def _split(block: Any, step: int, length: int) -> Any:
    """Reshape (..., reach) to (..., length, step), padded at the end."""
    missing = length * step - block.shape[-1]
    if missing:
        block = jnp.pad(block, [(0, 0)] * (block.ndim - 1) + [(0, missing)])
    return block.reshape(*block.shape[:-1], length, step)


def _read_nested(of: Layout) -> Any:
    levels, order, single = _levels(of)

    def read(array: Any, offset: Any) -> Any:
        block = _window(array.reshape(-1), (offset,), (_reach(levels),))
        for step, length, reach in levels:
            block = _split(block, step, length)[..., :reach]
        # The block's dimensions go from the largest stride to the smallest; the view may have another order.
        ranks = [order.index(k) for k in sorted(order)]
        ordered = block[..., 0].transpose(ranks)
        return jnp.broadcast_to(ordered.reshape(single), of.size)

    return read


def _write_nested(of: Layout) -> Any:
    levels, order, _ = _levels(of)
    once = _once(of)
    sizes = [of.size[k] for k in sorted(order)]
    back = [sorted(order).index(k) for k in order]

    def write(array: Any, offset: Any, new: Any) -> Any:
        flat = array.reshape(-1)
        block = _window(flat, (offset,), (_reach(levels),))
        around = []
        for step, length, reach in levels:
            split = _split(block, step, length)
            around.append((split, block.shape[-1]))
            block = split[..., :reach]
        made = once(new).reshape(sizes).transpose(back)[..., None]
        for split, count in reversed(around):
            whole = jnp.concatenate([made, split[..., made.shape[-1] :]], -1)
            made = whole.reshape(*whole.shape[:-2], -1)[..., :count]
        return _with_window(flat, made, (offset,)).reshape(of.shape)

    return write


def _places(of: Layout, offset: Any) -> Any:
    """The place of each element of the view in the flat array."""
    places = offset
    for k, (length, step) in enumerate(zip(of.size, of.stride, strict=True)):
        along = jnp.arange(length, dtype=offset.dtype) * step
        places = places + along.reshape(-1, *[1] * (len(of.size) - 1 - k))
    return jnp.broadcast_to(places, of.size)


def _read_scattered(of: Layout) -> Any:
    return lambda array, offset: array.reshape(-1)[_places(of, offset)]


def _write_scattered(of: Layout) -> Any:
    def write(array: Any, offset: Any, new: Any) -> Any:
        places = _places(of, offset).reshape(-1)
        return array.reshape(-1).at[places].set(new.reshape(-1)).reshape(of.shape)

    return write


_READERS: dict[str, Callable[[Layout], Any]] = {
    "empty": _read_empty,
    "whole": _read_whole,
    "range": _read_range,
    "block": _read_block,
    "nested": _read_nested,
    "scattered": _read_scattered,
}
_WRITERS: dict[str, Callable[[Layout], Any]] = {
    "empty": _write_empty,
    "whole": _write_whole,
    "range": _write_range,
    "block": _write_block,
    "nested": _write_nested,
    "scattered": _write_scattered,
}
