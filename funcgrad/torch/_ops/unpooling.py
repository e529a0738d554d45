"""The way back from the largest elements of windows to their places."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcgrad.torch._ops.index_put import first_outside
from funcgrad.torch._ops.pooling import as_one, as_two, sizes_of
from funcgrad.torch._ops.row import Array, Index, Row, named, no_kernel, op
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.dtypes import int64


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def _placed(x: Any, at: Any, length: int) -> Any:
    """The elements of each row at their places; the last one counts where several have one place."""
    rows = np.arange(len(x))[:, None]
    return jnp.zeros((len(x), length), x.dtype).at[rows, at].set(x)


@_placed.defjvp
def _(length: int, primals: Any, tangents: Any) -> Any:
    """As in PyTorch, all elements of one place get its gradient."""
    x, at = primals
    rows = np.arange(len(x))[:, None]
    return _placed(x, at, length), jnp.zeros((len(x), length), x.dtype).at[rows, at].add(
        tangents[0]
    )


def _unpool_row(dims: int) -> Row:
    @op(
        f"max_unpool{dims}d.of_size",
        f"MaxUnpool{dims}DBackward0",
        saves="indices",
        refuses=(no_kernel("biuc", f"max_unpool{dims}d"),),
    )
    def unpool(input: Array, indices: Index, size: Any) -> Any:
        outer = input.shape[: input.ndim - dims]
        at = indices.reshape(math.prod(outer), -1)
        placed = _placed(input.reshape(at.shape), at, math.prod(size))
        return placed.reshape(*outer, *size)

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
    kernel = sizes_of(name, "kernel_size", 3, kernel_size, dims)
    step = sizes_of(name, "stride", 4, kernel_size if stride is None else stride, dims)
    pads = sizes_of(name, "padding", 5, padding, dims)
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
    bad = first_outside(indices, 0, math.prod(size))
    if bad is not None:
        volumes = "x".join(map(str, size if dims > 1 else (*size, 1)))
        raise RuntimeError(
            f"Found an invalid max index: {bad} (output volumes are of size {volumes})"
        )
    if dims == 1:
        made = _UNPOOL[2](as_two(1, input), as_two(1, indices), (1, *size))
        return as_one(1, made)
    return _UNPOOL[dims](input, indices, size)


def _max_unpool(dims: int) -> Callable[..., Tensor]:
    def function(
        input: Tensor,
        indices: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        output_size: Sequence[int] | None = None,
    ) -> Tensor:
        return _unpooled(dims, input, indices, kernel_size, stride, padding, output_size)

    name = f"max_unpool{dims}d"
    doc = f"The elements at the places that `max_pool{dims}d` found, and zeros elsewhere, as `torch.nn.functional.{name}`."
    return named(function, name, doc)


max_unpool1d, max_unpool2d, max_unpool3d = map(_max_unpool, (1, 2, 3))
