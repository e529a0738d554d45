"""Windows along one dimension: their number and places, and their elements as strided slices."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from jax import lax


def count(
    length: int, kernel: int, stride: int, padding: int, dilation: int = 1, ceil: bool = False
) -> int:
    """The number of windows along a dimension.

    Args:
        length: the dimension's length.
        kernel, stride, padding, dilation: the windows'.
        ceil: whether a last window may reach past the padding; it must begin inside.
    """
    room = length + 2 * padding - dilation * (kernel - 1) - 1
    found = -(-room // stride) + 1 if ceil else room // stride + 1
    return found - 1 if ceil and (found - 1) * stride >= length + padding else found


def padding_of(
    length: int, windows: int, kernel: int, stride: int, padding: int, dilation: int = 1
) -> tuple[int, int]:
    """The padding on both sides with which the windows fit exactly; negative on the right where elements are left over."""
    reach = (windows - 1) * stride + dilation * (kernel - 1) + 1
    return padding, reach - length - padding


def places(windows: int, kernel: int, stride: int, padding: int, dilation: int = 1) -> np.ndarray:
    """The places of the windows' elements along the dimension, (kernel, windows); outside it lies the padding."""
    inside = np.arange(kernel)[:, None] * dilation
    return np.arange(windows)[None, :] * stride + inside - padding


def taps(x: Any, axis: int, windows: int, kernel: int, stride: int, dilation: int = 1) -> Iterator[Any]:  # fmt: skip
    """The first element of each window of a padded array, then the second of each, and so on."""
    for k in range(kernel):
        start = k * dilation
        end = start + (windows - 1) * stride + 1
        yield lax.slice_in_dim(x, start, end, stride, axis)


def padded(x: Any, pads: dict[int, tuple[int, int]], value: Any) -> Any:
    """An array padded along some of its dimensions."""
    if not any(map(any, pads.values())):
        return x
    of = [(*pads.get(k, (0, 0)), 0) for k in range(x.ndim)]
    return lax.pad(x, np.asarray(value, x.dtype), of)
