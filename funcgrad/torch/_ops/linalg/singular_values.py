"""The singular value decomposition, and what is made of it: pseudo-inverses, ranks, least squares."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcgrad.torch._ops.conversions import converted
from funcgrad.torch._ops.linalg.checks import (
    check_decomposable,
    check_inexact,
    check_matrix,
    check_square,
    checked_by,
    elements,
    exact_matmul,
    kept,
    stored_in,
)
from funcgrad.torch._ops.linalg.eigenvalues import whole
from funcgrad.torch._ops.linalg.phases import Vectors, up_to_phase
from funcgrad.torch._ops.out import EXACT, store
from funcgrad.torch._ops.row import Array, Index, apart, return_type
from funcgrad.torch._ops.views import views
from funcgrad.torch._tensor.registry import FUNCTIONS, publish
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.dtypes import int64

_SVD = return_type("linalg_svd", ("U", "S", "Vh"))
_TORCH_SVD = return_type("svd", ("U", "S", "V"))
_LSTSQ = return_type("linalg_lstsq", ("solution", "residuals", "rank", "singular_values"))


def _check_svd(A: Tensor, *_: Any) -> None:
    check_matrix("linalg.svd", A)
    check_decomposable(A)


@up_to_phase(
    "svd_backward: The singular vectors in the complex case are specified up to multiplication by e^{i phi}. The specified "
    "loss function depends on this phase term, making it ill-defined.",
    Vectors(0, -2),
    Vectors(2, -1, -1),
)
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
    return _full_svd(A) if full_matrices and not square else _thin_svd(A)


def _thin_svd(A: Any) -> Any:
    return tuple(jnp.linalg.svd(A, full_matrices=False))


@jax.custom_jvp
def _full_svd(A: Any) -> Any:
    """With the derivative of the thin decomposition; the columns beyond it count as constant, as in PyTorch."""
    return tuple(jnp.linalg.svd(A))


@_full_svd.defjvp
def _(primals: Any, tangents: Any) -> Any:
    U, S, Vh = found = _full_svd(*primals)
    (thin, *_), (dU, dS, dVh) = jax.jvp(_thin_svd, primals, tangents)
    k = S.shape[-1]
    # The same vectors up to a phase, since they come of another call.
    phase = jax.lax.stop_gradient(jnp.sign((thin.conj() * U[..., :k]).sum(-2, keepdims=True)))
    dU, dVh = dU * phase, dVh * jnp.swapaxes(phase, -1, -2).conj()
    changes = [
        jnp.pad(each, [(0, a - b) for a, b in zip(full.shape, each.shape, strict=True)])
        for each, full in ((dU, U), (dVh, Vh))
    ]
    return found, (changes[0], dS, changes[1])


@apart(
    "linalg_svdvals",
    "LinalgSvdBackward0",
    prepare=_check_svd,
    out=EXACT,
)
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
    return stored_in("linalg_svd", _SVD, tuple(made), A, out)


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
        zeros = [input.new_zeros((*input.shape[:-2], k, k)) for k in (m, n)]
        parts = (zeros[0], _svdvals(input), zeros[1])
    return stored_in("svd", _TORCH_SVD, parts, input, out)


@apart("linalg_pinv.rtol", "LinalgPinvBackward0", prepare=checked_by(check_matrix, "linalg.pinv"))
def _pinv(A: Array, atol: Array, rtol: Array, hermitian: bool) -> Any:
    if not A.size:
        return jnp.zeros((*A.shape[:-2], A.shape[-1], A.shape[-2]), A.dtype)
    if hermitian:
        A = whole(A, A, "L")
    still = jax.lax.stop_gradient(A)
    sizes = (
        jnp.abs(jnp.linalg.eigvalsh(still))
        if hermitian
        else jnp.linalg.svd(still, compute_uv=False)
    )
    largest = sizes.max(-1)
    least = jax.lax.stop_gradient(jnp.maximum(atol, rtol * largest))
    # As in PyTorch, the gradient of a Hermitian matrix is that of any matrix.
    return _pseudo_inverse(A, least / jnp.where(largest == 0, 1, largest))


def _pseudo_inverse(A: Any, rtol: Any) -> Any:
    return jnp.linalg.pinv(A, rtol=rtol)


def _tolerances(name: str, A: Tensor, atol: Any, rtol: Any) -> tuple[Tensor, Tensor]:
    """The tolerances as tensors: PyTorch's default for `rtol`, if neither is given."""
    parts: Any = A
    real: Any = (parts.real if A.dtype.is_complex else parts).detach()
    if rtol is None:
        given = isinstance(atol, Tensor) or (atol is not None and atol > 0)
        eps = float(np.finfo(real.dtype.numpy_dtype).eps)
        rtol = 0.0 if given else eps * max(A.shape[-2:])
    for what, each in (("atol", atol), ("rtol", rtol)):
        if name == "pinv" and isinstance(each, Tensor) and each.requires_grad:
            raise RuntimeError(
                f"The function 'linalg_pinv' is not differentiable with respect to argument '{what}'. This input cannot have "
                "requires_grad True."
            )
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
    else:
        check_decomposable(A)
    return _pinv(A, *_tolerances("pinv", A, atol, rtol), hermitian)


def pinverse(input: Tensor, rcond: float = 1e-15) -> Tensor:
    """The pseudo-inverses of matrices."""
    return pinv(input, atol=0.0, rtol=rcond)


@apart("linalg_matrix_rank.tol", "NotImplemented")
def _matrix_rank(A: Index, atol: Index, rtol: Index, hermitian: bool) -> Any:
    if hermitian:
        sizes = jnp.abs(jnp.linalg.eigvalsh(whole(A, A, "L")))
    else:
        sizes = jnp.linalg.svd(A, compute_uv=False)
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
    else:
        check_decomposable(A)
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
    check_inexact("torch.linalg.lstsq", A)
    for each in (A, B):
        array = elements(each)
        if array is not None and np.isnan(array).any():
            raise RuntimeError("torch.linalg.lstsq: the matrices contain NaN.")


@apart(
    "linalg_lstsq.pinv",
    "LinalgLstsqBackward0",
    saves="A B solution",
    returns=("solution", "residuals", "rank", "sizes"),
    constants=("sizes",),
)
def _lstsq(A: Array, B: Array, rcond: float, vector: bool, residual: bool) -> Any:
    right = B[..., None] if vector else B
    sizes = jnp.linalg.svd(jax.lax.stop_gradient(A), compute_uv=False)
    solution = exact_matmul(_pseudo_inverse(A, jnp.asarray(rcond, sizes.dtype)), right)
    rank = (sizes > rcond * sizes[..., :1]).sum(-1).astype(np.int64)
    error = exact_matmul(A, solution) - right
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
    if rcond is None or driver == "gels":  # which takes every matrix to have full rank
        rcond = float(np.finfo(A.dtype.numpy_dtype).eps) * max(m, n)
    residual = m > n and driver != "gelsy"
    made = _lstsq(A, B, float(rcond), vector, residual)
    nothing = A.new_empty(0)
    nothing = nothing.real if A.dtype.is_complex else nothing
    ranks = elements(made.rank)
    residuals = made.residuals if ranks is None or bool((ranks == n).all()) else nothing
    rank = made.rank if driver != "gels" else nothing.to(int64)
    sizes = made.sizes if driver in ("gelsd", "gelss") else nothing
    return _LSTSQ(made.solution, residuals, rank, sizes)


publish(kept("svd", torch_svd))
publish(pinverse)
