"""The largest elements of windows that begin at random places, of which there are as many as wanted.

Source: B. Graham, "Fractional Max-Pooling", https://arxiv.org/abs/1412.6071, with overlapping windows.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np

from funcgrad.torch._ops.creation import FUNCTIONS
from funcgrad.torch._ops.pooling import sizes_of
from funcgrad.torch._ops.row import Array, Index, Row, named, no_kernel, op
from funcgrad.torch._tensor.tensor import Tensor

_SIDES = {2: ("height", "width"), 3: ("time", "height", "width")}


def _starts(sample: Any, length: int, windows: int, kernel: int) -> Any:
    """Where the windows begin: (..., windows), for a sample of each plane. The last window ends where the input ends."""
    last = jnp.full((*sample.shape, 1), length - kernel)
    if windows == 1:
        return last
    step = np.asarray(length - kernel, sample.dtype) / np.asarray(windows - 1, sample.dtype)
    at = (jnp.arange(windows - 1, dtype=sample.dtype) + sample[..., None]) * step
    first = (sample * step).astype(int)[..., None]
    return jnp.concatenate([at.astype(int) - first, last], -1)


def _row(dims: int) -> Row:
    @op(
        f"fractional_max_pool{dims}d.of_size",
        f"FractionalMaxPool{dims}DBackward0",
        saves="indices",
        returns=("values", "indices"),
        refuses=(no_kernel("iubc", f"fractional_max_pool{dims}d"),),
    )
    def largest(input: Array, samples: Index, kernel: Any, size: Any) -> Any:
        lengths = input.shape[-dims:]
        # As in PyTorch, the samples of two dimensions are for the width first.
        order = (1, 0) if dims == 2 else (0, 1, 2)
        at: Any = 0
        for k, (length, windows, width) in enumerate(zip(lengths, size, kernel, strict=True)):
            inside = _starts(samples[..., order[k]], length, windows, width)[..., None] + np.arange(
                width
            )
            shape = [1] * (2 * dims)
            shape[k], shape[dims + k] = windows, width
            at = at * length + inside.reshape(*inside.shape[:-2], *shape)
        at = at.reshape(*at.shape[: -2 * dims], int(np.prod(size)), int(np.prod(kernel)))
        flat = input.reshape(*input.shape[:-dims], 1, int(np.prod(lengths)))
        at = at.reshape(*input.shape[:-dims], *at.shape[-2:])
        values = jnp.take_along_axis(flat, at, -1)
        best = jnp.argmax(values, -1, keepdims=True)
        shape = [*input.shape[:-dims], *size]
        return (
            jnp.take_along_axis(values, best, -1).reshape(shape),
            jnp.take_along_axis(at, best, -1).reshape(shape).astype(np.int64),
        )

    return largest


def _check_samples(samples: Tensor, count: int, channels: int, dims: int) -> None:
    if samples.ndim != 3:
        raise RuntimeError(f"Expect _random_samples to have 3 dimensions, got {samples.ndim}")
    if samples.shape[0] < count:
        raise RuntimeError("Expect _random_samples.size(0) no less then input batch size.")
    if samples.shape[1] != channels:
        raise RuntimeError("Expect _random_samples.size(1) equals to input channel size.")
    if samples.shape[2] != dims:
        raise RuntimeError(
            f"Expect _random_samples.size(2) equals to {dims}; got {samples.shape[2]}."
        )


def _function(dims: int) -> Any:
    name, row = f"fractional_max_pool{dims}d", _row(dims)

    def function(
        input: Tensor,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Any = None,
    ) -> Any:
        if output_size is None and output_ratio is None:
            raise ValueError(f"{name} requires specifying either an output_size or an output_ratio")
        if output_size is None:
            ratios = output_ratio if isinstance(output_ratio, tuple) else (output_ratio,) * dims
            lengths = input.shape[-dims:]
            output_size = tuple([int(n * r) for n, r in zip(lengths, ratios, strict=True)])
        kernel = sizes_of(name, "kernel_size", 2, kernel_size, dims)
        size = sizes_of(name, "output_size", 3, output_size, dims)
        count = 1 if input.ndim == dims + 1 else input.size(0)
        if _random_samples is None:
            _random_samples = FUNCTIONS["rand"](
                count, input.size(-dims - 1), dims, dtype=input.dtype, device=input.device
            )
        _check_samples(_random_samples, count, input.shape[-dims - 1], dims)
        for side, length, windows, width in zip(
            _SIDES[dims], input.shape[-dims:], size, kernel, strict=True
        ):
            if windows + width - 1 > length:
                called = name if dims == 2 else f"{name}_out"
                raise RuntimeError(
                    f"{called}(): pool {side} {width} too large relative to input {side} {length}"
                )
        made = row(input, _random_samples[:count], kernel, size)
        return (made.values, made.indices) if return_indices else made.values

    doc = f"The largest elements of windows at random places, as `torch.nn.functional.{name}`."
    return named(function, name, doc)


fractional_max_pool2d, fractional_max_pool3d = map(_function, (2, 3))
