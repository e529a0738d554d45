"""Inverses and linear equations.

A singular matrix is an error at once, which computes the elements.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular as triangular

from funcgrad.torch._ops.linalg.checks import (
    _LinAlgError,
    called,
    check_square,
    first_bad,
    square_matrices,
    stored_in,
)
from funcgrad.torch._ops.out import EXACT, store
from funcgrad.torch._ops.row import Array, apart, return_type
from funcgrad.torch._tensor.operands import check_broadcast
from funcgrad.torch._tensor.registry import publish
from funcgrad.torch._tensor.tensor import Tensor


def zero_pivot(packed: Any) -> Any:
    """Which diagonal element of U is the first zero; 0 if none is."""
    zero = jnp.diagonal(packed, axis1=-2, axis2=-1) == 0
    first = jnp.argmax(zero, -1) + 1 if zero.shape[-1] else jnp.zeros(zero.shape[:-1], int)
    return jnp.where(zero.any(-1), first, 0).astype(np.int32)


@apart(
    "linalg_inv_ex",
    "LinalgInvExBackward0",
    saves="inverse",
    returns=("inverse", "info"),
    prepare=square_matrices("linalg_inv"),
    out=EXACT,
)
def _inv_ex(A: Array) -> Any:
    return jnp.linalg.inv(A), zero_pivot(jax.lax.linalg.lu(jax.lax.stop_gradient(A))[0])


def inv_ex(A: Tensor, *, check_errors: bool = False, out: Any = None) -> Any:
    """The inverses of square matrices, and for each the number of its first pivot of zero, or 0."""
    made = _inv_ex(A, out=out)
    if check_errors:
        _check_inverted("linalg.inv_ex", made.info)
    return made


def _check_inverted(name: str, info: Tensor) -> None:
    bad = first_bad(info)
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


def check_solve(name: str, A: Tensor, B: Tensor, left: bool, vector: bool) -> None:
    check_square(name, A)
    if A.dtype is not B.dtype:
        raise RuntimeError(
            f"{called(name)}: Expected A and B to have the same dtype, but found A of type {A.dtype.scalar_type} and B of "
            f"type {B.dtype.scalar_type} instead"
        )
    if not vector and B.ndim < 2:
        raise RuntimeError(f"{called(name)}: The input tensor B must have at least 2 dimensions.")
    shape = (*B.shape, 1) if vector else tuple(B.shape)
    if shape[-2 if left else -1] != A.shape[-1]:
        n = A.shape[-1]
        equation = "AX = B" if left else "XA = B"
        raise RuntimeError(
            f"{called(name)}: Incompatible shapes of A and B for the equation {equation} ({n}x{n} and {shape[-2]}x{shape[-1]})"
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
    check_solve("linalg_solve", A, B, left, vector)


@apart(
    "linalg_solve_ex",
    "LinalgSolveExBackward0",
    prepare=_prepare_solve,
    saves="A result",
    returns=("result", "info"),
)
def _solve_ex(A: Array, B: Array, left: bool, vector: bool) -> Any:
    flip = partial(jnp.swapaxes, axis1=-1, axis2=-2)
    right = B[..., None] if vector else B
    batch = jnp.broadcast_shapes(A.shape[:-2], right.shape[:-2])
    A, right = (jnp.broadcast_to(each, (*batch, *each.shape[-2:])) for each in (A, right))
    made = jnp.linalg.solve(A, right) if left else flip(jnp.linalg.solve(flip(A), flip(right)))
    return (made[..., 0] if vector else made), zero_pivot(
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
    bad = first_bad(info)
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
    check_solve("linalg_solve_triangular", A, B, left, False)


def by_triangle(A: Any, B: Any, lower: bool, unit: bool, transpose: int = 0) -> Any:
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
        return by_triangle(A, B, not upper, unitriangular)
    flip = partial(jnp.swapaxes, axis1=-1, axis2=-2)
    return flip(by_triangle(flip(A), flip(B), upper, unitriangular))


_TRIANGULAR = return_type("triangular_solve", ("solution", "cloned_coefficient"))


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
    check_solve("triangular_solve", A, input, True, False)
    given = A.mT if transpose else A
    found = solve_triangular(given, input, upper=upper != transpose, unitriangular=unitriangular)
    return stored_in("triangular_solve", _TRIANGULAR, (found, A.clone()), input, out)


for _each in (inverse, triangular_solve):
    publish(_each)
