"""`svd_lowrank` and `pca_lowrank`: the largest singular values and their vectors, by random projections.

Algorithm: N. Halko, P. G. Martinsson, J. Tropp, "Finding structure with randomness", SIAM Review 53, 2011, algorithm 5.1.
"""

from typing import Any

from funcgrad.torch._ops.linalg.qr import qr
from funcgrad.torch._ops.linalg.singular_values import svd
from funcgrad.torch._tensor.registry import FUNCTIONS, publish
from funcgrad.torch._tensor.tensor import Tensor


def _basis(A: Any, q: int, niter: int) -> Any:
    """An orthonormal basis whose span holds most of what A maps to; the random numbers are PyTorch's."""
    basis, _ = qr(A @ FUNCTIONS["randn"](A.shape[-1], q, dtype=A.dtype, device=A.device))
    for _ in range(niter):
        basis, _ = qr(A.mH @ basis)
        basis, _ = qr(A @ basis)
    return basis


def svd_lowrank(
    A: Any, q: int | None = 6, niter: int | None = 2, M: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """The `q` largest singular values of A, or of `A - M`, and their vectors, approximately.

    Args:
        A: matrices, (..., m, n), floating point.
        q: how many, somewhat more than the rank.
        niter: the number of power iterations.
        M: subtracted from A.

    Returns:
        U, S and V with `A ≈ U @ diag(S) @ V.mH`.

    >>> import funcgrad.torch as torch
    >>> torch.svd_lowrank(torch.ones(4, 3), q=1)[1]
    tensor([3.4641])
    """
    if M is not None:
        A = A - M.broadcast_to(A.shape)
    wide = A.shape[-2] < A.shape[-1]
    tall = A.mH if wide else A
    basis = _basis(tall, 6 if q is None else q, 2 if niter is None else niter)
    U, S, Vh = svd(basis.mH @ tall, full_matrices=False)
    U, V = basis @ U, Vh.mH
    return (V, S, U) if wide else (U, S, V)


def pca_lowrank(
    A: Any, q: int | None = None, center: bool = True, niter: int = 2
) -> tuple[Tensor, Tensor, Tensor]:
    """The `q` largest principal components of the rows of A, approximately; see `svd_lowrank`.

    Args:
        A: rows, (..., m, n), floating point.
        q: how many; the least of 6, m and n if None.
        center: whether to subtract the mean of the rows.
        niter: the number of power iterations.

    Returns:
        U, S and V; the columns of V are the principal directions.

    Raises:
        ValueError: `q` or `niter` is out of range.

    >>> import funcgrad.torch as torch
    >>> _, S, V = torch.pca_lowrank(torch.tensor([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]), q=1)
    >>> S, V.abs()
    (tensor([2.]), tensor([[0.7071],
            [0.7071]]))
    """
    least = min(A.shape[-2:])
    if q is None:
        q = min(6, least)
    elif not 0 <= q <= least:
        raise ValueError(
            f"q(={q}) must be non-negative integer and not greater than min(m, n)={least}"
        )
    if niter < 0:
        raise ValueError(f"niter(={niter}) must be non-negative integer")
    return svd_lowrank(A - A.mean(-2, keepdim=True) if center else A, q, niter)


publish(svd_lowrank, method=False)
publish(pca_lowrank, method=False)
