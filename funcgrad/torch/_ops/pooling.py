"""Pooling: the largest element, the mean or the norm of windows of a fixed size.

A window of several dimensions is reduced along one dimension after another. So a kernel of 3 x 3 takes 6 steps, not 9.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from funcgrad.torch._ops.row import Array, Row, no_kernel, op
from funcgrad.torch._ops.sizes import as_numbers, listed
from funcgrad.torch._ops.windows import count, padded, padding_of, places, taps
from funcgrad.torch._tensor.registry import publish
from funcgrad.torch._tensor.tensor import Tensor

# ------------------------------------------------------------------------------------------- arguments

_AXES = ("T", "H", "W")
_COUNTS = {1: "one", 2: "two", 3: "three"}


def sizes_of(name: str, argument: str, position: int, given: Any, dims: int) -> tuple[int, ...]:
    """A number for each of the dimensions.

    Raises:
        RuntimeError: there are too many or too few numbers.
    """
    numbers = as_numbers(name, argument, position, given)
    if len(numbers) not in (1, dims):
        ints = "int" if dims == 1 else "ints"
        what = f"a single int, or a tuple of {_COUNTS[dims]} {ints}"
        omitted = "be omitted, " if argument == "stride" else "be "
        raise RuntimeError(f"{name}: {argument} must either {omitted}{what}")
    return numbers * dims if len(numbers) == 1 else numbers


def _check_shape(name: str, input: Tensor, dims: int) -> None:
    shape = list(input.shape)
    if name == "avg_pool1d" and input.ndim not in (2, 3):
        raise RuntimeError(
            f"Expected 2 to 3 dimensions, but got {input.ndim}-dimensional tensor for argument #1 'self' (while checking "
            "arguments for avg_pool1d)"
        )
    right = input.ndim in (dims + 1, dims + 2)
    if (dims == 3 or name == "max_pool2d") and not (right and 0 not in shape[-dims - 1 :]):
        raise RuntimeError(
            f"non-empty {dims + 1}D or {dims + 2}D (batch mode) tensor expected for input"
        )
    if not right or 0 in shape[-dims - 1 :]:
        raise RuntimeError(
            f"Expected {dims + 1}D or {dims + 2}D (batch mode) tensor with optional 0 dim batch size for input, but got:"
            f"{shape}"
        )


def _step(kernel_size: Any, stride: Any) -> Any:
    """The stride: the kernel's size where none is given."""
    empty = isinstance(stride, (tuple, list)) and not stride
    return kernel_size if stride is None or empty else stride


def _check_windows(
    kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int]
) -> None:
    for what, numbers, letter in (
        ("kernel size", kernel, "k"),
        ("stride", stride, "d"),
        ("dilation", dilation, "dilation"),
    ):
        if min(numbers) <= 0:
            axes = _AXES[-len(numbers) :]
            each = [f"{letter}{axis}: {n}" for axis, n in zip(axes, numbers, strict=True)]
            raise RuntimeError(
                f"{what} should be greater than zero, but got {(', ' if letter == 'dilation' else ' ').join(each)}"
            )
    for k, p, d in zip(kernel, padding, dilation, strict=True):
        if p < 0:
            raise RuntimeError(f"pad must be non-negative, but got pad: {p}")
        if p > ((k - 1) * d + 1) // 2:
            raise RuntimeError(
                f"pad should be at most half of effective kernel size, but got pad={p}, kernel_size={k} and dilation={d}"
            )


def _counts(input: Tensor, windows: Sequence[tuple[int, ...]], ceil: bool) -> tuple[int, ...]:
    """The number of windows along each dimension.

    Raises:
        RuntimeError: there is none.
    """
    dims = len(windows)
    lengths = input.shape[-dims:]
    found = tuple(
        [
            count(n, of[0], of[1], of[2], of[3] if len(of) > 3 else 1, ceil)
            for n, of in zip(lengths, windows, strict=True)
        ]
    )
    if min(found) < 1:
        channels = input.shape[-dims - 1]
        raise RuntimeError(
            f"Given input size: ({channels}x{listed(lengths, 'x')}). Calculated output size: "
            f"({channels}x{listed(found, 'x')}). Output size is too small"
        )
    return found


# ------------------------------------------------------------------------------------------- the largest of windows


def lowest(dtype: np.dtype) -> Any:
    if jnp.issubdtype(dtype, np.floating):
        return -np.inf
    return np.iinfo(dtype).min


def first_largest(values: Any, found: Any) -> tuple[Any, Any]:
    """The largest of several arrays, element by element, and its place; a later one counts only if it is larger, or NaN.

    Args:
        values: arrays.
        found: their elements' places.
    """
    best, at = next(values), next(found)
    for value, place in zip(values, found, strict=True):
        better = value > best
        if jnp.issubdtype(value.dtype, np.floating):
            better = better | jnp.isnan(value)
        best, at = jnp.where(better, value, best), jnp.where(better, place, at)
    return best, at


def spread(row: np.ndarray, axis: int, ndim: int) -> np.ndarray:
    return row.reshape([-1 if k == axis else 1 for k in range(ndim)])


def _max_pool(x: Any, counts: Any, windows: Any) -> tuple[Any, Any]:
    """The largest element of each window, and its place in the flattened last dimensions."""
    dims = len(counts)
    at: Any = None
    weight = 1
    for axis in reversed(range(x.ndim - dims, x.ndim)):
        kernel, stride, padding, dilation = windows[axis - x.ndim]
        made, length = counts[axis - x.ndim], x.shape[axis]
        pads = {axis: padding_of(length, made, kernel, stride, padding, dilation)}
        step = partial(taps, axis=axis, windows=made, kernel=kernel, stride=stride, dilation=dilation)  # fmt: skip
        rows = places(made, kernel, stride, padding, dilation)
        # The padding has no place. Where all elements are the lowest there are, the first one counts.
        rows[:-1][rows[:-1] < 0] = 0
        rows = np.maximum(rows, 0)
        here = (spread(row * weight, axis, x.ndim) for row in rows)
        if at is not None:
            before = step(padded(at, pads, 0))
            here = (row + each for row, each in zip(here, before, strict=True))
        x, at = first_largest(step(padded(x, pads, lowest(x.dtype))), here)
        at = jnp.broadcast_to(
            at, x.shape
        )  # a window of one element leaves the row of places as it is
        weight *= length
    return x, at.astype(np.int64)


def _max_row(dims: int) -> Row:
    @op(
        f"max_pool{dims}d_with_indices",
        f"MaxPool{dims}DWithIndicesBackward0",
        function=False,
        method=False,
        saves="indices",
        returns=("values", "indices"),
        in_format=any,
        refuses=(
            no_kernel("b", f"max_pool{dims}d"),
            no_kernel("c", f"max_pool{dims}d"),
        ),
    )
    def pool(input: Array, counts: Any, windows: Any) -> Any:
        return _max_pool(input, counts, windows)

    return pool


_MAX = {dims: _max_row(dims) for dims in (2, 3)}


def as_two(dims: int, input: Tensor) -> Tensor:
    """PyTorch pools one dimension as two, of which the first has length 1."""
    return input.unsqueeze(-2) if dims == 1 else input


def as_one(dims: int, made: Any) -> Any:
    return made.squeeze(-2) if dims == 1 else made


def _max_pooling(dims: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """`max_pool` and `max_pool_with_indices` of so many dimensions."""
    name = f"max_pool{dims}d"

    def with_indices(
        input: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> tuple[Tensor, Tensor]:
        stride = _step(kernel_size, stride)
        given = {"kernel_size": kernel_size, "stride": stride, "padding": padding, "dilation": dilation}  # fmt: skip
        numbers = [
            sizes_of(name, argument, k, value, dims)
            for k, (argument, value) in enumerate(given.items(), start=2)
        ]
        _check_windows(*numbers)
        _check_shape(name, input, dims)
        windows = tuple(zip(*numbers, strict=True))
        counts = _counts(input, windows, ceil_mode)
        if dims == 1:
            counts, windows = (1, *counts), ((1, 1, 0, 1), *windows)
        found = _MAX[max(dims, 2)](as_two(dims, input), counts, windows)
        return as_one(dims, found.values), as_one(dims, found.indices)

    def pool(
        input: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Any:
        found = with_indices(input, kernel_size, stride, padding, dilation, ceil_mode)
        if return_indices:
            return found
        # Without a gradient PyTorch has another kernel for one dimension, which gives a contiguous result.
        return found[0] if dims > 1 or found[0].requires_grad else found[0].contiguous()

    for function, full, doc in (
        (pool, name, f"The largest element of each window of {dims} dimensions, as `torch.nn.functional.{name}`."),
        (with_indices, f"{name}_with_indices", "The largest element of each window, and its place in the flattened input."),
    ):  # fmt: skip
        function.__name__ = function.__qualname__ = full
        function.__doc__ = doc
    return pool, with_indices


max_pool1d, max_pool1d_with_indices = _max_pooling(1)
max_pool2d, max_pool2d_with_indices = _max_pooling(2)
max_pool3d, max_pool3d_with_indices = _max_pooling(3)

# ------------------------------------------------------------------------------------------- the mean of windows


def _sum_pool(x: Any, counts: Any, windows: Any) -> Any:
    dims = len(counts)
    pads = {}
    for axis in range(x.ndim - dims, x.ndim):
        kernel, stride, padding = windows[axis - x.ndim]
        pads[axis] = padding_of(x.shape[axis], counts[axis - x.ndim], kernel, stride, padding)
    ones = (1,) * (x.ndim - dims)
    kernel, stride = ((*ones, *[of[k] for of in windows]) for k in (0, 1))
    return lax.reduce_window(
        padded(x, pads, 0), np.zeros((), x.dtype)[()], lax.add, kernel, stride, "VALID"
    )


def _mean_pool(x: Any, counts: Any, windows: Any, include_pad: bool, divisor: int | None) -> Any:
    total = _sum_pool(x, counts, windows)
    if divisor is None:
        sizes: Any = 1
        for axis, (made, (kernel, stride, padding)) in enumerate(zip(counts, windows, strict=True)):
            length = x.shape[axis - len(counts)]
            start = np.arange(made) * stride - padding
            end = np.minimum(start + kernel, length + padding)
            if not include_pad:
                start, end = np.maximum(start, 0), np.minimum(end, length)
            sizes = sizes * spread(end - start, axis, len(counts))
        divisor = sizes
    if jnp.issubdtype(x.dtype, np.integer):
        return lax.div(total, jnp.broadcast_to(jnp.asarray(divisor, x.dtype), total.shape))
    return total / np.asarray(divisor, x.dtype)


def _mean_row(dims: int) -> Row:
    @op(
        f"avg_pool{dims}d.of_sizes",
        f"AvgPool{dims}DBackward0",
        accumulates=True,
        in_format=any if dims == 2 else None,
        refuses=(
            no_kernel("biu", "avg_pool3d_out_frame" if dims == 3 else "avg_pool2d", "int64"),
            no_kernel("c", "avg_pool2d"),
        ),
    )
    def pool(input: Array, counts: Any, windows: Any, include_pad: Any, divisor: Any) -> Any:
        return _mean_pool(input, counts, windows, include_pad, divisor)

    return pool


_MEAN = {dims: _mean_row(dims) for dims in (2, 3)}


def _mean_pooled(
    dims: int,
    input: Tensor,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Tensor:
    name = f"avg_pool{dims}d"
    stride = _step(kernel_size, stride)
    given = {"kernel_size": kernel_size, "stride": stride, "padding": padding}
    kernel, step, pads = (
        sizes_of(name, argument, k, value, dims)
        for k, (argument, value) in enumerate(given.items(), start=2)
    )
    if divisor_override == 0:
        raise RuntimeError("divisor must be not zero")
    _check_windows(kernel, step, pads, (1,) * dims)
    _check_shape(name, input, dims)
    windows = tuple(zip(kernel, step, pads, strict=True))
    counts = _counts(input, windows, ceil_mode)
    if dims == 1:
        counts, windows = (1, *counts), ((1, 1, 0), *windows)
    found = _MEAN[max(dims, 2)](as_two(dims, input), counts, windows, bool(count_include_pad), divisor_override)  # fmt: skip
    return as_one(dims, found)


def avg_pool1d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window of one dimension, as `torch.nn.functional.avg_pool1d`."""
    return _mean_pooled(1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


def avg_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window of two dimensions, as `torch.nn.functional.avg_pool2d`.

    Args:
        input: (batches, channels, height, width), or without the batches.
        kernel_size, stride, padding: one number, or one for each dimension; the stride is the kernel's size if None.
        ceil_mode: whether a last window may reach past the padding.
        count_include_pad: whether the padding counts in the mean.
        divisor_override: a number to divide by, in place of the number of elements.

    Raises:
        RuntimeError: the sizes do not fit.
    """
    return _mean_pooled(2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)  # fmt: skip


def avg_pool3d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window of three dimensions, as `torch.nn.functional.avg_pool3d`."""
    return _mean_pooled(3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)  # fmt: skip


# ------------------------------------------------------------------------------------------- norms of windows


def _lp_pooled(dims: int, input: Tensor, norm_type: float, kernel_size: Any, stride: Any, ceil_mode: bool) -> Tensor:  # fmt: skip
    x: Any = input
    if dims == 1:
        kernel, step = kernel_size, stride
        (many,) = as_numbers("lp_pool1d", "kernel_size", 3, kernel)
        made: Any = avg_pool1d(x.pow(norm_type), kernel, step, 0, ceil_mode)
    else:
        kernel = as_numbers("lp_pool", "kernel_size", 3, kernel_size)
        kernel = kernel * dims if len(kernel) == 1 else kernel
        many = math.prod(kernel)
        pool: Any = avg_pool2d if dims == 2 else avg_pool3d
        step = kernel if stride is None else stride
        made = pool(x.pow(norm_type), kernel, step, 0, ceil_mode)
    return (made.sign() * made.abs().relu()).mul(many).pow(1.0 / norm_type)


def lp_pool1d(
    input: Tensor, norm_type: float, kernel_size: int, stride: Any = None, ceil_mode: bool = False
) -> Tensor:
    """The norm of order `norm_type` of each window, without absolute values, as `torch.nn.functional.lp_pool1d`."""
    return _lp_pooled(1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(
    input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Tensor:
    """The norm of order `norm_type` of each window, without absolute values, as `torch.nn.functional.lp_pool2d`."""
    return _lp_pooled(2, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(
    input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Tensor:
    """The norm of order `norm_type` of each window, without absolute values, as `torch.nn.functional.lp_pool3d`."""
    return _lp_pooled(3, input, norm_type, kernel_size, stride, ceil_mode)


# `torch` has these functions itself; the others are in `torch.nn.functional` alone.
for _function in (
    max_pool1d,
    max_pool2d,
    max_pool3d,
    max_pool1d_with_indices,
    avg_pool1d,
):
    publish(_function, method=False)
