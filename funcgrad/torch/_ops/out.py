"""Results stored in the caller's tensor: `out=`."""

from collections.abc import Callable, Sequence
from typing import Any

from funcgrad.engine import grad_mode, local
from funcgrad.torch._memory.storages import shared
from funcgrad.torch._ops.conversions import copy_, to
from funcgrad.torch._tensor.in_place import check_no_overlap, check_no_repeats
from funcgrad.torch._tensor.operands import check_castable
from funcgrad.torch._tensor.resizing import resize
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.dtypes import kernel_name
from funcgrad.torch._types.warning import warn

# The rule for an `out` of another dtype: `CASTS` converts the result within its category; any other rule is PyTorch's error.
CASTS = "casts"
EXACT = "Expected out tensor to have dtype {wanted}, but got {given} instead"


def store(
    name: str,
    out: Tensor,
    tensors: Sequence[Any],
    compute: Callable[[], Tensor],
    dtype: str = CASTS,
) -> Tensor:
    """Store a result in `out`, which takes the result's shape.

    Args:
        name: the op's name, for the errors.
        out: the tensor to store in.
        tensors: the op's arguments.
        compute: returns the result.
        dtype: `CASTS`, or the error's text if the result has another dtype.

    Raises:
        RuntimeError: an argument or `out` requires grad, the result's dtype does not fit `out`, or `out` shares some elements with an argument.
    """
    if local.recorder.grad_enabled and any(
        isinstance(each, Tensor) and each.requires_grad for each in (out, *tensors)
    ):
        raise RuntimeError(
            f"{name}(): functions with out=... arguments don't support automatic differentiation, but one of the "
            "arguments requires grad."
        )
    if not isinstance(out, Tensor):
        raise TypeError(f"{name}(): argument 'out' must be Tensor, not {type(out).__name__}")
    with grad_mode(False):
        result = compute()
        if dtype is not CASTS and result.dtype is not out.dtype:
            words = {"wanted": kernel_name(result.dtype), "given": kernel_name(out.dtype)}
            words |= {"Wanted": result.dtype.scalar_type, "Given": out.dtype.scalar_type}
            raise RuntimeError(dtype.format(**words))
        check_castable(result.dtype, out.dtype)
        if out._storage.is_part:
            check_no_repeats(out._storage)
        for each in tensors:
            if isinstance(each, Tensor):
                check_no_overlap(out, each)
        if out.shape == result.shape:
            return copy_(out, result)
        if out.numel():
            warn(
                f"An output with one or more elements was resized since it had shape {list(out.shape)}, which does not "
                f"match the required output shape {list(result.shape)}. This behavior is deprecated, and in a future "
                "PyTorch release outputs will not be resized unless they have zero elements. You can explicitly reuse "
                "an out tensor t by resizing it, inplace, to zero elements with t.resize_(0)."
            )
        if resize(out, tuple(result.shape)):
            return copy_(out, result)
        if out._is_view():
            raise RuntimeError(
                f"{name}(): a view cannot grow to the shape {list(result.shape)} here, since JAX's arrays do not grow"
            )
        out._storage.version += 1
        out._move_to(shared(out._storage, to(result, out.dtype)._storage))
    return out
