"""Matrix products: which one `@` means, by the operands' dimensions, and PyTorch's complaints where they do not fit."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from funcgrad.engine import Aval, Op, record
from funcgrad.engine.trace import record_two
from funcgrad.torch._ops.out import store
from funcgrad.torch._ops.refusals import refusing
from funcgrad.torch._ops.views import reshaped_in_place, views
from funcgrad.torch._tensor.tensor import Tensor, tensor_of
from funcgrad.torch._types.dtypes import C_NAMES, from_numpy_dtype

_squeeze_ = reshaped_in_place.METHODS["squeeze_"]
# PyTorch multiplies float32 in full precision unless told otherwise; accelerators by default do not.
_matmul = partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)


def _name(aval: Aval) -> str:
    return from_numpy_dtype(aval.dtype).scalar_type


def _c_name(aval: Aval) -> str:
    return C_NAMES[from_numpy_dtype(aval.dtype)]


def check_dot(a: Aval, b: Aval) -> None:
    """Check two vectors for `dot`."""
    if len(a.shape) != 1 or len(b.shape) != 1:
        raise RuntimeError(
            f"1D tensors expected, but got {len(a.shape)}D and {len(b.shape)}D tensors"
        )
    if a.dtype != b.dtype:
        raise RuntimeError(
            f"dot : expected both vectors to have same dtype, but found {_name(a)} and {_name(b)}"
        )
    if a.shape != b.shape:
        raise RuntimeError(
            f"inconsistent tensor size, expected tensor [{a.shape[0]}] and src [{b.shape[0]}] to have the same number "
            f"of elements, but got {a.shape[0]} and {b.shape[0]} elements respectively"
        )


def check_mv(a: Aval, b: Aval) -> None:
    """Check a matrix and a vector for `mv`."""
    if len(a.shape) != 2 or len(b.shape) != 1:
        raise RuntimeError(
            f"vector + matrix @ vector expected, got 1, {len(a.shape)}, {len(b.shape)}"
        )
    rows, columns = a.shape
    if columns != b.shape[0]:
        raise RuntimeError(
            f"size mismatch, got input ({rows}), mat ({rows}x{columns}), vec ({b.shape[0]})"
        )
    if a.dtype != b.dtype:
        raise RuntimeError(
            f"addmv input tensors must have the same dtype, but got {_name(b)}, {_name(a)}, and {_name(b)}"
        )


def check_mm(a: Aval, b: Aval) -> None:
    """Check two matrices for `mm`."""
    if len(a.shape) != 2:
        raise RuntimeError("self must be a matrix")
    if len(b.shape) != 2:
        raise RuntimeError("mat2 must be a matrix")
    if a.shape[1] != b.shape[0]:
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({a.shape[0]}x{a.shape[1]} and {b.shape[0]}x{b.shape[1]})"
        )
    _check_same_dtype(a, b)


def check_batched(a: Aval, b: Aval) -> None:
    """Check stacks of matrices for `@`."""
    inner = b.shape[-2] if len(b.shape) > 1 else b.shape[0]
    if a.shape[-1] != inner:
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({'x'.join(map(str, a.shape))} and "
            f"{'x'.join(map(str, b.shape))})"
        )
    _check_same_dtype(a, b)


def _check_same_dtype(a: Aval, b: Aval) -> None:
    if a.dtype != b.dtype:
        raise RuntimeError(
            f"expected m1 and m2 to have the same dtype, but got: {_c_name(a)} != {_c_name(b)}"
        )


def _product_op(
    name: str, label: str, check: Callable[..., None], named_first: tuple[int, ...] = ()
) -> Op:
    return Op(name, _matmul, label=label, check=refusing(label, check), named_first=named_first)


DOT = _product_op("dot", "DotBackward0", check_dot, (0,))
MV = _product_op("mv", "MvBackward0", check_mv, (0,))
MM = _product_op("mm", "MmBackward0", check_mm)
BATCHED = _product_op("matmul", "UnsafeViewBackward0", check_batched)

_BY_DIMENSIONS = {(1, 1): DOT, (2, 1): MV, (2, 2): MM}


def matmul(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The matrix product `input @ other`.

    Args:
        input, other: one dimension or more; vectors are rows on the left and columns on the right,
            and further dimensions are batches, which broadcast.

    Raises:
        TypeError: an operand is no tensor.
        RuntimeError: the sizes or dtypes do not fit, or an operand is 0-d.
    """
    if out is not None:
        return store("matmul", out, (input, other), lambda: matmul(input, other))
    result = _operator(input, other)
    if result is NotImplemented:
        raise TypeError(
            f"matmul(): argument 'other' (position 2) must be Tensor, not {type(other).__name__}"
        )
    return result


def _operator(self: Tensor, other: Any) -> Any:
    if not isinstance(other, Tensor):
        return NotImplemented
    dims = len(self._storage.value.aval.shape), len(other._storage.value.aval.shape)
    if dims == (1, 2):
        # As in PyTorch: a matrix of one row, whose first dimension is taken away again in place.
        return _squeeze_(tensor_of(*record(MM, (views.unsqueeze(self, 0), other))), 0)
    op = _BY_DIMENSIONS.get(dims)
    if op is None:
        if 0 in dims:
            raise RuntimeError(
                "both arguments to matmul need to be at least 1D, but they are "
                f"{dims[0]}D and {dims[1]}D"
            )
        op = BATCHED
    return tensor_of(*record_two(op, self, other))


def _product(op: Op) -> Callable[[Tensor, Tensor], Tensor]:
    def product(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
        if out is not None:
            return store(op.name, out, (input, other), lambda: product(input, other))
        return tensor_of(*record(op, (input, other)))

    product.__name__ = product.__qualname__ = op.name
    product.__doc__ = f"As `torch.{op.name}`."
    return product


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "matmul": matmul,
    **{op.name: _product(op) for op in (DOT, MV, MM)},
}
METHODS = {**FUNCTIONS, "__matmul__": _operator}
