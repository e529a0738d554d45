"""The Cholesky factorization, and equations solved with it."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcgrad.torch._ops.creation import tensor
from funcgrad.torch._ops.linalg.checks import (
    _LinAlgError,
    elements,
    exact_matmul,
    first_bad,
    kept,
    square_matrices,
    stored_in,
)
from funcgrad.torch._ops.linalg.eigenvalues import hermitian
from funcgrad.torch._ops.linalg.solving import by_triangle
from funcgrad.torch._ops.out import EXACT, store
from funcgrad.torch._ops.row import Array, apart, return_type
from funcgrad.torch._tensor.registry import publish
from funcgrad.torch._tensor.tensor import Tensor

_CHOLESKY_EX = return_type("linalg_cholesky_ex", ("L", "info"))


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _lower(A: Any, upper: bool) -> Any:
    """The lower factor of Hermitian matrices, given one triangle. Its derivative is PyTorch's: that of both triangles."""
    return jnp.tril(
        jnp.linalg.cholesky(hermitian(A, "U" if upper else "L"), symmetrize_input=False)
    )


@_lower.defjvp
def _(upper: bool, primals: Any, tangents: Any) -> Any:
    """Iain Murray, "Differentiation of the Cholesky decomposition" (2016), equation 8, of the mean of both triangles."""
    found = _lower(*primals, upper)
    adjoint = jnp.conj(_flip(found))
    half = by_triangle(found, tangents[0], True, False)
    inner = _flip(by_triangle(_flip(adjoint), _flip(half), True, False))
    mean = (jnp.tril(inner) + jnp.conj(_flip(jnp.triu(inner, 1)))) / 2
    return found, exact_matmul(found, mean)


_flip = partial(jnp.swapaxes, axis1=-1, axis2=-2)


@apart(
    "linalg_cholesky_ex",
    "LinalgCholeskyExBackward0",
    saves="result",
    prepare=square_matrices("linalg_cholesky"),
)
def _cholesky(A: Array, upper: bool) -> Any:
    made = _lower(A, upper)
    return jnp.conj(_flip(made)) if upper else made


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
    return stored_in("linalg_cholesky_ex", _CHOLESKY_EX, (made, tensor(info)), A, out)


def _check_definite(name: str, info: np.ndarray) -> None:
    bad = first_bad(info)
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


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def _solved(B: Any, L: Any, upper: bool) -> Any:
    """The solutions X of `L @ L.mH @ X = B`. Only one triangle of L is read; as in PyTorch, the derivative takes all of L."""
    first, second = (2, 0) if upper else (0, 2)
    half = by_triangle(L, B, not upper, False, first)
    return by_triangle(L, half, not upper, False, second)


@_solved.defjvp
def _(upper: bool, primals: Any, tangents: Any) -> Any:
    B, L = primals
    found = _solved(B, L, upper)
    adjoint, tangent = jnp.conj(_flip(L)), tangents[1]
    half = exact_matmul(adjoint, tangent) if upper else exact_matmul(tangent, adjoint)
    change = exact_matmul(half + jnp.conj(_flip(half)), found)
    return found, _solved(tangents[0] - change, L, upper)


def _check_cholesky_solve(input: Tensor, input2: Tensor, upper: bool) -> None:
    if input.dtype is not input2.dtype:
        raise RuntimeError(
            f"Expected b and A to have the same dtype, but found b of type {input.dtype.scalar_type} and A of type "
            f"{input2.dtype.scalar_type} instead."
        )


@apart(
    "cholesky_solve",
    "CholeskySolveBackward0",
    saves="self input2 result",
    prepare=_check_cholesky_solve,
    out=EXACT,
)
def cholesky_solve(input: Array, input2: Array, upper: bool = False) -> Any:
    """The solutions X of `A @ X = input`, given the Cholesky factor of A."""
    batch = jnp.broadcast_shapes(input.shape[:-2], input2.shape[:-2])
    whole = [jnp.broadcast_to(each, (*batch, *each.shape[-2:])) for each in (input, input2)]
    return _solved(*whole, upper)


@apart(
    "cholesky_inverse",
    "CholeskyInverseBackward0",
    saves="self result",
    prepare=square_matrices("cholesky_inverse"),
    out=EXACT,
)
def cholesky_inverse(input: Array, upper: bool = False) -> Any:
    """The inverse of A, given its Cholesky factor."""
    return _solved(
        jnp.broadcast_to(jnp.eye(input.shape[-1], dtype=input.dtype), input.shape), input, upper
    )


publish(kept("cholesky", torch_cholesky))
for _each in (cholesky_inverse, cholesky_solve):
    publish(_each)
