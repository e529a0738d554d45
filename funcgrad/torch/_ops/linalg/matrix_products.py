"""Powers and exponentials of matrices, products of several, and inverses of `tensordot`."""

import math
from itertools import pairwise
from typing import Any

import jax.numpy as jnp
from jax.scipy.linalg import expm

from funcgrad.torch._memory.geometry import wrap_dim
from funcgrad.torch._ops.grids import powers_of
from funcgrad.torch._ops.linalg.checks import (
    check_inexact,
    check_square,
)
from funcgrad.torch._ops.linalg.solving import (
    inv,
    solve,
)
from funcgrad.torch._ops.out import EXACT, store
from funcgrad.torch._ops.products import chained
from funcgrad.torch._ops.row import Array, apart
from funcgrad.torch._ops.views import views
from funcgrad.torch._tensor.operands import check_broadcast
from funcgrad.torch._tensor.registry import FUNCTIONS, publish
from funcgrad.torch._tensor.tensor import Tensor


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
        check_inexact("linalg.vecdot", each)
    if x.dtype is not y.dtype:
        raise RuntimeError(
            f"linalg.vecdot: Expected x and y to have the same dtype, but found x of type {x.dtype.scalar_type} and y of "
            f"type {y.dtype.scalar_type} instead"
        )
    if x.ndim == y.ndim == 1 and x.shape != y.shape:
        raise RuntimeError(
            f"inconsistent tensor size, expected tensor {list(x.shape)} and src {list(y.shape)} to have the same number of "
            f"elements, but got {x.numel()} and {y.numel()} elements respectively"
        )
    return [x, y, dim]


@apart("linalg_vecdot", "SumBackward1", prepare=_check_vecdot, check=check_broadcast, out=EXACT)
def vecdot(x: Array, y: Array, *, dim: int = -1) -> Any:
    """The sums of products along a dimension, `x` conjugated."""
    products = jnp.conj(x) * y
    return jnp.sum(products, axis=dim if products.ndim > 1 else None)


@apart("linalg_vander.n", "CatBackward0")
def _vander(x: Array, n: int) -> Any:
    return powers_of(x, n)


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


publish(matrix_power)
publish(matrix_exp, "matrix_exp")
