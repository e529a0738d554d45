"""Norms of vectors and of matrices, and condition numbers."""

import math
from typing import Any

from funcgrad.torch._memory.geometry import wrap_dim
from funcgrad.torch._ops.along_a_dim import norm as vector_norm_of
from funcgrad.torch._ops.conversions import converted
from funcgrad.torch._ops.linalg.checks import (
    check_inexact,
    check_matrix,
)
from funcgrad.torch._ops.linalg.singular_values import svdvals
from funcgrad.torch._ops.linalg.solving import (
    inv_ex,
)
from funcgrad.torch._ops.out import EXACT, store
from funcgrad.torch._ops.views import views
from funcgrad.torch._tensor.operands import plain_number
from funcgrad.torch._tensor.registry import FUNCTIONS, publish
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.dtypes import as_dtype


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
    check_inexact("linalg.vector_norm", x)
    ord = plain_number(ord, "linalg_vector_norm", "ord", 2)
    if dtype is not None:
        _check_dtype("linalg.vector_norm", x, as_dtype(dtype))
    return _real_norm(
        x if dtype is None else converted(x, as_dtype(dtype)), float(ord), dim, keepdim
    )


def _real_norm(x: Tensor, order: float, dim: Any, keepdim: bool) -> Tensor:
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
    ord = plain_number(ord, "linalg_matrix_norm", "ord", 2)
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
        made = sizes.sum(-1) if ord == "nuc" else sizes.amax(-1) if ord > 0 else sizes.amin(-1)
        if not keepdim:
            return made
        for each in sorted((first, second)):
            made = views.unsqueeze(made, each)
        return made
    along, across = (first, second) if abs(ord) == 1 else (second, first)
    sums = vector_norm_of(A, 1, along, True)
    made = sums.amax(across, True) if ord > 0 else sums.amin(across, True)
    return made if keepdim else views.squeeze(made, (first, second))


def nuclear_norm(
    input: Tensor, dim: Any = (-2, -1), keepdim: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """The sums of the singular values of matrices, which lie along two dimensions."""
    return matrix_norm(input, "nuc", dim, keepdim, out=out)


publish(nuclear_norm, method=False)


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
    ord = plain_number(ord, "linalg_norm", "ord", 2)
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
    p = plain_number(p, "linalg_cond", "p", 2)
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
    size = matrix_norm(A, p) * matrix_norm(made.inverse, p)
    return FUNCTIONS["nan_to_num"](size, math.inf, math.inf, -math.inf)
