"""Linear algebra: solving, factorizations, eigenvalues, norms. One row an op, on JAX's own `jax.numpy.linalg`.

`funcgrad.torch.linalg` gives these ops PyTorch's names. An error that depends on the elements, such as the one of a singular
matrix, is raised at once, which computes the elements.
"""

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import expm
from jax.scipy.linalg import solve_triangular as triangular

from funcgrad.engine.values import Wrapped, is_tracer
from funcgrad.torch._memory.geometry import wrap_dim
from funcgrad.torch._ops.along_a_dim import norm as vector_norm_of
from funcgrad.torch._ops.conversions import converted
from funcgrad.torch._ops.creation import tensor
from funcgrad.torch._ops.out import EXACT, store
from funcgrad.torch._ops.products import chained
from funcgrad.torch._ops.row import Array, Index, apart, return_type, wrapped_dims
from funcgrad.torch._ops.views import views
from funcgrad.torch._tensor.operands import check_broadcast
from funcgrad.torch._tensor.registry import FUNCTIONS, publish
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.dtypes import as_dtype, int64

_matmul = partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)


class _LinAlgError(RuntimeError):
    """The elements of a matrix do not allow what was asked: it is singular, or not positive definite."""


# ------------------------------------------------------------------------------------------- checks


def _called(name: str) -> str:
    return name.replace("linalg_", "linalg.")


def check_matrix(name: str, input: Tensor, letter: str = "A") -> None:
    """Check for floating-point or complex matrices.

    Raises:
        RuntimeError: there are fewer dimensions than 2, or the elements are integers.
    """
    if input.ndim < 2:
        raise RuntimeError(
            f"{_called(name)}: The input tensor {letter} must have at least 2 dimensions."
        )
    _check_inexact(name, input)


def _check_inexact(name: str, input: Tensor, what: str = "tensor as input") -> None:
    if not (input.dtype.is_floating_point or input.dtype.is_complex):
        raise RuntimeError(
            f"{_called(name)}: Expected a floating point or complex {what}. Got {input.dtype.scalar_type}"
        )


def check_square(name: str, input: Tensor, letter: str = "A") -> None:
    """Check for floating-point or complex square matrices.

    Raises:
        RuntimeError: they are not.
    """
    if input.ndim < 2:
        raise RuntimeError(
            f"{_called(name)}: The input tensor {letter} must have at least 2 dimensions."
        )
    rows, columns = input.shape[-2:]
    if rows != columns:
        raise RuntimeError(
            f"{_called(name)}: {letter} must be batches of square matrices, but they are {rows} by {columns} matrices"
        )
    _check_inexact(name, input)


def _of(check: Callable[..., None], name: str) -> Callable[..., None]:
    return lambda input, *_: check(name, input)


_square = partial(_of, check_square)
_matrix = partial(_of, check_matrix)


def elements(input: Tensor) -> np.ndarray | None:
    """The elements; None inside a transformation, where nobody knows them."""
    array = input._array()
    return None if isinstance(array, Wrapped) or is_tracer(array) else np.asarray(array)


def _first_bad(bad: np.ndarray) -> tuple[str, int] | None:
    """Which of several matrices is the first with an info other than zero, in PyTorch's words, and its info."""
    if not bad.ndim:
        return ("", int(bad)) if bad else None
    found = np.flatnonzero(bad)
    return (f"(Batch element {found[0]}): ", int(bad.reshape(-1)[found[0]])) if len(found) else None


# ------------------------------------------------------------------------------------------- determinants


@apart(
    "linalg_det", "LinalgDetBackward0", saves="A result", prepare=_square("linalg_det"), out=EXACT
)
def det(A: Array) -> Any:
    """The determinants of square matrices."""
    return jnp.linalg.det(A) if A.shape[-1] else jnp.ones(A.shape[:-2], A.dtype)


@apart(
    "linalg_slogdet",
    "LinalgSlogdetBackward0",
    returns=("sign", "logabsdet"),
    prepare=_square("linalg_slogdet"),
    out=EXACT,
)
def slogdet(A: Array) -> Any:
    """The signs of the determinants of square matrices, and the logarithms of their sizes."""
    sign, size = jnp.linalg.slogdet(A)
    return sign, size


@apart("logdet", "WhereBackward0", prepare=_square("logdet"))
def logdet(input: Array) -> Any:
    """The logarithms of determinants; NaN where a determinant is negative."""
    sign, size = jnp.linalg.slogdet(input)
    return jnp.log(sign) + size if jnp.iscomplexobj(input) else jnp.where(sign < 0, jnp.nan, size)


# ------------------------------------------------------------------------------------------- LU, inverses, solving


def _lu(A: Any) -> tuple[Any, Any]:
    """The LU factorization in one matrix and the pivots, which count from one."""
    packed, pivots, _ = jax.lax.linalg.lu(A)
    return packed, (pivots + 1).astype(np.int32)


def _zero_pivot(packed: Any) -> Any:
    """Which diagonal element of U is the first zero; 0 if none is."""
    zero = jnp.diagonal(packed, axis1=-2, axis2=-1) == 0
    first = jnp.argmax(zero, -1) + 1 if zero.shape[-1] else jnp.zeros(zero.shape[:-1], int)
    return jnp.where(zero.any(-1), first, 0).astype(np.int32)


@apart(
    "linalg_inv_ex",
    "LinalgInvExBackward0",
    returns=("inverse", "info"),
    prepare=_square("linalg_inv"),
    out=EXACT,
)
def _inv_ex(A: Array) -> Any:
    return jnp.linalg.inv(A), _zero_pivot(jax.lax.linalg.lu(jax.lax.stop_gradient(A))[0])


def inv_ex(A: Tensor, *, check_errors: bool = False, out: Any = None) -> Any:
    """The inverses of square matrices, and for each the number of its first pivot of zero, or 0."""
    made = _inv_ex(A, out=out)
    if check_errors:
        _check_inverted("linalg.inv_ex", made.info)
    return made


def _check_inverted(name: str, info: Tensor) -> None:
    known = elements(info)
    bad = None if known is None else _first_bad(known)
    if bad:
        raise _LinAlgError(
            f"{name}: {bad[0]}The diagonal element {bad[1]} is zero, the inversion could not be completed because the input "
            "matrix is singular."
        )


def inv(A: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The inverses of square matrices.

    Raises:
        torch.linalg.LinAlgError: a matrix is singular.
        RuntimeError: the matrices are not square.
    """
    if out is not None:
        return store("linalg_inv", out, (A,), lambda: inv(A), EXACT)
    made = _inv_ex(A)
    _check_inverted("linalg.inv", made.info)
    return made.inverse


def inverse(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The inverses of square matrices."""
    return inv(input, out=out)


def _is_vector(A: Tensor, B: Tensor) -> bool:
    """Whether `solve` takes B as vectors and not as matrices."""
    return B.ndim == 1 or (A.ndim - 1 == B.ndim and tuple(B.shape) == tuple(A.shape[:-1]))


def _check_solve(name: str, A: Tensor, B: Tensor, left: bool, vector: bool) -> None:
    check_square(name, A)
    if A.dtype is not B.dtype:
        raise RuntimeError(
            f"{_called(name)}: Expected A and B to have the same dtype, but found A of type {A.dtype.scalar_type} and B of "
            f"type {B.dtype.scalar_type} instead"
        )
    if not vector and B.ndim < 2:
        raise RuntimeError(f"{_called(name)}: The input tensor B must have at least 2 dimensions.")
    shape = (*B.shape, 1) if vector else tuple(B.shape)
    if shape[-2 if left else -1] != A.shape[-1]:
        n = A.shape[-1]
        equation = "AX = B" if left else "XA = B"
        raise RuntimeError(
            f"{_called(name)}: Incompatible shapes of A and B for the equation {equation} ({n}x{n} and {shape[-2]}x{shape[-1]})"
        )
    avals: list[Any] = [_aval(each) for each in ((*A.shape[:-2],), shape[:-2])]
    check_broadcast(*avals)


class _aval:
    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape


def _prepare_solve(A: Tensor, B: Tensor, left: bool, vector: bool) -> None:
    if vector and not left:
        raise RuntimeError(
            "linalg.solve: Vector broadcasting of the left hand side is not supported for left=False. In this case "
            "linalg.solve is equivalent to B / A.squeeze(-1)"
        )
    _check_solve("linalg_solve", A, B, left, vector)


@apart(
    "linalg_solve_ex", "LinalgSolveExBackward0", prepare=_prepare_solve, returns=("result", "info")
)
def _solve_ex(A: Array, B: Array, left: bool, vector: bool) -> Any:
    flip = partial(jnp.swapaxes, axis1=-1, axis2=-2)
    right = B[..., None] if vector else B
    batch = jnp.broadcast_shapes(A.shape[:-2], right.shape[:-2])
    A, right = (jnp.broadcast_to(each, (*batch, *each.shape[-2:])) for each in (A, right))
    made = jnp.linalg.solve(A, right) if left else flip(jnp.linalg.solve(flip(A), flip(right)))
    return (made[..., 0] if vector else made), _zero_pivot(
        jax.lax.linalg.lu(jax.lax.stop_gradient(A))[0]
    )


def solve_ex(
    A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False, out: Any = None
) -> Any:
    """The solutions of `A @ X = B`, and for each matrix the number of its first pivot of zero, or 0."""
    made = _solve_ex(A, B, left, _is_vector(A, B), **({} if out is None else {"out": out}))
    if check_errors:
        _check_solved(made.info)
    return made


def _check_solved(info: Tensor) -> None:
    known = elements(info)
    bad = None if known is None else _first_bad(known)
    if bad:
        raise _LinAlgError(
            f"torch.linalg.solve: {bad[0]}The solver failed because the input matrix is singular."
        )


def solve(A: Tensor, B: Tensor, *, left: bool = True, out: Tensor | None = None) -> Tensor:
    """The solutions X of `A @ X = B`, or of `X @ A = B` if not `left`.

    Args:
        A: square matrices, of shape (..., n, n).
        B: vectors of shape (..., n), or matrices of shape (..., n, k).

    Raises:
        torch.linalg.LinAlgError: a matrix is singular.
        RuntimeError: the sizes or dtypes do not fit.

    >>> import funcgrad.torch as torch
    >>> torch.linalg.solve(torch.tensor([[2.0, 0.0], [0.0, 4.0]]), torch.ones(2))
    tensor([0.5000, 0.2500])
    """
    if out is not None:
        return store("linalg_solve", out, (A, B), lambda: solve(A, B, left=left), EXACT)
    made = _solve_ex(A, B, left, _is_vector(A, B))
    _check_solved(made.info)
    return made.result


def _prepare_triangular(A: Tensor, B: Tensor, upper: bool, left: bool, unitriangular: bool) -> None:
    _check_solve("linalg_solve_triangular", A, B, left, False)


def _triangular(A: Any, B: Any, lower: bool, unit: bool, transpose: int = 0) -> Any:
    batch = jnp.broadcast_shapes(A.shape[:-2], B.shape[:-2])
    A, B = (jnp.broadcast_to(each, (*batch, *each.shape[-2:])) for each in (A, B))
    return triangular(A, B, trans=transpose, lower=lower, unit_diagonal=unit)


@apart(
    "linalg_solve_triangular",
    "LinalgSolveTriangularBackward0",
    saves="self result",
    prepare=_prepare_triangular,
    out=EXACT,
)
def solve_triangular(
    A: Array, B: Array, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Any:
    """The solutions X of `A @ X = B` for triangular matrices, or of `X @ A = B` if not `left`."""
    if left:
        return _triangular(A, B, not upper, unitriangular)
    flip = partial(jnp.swapaxes, axis1=-1, axis2=-2)
    return flip(_triangular(flip(A), flip(B), upper, unitriangular))


def _prepare_lu(A: Tensor, pivot: bool) -> None:
    check_matrix("linalg_lu_factor", A)
    if not pivot:
        raise RuntimeError("linalg.lu_factor: LU without pivoting is not implemented on the CPU")


@apart(
    "linalg_lu_factor_ex",
    "LinalgLuFactorExBackward0",
    prepare=_prepare_lu,
    returns=("LU", "pivots", "info"),
    out=EXACT,
)
def _lu_factor_ex(A: Array, pivot: bool) -> Any:
    return (*_lu(A), _zero_pivot(jax.lax.linalg.lu(jax.lax.stop_gradient(A))[0]))


def lu_factor_ex(
    A: Tensor, *, pivot: bool = True, check_errors: bool = False, out: Any = None
) -> Any:
    """The LU factorizations in one matrix each, their pivots, and the number of the first pivot of zero, or 0."""
    made = _lu_factor_ex(A, pivot, out=out)
    if check_errors:
        _check_factored(made.info)
    return made


def _check_factored(info: Tensor) -> None:
    known = elements(info)
    bad = None if known is None else _first_bad(known)
    if bad:
        raise RuntimeError(
            f"torch.linalg.lu_factor: {bad[0]}U[{bad[1]},{bad[1]}] is zero and using it on lu_solve would result in a "
            "division by zero. If you still want to perform the factorization, consider calling linalg.lu(A, pivot) or "
            "linalg.lu_factor_ex(A, pivot)"
        )


def lu_factor(A: Tensor, *, pivot: bool = True, out: Any = None) -> Any:
    """The LU factorizations in one matrix each, and their pivots."""
    made = _lu_factor_ex(A, pivot)
    _check_factored(made.info)
    return _stored_pair("linalg_lu_factor", _LU_FACTOR, (made.LU, made.pivots), A, out)


def _stored_pair(name: str, kind: Any, made: tuple[Tensor, ...], input: Tensor, out: Any) -> Any:
    """Results as a named tuple, stored in `out` if it is given."""
    if out is None:
        return kind(*made)
    return kind(
        *[
            store(name, each, (input,), partial(_given, of), EXACT)
            for each, of in zip(out, made, strict=True)
        ]
    )


def _given(result: Any) -> Any:
    return result


@apart(
    "linalg_lu",
    "LinalgLuBackward0",
    prepare=lambda A, pivot: _prepare_lu_parts(A, pivot),
    returns=("P", "L", "U"),
    out=EXACT,
)
def lu(A: Array, *, pivot: bool = True) -> Any:
    """The factors of `A = P @ L @ U`: a permutation, a lower and an upper triangular matrix."""
    return _unpacked(*_lu(A))


def _prepare_lu_parts(A: Tensor, pivot: bool) -> None:
    check_matrix("linalg_lu", A)
    if not pivot:
        raise RuntimeError("linalg.lu: LU without pivoting is not implemented on the CPU")


def _permutation(pivots: Any, m: int) -> Any:
    """The permutation that swaps rows one pair after another, as a matrix."""
    order = jax.lax.linalg.lu_pivots_to_permutation(pivots - 1, m)
    return jnp.swapaxes(jax.nn.one_hot(order, m), -1, -2)


def _unpacked(packed: Any, pivots: Any) -> tuple[Any, Any, Any]:
    m, n = packed.shape[-2:]
    k = min(m, n)
    lower = jnp.tril(packed[..., :k], -1) + jnp.eye(m, k, dtype=packed.dtype)
    return _permutation(pivots, m).astype(packed.dtype), lower, jnp.triu(packed[..., :k, :])


@apart("lu_unpack.parts", "LuUnpackBackward0", returns=("P", "L", "U"))
def _lu_unpack(LU_data: Array, LU_pivots: Index) -> Any:
    return _unpacked(LU_data, LU_pivots)


def lu_unpack(
    LU_data: Tensor,
    LU_pivots: Tensor,
    unpack_data: bool = True,
    unpack_pivots: bool = True,
    *,
    out: Any = None,
) -> Any:
    """The factors P, L and U of a factorization in one matrix and pivots."""
    if LU_pivots.dtype.name != "int32":
        raise RuntimeError(
            "torch.lu_unpack: LU_pivots is expected to be a contiguous tensor of torch.int32 dtype.\nNote: this function is "
            "intended to be used with the output produced by torch.linalg.lu_factor"
        )
    made = _lu_unpack(LU_data, LU_pivots)
    nothing = LU_data.new_empty(0)  # type: ignore[attr-defined]
    parts = (
        made.P if unpack_pivots else nothing,
        made.L if unpack_data else nothing,
        made.U if unpack_data else nothing,
    )
    return _stored_pair("lu_unpack", type(made), parts, LU_data, out)


def _check_lu_solve(LU: Tensor, pivots: Tensor, B: Tensor, left: bool, adjoint: bool) -> None:
    _check_solve("linalg_lu_solve", LU, B, left, False)
    if pivots.dtype.name != "int32":
        raise RuntimeError(
            f"linalg.lu_solve: pivots should be a Tensor of scalar type torch.int32. Got {pivots.dtype.scalar_type}"
        )


@apart("linalg_lu_solve", "LinalgLuSolveBackward0", prepare=_check_lu_solve, out=EXACT)
def lu_solve(
    LU: Array, pivots: Index, B: Array, *, left: bool = True, adjoint: bool = False
) -> Any:
    """The solutions X of `A @ X = B`, given the LU factorization of A; of `X @ A = B` if not `left`."""
    flip = partial(jnp.swapaxes, axis1=-1, axis2=-2)
    P, L, U = _unpacked(LU, pivots)
    batch = jnp.broadcast_shapes(LU.shape[:-2], B.shape[:-2])
    B = jnp.broadcast_to(B, (*batch, *B.shape[-2:]))
    right = B if left else flip(B)
    if adjoint == left:  # the transposed matrix, conjugated if it is the adjoint
        if adjoint:
            L, U = jnp.conj(L), jnp.conj(U)
        made = _triangular(L, _triangular(U, right, False, False, 1), True, True, 1)
        made = _matmul(P, made)
    else:
        if adjoint:
            L, U = jnp.conj(L), jnp.conj(U)
        made = _triangular(U, _triangular(L, _matmul(flip(P), right), True, True), False, False)
    return made if left else flip(made)


# ------------------------------------------------------------------------------------------- Cholesky


@apart(
    "linalg_cholesky_ex", "LinalgCholeskyExBackward0", saves="L", prepare=_square("linalg_cholesky")
)
def _cholesky(A: Array, upper: bool) -> Any:
    # Only one triangle of A is read, and its gradient is symmetric, as in PyTorch.
    flip = partial(jnp.swapaxes, axis1=-1, axis2=-2)
    whole = _whole((A + jnp.conj(flip(A))) / 2, A, "U" if upper else "L")
    made = jnp.linalg.cholesky(whole, symmetrize_input=False)
    made = jnp.tril(made)
    return jnp.conj(flip(made)) if upper else made


def _minor(A: np.ndarray, upper: bool) -> int:
    """The order of the first leading minor that is not positive; 0 if all are."""
    lower = A.conj().T if upper else A
    full = np.tril(lower) + np.tril(lower, -1).conj().T
    for k in range(1, len(full) + 1):
        try:
            np.linalg.cholesky(full[:k, :k])
        except np.linalg.LinAlgError:
            return k
    return 0


def _factored(A: Tensor, upper: bool) -> tuple[Tensor, np.ndarray]:
    """The Cholesky factors, and the order of the first leading minor that is not positive of each matrix."""
    made = _cholesky(A, upper)
    known = elements(made.detach())
    info = np.zeros(tuple(A.shape[:-2]), np.int32)
    if known is not None and not np.isfinite(known).all():
        matrices: Any = elements(A.detach())
        for place in np.ndindex(*info.shape):
            info[place] = _minor(matrices[place], upper)
    return made, info


def cholesky_ex(
    A: Tensor, *, upper: bool = False, check_errors: bool = False, out: Any = None
) -> Any:
    """The Cholesky factors, and the order of the first leading minor that is not positive, or 0."""
    made, info = _factored(A, upper)
    if check_errors:
        _check_definite("linalg.cholesky_ex", info)
    return _stored_pair("linalg_cholesky_ex", _CHOLESKY_EX, (made, tensor(info)), A, out)


def _check_definite(name: str, info: np.ndarray) -> None:
    bad = _first_bad(info)
    if bad:
        raise _LinAlgError(
            f"{name}: {bad[0]}The factorization could not be completed because the input is not positive-definite (the "
            f"leading minor of order {bad[1]} is not positive-definite)."
        )


def _cholesky_of(name: str, A: Tensor, upper: bool, out: Tensor | None) -> Tensor:
    if out is not None:
        return store(name, out, (A,), lambda: _cholesky_of(name, A, upper, None), EXACT)
    made, info = _factored(A, upper)
    _check_definite(name, info)
    return made


def cholesky(A: Tensor, *, upper: bool = False, out: Tensor | None = None) -> Tensor:
    """The lower triangular matrices L with `L @ L.mH == A`, or the upper ones; only one triangle of `A` is read.

    Raises:
        torch.linalg.LinAlgError: a matrix is not positive definite.
    """
    return _cholesky_of("linalg.cholesky", A, upper, out)


def torch_cholesky(input: Tensor, upper: bool = False, *, out: Tensor | None = None) -> Tensor:
    """The lower triangular matrices L with `L @ L.mH == input`, or the upper ones."""
    return _cholesky_of("cholesky", input, upper, out)


@apart("cholesky_solve", "CholeskySolveBackward0", saves="self input2 result", out=EXACT)
def cholesky_solve(input: Array, input2: Array, upper: bool = False) -> Any:
    """The solutions X of `A @ X = input`, given the Cholesky factor of A."""
    conjugate = 2
    first, second = (conjugate, 0) if upper else (0, conjugate)
    half = _triangular(input2, input, not upper, False, first)
    return _triangular(input2, half, not upper, False, second)


@apart(
    "cholesky_inverse",
    "CholeskyInverseBackward0",
    saves="self result",
    prepare=_square("cholesky_inverse"),
    out=EXACT,
)
def cholesky_inverse(input: Array, upper: bool = False) -> Any:
    """The inverse of A, given its Cholesky factor."""
    eye = jnp.broadcast_to(jnp.eye(input.shape[-1], dtype=input.dtype), input.shape)
    half = _triangular(input, eye, not upper, False, 2 if upper else 0)
    return _triangular(input, half, not upper, False, 0 if upper else 2)


# ------------------------------------------------------------------------------------------- QR


def _check_qr(A: Tensor, mode: str) -> None:
    check_matrix("linalg_qr", A)
    if mode not in ("reduced", "r", "complete"):
        raise RuntimeError(
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), 'r', or 'complete'"
        )


@apart(
    "linalg_qr", "LinalgQrBackward0", saves="Q R", prepare=_check_qr, returns=("Q", "R"), out=EXACT
)
def qr(A: Array, mode: str = "reduced") -> Any:
    """The factors of `A = Q @ R`: Q has orthonormal columns, R is upper triangular.

    Args:
        A: matrices.
        mode: "reduced"; "complete", where Q is square; or "r", which leaves Q empty.
    """
    if mode == "r":
        return jnp.zeros(0, A.dtype), jnp.linalg.qr(A, "r")
    return tuple(jnp.linalg.qr(A, mode))


def _check_householder(name: str, A: Tensor, tau: Tensor) -> None:
    if A.ndim < 2:
        raise RuntimeError(f"{name}: input must have at least 2 dimensions.")
    if A.shape[-2] < A.shape[-1]:
        raise RuntimeError(
            f"{name}: input.shape[-2] must be greater than or equal to input.shape[-1]"
        )
    if A.shape[-1] < tau.shape[-1]:
        raise RuntimeError(
            f"{name}: input.shape[-1] must be greater than or equal to tau.shape[-1]"
        )
    if A.ndim - tau.ndim != 1:
        raise RuntimeError(
            f"{name}: Expected tau to have one dimension less than input, but got tau.ndim equal to {tau.ndim} and "
            f"input.ndim is equal to {A.ndim}"
        )
    if tuple(tau.shape[:-1]) != tuple(A.shape[:-2]):
        raise RuntimeError(
            f"{name}: Expected batch dimensions of tau to be equal to input.shape[:-2], but got {list(tau.shape[:-1])}"
        )
    if A.dtype is not tau.dtype:
        raise RuntimeError(
            f"{name}: tau dtype {tau.dtype.scalar_type} does not match input dtype {A.dtype.scalar_type}"
        )
    _check_inexact(name, A)


def _reflected(A: Any, tau: Any) -> Any:
    """The product of Householder reflections, its first columns."""
    m, n = A.shape[-2:]
    made = jnp.broadcast_to(jnp.eye(m, n, dtype=A.dtype), A.shape)
    for k in reversed(range(tau.shape[-1])):
        v = jnp.where(jnp.arange(m) == k, 1, jnp.where(jnp.arange(m) > k, A[..., :, k], 0))
        made = made - tau[..., k, None, None] * v[..., None] * _matmul(
            jnp.conj(v)[..., None, :], made
        )
    return made


@apart(
    "linalg_householder_product",
    "LinalgHouseholderProductBackward0",
    saves="input tau result",
    prepare=partial(_check_householder, "torch.linalg.householder_product"),
    out=EXACT,
)
def householder_product(input: Array, tau: Array) -> Any:
    """The first columns of a product of Householder reflections, whose vectors are columns of `input`."""
    return _reflected(input, tau)


# ------------------------------------------------------------------------------------------- singular values


def _check_svd(A: Tensor, *_: Any) -> None:
    check_matrix("linalg.svd", A)


@apart(
    "linalg_svd.uv",
    "LinalgSvdBackward0",
    saves="U S Vh",
    prepare=_check_svd,
    returns=("U", "S", "Vh"),
    out=EXACT,
)
def _svd(A: Array, full_matrices: bool = True) -> Any:
    square = A.shape[-1] == A.shape[-2]
    return tuple(jnp.linalg.svd(A, full_matrices=full_matrices and not square))


@apart("linalg_svdvals", "LinalgSvdBackward0", prepare=_of(check_matrix, "linalg.svd"), out=EXACT)
def _svdvals(A: Array) -> Any:
    return jnp.linalg.svd(A, compute_uv=False)


def svd(
    A: Tensor, full_matrices: bool = True, *, driver: str | None = None, out: Any = None
) -> Any:
    """The singular value decomposition `A = U @ diag(S) @ Vh`.

    Args:
        A: matrices.
        full_matrices: whether U and Vh are square.
        driver: for CUDA only.
    """
    if driver is not None:
        raise RuntimeError(
            "torch.linalg.svd: keyword argument `driver=` is only supported on CUDA inputs with cuSOLVER backend."
        )
    made = _svd(A, full_matrices)
    return _stored_pair("linalg_svd", _SVD, tuple(made), A, out)


def svdvals(A: Tensor, *, driver: str | None = None, out: Tensor | None = None) -> Tensor:
    """The singular values of matrices, the largest first."""
    if driver is not None:
        raise RuntimeError(
            "torch.linalg.svd: keyword argument `driver=` is only supported on CUDA inputs with cuSOLVER backend."
        )
    return _svdvals(A, out=out)


def torch_svd(input: Tensor, some: bool = True, compute_uv: bool = True, *, out: Any = None) -> Any:
    """The singular value decomposition `input = U @ diag(S) @ V.mH`; without U and V, these are zeros."""
    if input.ndim < 2:
        raise RuntimeError("linalg.svd: The input tensor A must have at least 2 dimensions.")
    if compute_uv:
        made = _svd(input, not some)
        parts = (made.U, made.S, FUNCTIONS["conj"](views.transpose(made.Vh, -2, -1)))
    else:
        m, n = input.shape[-2:]
        zeros = [input.new_zeros((*input.shape[:-2], k, k)) for k in (m, n)]  # type: ignore[attr-defined]
        parts = (zeros[0], _svdvals(input), zeros[1])
    return _stored_pair("svd", _TORCH_SVD, parts, input, out)


@apart("linalg_pinv.rtol", "LinalgPinvBackward0", prepare=_of(check_matrix, "linalg.pinv"))
def _pinv(A: Array, atol: Array, rtol: Array, hermitian: bool) -> Any:
    if not A.size:
        return jnp.zeros((*A.shape[:-2], A.shape[-1], A.shape[-2]), A.dtype)
    if hermitian:
        A = _whole(A, A, "L")
    still = jax.lax.stop_gradient(A)
    sizes = (
        jnp.abs(jnp.linalg.eigvalsh(still))
        if hermitian
        else jnp.linalg.svd(still, compute_uv=False)
    )
    largest = sizes.max(-1)
    least = jax.lax.stop_gradient(jnp.maximum(atol, rtol * largest))
    return _pseudo_inverse(A, least / jnp.where(largest == 0, 1, largest), hermitian)


def _pseudo_inverse(A: Any, rtol: Any, hermitian: bool) -> Any:
    return jnp.linalg.pinv(A, rtol=rtol, hermitian=hermitian)


def _tolerances(name: str, A: Tensor, atol: Any, rtol: Any) -> tuple[Tensor, Tensor]:
    """The tolerances as tensors: PyTorch's default for `rtol`, if neither is given."""
    parts: Any = A
    real: Any = (parts.real if A.dtype.is_complex else parts).detach()
    if rtol is None:
        given = isinstance(atol, Tensor) or (atol is not None and atol > 0)
        eps = float(np.finfo(real.dtype.numpy_dtype).eps)
        rtol = 0.0 if given else eps * max(A.shape[-2:])
    for what, each in (("atol", atol), ("rtol", rtol)):
        if isinstance(each, Tensor) and each.dtype.is_complex:
            raise RuntimeError(
                f"torch.linalg.{name}: {what} tensor of complex type is not supported. Got {each.dtype.scalar_type}"
            )
    found = [0.0 if each is None else each for each in (atol, rtol)]
    absolute, relative = (
        converted(each.detach(), real.dtype) if isinstance(each, Tensor) else real.new_tensor(each)
        for each in found
    )
    return absolute, relative


def pinv(
    A: Tensor,
    *args: Any,
    atol: Any = None,
    rtol: Any = None,
    rcond: Any = None,
    hermitian: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """The pseudo-inverses of matrices.

    Args:
        A: matrices.
        args: `rcond`, which is `rtol`; then `hermitian`.
        atol, rtol: singular values below `max(atol, rtol * largest)` count as zero.
        hermitian: whether the matrices are Hermitian.
    """
    if args:
        rcond, hermitian = args[0], args[1] if len(args) > 1 else hermitian
    if rcond is not None:
        atol, rtol = 0.0, rcond
    if out is not None:
        return store(
            "linalg_pinv",
            out,
            (A,),
            lambda: pinv(A, atol=atol, rtol=rtol, hermitian=hermitian),
            EXACT,
        )
    check_matrix("linalg.pinv", A)
    if hermitian:
        check_square("linalg.pinv", A)
    return _pinv(A, *_tolerances("pinv", A, atol, rtol), hermitian)


def pinverse(input: Tensor, rcond: float = 1e-15) -> Tensor:
    """The pseudo-inverses of matrices."""
    return pinv(input, atol=0.0, rtol=rcond)


@apart("linalg_matrix_rank.tol", "NotImplemented")
def _matrix_rank(A: Index, atol: Index, rtol: Index, hermitian: bool) -> Any:
    sizes = jnp.abs(jnp.linalg.eigvalsh(A)) if hermitian else jnp.linalg.svd(A, compute_uv=False)
    if not sizes.shape[-1]:
        return jnp.zeros(sizes.shape[:-1], np.int64)
    least = jnp.maximum(atol, rtol * sizes.max(-1))
    return (sizes > least[..., None]).sum(-1).astype(np.int64)


def matrix_rank(
    A: Tensor,
    *args: Any,
    tol: Any = None,
    atol: Any = None,
    rtol: Any = None,
    hermitian: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """The ranks of matrices.

    Args:
        A: matrices.
        args: `tol`, which is `atol`; then `hermitian`.
        atol, rtol: singular values up to `max(atol, rtol * largest)` count as zero.
        hermitian: whether the matrices are Hermitian.
    """
    if args:
        tol, hermitian = args[0], args[1] if len(args) > 1 else hermitian
    if tol is not None:
        atol, rtol = tol, 0.0
    if out is not None:
        return store(
            "linalg_matrix_rank",
            out,
            (A,),
            lambda: matrix_rank(A, atol=atol, rtol=rtol, hermitian=hermitian),
        )
    check_matrix("linalg.matrix_rank", A)
    if hermitian:
        check_square("linalg.matrix_rank", A)
    return _matrix_rank(A.detach(), *_tolerances("matrix_rank", A, atol, rtol), hermitian)


# ------------------------------------------------------------------------------------------- least squares


def _check_lstsq(A: Tensor, B: Tensor, driver: str | None) -> None:
    if A.ndim < 2:
        raise RuntimeError("torch.linalg.lstsq: input must have at least 2 dimensions.")
    if B.ndim < 1:
        raise RuntimeError("torch.linalg.lstsq: other must have at least 1 dimension.")
    if driver not in (None, "gels", "gelsy", "gelsd", "gelss"):
        raise RuntimeError(
            "torch.linalg.lstsq: parameter `driver` should be one of (gels, gelsy, gelsd, gelss)"
        )
    if A.ndim - B.ndim not in (0, 1):
        raise RuntimeError(
            "torch.linalg.lstsq: input.dim() must be greater or equal to other.dim() and (input.dim() - other.dim()) <= 1"
        )
    rows = B.shape[-1] if A.ndim > B.ndim else B.shape[-2]
    if A.shape[-2] != rows:
        where = "-1" if A.ndim > B.ndim else "-2"
        raise RuntimeError(f"torch.linalg.lstsq: input.size(-2) should match other.size({where})")
    if A.dtype is not B.dtype:
        raise RuntimeError(
            "torch.linalg.lstsq: Expected input and other to have the same dtype, but got input's dtype "
            f"{A.dtype.scalar_type} and other's dtype {B.dtype.scalar_type}"
        )
    _check_inexact("torch.linalg.lstsq", A)


@apart(
    "linalg_lstsq.pinv", "LinalgLstsqBackward0", returns=("solution", "residuals", "rank", "sizes")
)
def _lstsq(A: Array, B: Array, rcond: float, vector: bool, residual: bool) -> Any:
    right = B[..., None] if vector else B
    sizes = jnp.linalg.svd(jax.lax.stop_gradient(A), compute_uv=False)
    solution = _matmul(_pseudo_inverse(A, jnp.asarray(rcond, sizes.dtype), False), right)
    rank = (sizes > rcond * sizes[..., :1]).sum(-1).astype(np.int64)
    error = _matmul(A, solution) - right
    squares = (
        jnp.sum(jnp.real(error * jnp.conj(error)), -2) if residual else jnp.zeros(0, sizes.dtype)
    )
    return (solution[..., 0] if vector else solution), squares, rank, sizes


def lstsq(A: Tensor, B: Tensor, rcond: float | None = None, *, driver: str | None = None) -> Any:
    """The solutions of `A @ X = B` with the least squared residuals, and of these the shortest.

    Args:
        A: matrices of shape (..., m, n).
        B: matrices of shape (..., m, k), or vectors of shape (..., m).
        rcond: singular values up to `rcond` times the largest count as zero.
        driver: LAPACK's "gels", "gelsy", "gelsd" or "gelss": it decides which results are not empty.
    """
    _check_lstsq(A, B, driver)
    driver = driver or "gelsy"
    m, n = A.shape[-2:]
    vector = A.ndim - 1 == B.ndim and tuple(A.shape[:-1]) == tuple(B.shape)
    if rcond is None:
        rcond = float(np.finfo(A.dtype.numpy_dtype).eps) * max(m, n)
    residual = m > n and driver != "gelsy"
    made = _lstsq(A, B, float(rcond), vector, residual)
    nothing = A.new_empty(0)  # type: ignore[attr-defined]
    ranks = elements(made.rank)
    residuals = made.residuals if ranks is None or bool((ranks == n).all()) else nothing
    rank = made.rank if driver != "gels" else nothing.to(int64)
    sizes = (
        made.sizes
        if driver in ("gelsd", "gelss")
        else (nothing.real if A.dtype.is_complex else nothing)
    )
    return _LSTSQ(made.solution, residuals, rank, sizes)


# ------------------------------------------------------------------------------------------- eigenvalues


def _check_eigh(name: str, A: Tensor, UPLO: str) -> Any:
    check_square(name, A)
    if not UPLO or UPLO.upper() not in ("L", "U"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {UPLO}")
    return [A, UPLO.upper()]


def _whole(gradient: Any, A: Any, UPLO: str) -> Any:
    """The whole of Hermitian matrices, given one triangle, with the gradient of another expression in all elements."""
    still = jax.lax.stop_gradient
    return _hermitian(still(A), UPLO) + gradient - still(gradient)


def _hermitian(A: Any, UPLO: str) -> Any:
    """The whole of a Hermitian matrix, given one triangle."""
    triangle = jnp.tril(A, -1) if UPLO == "L" else jnp.triu(A, 1)
    diagonal = jnp.real(jnp.diagonal(A, axis1=-2, axis2=-1)).astype(A.dtype)
    eye = jnp.eye(A.shape[-1], dtype=A.dtype)
    return triangle + jnp.conj(jnp.swapaxes(triangle, -1, -2)) + diagonal[..., None] * eye


@apart(
    "linalg_eigh",
    "LinalgEighBackward0",
    saves="eigenvalues eigenvectors",
    prepare=partial(_check_eigh, "linalg.eigh"),
    returns=("eigenvalues", "eigenvectors"),
    out=EXACT,
)
def eigh(A: Array, UPLO: str = "L") -> Any:
    """The eigenvalues of Hermitian matrices, the smallest first, and their eigenvectors as columns.

    Args:
        A: square matrices; only one triangle is read.
        UPLO: "L" for the lower triangle, "U" for the upper one.
    """
    return tuple(jnp.linalg.eigh(_whole(A, A, UPLO), symmetrize_input=False))


@apart(
    "linalg_eigvalsh", "LinalgEighBackward0", prepare=partial(_check_eigh, "linalg.eigh"), out=EXACT
)
def eigvalsh(A: Array, UPLO: str = "L") -> Any:
    """The eigenvalues of Hermitian matrices, the smallest first."""
    return jnp.linalg.eigh(_whole(A, A, UPLO), symmetrize_input=False)[0]


@jax.custom_jvp
def _eig(A: Any) -> Any:
    """Eigenvalues and eigenvectors. JAX leaves out the derivative of the vectors, which is not unique."""
    values, vectors = jnp.linalg.eig(A)
    return values, vectors


@_eig.defjvp
def _(primals: Any, tangents: Any) -> Any:
    """As PyTorch does, vectors keep their length and the phase of their products with themselves."""
    values, vectors = _eig(*primals)
    inner = jnp.linalg.solve(vectors, _matmul(tangents[0].astype(vectors.dtype), vectors))
    same = jnp.eye(values.shape[-1], dtype=bool)
    gaps = jnp.where(same, 1, values[..., None, :] - values[..., :, None])
    turned = _matmul(vectors, jnp.where(same, 0, inner / gaps))
    stretch = jnp.sum(jnp.conj(vectors) * turned, -2, keepdims=True).real
    along = jnp.diagonal(inner, axis1=-2, axis2=-1)
    return (values, vectors), (along, turned - vectors * stretch)


@apart(
    "linalg_eig",
    "LinalgEigBackward0",
    saves="eigenvalues eigenvectors",
    prepare=_of(check_square, "linalg.eig"),
    returns=("eigenvalues", "eigenvectors"),
    out=EXACT,
)
def eig(A: Array) -> Any:
    """The eigenvalues of square matrices and their eigenvectors as columns, complex."""
    return _eig(A)


@apart("linalg_eigvals", "LinalgEigBackward0", prepare=_of(check_square, "linalg.eig"), out=EXACT)
def eigvals(A: Array) -> Any:
    """The eigenvalues of square matrices, complex."""
    return _eig(A)[0]


# ------------------------------------------------------------------------------------------- powers, products


@apart(
    "linalg_matrix_exp",
    "LinalgMatrixExpBackward0",
    saves="self",
    prepare=lambda input: check_square("linalg.matrix_exp", input),
)
def matrix_exp(input: Array) -> Any:
    """The exponentials of square matrices."""
    return expm(input, max_squarings=48) if input.shape[-1] else input


@apart("linalg_matrix_power.of", "MmBackward0")
def _matrix_power(A: Array, n: int) -> Any:
    return jnp.linalg.matrix_power(A, n)


def matrix_power(input: Tensor, n: int, *, out: Tensor | None = None) -> Tensor:
    """The n-th powers of square matrices; of their inverses if `n` is negative."""
    if out is not None:
        return store("linalg_matrix_power", out, (input,), lambda: matrix_power(input, n), EXACT)
    if input.ndim < 2:
        raise RuntimeError(
            "linalg.matrix_power: The input tensor A must have at least 2 dimensions."
        )
    if input.shape[-1] != input.shape[-2]:
        raise RuntimeError(
            f"linalg.matrix_power: A must be batches of square matrices, but they are {input.shape[-2]} by "
            f"{input.shape[-1]} matrices"
        )
    base = inv(input) if n < 0 else input
    return base if abs(n) == 1 and n < 0 else _matrix_power(base, abs(n))


def multi_dot(tensors: Any, *, out: Tensor | None = None) -> Tensor:
    """The product of matrices, multiplied in the order that costs least; the first and the last may be vectors."""
    given = list(tensors)
    if out is not None:
        return store("linalg_multi_dot", out, given, lambda: multi_dot(given), EXACT)
    if len(given) < 2:
        raise RuntimeError(f"multi_dot(): expected at least 2 tensors but got {len(given)}")
    for k, each in enumerate(given):
        ends = k in (0, len(given) - 1)
        if each.ndim != 2 and not (ends and each.ndim == 1):
            which = "first" if k == 0 else "last" if ends else f"{k}"
            raise RuntimeError(
                f"multi_dot(): the {which} tensor must be 1D or 2D but got {each.ndim}D"
                if ends
                else f"multi_dot(): tensor {k} must be 2D but got {each.ndim}D"
            )
        if each.dtype is not given[0].dtype:
            raise RuntimeError(
                f"multi_dot(): all tensors must have be the same dtype but tensor 0 is {given[0].dtype.scalar_type} and tensor "
                f"{k} {each.dtype.scalar_type}"
            )
    row, column = given[0].ndim == 1, given[-1].ndim == 1
    if row:
        given[0] = views.unsqueeze(given[0], 0)
    if column:
        given[-1] = views.unsqueeze(given[-1], -1)
    for k, (a, b) in enumerate(pairwise(given)):
        if a.shape[1] != b.shape[0]:
            raise RuntimeError(
                f"multi_dot(): tensors {k} and {k + 1} with shapes {list(a.shape)} and {list(b.shape)} cannot be multiplied"
            )
    made = chained(given)
    if row:
        made = views.squeeze(made, 0)
    return views.squeeze(made, -1) if column else made


def _check_vecdot(x: Tensor, y: Tensor, dim: int) -> Any:
    for each in (x, y):
        _check_inexact("linalg.vecdot", each)
    return [x, y, dim]


@apart("linalg_vecdot", "SumBackward1", prepare=_check_vecdot, check=check_broadcast, out=EXACT)
def vecdot(x: Array, y: Array, *, dim: int = -1) -> Any:
    """The sums of products along a dimension, `x` conjugated."""
    return jnp.sum(jnp.conj(x) * y, axis=dim)


@apart("linalg_vander.n", "CatBackward0")
def _vander(x: Array, n: int) -> Any:
    whole = x.astype(np.int64) if x.dtype.kind in "iub" else x
    powers = jnp.concatenate(
        [
            jnp.ones((*whole.shape, 1), whole.dtype),
            jnp.broadcast_to(whole[..., None], (*whole.shape, n - 1)),
        ],
        -1,
    )
    return jnp.cumprod(powers, -1)


def vander(x: Tensor, *, N: int | None = None) -> Tensor:
    """The Vandermonde matrices of vectors: powers from 0 to N - 1."""
    if not x.ndim:
        x = views.reshape(x, 1)
    n = x.shape[-1] if N is None else N
    if n <= 1:
        raise RuntimeError("N must be greater than 1.")
    return _vander(x, n)


def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """The diagonals of matrices, as a view."""
    return FUNCTIONS["diagonal"](A, offset, dim1, dim2)


def tensorinv(A: Tensor, ind: int = 2, *, out: Tensor | None = None) -> Tensor:
    """The inverse of `tensordot` with a tensor: the first `ind` dimensions are a matrix's rows, the others its columns."""
    if out is not None:
        return store("linalg_tensorinv", out, (A,), lambda: tensorinv(A, ind), EXACT)
    if ind <= 0:
        raise RuntimeError("Expected a strictly positive integer for 'ind'")
    rows, columns = tuple(A.shape[:ind]), tuple(A.shape[ind:])
    if math.prod(rows) != math.prod(columns):
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[ind:]) == prod(self.shape[:ind]), but got "
            f"{math.prod(columns)} != {math.prod(rows)}"
        )
    n = math.prod(rows)
    return views.reshape(inv(views.reshape(A, n, n)), *columns, *rows)


def tensorsolve(A: Tensor, B: Tensor, dims: Any = None, *, out: Tensor | None = None) -> Tensor:
    """The solution X of `tensordot(A, X) = B`, over all dimensions of X."""
    if out is not None:
        return store("linalg_tensorsolve", out, (A, B), lambda: tensorsolve(A, B, dims), EXACT)
    moved = A
    if dims is not None:
        gone = [wrap_dim(each, A.ndim) for each in dims]
        moved = views.permute(A, [k for k in range(A.ndim) if k not in gone] + gone)
    shape = tuple(moved.shape[B.ndim :])
    rows, columns = math.prod(tuple(moved.shape[: B.ndim])), math.prod(shape)
    if rows != columns:
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == prod(self.shape[:other.ndim]), but "
            f"got {columns} != {rows}"
        )
    made = solve(views.reshape(moved, rows, columns), views.reshape(B, -1))
    return views.reshape(made, *shape)


# ------------------------------------------------------------------------------------------- norms


def vector_norm(
    x: Tensor,
    ord: Any = 2,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    out: Tensor | None = None,
) -> Tensor:
    """The `ord`-norms of vectors: of all elements, or along dimensions."""
    if out is not None:
        return store(
            "linalg_vector_norm",
            out,
            (x,),
            lambda: vector_norm(x, ord, dim, keepdim, dtype=dtype),
            EXACT,
        )
    _check_inexact("linalg.vector_norm", x)
    if dtype is not None:
        _check_dtype("linalg.vector_norm", x, as_dtype(dtype))
    return _real_norm(
        x if dtype is None else converted(x, as_dtype(dtype)), float(ord), dim, keepdim
    )


def _real_norm(x: Tensor, order: float, dim: Any, keepdim: bool) -> Tensor:
    dims = range(x.ndim) if dim is None else wrapped_dims(dim, x.ndim) or range(x.ndim)
    empty = [k for k in dims if x.shape[k] == 0]
    if empty and (order < 0 or order == math.inf):
        if dim is None or len(list(dims)) == x.ndim:
            raise RuntimeError(
                f"linalg.vector_norm cannot compute the {_number(order)} norm on an empty tensor because the operation does not "
                "have an identity"
            )
        raise IndexError(
            f"linalg.vector_norm cannot compute the {_number(order)} norm on the dimension {empty[0]}because this dimension is "
            "empty and the operation does not have an identity"
        )
    return vector_norm_of(x, order, dim, keepdim)


def _number(order: float) -> str:
    return f"{order:g}"


def _check_dtype(name: str, x: Tensor, wanted: Any) -> None:
    if not (wanted.is_floating_point or wanted.is_complex):
        raise RuntimeError(
            f"{name}: dtype should be floating point or complex. Got {wanted.scalar_type}"
        )
    if x.dtype.is_complex != wanted.is_complex:
        kind = "complex" if x.dtype.is_complex else "real"
        raise RuntimeError(
            f"{name}: dtype should be {kind} for {kind} inputs, but got {wanted.scalar_type}"
        )


def matrix_norm(
    A: Tensor,
    ord: Any = "fro",
    dim: Any = (-2, -1),
    keepdim: bool = False,
    *,
    dtype: Any = None,
    out: Tensor | None = None,
) -> Tensor:
    """The norms of matrices: "fro", "nuc", 1, -1, 2, -2, inf or -inf."""
    if out is not None:
        return store(
            "linalg_matrix_norm",
            out,
            (A,),
            lambda: matrix_norm(A, ord, dim, keepdim, dtype=dtype),
            EXACT,
        )
    check_matrix("linalg.matrix_norm", A)
    if len(dim) != 2:
        raise RuntimeError(
            f"linalg.matrix_norm: dim must be a 2-tuple. Got {' '.join(map(str, dim))}"
        )
    first, second = (wrap_dim(each, A.ndim) for each in dim)
    if first == second:
        raise RuntimeError(f"linalg.matrix_norm: dims must be different. Got ({dim[0]}, {dim[1]})")
    supported = ord in ("fro", "nuc") if isinstance(ord, str) else abs(ord) in (1, 2, math.inf)
    if not supported:
        shown = ord if isinstance(ord, str) else _number(ord)
        raise RuntimeError(f"linalg.matrix_norm: Order {shown} not supported.")
    if dtype is not None:
        _check_dtype("linalg.matrix_norm", A, as_dtype(dtype))
        A = converted(A, as_dtype(dtype))
    if ord == "fro":
        return vector_norm_of(A, 2, (first, second), keepdim)
    if ord == "nuc" or abs(ord) == 2:
        sizes = svdvals(
            views.permute(
                A, [k for k in range(A.ndim) if k not in (first, second)] + [first, second]
            )
        )
        made = sizes.sum(-1) if ord == "nuc" else sizes.amax(-1) if ord > 0 else sizes.amin(-1)  # type: ignore[attr-defined]
        if not keepdim:
            return made
        for each in sorted((first, second)):
            made = views.unsqueeze(made, each)
        return made
    along, across = (first, second) if abs(ord) == 1 else (second, first)
    sums = vector_norm_of(A, 1, along, True)
    made = sums.amax(across, True) if ord > 0 else sums.amin(across, True)  # type: ignore[attr-defined]
    return made if keepdim else views.squeeze(made, (first, second))


def norm(
    A: Tensor,
    ord: Any = None,
    dim: Any = None,
    keepdim: bool = False,
    *,
    out: Tensor | None = None,
    dtype: Any = None,
) -> Tensor:
    """The norm of vectors or of matrices, as `ord` and `dim` say; the 2-norm of all elements without them.

    Args:
        A: the tensor.
        ord: the order; `matrix_norm` and `vector_norm` list them.
        dim: one dimension for vectors, two for matrices.
        keepdim: whether the dimensions stay, with length 1.
        out: the tensor to store in.
        dtype: the dtype to compute in.
    """
    if out is not None:
        return store(
            "linalg_norm", out, (A,), lambda: norm(A, ord, dim, keepdim, dtype=dtype), EXACT
        )
    dims = None if dim is None else ((dim,) if not isinstance(dim, (tuple, list)) else tuple(dim))
    if ord is None:
        return vector_norm(A, 2, dims, keepdim, dtype=dtype)
    if dims is None and A.ndim not in (1, 2):
        raise RuntimeError(
            f"linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got {A.ndim}D."
        )
    if dims is not None and len(dims) not in (1, 2):
        raise RuntimeError(
            f"linalg.norm: If dim is specified, it must be of length 1 or 2. Got {list(dims)}"
        )
    if (A.ndim if dims is None else len(dims)) == 2:
        return matrix_norm(A, ord, dims or (0, 1), keepdim, dtype=dtype)
    if isinstance(ord, str):
        raise RuntimeError(
            f"linalg.norm: Order {ord} not supported for vectors"
            if ord not in ("fro", "nuc")
            else "linalg.matrix_norm: The input tensor A must have at least 2 dimensions."
        )
    return vector_norm(A, ord, dims, keepdim, dtype=dtype)


def cond(A: Tensor, p: Any = None, *, out: Tensor | None = None) -> Tensor:
    """The condition numbers of matrices, in a matrix norm."""
    if out is not None:
        return store("linalg_cond", out, (A,), lambda: cond(A, p))
    if A.ndim < 2:
        raise RuntimeError("linalg.cond: The input tensor A must have at least 2 dimensions.")
    if p is None or p in (2, -2):
        sizes: Any = svdvals(A)
        if not A.numel():
            return sizes.new_zeros(tuple(A.shape[:-2]))
        large, small = sizes[..., 0], sizes[..., -1]
        return small / large if p == -2 else large / small
    if isinstance(p, str) and p not in ("fro", "nuc"):
        raise RuntimeError(f"linalg.cond got an invalid norm type: {p}")
    if A.shape[-1] != A.shape[-2]:
        raise RuntimeError(
            f"linalg.cond({p if isinstance(p, str) else _number(p)}): A must be batches of square matrices, but they are {A.shape[-2]} by {A.shape[-1]} matrices"
        )
    made = inv_ex(A)
    size = matrix_norm(A, p) * matrix_norm(made.inverse, p)  # type: ignore[operator]
    return FUNCTIONS["nan_to_num"](size, math.inf, math.inf, -math.inf)


# ------------------------------------------------------------------------------------------- PyTorch's older names


_LU_FACTOR = return_type("linalg_lu_factor", ("LU", "pivots"))
_CHOLESKY_EX = return_type("linalg_cholesky_ex", ("L", "info"))
_SVD = return_type("linalg_svd", ("U", "S", "Vh"))
_TORCH_SVD = return_type("svd", ("U", "S", "V"))
_TORCH_QR = return_type("qr", ("Q", "R"))
_TORCH_SLOGDET = return_type("slogdet", ("sign", "logabsdet"))
_LSTSQ = return_type("linalg_lstsq", ("solution", "residuals", "rank", "singular_values"))
_TRIANGULAR = return_type("triangular_solve", ("solution", "cloned_coefficient"))


def torch_det(input: Tensor) -> Tensor:
    """The determinants of square matrices."""
    return det(input)


def torch_slogdet(input: Tensor, *, out: Any = None) -> Any:
    """The signs of the determinants of square matrices, and the logarithms of their sizes."""
    return _TORCH_SLOGDET(*slogdet(input, out=out))


def torch_qr(input: Tensor, some: bool = True, *, out: Any = None) -> Any:
    """The factors of `input = Q @ R`; Q is square if not `some`."""
    return _TORCH_QR(*qr(input, "reduced" if some else "complete", out=out))


def triangular_solve(
    input: Tensor,
    A: Tensor,
    upper: bool = True,
    transpose: bool = False,
    unitriangular: bool = False,
    *,
    out: Any = None,
) -> Any:
    """The solutions X of `A @ X = input` for triangular matrices, and a copy of A."""
    _check_solve("triangular_solve", A, input, True, False)
    given = A.mT if transpose else A  # type: ignore[attr-defined]
    found = solve_triangular(given, input, upper=upper != transpose, unitriangular=unitriangular)
    return _stored_pair("triangular_solve", _TRIANGULAR, (found, A.clone()), input, out)  # type: ignore[attr-defined]


def torch_lu_solve(
    b: Tensor, LU_data: Tensor, LU_pivots: Tensor, *, out: Tensor | None = None
) -> Tensor:
    """The solutions X of `A @ X = b`, given the LU factorization of A."""
    return lu_solve(LU_data, LU_pivots, b, out=out)


def torch_lu(input: Tensor, pivot: bool = True, get_infos: bool = False, out: Any = None) -> Any:
    """The LU factorizations in one matrix each, their pivots and, if asked for, infos."""
    made = _lu_factor_ex(input, pivot)
    return tuple(made) if get_infos else (made.LU, made.pivots)


def _kept(name: str, function: Any) -> Any:
    function.__name__ = function.__qualname__ = name
    return function


publish(logdet, "logdet")
publish(_kept("det", torch_det))
publish(_kept("slogdet", torch_slogdet))
publish(_kept("svd", torch_svd))
publish(_kept("qr", torch_qr))
publish(_kept("cholesky", torch_cholesky))
publish(_kept("lu_solve", torch_lu_solve))
publish(_kept("lu", torch_lu))
for _each in (inverse, pinverse, triangular_solve, matrix_power):
    publish(_each)
publish(lu_unpack, method=False)
publish(matrix_exp, "matrix_exp")
for _each in (cholesky_inverse, cholesky_solve):
    publish(_each)
publish(householder_product, "orgqr")
