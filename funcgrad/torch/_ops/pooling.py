"""Pooling: the largest element or the mean of windows; windows of fixed size, and as many windows as wanted.

A window of several dimensions is reduced along one dimension after another. So a kernel of 3 x 3 takes 6 steps, not 9.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from funcgrad.torch._ops.row import Array, Index, Row, no_kernel, op
from funcgrad.torch._ops.sizes import as_numbers, listed
from funcgrad.torch._ops.windows import count, padded, padding_of, places, taps
from funcgrad.torch._tensor.registry import publish
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.dtypes import int64

# ------------------------------------------------------------------------------------------- arguments

_AXES = ("T", "H", "W")
_COUNTS = {1: "one", 2: "two", 3: "three"}


def _sizes(name: str, argument: str, position: int, given: Any, dims: int) -> tuple[int, ...]:
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


def _lowest(dtype: np.dtype) -> Any:
    if jnp.issubdtype(dtype, np.floating):
        return -np.inf
    return np.iinfo(dtype).min


def _first_largest(values: Any, found: Any) -> tuple[Any, Any]:
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


def _spread(row: np.ndarray, axis: int, ndim: int) -> np.ndarray:
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
        here = (_spread(row * weight, axis, x.ndim) for row in rows)
        if at is not None:
            before = step(padded(at, pads, 0))
            here = (row + each for row, each in zip(here, before, strict=True))
        x, at = _first_largest(step(padded(x, pads, _lowest(x.dtype))), here)
        weight *= length
    return x, jnp.broadcast_to(at, x.shape).astype(np.int64)


def _max_row(dims: int) -> Row:
    @op(
        f"max_pool{dims}d_with_indices",
        f"MaxPool{dims}DWithIndicesBackward0",
        function=False,
        method=False,
        saves="indices",
        returns=("values", "indices"),
        refuses=(
            no_kernel("b", f"max_pool{dims}d"),
            no_kernel("c", f"max_pool{dims}d"),
        ),
    )
    def pool(input: Array, counts: Any, windows: Any) -> Any:
        return _max_pool(input, counts, windows)

    return pool


_MAX = {dims: _max_row(dims) for dims in (2, 3)}


def _through(dims: int, input: Tensor) -> Tensor:
    """PyTorch pools one dimension as two, of which the first has length 1."""
    return input.unsqueeze(-2) if dims == 1 else input  # type: ignore[attr-defined]


def _back(dims: int, made: Any) -> Any:
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
        stride = kernel_size if stride is None or stride in ((), []) else stride
        given = {"kernel_size": kernel_size, "stride": stride, "padding": padding, "dilation": dilation}  # fmt: skip
        numbers = [
            _sizes(name, argument, k, value, dims)
            for k, (argument, value) in enumerate(given.items(), start=2)
        ]
        _check_windows(*numbers)
        _check_shape(name, input, dims)
        windows = tuple(zip(*numbers, strict=True))
        counts = _counts(input, windows, ceil_mode)
        if dims == 1:
            counts, windows = (1, *counts), ((1, 1, 0, 1), *windows)
        found = _MAX[max(dims, 2)](_through(dims, input), counts, windows)
        return _back(dims, found.values), _back(dims, found.indices)

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
        return found if return_indices else found[0]

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
            sizes = sizes * _spread(end - start, axis, len(counts))
        divisor = sizes
    if jnp.issubdtype(x.dtype, np.integer):
        return lax.div(total, jnp.broadcast_to(jnp.asarray(divisor, x.dtype), total.shape))
    return total / np.asarray(divisor, x.dtype)


def _mean_row(dims: int) -> Row:
    @op(
        f"avg_pool{dims}d.of_sizes",
        f"AvgPool{dims}DBackward0",
        accumulates=True,
        refuses=(no_kernel("b", f"avg_pool{dims}d_out_frame" if dims == 3 else "avg_pool2d"), no_kernel("c", "avg_pool2d")),
    )  # fmt: skip
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
    stride = kernel_size if stride is None or stride in ((), []) else stride
    given = {"kernel_size": kernel_size, "stride": stride, "padding": padding}
    kernel, step, pads = (
        _sizes(name, argument, k, value, dims)
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
    found = _MEAN[max(dims, 2)](_through(dims, input), counts, windows, bool(count_include_pad), divisor_override)  # fmt: skip
    return _back(dims, found)


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


# ------------------------------------------------------------------------------------------- as many windows as wanted


def _adaptive_places(length: int, windows: int) -> tuple[np.ndarray, np.ndarray]:
    """The places of the windows' elements, (windows, elements), and which of them there are."""
    start = np.arange(windows) * length // windows
    end = -(-(np.arange(1, windows + 1) * length) // windows)
    inside = start[:, None] + np.arange((end - start).max(initial=0))
    return np.minimum(inside, length - 1), inside < end[:, None]


def _adaptive(x: Any, axis: int, windows: int) -> tuple[Any, np.ndarray, np.ndarray]:
    """The windows' elements: (..., windows, elements, ...), their places, and which of them there are."""
    at, there = _adaptive_places(x.shape[axis], windows)
    if windows and x.shape[axis] % windows == 0:
        made = x.reshape(*x.shape[:axis], *at.shape, *x.shape[axis + 1 :])
    else:
        made = jnp.take(x, at.ravel(), axis).reshape(*x.shape[:axis], *at.shape, *x.shape[axis + 1 :])  # fmt: skip
    return made, at, there


def _adaptive_mean(x: Any, size: tuple[int, ...]) -> Any:
    for axis in range(x.ndim - len(size), x.ndim):
        made, _, there = _adaptive(x, axis, size[axis - x.ndim])
        shape = [1] * axis + [*there.shape] + [1] * (x.ndim - axis - 1)
        x = jnp.where(there.reshape(shape), made, 0).sum(axis + 1)
        sizes = there.sum(1).astype(x.dtype)
        x = x / _spread(sizes, axis, x.ndim)
    return x


def _adaptive_max(x: Any, size: tuple[int, ...]) -> tuple[Any, Any]:
    at, weight = None, 1
    for axis in reversed(range(x.ndim - len(size), x.ndim)):
        length = x.shape[axis]
        made, found, there = _adaptive(x, axis, size[axis - x.ndim])
        shape = [1] * axis + [*there.shape] + [1] * (x.ndim - axis - 1)
        made = jnp.where(there.reshape(shape), made, _lowest(x.dtype))
        here: Any = (found * weight).reshape(shape)
        if at is not None:
            here = here + _adaptive(at, axis, size[axis - x.ndim])[0]
        here = jnp.broadcast_to(here, made.shape)
        step = partial(lax.index_in_dim, axis=axis + 1, keepdims=False)
        steps = range(made.shape[axis + 1])
        x, at = _first_largest(
            iter([step(made, k) for k in steps]), iter([step(here, k) for k in steps])
        )
        weight *= length
    return x, at.astype(np.int64)  # type: ignore[union-attr]


def _adaptive_rows(dims: int) -> tuple[Row, Row]:
    refuses = (no_kernel("iub", f"adaptive_avg_pool{dims}d"), no_kernel("c", f"adaptive_avg_pool{dims}d"))  # fmt: skip
    largest = (no_kernel("iub", f"adaptive_max_pool{dims}d"), no_kernel("c", f"adaptive_max_pool{dims}d"))  # fmt: skip

    @op(f"adaptive_avg_pool{dims}d.of_size", f"AdaptiveAvgPool{dims}DBackward0", accumulates=True, refuses=refuses)  # fmt: skip
    def mean(input: Array, size: Any) -> Any:
        return _adaptive_mean(input, size)

    @op(
        f"adaptive_max_pool{dims}d.of_size",
        f"AdaptiveMaxPool{dims}DBackward0",
        saves="indices",
        returns=("values", "indices"),
        refuses=largest,
    )
    def maximum(input: Array, size: Any) -> Any:
        return _adaptive_max(input, size)

    return mean, maximum


_ADAPTIVE = {dims: _adaptive_rows(dims) for dims in (2, 3)}


def _output_size(name: str, input: Tensor, given: Any, dims: int, part: str) -> tuple[int, ...]:
    """The wanted number of windows along each dimension; None keeps the input's length.

    Raises:
        RuntimeError, ValueError: the input has another number of dimensions, or a number is negative.
    """
    many = list(given) if isinstance(given, (tuple, list)) else [given] * dims
    if dims > 1 and isinstance(given, (tuple, list)) and len(many) >= input.ndim:
        raise ValueError(f"Input dimension should be at least {len(many) + 1}")
    if len(many) != dims:
        if dims == 1:
            words = f"{name}() argument 'output_size' should contain one int (got {len(many)})"
        elif part == "avg":
            words = f"{name}: output_size must be {dims}"
        else:
            words = f"{name}(): internal error: output_size.size() must be {dims}"
        raise RuntimeError(words)
    shape = list(input.shape)
    size = [n if each is None else each for each, n in zip(many, shape[-dims:], strict=True)]
    numbers = as_numbers(name, "output_size", 2, tuple(size))
    if input.ndim not in (dims + 1, dims + 2):
        raise RuntimeError(f"{name}(): Expected {dims + 1}D or {dims + 2}D tensor, but got {shape}")
    for k, n in enumerate(shape[-dims:]):
        if n == 0:
            raise RuntimeError(
                f"{name}(): Expected input to have non-zero size for non-batch dimensions, but input has sizes {shape} "
                f"with dimension {input.ndim - dims + k} being empty"
            )
    if min(numbers) < 0:
        of = (1, *numbers) if dims == 1 else numbers
        if part == "avg":
            raise RuntimeError(
                f"adaptive_avg_pool{len(of)}d: elements of output_size must be greater than or equal to 0 but received "
                f"{{{listed(of[:2])}{',' + str(of[2]) if dims == 3 else ''}}}"
            )
        raise RuntimeError(
            f"Trying to create tensor with negative dimension {min(numbers)}: {[*shape[:-dims], *of]}"
        )
    return numbers


def _adaptive_mean_pooled(dims: int, input: Tensor, output_size: Any) -> Tensor:
    name = f"adaptive_avg_pool{dims}d"
    size = _output_size(name, input, output_size, dims, "avg")
    if dims > 1 and set(size) == {1}:
        # As in PyTorch, one window is a mean.
        return input.mean(tuple(range(-dims, 0)), keepdim=True)  # type: ignore[attr-defined]
    size = (1, *size) if dims == 1 else size
    return _back(dims, _ADAPTIVE[max(dims, 2)][0](_through(dims, input), size))


def _adaptive_max_pooled(dims: int, input: Tensor, output_size: Any, return_indices: bool) -> Any:
    size = _output_size(f"adaptive_max_pool{dims}d", input, output_size, dims, "max")
    size = (1, *size) if dims == 1 else size
    found = _ADAPTIVE[max(dims, 2)][1](_through(dims, input), size)
    values = _back(dims, found.values)
    return (values, _back(dims, found.indices)) if return_indices else values


def adaptive_avg_pool1d(input: Tensor, output_size: Any) -> Tensor:
    """The mean of each of `output_size` windows, as `torch.nn.functional.adaptive_avg_pool1d`."""
    return _adaptive_mean_pooled(1, input, output_size)


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """The mean of each of as many windows as wanted, as `torch.nn.functional.adaptive_avg_pool2d`.

    Args:
        input: (batches, channels, height, width), or without the batches.
        output_size: the number of windows, or one each for height and width; None for the input's length.

    Raises:
        RuntimeError: the input has another number of dimensions.
    """
    return _adaptive_mean_pooled(2, input, output_size)


def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Tensor:
    """The mean of each of as many windows as wanted, as `torch.nn.functional.adaptive_avg_pool3d`."""
    return _adaptive_mean_pooled(3, input, output_size)


def adaptive_max_pool1d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The largest element of each of `output_size` windows, as `torch.nn.functional.adaptive_max_pool1d`."""
    return _adaptive_max_pooled(1, input, output_size, return_indices)


def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The largest element of as many windows as wanted, as `torch.nn.functional.adaptive_max_pool2d`."""
    return _adaptive_max_pooled(2, input, output_size, return_indices)


def adaptive_max_pool3d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The largest element of as many windows as wanted, as `torch.nn.functional.adaptive_max_pool3d`."""
    return _adaptive_max_pooled(3, input, output_size, return_indices)


def adaptive_max_pool1d_with_indices(
    input: Tensor, output_size: Any, return_indices: bool = False
) -> Any:
    """The largest element of each of `output_size` windows, and its place."""
    return _adaptive_max_pooled(1, input, output_size, True)


def adaptive_max_pool2d_with_indices(
    input: Tensor, output_size: Any, return_indices: bool = False
) -> Any:
    """The largest element of each of as many windows as wanted, and its place in the flattened input."""
    return _adaptive_max_pooled(2, input, output_size, True)


def adaptive_max_pool3d_with_indices(
    input: Tensor, output_size: Any, return_indices: bool = False
) -> Any:
    """The largest element of each of as many windows as wanted, and its place in the flattened input."""
    return _adaptive_max_pooled(3, input, output_size, True)


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


# ------------------------------------------------------------------------------------------- back to the places


def _unpool_row(dims: int) -> Row:
    @op(f"max_unpool{dims}d.of_size", f"MaxUnpool{dims}DBackward0", saves="indices")
    def unpool(input: Array, indices: Index, size: Any) -> Any:
        outer = input.shape[: input.ndim - dims]
        flat = jnp.zeros((math.prod(outer), math.prod(size)), input.dtype)
        rows = np.arange(flat.shape[0])[:, None]
        at = indices.reshape(flat.shape[0], -1)
        return flat.at[rows, at].set(input.reshape(at.shape)).reshape(*outer, *size)

    return unpool


_UNPOOL = {dims: _unpool_row(dims) for dims in (2, 3)}


def _unpooled(
    dims: int,
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    output_size: Sequence[int] | None,
) -> Tensor:
    name = f"max_unpool{dims}d"
    kernel = _sizes(name, "kernel_size", 3, kernel_size, dims)
    step = _sizes(name, "stride", 4, kernel_size if stride is None else stride, dims)
    pads = _sizes(name, "padding", 5, padding, dims)
    lengths = input.shape[-dims:]
    size = tuple(
        [(n - 1) * s + k - 2 * p for n, s, k, p in zip(lengths, step, kernel, pads, strict=True)]
    )
    if output_size is not None:
        wanted = tuple(output_size)[-dims:] if len(output_size) == dims + 2 else tuple(output_size)
        if len(wanted) != dims:
            raise ValueError(
                f"output_size should be a sequence containing {dims} or {dims + 2} elements, but it has a length of "
                f"'{len(output_size)}'"
            )
        for k, (n, default, s) in enumerate(zip(wanted, size, step, strict=True)):
            low, high = default - s, default + s
            if not low < n < high:
                raise ValueError(
                    f"invalid output_size '{tuple(output_size)}' (dim {k} must be between {low} and {high})"
                )
        size = wanted
    if indices.dtype is not int64:
        raise RuntimeError(
            f"elements in indices should be type int64 but got: {indices.dtype.scalar_type}"
        )
    if indices.shape != input.shape:
        raise RuntimeError(
            f"Expected shape of indices to be same as that of the input tensor ({list(input.shape)}) but got indices "
            f"tensor with shape: {list(indices.shape)}"
        )
    if dims == 1:
        made = _UNPOOL[2](_through(1, input), _through(1, indices), (1, *size))
        return _back(1, made)
    return _UNPOOL[dims](input, indices, size)


def max_unpool1d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """The elements at the places that `max_pool1d` found, and zeros elsewhere, as `torch.nn.functional.max_unpool1d`."""
    return _unpooled(1, input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """The elements at the places that `max_pool2d` found, and zeros elsewhere, as `torch.nn.functional.max_unpool2d`."""
    return _unpooled(2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """The elements at the places that `max_pool3d` found, and zeros elsewhere, as `torch.nn.functional.max_unpool3d`."""
    return _unpooled(3, input, indices, kernel_size, stride, padding, output_size)


# `torch` has these functions itself; the others are in `torch.nn.functional` alone.
for _function in (
    max_pool1d,
    max_pool2d,
    max_pool3d,
    max_pool1d_with_indices,
    avg_pool1d,
    adaptive_avg_pool1d,
):
    publish(_function, method=False)
publish(adaptive_max_pool1d_with_indices, "adaptive_max_pool1d", method=False)
