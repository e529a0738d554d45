"""Pooling into as many windows as wanted: the windows' sizes follow from the input's."""

from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from funcgrad.torch._ops.pooling import as_one, as_two, first_largest, lowest, spread
from funcgrad.torch._ops.row import Array, Row, no_kernel, op
from funcgrad.torch._ops.sizes import as_numbers, listed
from funcgrad.torch._tensor.registry import publish
from funcgrad.torch._tensor.tensor import Tensor


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
        x = x / spread(sizes, axis, x.ndim)
    return x


def _adaptive_max(x: Any, size: tuple[int, ...]) -> tuple[Any, Any]:
    at, weight = None, 1
    for axis in reversed(range(x.ndim - len(size), x.ndim)):
        length = x.shape[axis]
        made, found, there = _adaptive(x, axis, size[axis - x.ndim])
        shape = [1] * axis + [*there.shape] + [1] * (x.ndim - axis - 1)
        made = jnp.where(there.reshape(shape), made, lowest(x.dtype))
        here: Any = (found * weight).reshape(shape)
        if at is not None:
            here = here + _adaptive(at, axis, size[axis - x.ndim])[0]
        here = jnp.broadcast_to(here, made.shape)
        step = partial(lax.index_in_dim, axis=axis + 1, keepdims=False)
        steps = range(made.shape[axis + 1])
        x, at = first_largest(
            iter([step(made, k) for k in steps]), iter([step(here, k) for k in steps])
        )
        weight *= length
    return x, at.astype(np.int64)  # type: ignore[union-attr]


def _adaptive_rows(dims: int) -> tuple[Row, Row]:
    refuses = (no_kernel("iub", f"adaptive_avg_pool{dims}d"), no_kernel("c", f"adaptive_avg_pool{dims}d"))  # fmt: skip
    largest = (no_kernel("iub", f"adaptive_max_pool{dims}d"), no_kernel("c", f"adaptive_max_pool{dims}d"))  # fmt: skip

    in_format = any if dims == 2 else None

    @op(
        f"adaptive_avg_pool{dims}d.of_size",
        f"AdaptiveAvgPool{dims}DBackward0",
        accumulates=True,
        refuses=refuses,
        in_format=in_format,
    )
    def mean(input: Array, size: Any) -> Any:
        return _adaptive_mean(input, size)

    @op(
        f"adaptive_max_pool{dims}d.of_size",
        f"AdaptiveMaxPool{dims}DBackward0",
        saves="indices",
        returns=("values", "indices"),
        refuses=largest,
        in_format=in_format,
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
        return input.mean(tuple(range(-dims, 0)), keepdim=True)
    size = (1, *size) if dims == 1 else size
    return as_one(dims, _ADAPTIVE[max(dims, 2)][0](as_two(dims, input), size))


def _adaptive_max_pooled(dims: int, input: Tensor, output_size: Any, return_indices: bool) -> Any:
    size = _output_size(f"adaptive_max_pool{dims}d", input, output_size, dims, "max")
    size = (1, *size) if dims == 1 else size
    found = _ADAPTIVE[max(dims, 2)][1](as_two(dims, input), size)
    values = as_one(dims, found.values)
    return (values, as_one(dims, found.indices)) if return_indices else values


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


publish(adaptive_avg_pool1d, method=False)
publish(adaptive_max_pool1d_with_indices, "adaptive_max_pool1d", method=False)
