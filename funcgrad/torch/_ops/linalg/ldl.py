"""`ldl_factor` and `ldl_solve` of symmetric matrices, by LAPACK through SciPy, and `lobpcg`. JAX has no such factorization.

The first two have no derivative, in PyTorch neither.
"""

from importlib import import_module
from typing import Any

import numpy as np

from funcgrad.engine import grad_mode, local
from funcgrad.torch._levels.refusals import DYNAMIC_SHAPE
from funcgrad.torch._ops.linalg.checks import check_matrix
from funcgrad.torch._ops.linalg.cholesky import cholesky
from funcgrad.torch._ops.linalg.eigenvalues import eigh
from funcgrad.torch._ops.linalg.solving import solve_triangular
from funcgrad.torch._ops.row import return_type
from funcgrad.torch._tensor.registry import FUNCTIONS, publish
from funcgrad.torch._tensor.tensor import Tensor, concrete, place, tensor_of

_FACTOR = return_type("linalg_ldl_factor", ("LD", "pivots"))
_FACTOR_EX = return_type("linalg_ldl_factor_ex", ("LD", "pivots", "info"))


def _routine(name: str, dtype: np.dtype, hermitian: bool) -> Any:
    """A function of LAPACK, such as `sytrf`, for a dtype."""
    kind = "he" if hermitian and dtype.kind == "c" else "sy"
    letter = {"float32": "s", "float64": "d", "complex64": "c", "complex128": "z"}[dtype.name]
    return getattr(import_module("scipy.linalg.lapack"), f"{letter}{kind}{name}")


def _elements(x: Tensor, name: str) -> np.ndarray:
    """A tensor's elements, as matrices.

    Raises:
        NotImplementedError: a derivative is asked for.
    """
    if x.requires_grad and local.recorder.grad_enabled:
        raise NotImplementedError(f"linalg.{name} has no derivative, in PyTorch neither. Give it x.detach()")  # fmt: skip
    return np.asarray(concrete(x._array(), DYNAMIC_SHAPE.format(f"linalg.{name}")))


def ldl_factor_ex(A: Any, *, hermitian: bool = False, check_errors: bool = False) -> Any:
    """`ldl_factor`, and which matrices are singular.

    Args:
        A: symmetric matrices, (..., n, n); their lower triangles are read.
        hermitian: whether complex ones are Hermitian.
        check_errors: whether a singular one is an error.

    Raises:
        RuntimeError: the matrices are not square, or are integers.
    """
    check_matrix("linalg_ldl_factor_ex", A)
    if A.shape[-1] != A.shape[-2]:
        raise RuntimeError(
            "torch.linalg.ldl_factor_ex: A must be batches of square matrices, but they are "
            f"{A.shape[-2]} by {A.shape[-1]} matrices"
        )
    given = _elements(A, "ldl_factor")
    factors, info = np.zeros_like(given), np.zeros(given.shape[:-2], np.int32)
    pivots = np.zeros(given.shape[:-1], np.int32)
    if given.size:
        routine = _routine("trf", given.dtype, hermitian)
        for k in np.ndindex(given.shape[:-2]):
            found, pivots[k], info[k] = routine(given[k], lower=1)
            factors[k] = np.tril(found)
    if check_errors and info.any():
        raise RuntimeError("linalg.ldl_factor: a matrix is singular")
    made = [tensor_of(place(each)) for each in (factors, pivots, info)]
    return _FACTOR_EX(*made)


def ldl_factor(A: Any, *, hermitian: bool = False) -> Any:
    """The factors of symmetric matrices, `A = L @ D @ L.mT`, as LAPACK packs them, and its pivots.

    Args:
        A: symmetric matrices, (..., n, n); their lower triangles are read.
        hermitian: whether complex ones are Hermitian.

    Raises:
        RuntimeError: a matrix is singular, or the matrices are not square, or are integers.

    >>> import funcgrad.torch as torch
    >>> A = torch.tensor([[2.0, 1.0], [1.0, 3.0]])
    >>> torch.linalg.ldl_solve(*torch.linalg.ldl_factor(A), torch.ones(2, 1))
    tensor([[0.4000],
            [0.2000]])
    """
    found = ldl_factor_ex(A, hermitian=hermitian, check_errors=True)
    return _FACTOR(*found[:2])


def ldl_solve(LD: Any, pivots: Any, B: Any, *, hermitian: bool = False) -> Tensor:
    """The solutions of `A @ X = B` by the factors of A; see `ldl_factor`.

    Raises:
        RuntimeError: the shapes or dtypes do not fit.
    """
    if LD.shape[-1] != LD.shape[-2] or B.ndim < 2 or LD.shape[-1] != B.shape[-2]:
        raise RuntimeError(
            f"linalg.ldl_solve: the factors {list(LD.shape)} and the right side {list(B.shape)} do not fit"
        )
    if pivots.dtype.is_floating_point or pivots.dtype.is_complex:
        raise RuntimeError(
            f"torch.linalg.ldl_solve: Expected pivots to be integers. Got {pivots.dtype.scalar_type}"
        )
    if LD.dtype is not B.dtype:
        raise RuntimeError(
            f"torch.linalg.ldl_solve: LD dtype {LD.dtype} does not match b dtype {B.dtype}"
        )
    factors, right, places = (_elements(each, "ldl_solve") for each in (LD, B, pivots))
    batch = np.broadcast_shapes(factors.shape[:-2], right.shape[:-2])
    factors = np.broadcast_to(factors, batch + factors.shape[-2:])
    right = np.broadcast_to(right, batch + right.shape[-2:])
    places = np.broadcast_to(places, batch + places.shape[-1:])
    found = np.zeros_like(right)
    if found.size:
        routine = _routine("trs", factors.dtype, hermitian)
        for k in np.ndindex(batch):
            found[k], _ = routine(factors[k], places[k].astype(np.int32), right[k], lower=1)
    return tensor_of(place(found))


def lobpcg(
    A: Any,
    k: int | None = None,
    B: Any = None,
    X: Any = None,
    n: int | None = None,
    iK: Any = None,
    niter: int | None = None,
    tol: float | None = None,
    largest: bool | None = None,
    method: str | None = None,
    tracker: Any = None,
    ortho_iparams: Any = None,
    ortho_fparams: Any = None,
    ortho_bparams: Any = None,
) -> tuple[Any, Any]:
    """The largest or smallest eigenvalues of symmetric matrices, and their vectors; all of them are computed, and some returned.

    Args:
        A: symmetric matrices, (..., m, m).
        k: how many; one, or the columns of X, if None.
        B: positive definite matrices of the generalized problem `A x = e B x`.
        X: where PyTorch's search begins; only its number of columns counts here.
        n: the columns of X, if it is not given.
        iK, niter, tol, method, ortho_iparams, ortho_fparams, ortho_bparams: of PyTorch's search; accepted.
        largest: whether the largest ones.
        tracker: refused: a function that sees the search.

    Raises:
        ValueError: there are fewer than three times as many rows.
        AssertionError: the matrices are not square.
    """
    if tracker is not None:
        raise NotImplementedError("lobpcg(tracker=...): there is no search here to follow")
    if A.shape[-1] != A.shape[-2]:
        raise AssertionError(f"A must be square, got shape {A.shape}")
    A = A.to_dense() if A.layout is not FUNCTIONS["ones"](1).layout else A
    k = (1 if X is None else X.shape[-1]) if k is None else k
    rows = A.shape[-1]
    if rows < 3 * k:
        raise ValueError(
            f"LOBPCG algorithm is not applicable when the number of A rows (={rows}) is smaller than 3 x the number of "
            f"requested eigenpairs (={k})"
        )
    if X is None:  # PyTorch's search draws it
        with grad_mode(False):
            FUNCTIONS["randn"]((*A.shape[:-1], n or k), dtype=A.dtype, device=A.device)
    if B is None:
        values, vectors = eigh(A)
    else:
        below: Any = cholesky(B)
        half = solve_triangular(below, A, upper=False)
        values, vectors = eigh(solve_triangular(below, half.mH, upper=False))
        vectors = solve_triangular(below.mH, vectors, upper=True)
    if largest is None or largest:
        values, vectors = values.flip(-1), vectors.flip(-1)
    return values[..., :k], vectors[..., :k]


publish(lobpcg, method=False)
