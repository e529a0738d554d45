"""The QR factorization and Householder reflections."""

from functools import partial
from typing import Any

import jax.numpy as jnp

from funcgrad.engine import local
from funcgrad.torch._ops.linalg.checks import (
    check_inexact,
    check_matrix,
    exact_matmul,
    kept,
)
from funcgrad.torch._ops.out import EXACT
from funcgrad.torch._ops.row import Array, apart, no_kernel, op, return_type
from funcgrad.torch._ops.undifferentiable import without_derivative
from funcgrad.torch._tensor.registry import publish
from funcgrad.torch._tensor.tensor import Tensor


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


def _check_geqrf(input: Tensor) -> None:
    if input.ndim < 2:
        raise RuntimeError("torch.geqrf: input must have at least 2 dimensions.")


@apart(
    "geqrf",
    "NotImplemented",
    returns=("a", "tau"),
    prepare=_check_geqrf,
    refuses=(no_kernel("biu", "geqrf_cpu"),),
    out=EXACT,
)
def _geqrf(input: Array) -> Any:
    packed, scales = jnp.linalg.qr(input, "raw")
    return jnp.swapaxes(packed, -1, -2), scales


def geqrf(input: Tensor, *, out: Any = None) -> Any:
    """The QR factorization as LAPACK packs it: R and the reflectors in one matrix, and their scales."""
    if input.requires_grad and input.dtype.is_complex and local.recorder.grad_enabled:
        raise RuntimeError(
            "geqrf does not support automatic differentiation for outputs with complex dtype."
        )
    return without_derivative("geqrf", lambda: _geqrf(input, out=out), input, planned=True)


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
    check_inexact(name, A)


def _reflected(A: Any, tau: Any) -> Any:
    """The product of Householder reflections, its first columns."""
    m, n = A.shape[-2:]
    made = jnp.broadcast_to(jnp.eye(m, n, dtype=A.dtype), A.shape)
    for k in reversed(range(tau.shape[-1])):
        v = jnp.where(jnp.arange(m) == k, 1, jnp.where(jnp.arange(m) > k, A[..., :, k], 0))
        made = made - tau[..., k, None, None] * v[..., None] * exact_matmul(
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


def _check_ormqr(input: Tensor, tau: Tensor, other: Tensor, left: bool, transpose: bool) -> None:
    name = "torch.ormqr"
    if input.ndim < 2:
        raise RuntimeError(f"{name}: input must have at least 2 dimensions.")
    if other.ndim < 2:
        raise RuntimeError(f"{name}: other must have at least 2 dimensions.")
    side = -2 if left else -1
    if other.shape[side] != input.shape[-2]:
        raise RuntimeError(f"{name}: other.shape[{side}] must be equal to input.shape[-2]")
    if tau.shape[-1] != min(other.shape[side], input.shape[-1]):
        raise RuntimeError(
            f"{name}: tau.shape[-1] must be equal to min(other.shape[{side}], input.shape[-1])"
        )
    if tau.ndim != input.ndim - 1:
        raise RuntimeError(
            f"{name}: Expected tau to have one dimension less than input, but got tau.ndim equal to {tau.ndim} and "
            f"input.ndim is equal to {input.ndim}"
        )
    if other.ndim != input.ndim:
        raise RuntimeError(
            f"{name}: Expected other to have the same number of dimensions as input, but got other.ndim equal to "
            f"{other.ndim} and input.ndim is equal to {input.ndim}"
        )
    for which, each in (("tau", tau), ("other", other)):
        if each.shape[: -1 if which == "tau" else -2] != input.shape[:-2]:
            raise RuntimeError(
                f"{name}: Expected batch dimensions of {which} to be equal to input.shape[:-2], but got {list(each.shape)}"
            )
    if input.dtype is not tau.dtype or input.dtype is not other.dtype:
        wrong = tau if input.dtype is not tau.dtype else other
        which = "tau" if wrong is tau else "other"
        raise RuntimeError(
            f"{name}: Expected input and {which} to have the same dtype, but input has dtype {input.dtype.scalar_type} and "
            f"{which} has dtype {wrong.dtype.scalar_type}"
        )


@op(
    "ormqr",
    "OrmqrBackward0",
    saves="input tau other",
    prepare=_check_ormqr,
    refuses=(no_kernel("biu", "ormqr_cpu"),),
    out=EXACT,
)
def ormqr(
    input: Array, tau: Array, other: Array, left: bool = True, transpose: bool = False
) -> Any:
    """The product of `other` and the square matrix Q of Householder reflections.

    Args:
        input: their vectors, as columns.
        tau: their scales.
        other: the matrices.
        left: whether Q stands on the left.
        transpose: whether Q is transposed, and conjugated.
    """
    m = input.shape[-2]
    wide = jnp.zeros((*input.shape[:-1], m), input.dtype)
    n = min(m, tau.shape[-1])
    Q = _reflected(wide.at[..., :n].set(input[..., :n]), tau[..., :n])
    Q = jnp.conj(jnp.swapaxes(Q, -1, -2)) if transpose else Q
    return exact_matmul(Q, other) if left else exact_matmul(other, Q)


_TORCH_QR = return_type("qr", ("Q", "R"))


def torch_qr(input: Tensor, some: bool = True, *, out: Any = None) -> Any:
    """The factors of `input = Q @ R`; Q is square if not `some`."""
    return _TORCH_QR(*qr(input, "reduced" if some else "complete", out=out))


publish(kept("qr", torch_qr))
publish(householder_product, "orgqr")
publish(geqrf)
