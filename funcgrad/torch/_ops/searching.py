"""Search in sorted sequences, distinct elements, and repeated ones."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcgrad.torch._levels.refusals import DYNAMIC_SHAPE
from funcgrad.torch._memory.geometry import wrap_dim
from funcgrad.torch._ops.conversions import to
from funcgrad.torch._ops.creation import tensor
from funcgrad.torch._ops.linalg.checks import elements
from funcgrad.torch._ops.out import store
from funcgrad.torch._ops.row import Array, Index, op
from funcgrad.torch._ops.selecting import gather, index_select
from funcgrad.torch._ops.undifferentiable import without_derivative
from funcgrad.torch._ops.views.views import reshape
from funcgrad.torch._tensor.kinds import Ints, refusal
from funcgrad.torch._tensor.operands import NUMBERS
from funcgrad.torch._tensor.registry import publish
from funcgrad.torch._tensor.tensor import Tensor, concrete, place, tensor_of
from funcgrad.torch._types.dtypes import int32, int64, promote_types

# ------------------------------------------------------------------------------------------- sorted sequences


@op("searchsorted.of", "NotImplemented")
def _searched(sorted_sequence: Index, input: Index, right: bool, small: bool) -> Any:
    side = "right" if right else "left"

    def one(row: Any, values: Any) -> Any:
        return jnp.searchsorted(row, values, side=side)

    if not input.size:
        found = jnp.zeros(input.shape)
    elif sorted_sequence.ndim == 1:
        found = one(sorted_sequence, input)
    else:
        rows = sorted_sequence.reshape(-1, sorted_sequence.shape[-1])
        found = jax.vmap(one)(rows, input.reshape(len(rows), -1)).reshape(input.shape)
    return found.astype(np.int32 if small else np.int64)


def searchsorted(
    sorted_sequence: Tensor,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """The places where elements belong in sorted sequences, so that these stay sorted.

    Args:
        sorted_sequence: sorted along the last dimension.
        input: a number, or a tensor; its other dimensions are those of `sorted_sequence`, unless this has one only.
        out_int32: whether the result is int32, not int64.
        right: whether equal elements come before the place.
        side: "left" or "right", in place of `right`.
        sorter: the indices that sort `sorted_sequence`.
        out: the tensor to store in.
    """
    if out is not None:
        return store(
            "searchsorted",
            out,
            (input,),
            lambda: searchsorted(
                sorted_sequence, input, out_int32=out_int32, right=right, side=side, sorter=sorter
            ),
            f"torch.searchsorted(): output tensor's dtype is wrong, it can only be Int(int32) or Long(int64) depending on whether out_int32 flag is True, but we got output tensor's dtype {{Given}} and out_int32 flag is {out_int32}",
        )
    if side not in (None, "left", "right"):
        raise RuntimeError(
            f"torch.searchsorted(): side can only be 'left' or 'right' but got {side}"
        )
    if side == "left" and right:
        raise RuntimeError(
            "torch.searchsorted(): side and right can't be set to opposites, got side of left while right was True"
        )
    if not isinstance(input, Tensor):
        if not isinstance(input, NUMBERS):
            raise refusal("searchsorted", "input", 2, "Tensor", input)
        if sorted_sequence.ndim != 1:
            raise RuntimeError(
                "torch.searchsorted(): input value can be a scalar only when boundaries tensor dimension is 1, but we got boundaries tensor dim("
                f"{sorted_sequence.ndim}) and input value's dim(0) numel(1)"
            )
        boundaries: Any = sorted_sequence
        like = isinstance(input, int) or sorted_sequence.dtype.is_floating_point
        input = boundaries.new_tensor(input) if like else tensor(input)
    _check_sorted(sorted_sequence, input, sorter)
    wanted = promote_types(sorted_sequence.dtype, input.dtype)
    if wanted.is_complex:
        raise NotImplementedError(
            f"\"searchsorted_out_cpu\" not implemented for '{wanted.scalar_type}'"
        )
    ordered, input = to(sorted_sequence.detach(), wanted), to(input.detach(), wanted)
    if sorter is not None:
        ordered = gather(ordered, -1, sorter)
    return _searched(ordered, input, right or side == "right", out_int32)


def _check_sorted(sorted_sequence: Tensor, input: Tensor, sorter: Tensor | None) -> None:
    if not sorted_sequence.ndim:
        raise RuntimeError(
            "torch.searchsorted(): boundaries tensor should have positive dimension, but got 0 dimension"
        )
    if sorter is not None:
        if sorter.shape != sorted_sequence.shape:
            raise RuntimeError(
                f"torch.searchsorted(): boundary and sorter must have the same size, but got boundary tensor {list(sorted_sequence.shape)} and got sorter tensor {list(sorter.shape)}"
            )
        if sorter.dtype is not int64:
            raise RuntimeError(
                f"torch.searchsorted(): sorter must be a tensor of long dtype but got dtype {sorter.dtype.scalar_type}"
            )
        known = elements(sorter)
        if (
            known is not None
            and known.size
            and (known.min() < 0 or known.max() >= sorter.shape[-1])
        ):
            raise RuntimeError("torch.searchsorted(): sorter index out of range")
    shapes = list(sorted_sequence.shape), list(input.shape)
    if not input.ndim and sorted_sequence.ndim != 1:
        raise RuntimeError(
            f"torch.searchsorted(): input value can be a scalar only when boundaries tensor dimension is 1, but we got boundaries tensor dim({sorted_sequence.ndim}) and input value's dim(0) numel(1)"
        )
    if sorted_sequence.ndim != 1 and shapes[0][:-1] != shapes[1][:-1]:
        raise RuntimeError(
            f"torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 dimensions of boundaries tensor and input value tensor must match, but we got boundaries tensor {shapes[0]} and input value tensor {shapes[1]}"
        )


def bucketize(
    input: Any,
    boundaries: Tensor,
    *,
    out_int32: bool = False,
    right: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """The bucket of each element between sorted boundaries."""
    if boundaries.ndim != 1:
        raise RuntimeError(
            f"bucketize(): boundaries tensor must be 1 dimension, but got dim({boundaries.ndim})"
        )
    return searchsorted(boundaries, input, out_int32=out_int32, right=right, out=out)


for _each in (searchsorted, bucketize):
    publish(_each, method=False)

# ------------------------------------------------------------------------------------------- distinct elements


def _results(
    name: str, input: Tensor, found: tuple[np.ndarray, ...], wanted: tuple[bool, bool]
) -> Any:
    """The distinct elements, then inverse and counts if they are wanted."""
    values = without_derivative(name, lambda: tensor_of(place(found[0])), input, planned=True)
    more = [
        tensor_of(place(each.astype(np.int64)))
        for each, asked in zip(found[1:], wanted, strict=True)
        if asked
    ]
    return (values, *more) if more else values


def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The distinct elements in order, or the distinct slices along a dimension.

    Args:
        input: the tensor.
        sorted: accepted; the result is in order in any case.
        return_inverse: whether to return the place of each element among the distinct ones, too.
        return_counts: whether to return how often each occurs, too.
        dim: the dimension; None for the elements.
    """
    if input.dtype.is_complex:
        kind = input.dtype.scalar_type
        raise NotImplementedError(
            f"\"{'unique' if dim is None else 'unique_dim'}\" not implemented for '{kind}'"
        )
    array = np.asarray(concrete(input.detach()._array(), DYNAMIC_SHAPE.format("unique")))
    if dim is None:
        # NumPy does not order NaN among bfloat16.
        ordered = array.astype(np.float32) if array.dtype.kind == "V" else array
        values, inverse, counts = np.unique(
            ordered, return_inverse=True, return_counts=True, equal_nan=False
        )
        values = values.astype(array.dtype)
        return _results(
            "_unique2",
            input,
            (values, inverse.reshape(array.shape), counts),
            (return_inverse, return_counts),
        )
    dim = wrap_dim(dim, input.ndim)
    if (
        not array.shape[dim]
        and not array.size
        and array.ndim > 1
        and any(n == 0 for k, n in enumerate(array.shape) if k != dim)
    ):
        raise RuntimeError(
            "There are 0 sized dimensions, and they aren't selected, so unique cannot be applied"
        )
    if not array.size and array.shape[dim]:
        raise RuntimeError(
            "There are 0 sized dimensions, and they aren't selected, so unique cannot be applied"
        )
    if not array.size:
        return _results(
            "unique_dim", input, (array, np.zeros(0), np.zeros(0)), (return_inverse, return_counts)
        )
    values, inverse, counts = np.unique(
        array, axis=dim, return_inverse=True, return_counts=True, equal_nan=False
    )
    return _results(
        "unique_dim", input, (values, inverse.reshape(-1), counts), (return_inverse, return_counts)
    )


def unique_consecutive(
    input: Tensor,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The elements without those that equal the one before, or so the slices along a dimension."""
    array = np.asarray(
        concrete(input.detach()._array(), DYNAMIC_SHAPE.format("unique_consecutive"))
    )
    along = 0 if dim is None else wrap_dim(dim, input.ndim)
    rows = array.reshape(-1) if dim is None else np.moveaxis(array, along, 0)
    flat = rows.reshape(len(rows), -1) if rows.size else np.zeros((len(rows), 0))
    if dim is not None and not array.size and array.shape[along]:
        raise RuntimeError(
            "There are 0 sized dimensions, and they aren't selected, so unique cannot be applied"
        )
    new = np.ones(len(rows), bool)
    if len(rows) > 1:
        new[1:] = (flat[1:] != flat[:-1]).any(1)
    inverse = np.cumsum(new) - 1
    counts = np.diff(np.append(np.flatnonzero(new), len(rows)))
    values = rows[new] if dim is None else np.moveaxis(rows[new], 0, along)
    inverse = inverse.reshape(array.shape) if dim is None else inverse
    return _results(
        "unique_consecutive", input, (values, inverse, counts), (return_inverse, return_counts)
    )


publish(unique)
publish(unique_consecutive)

# ------------------------------------------------------------------------------------------- repeated elements


@op("repeat_interleave.times", "ViewBackward0")
def _repeated(input: Array, repeats: int, dim: int) -> Any:
    return jnp.repeat(input, repeats, dim)


def repeat_interleave(
    input: Tensor,
    repeats: Tensor | Ints | None = None,
    dim: int | None = None,
    *,
    output_size: int | None = None,
) -> Tensor:
    """Each element several times, one after another.

    Args:
        input: the tensor; without `repeats`, the numbers of times that 0, 1, ... are repeated.
        repeats: how often, a number or one for each place along the dimension.
        dim: the dimension; None for the flattened tensor.
        output_size: the result's length along the dimension, if it is known.
    """
    if repeats is None:
        if input.ndim != 1:
            raise RuntimeError("repeat_interleave only accept 1D vector as repeat")
        if input.dtype not in (int32, int64):
            raise RuntimeError("repeats has to be Long or Int tensor")
        return _positions(input, output_size).to(input.dtype)
    if isinstance(repeats, (list, tuple)):
        repeats = tensor(repeats)
    if dim is None:
        input, dim = reshape(input, -1), 0
    if not input.ndim:
        raise IndexError(
            f"Dimension specified as {dim} but tensor has no dimensions"
            if isinstance(repeats, Tensor)
            else "Dimension out of range (expected to be in range of [-1, 0], but got 1)"
        )
    dim = wrap_dim(dim, input.ndim)
    if isinstance(repeats, Tensor):
        if repeats.dtype not in (int32, int64):
            raise RuntimeError("repeats has to be Long or Int tensor")
        if repeats.ndim > 1:
            raise RuntimeError("repeats must be 0-dim or 1-dim tensor")
        if repeats.numel() != 1 and repeats.numel() != input.shape[dim]:
            raise RuntimeError(
                f"repeats must have the same size as input along dim, but got repeats.size(0) = {repeats.numel()} and "
                f"input.size({dim}) = {input.shape[dim]}"
            )
        each = repeats.expand(input.shape[dim])
        return index_select(input, dim, _positions(each, output_size))
    if repeats < 0:
        raise RuntimeError("Repeats must be non-negative")
    return _repeated(input, int(repeats), dim)


def _positions(repeats: Tensor, output_size: int | None) -> Tensor:
    array = np.asarray(concrete(repeats._array(), DYNAMIC_SHAPE.format("repeat_interleave")))
    if (array < 0).any():
        raise RuntimeError("repeats can not be negative")
    if output_size is not None and output_size != array.sum():
        raise RuntimeError("allocated size does not match required size")
    return tensor_of(place(np.repeat(np.arange(len(array)), array)))


publish(repeat_interleave)
