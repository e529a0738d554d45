"""Eigenvalues and eigenvectors."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from funcgrad.torch._ops.linalg.checks import (
    check_square,
    checked_by,
    exact_matmul,
)
from funcgrad.torch._ops.linalg.phases import Vectors, up_to_phase
from funcgrad.torch._ops.out import EXACT
from funcgrad.torch._ops.row import Array, apart
from funcgrad.torch._ops.slopes import with_derivative_of
from funcgrad.torch._tensor.tensor import Tensor

_PHASE = (
    "{}: The eigenvectors in the complex case are specified up to multiplication by e^{{i phi}}. The specified loss "
    "function depends on this quantity, so it is ill-defined."
)


def _check_eigh(name: str, A: Tensor, UPLO: str) -> Any:
    check_square(name, A)
    if not UPLO or UPLO.upper() not in ("L", "U"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {UPLO}")
    return [A, UPLO.upper()]


def whole(gradient: Any, A: Any, UPLO: str) -> Any:
    """The whole of Hermitian matrices, given one triangle, with the gradient of another expression in all elements."""
    return with_derivative_of(hermitian(A, UPLO), gradient)


def _mean_of_triangles(A: Any, UPLO: str) -> Any:
    """The whole of Hermitian matrices, whose gradient is Hermitian as in PyTorch."""
    return whole((A + jnp.conj(jnp.swapaxes(A, -1, -2))) / 2, A, UPLO)


def hermitian(A: Any, UPLO: str) -> Any:
    """The whole of a Hermitian matrix, given one triangle."""
    triangle = jnp.tril(A, -1) if UPLO == "L" else jnp.triu(A, 1)
    diagonal = jnp.real(jnp.diagonal(A, axis1=-2, axis2=-1)).astype(A.dtype)
    eye = jnp.eye(A.shape[-1], dtype=A.dtype)
    return triangle + jnp.conj(jnp.swapaxes(triangle, -1, -2)) + diagonal[..., None] * eye


@up_to_phase(_PHASE.format("linalg_eigh_backward"), Vectors(1, -2))
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
    return tuple(jnp.linalg.eigh(_mean_of_triangles(A, UPLO), symmetrize_input=False))


@apart(
    "linalg_eigvalsh", "LinalgEighBackward0", prepare=partial(_check_eigh, "linalg.eigh"), out=EXACT
)
def eigvalsh(A: Array, UPLO: str = "L") -> Any:
    """The eigenvalues of Hermitian matrices, the smallest first."""
    return jnp.linalg.eigh(_mean_of_triangles(A, UPLO), symmetrize_input=False)[0]


@jax.custom_jvp
def _eig(A: Any) -> Any:
    """Eigenvalues and eigenvectors. JAX leaves out the derivative of the vectors, which is not unique."""
    values, vectors = jnp.linalg.eig(A)
    return values, vectors


@_eig.defjvp
def _(primals: Any, tangents: Any) -> Any:
    """As PyTorch does, vectors keep their length and the phase of their products with themselves."""
    values, vectors = _eig(*primals)
    inner = jnp.linalg.solve(vectors, exact_matmul(tangents[0].astype(vectors.dtype), vectors))
    same = jnp.eye(values.shape[-1], dtype=bool)
    gaps = jnp.where(same, 1, values[..., None, :] - values[..., :, None])
    turned = exact_matmul(vectors, jnp.where(same, 0, inner / gaps))
    stretch = jnp.sum(jnp.conj(vectors) * turned, -2, keepdims=True).real
    along = jnp.diagonal(inner, axis1=-2, axis2=-1)
    return (values, vectors), (along, turned - vectors * stretch)


@up_to_phase(_PHASE.format("linalg_eig_backward"), Vectors(1, -2))
@apart(
    "linalg_eig",
    "LinalgEigBackward0",
    saves="eigenvalues eigenvectors",
    prepare=checked_by(check_square, "linalg.eig"),
    returns=("eigenvalues", "eigenvectors"),
    out=EXACT,
)
def eig(A: Array) -> Any:
    """The eigenvalues of square matrices and their eigenvectors as columns, complex."""
    return _eig(A)


@apart(
    "linalg_eigvals",
    "LinalgEigBackward0",
    prepare=checked_by(check_square, "linalg.eig"),
    out=EXACT,
)
def eigvals(A: Array) -> Any:
    """The eigenvalues of square matrices, complex."""
    return _eig(A)[0]
