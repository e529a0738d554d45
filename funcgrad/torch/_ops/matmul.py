"""Matrix products. The operands' dimensions decide which product `@` is; PyTorch's errors refuse operands that do not fit."""

import functools
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcgrad.engine import Aval, record
from funcgrad.engine.unrolled import record_two
from funcgrad.teaching import cured
from funcgrad.torch._ops import casting
from funcgrad.torch._ops.out import EXACT, store
from funcgrad.torch._ops.row import Array, no_kernel, op
from funcgrad.torch._ops.views import views
from funcgrad.torch._ops.views.reshaped_in_place import squeeze_
from funcgrad.torch._tensor.operands import check_broadcast, of_array
from funcgrad.torch._tensor.registry import publish
from funcgrad.torch._tensor.tensor import Tensor, tensor_of
from funcgrad.torch._types.dtypes import from_numpy_dtype, kernel_name


def _name(aval: Aval) -> str:
    return from_numpy_dtype(aval.dtype).scalar_type


def _c_name(aval: Aval) -> str:
    return kernel_name(from_numpy_dtype(aval.dtype))


HALF = frozenset({jnp.dtype("float16"), jnp.dtype("bfloat16")})


def rounded_once(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that computes in float32 where its first argument is of half precision, and rounds its result.

    PyTorch's kernels for a product and a sum keep the product in float32, and so are its digits.
    """

    @functools.wraps(function)
    def run(first: Any, *args: Any, **kwargs: Any) -> Any:
        if first.dtype not in HALF:
            return function(first, *args, **kwargs)
        wide = [each.astype("float32") if hasattr(each, "dtype") else each for each in args]
        return function(first.astype("float32"), *wide, **kwargs).astype(first.dtype)

    return run


def check_dot(a: Aval, b: Aval) -> None:
    """Check two vectors for `dot` and `vdot`."""
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
        error = RuntimeError(
            f"size mismatch, got input ({rows}), mat ({rows}x{columns}), vec ({b.shape[0]})"
        )
        raise cured(error, "product of a transpose" if rows == b.shape[0] else "product")
    if a.dtype != b.dtype:
        error = RuntimeError(
            f"addmv input tensors must have the same dtype, but got {_name(b)}, {_name(a)}, and {_name(b)}"
        )
        raise cured(error, "two dtypes")


def check_mm(a: Aval, b: Aval, cure: str = "") -> None:
    """Check two matrices for `mm`; `cure` is the error's cure for shapes that do not fit, found from them if not given."""
    if len(a.shape) != 2:
        raise RuntimeError("self must be a matrix")
    if len(b.shape) != 2:
        raise RuntimeError("mat2 must be a matrix")
    if a.shape[1] != b.shape[0]:
        error = RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({a.shape[0]}x{a.shape[1]} and {b.shape[0]}x{b.shape[1]})"
        )
        raise cured(error, cure or _cure(a, b))
    _check_same_dtype(a, b)


def _cure(a: Aval, b: Aval) -> str:
    """The cure for two matrices that do not fit."""
    if a.shape[1] == b.shape[1]:
        return "product by a transpose"
    return "product of a transpose" if a.shape[0] == b.shape[0] else "product"


def check_batched(a: Aval, b: Aval) -> None:
    """Check operands of `@` of which one is a stack of matrices.

    A stack times a matrix or a vector is one product: PyTorch folds the stack into one matrix.
    """
    rows, inner = math.prod(a.shape[:-1]), a.shape[-1]
    if len(b.shape) == 1:
        if inner != b.shape[0]:
            raise RuntimeError(
                f"size mismatch, got input ({rows}), mat ({rows}x{inner}), vec ({b.shape[0]})"
            )
        _check_same_dtype(a, b)
    elif len(b.shape) == 2:
        check_mm(Aval((rows, inner), a.dtype), b, "" if len(a.shape) == 2 else "product")
    else:
        check_broadcast(Aval(a.shape[:-2], a.dtype), Aval(b.shape[:-2], a.dtype))
        count = math.prod(np.broadcast_shapes(a.shape[:-2], b.shape[:-2]))
        if inner != b.shape[-2]:
            raise RuntimeError(
                f"Expected size for first two dimensions of batch2 tensor to be: [{count}, {inner}] but got: [{count}, "
                f"{b.shape[-2]}]."
            )
        if a.dtype != b.dtype:
            raise RuntimeError(f"expected scalar type {_name(a)} but found {_name(b)}")


def _check_same_dtype(a: Aval, b: Aval) -> None:
    if a.dtype != b.dtype:
        error = RuntimeError(
            f"expected m1 and m2 to have the same dtype, but got: {_c_name(a)} != {_c_name(b)}"
        )
        raise cured(error, "two dtypes")


# PyTorch multiplies float32 in full precision unless told otherwise; accelerators by default do not.
_matmul = partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)


@op(
    "dot",
    "DotBackward0",
    saves="self tensor",
    check=check_dot,
    refuses=(no_kernel("b", "dot"),),
    named_first=(0,),
    out=EXACT,
)
def dot(input: Array, tensor: Array) -> Any:
    """The sum of the products of two vectors' elements."""
    return _matmul(input, tensor)


@op(
    "mv",
    "MvBackward0",
    saves="self vec",
    check=check_mv,
    refuses=(no_kernel("b", "addmv_impl_cpu"),),
    named_first=(0,),
    out=EXACT,
)
def mv(input: Array, vec: Array) -> Any:
    """The product of a matrix and a vector."""
    return _matmul(input, vec)


@op(
    "mm",
    "MmBackward0",
    saves="self mat2",
    check=check_mm,
    refuses=(no_kernel("b", "addmm_impl_cpu_"),),
    out=EXACT,
)
def mm(input: Array, mat2: Array) -> Any:
    """The product of two matrices."""
    return _matmul(input, mat2)


@op("matmul.batched", "UnsafeViewBackward0", check=check_batched, refuses=(no_kernel("b", "bmm"),))
def _batched(input: Array, mat2: Array) -> Any:
    return _matmul(input, mat2)


_MM, _BATCHED = mm.op(), _batched.op()
_BY_DIMENSIONS = {(1, 1): dot.op(), (2, 1): mv.op(), (2, 2): _MM}


def matmul(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The matrix product `input @ other`.

    Args:
        input, other: tensors of one dimension or more. A vector is a row on the left and a column on the right; further
            dimensions are batches, which broadcast.

    Raises:
        TypeError: an operand is not a tensor.
        RuntimeError: the sizes or dtypes do not fit, or an operand is 0-d.
    """
    if out is not None:
        words = EXACT
        if (
            isinstance(input, Tensor)
            and isinstance(other, Tensor)
            and input.ndim == other.ndim == 1
        ):
            words = "result dtype {Given} does not match input dtype {Wanted}"
        return store("matmul", out, (input, other), lambda: matmul(input, other), words)
    result = _operator(input, other)
    if result is NotImplemented:
        raise TypeError(
            f"matmul(): argument 'other' (position 2) must be Tensor, not {type(other).__name__}"
        )
    return result


def _operator(self: Tensor, other: Any) -> Any:
    if not isinstance(other, Tensor):
        other = of_array(other)
        if other is None:
            return NotImplemented
    if casting.now.dtype is not None:
        self, other = casting.cast("matmul", (self, other))
    dims = len(self._storage.aval.shape), len(other._storage.aval.shape)
    if dims == (1, 2):
        # As in PyTorch: the vector becomes a matrix of one row, and the result loses its first dimension in place.
        return squeeze_(tensor_of(*record(_MM, (views.unsqueeze(self, 0), other))), 0)
    found = _BY_DIMENSIONS.get(dims)
    if found is None:
        if 0 in dims:
            raise RuntimeError(
                "both arguments to matmul need to be at least 1D, but they are "
                f"{dims[0]}D and {dims[1]}D"
            )
        found = _BATCHED
    return tensor_of(*record_two(found, self, other))


def _turned(self: Tensor, other: Any) -> Any:
    """`other @ self`."""
    given = other if isinstance(other, Tensor) else of_array(other)
    return NotImplemented if given is None else _operator(given, self)


publish(matmul)
publish(_turned, "__rmatmul__", function=False)
publish(_operator, "__matmul__", function=False)
