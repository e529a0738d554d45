"""The LU factorization, and equations solved with it."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcgrad.torch._ops.linalg.checks import (
    check_matrix,
    exact_matmul,
    first_bad,
    kept,
    stored_in,
)
from funcgrad.torch._ops.linalg.solving import by_triangle, check_solve, zero_pivot
from funcgrad.torch._ops.out import EXACT
from funcgrad.torch._ops.row import Array, Index, apart, return_type
from funcgrad.torch._tensor.registry import publish
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.warning import warn

_LU_FACTOR = return_type("linalg_lu_factor", ("LU", "pivots"))


def _lu(A: Any) -> tuple[Any, Any]:
    """The LU factorization in one matrix and the pivots, which count from one."""
    packed, pivots, _ = jax.lax.linalg.lu(A)
    return packed, (pivots + 1).astype(np.int32)


def _prepare_lu(A: Tensor, pivot: bool) -> None:
    check_matrix("linalg_lu_factor", A)
    if not pivot:
        raise RuntimeError("linalg.lu_factor: LU without pivoting is not implemented on the CPU")


@apart(
    "linalg_lu_factor_ex",
    "LinalgLuFactorExBackward0",
    prepare=_prepare_lu,
    saves="LU pivots",
    returns=("LU", "pivots", "info"),
    out=EXACT,
)
def _lu_factor_ex(A: Array, pivot: bool) -> Any:
    return (*_lu(A), zero_pivot(jax.lax.linalg.lu(jax.lax.stop_gradient(A))[0]))


def lu_factor_ex(
    A: Tensor, *, pivot: bool = True, check_errors: bool = False, out: Any = None
) -> Any:
    """The LU factorizations in one matrix each, their pivots, and the number of the first pivot of zero, or 0."""
    made = _lu_factor_ex(A, pivot, out=out)
    if check_errors:
        _check_factored(made.info)
    return made


def _check_factored(info: Tensor) -> None:
    bad = first_bad(info)
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
    return stored_in("linalg_lu_factor", _LU_FACTOR, (made.LU, made.pivots), A, out)


@apart(
    "linalg_lu",
    "LinalgLuBackward0",
    prepare=lambda A, pivot: _prepare_lu_parts(A, pivot),
    saves="P L U",
    returns=("P", "L", "U"),
    constants=("P",),
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


@apart("lu_unpack.parts", "LuUnpackBackward0", returns=("P", "L", "U"), constants=("P",))
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
    pivots = (*LU_data.shape[:-2], min(LU_data.shape[-2:]))
    if unpack_pivots and LU_pivots.shape != pivots:  # PyTorch reads beyond its memory here
        raise RuntimeError(
            f"torch.lu_unpack: LU_pivots must have the shape {list(pivots)}, and has {list(LU_pivots.shape)}"
        )
    made = _lu_unpack(LU_data, LU_pivots)
    nothing = LU_data.new_empty(0)
    parts = (
        made.P if unpack_pivots else nothing,
        made.L if unpack_data else nothing,
        made.U if unpack_data else nothing,
    )
    return stored_in("lu_unpack", type(made), parts, LU_data, out)


def _check_lu_solve(LU: Tensor, pivots: Tensor, B: Tensor, left: bool, adjoint: bool) -> None:
    check_solve("linalg_lu_solve", LU, B, left, False)
    if pivots.dtype.name != "int32":
        raise RuntimeError("linalg.lu_solve: pivots should be a Tensor of scalar type torch.int32")
    if not pivots.ndim or pivots.shape[-1] != LU.shape[-1]:
        raise RuntimeError(
            "linalg.lu_solve: Number of pivots per batch should be same as the dimension of the matrix"
        )
    if pivots.shape != LU.shape[:-1]:
        raise RuntimeError(
            "linalg.lu_solve: Expected LU.shape[:-1] and pivots.shape to be the same, but got pivots with shape "
            f"{list(pivots.shape)} instead"
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
        made = by_triangle(L, by_triangle(U, right, False, False, 1), True, True, 1)
        made = exact_matmul(P, made)
    else:
        if adjoint:
            L, U = jnp.conj(L), jnp.conj(U)
        made = by_triangle(
            U, by_triangle(L, exact_matmul(flip(P), right), True, True), False, False
        )
    return made if left else flip(made)


def torch_lu_solve(
    b: Tensor, LU_data: Tensor, LU_pivots: Tensor, *, out: Tensor | None = None
) -> Tensor:
    """The solutions X of `A @ X = b`, given the LU factorization of A."""
    warn(
        "torch.lu_solve is deprecated in favor of torch.linalg.lu_solveand will be removed in a future PyTorch release.\n"
        "Note that torch.linalg.lu_solve has its arguments reversed.\nX = torch.lu_solve(B, LU, pivots)\nshould be replaced "
        "with\nX = torch.linalg.lu_solve(LU, pivots, B)"
    )
    return lu_solve(LU_data, LU_pivots, b, out=out)


def torch_lu(input: Tensor, pivot: bool = True, get_infos: bool = False, out: Any = None) -> Any:
    """The LU factorizations in one matrix each, their pivots and, if asked for, infos."""
    made = _lu_factor_ex(input, pivot)
    return tuple(made) if get_infos else (made.LU, made.pivots)


publish(kept("lu_solve", torch_lu_solve))
publish(kept("lu", torch_lu))
publish(lu_unpack, method=False)
