"""Distances and angles between vectors."""

from typing import Any

import jax
import jax.numpy as jnp

from funcgrad.torch._memory.geometry import wrap_dim
from funcgrad.torch._ops.pointwise import check_subtraction
from funcgrad.torch._ops.row import FLOAT, PROMOTED, ROWS, Array, op
from funcgrad.torch._tensor.operands import check_broadcast, promoted
from funcgrad.torch._tensor.tensor import Tensor

_norm = ROWS["norm.order"].function
_stop = jax.lax.stop_gradient


@op(
    "pairwise_distance",
    "NormBackward1",
    method=False,
    dtype=FLOAT,
    check=check_subtraction,
    accumulates=True,
)
def pairwise_distance(
    x1: Array, x2: Array, p: float = 2, eps: float = 1e-6, keepdim: bool = False
) -> Any:
    """The p-norm of `x1 - x2 + eps` along the last dimension."""
    return _norm(x1 - x2 + eps, float(p), (x1 - x2).ndim - 1, keepdim)


def _check_angles(x1: Tensor, x2: Tensor, dim: int, eps: float) -> Any:
    found = promoted((x1, x2))
    if eps < 0:
        raise RuntimeError(f"eps must be non-negative, got: {eps:g}")
    if not found.is_floating_point:
        raise RuntimeError(
            f"expected common dtype to be floating point, yet common dtype is {found.scalar_type}"
        )
    return [x1, x2, wrap_dim(dim, max(x1.ndim, x2.ndim)), eps]


@op(
    "cosine_similarity",
    "SumBackward1",
    method=False,
    dtype=PROMOTED,
    check=check_broadcast,
    prepare=_check_angles,
    accumulates=True,
)
def cosine_similarity(x1: Array, x2: Array, dim: int = 1, eps: float = 1e-8) -> Any:
    """The cosine of the angle between vectors, which lie along a dimension."""
    x1, x2 = jnp.broadcast_arrays(x1, x2)
    if not x1.ndim:
        x1, x2, dim = x1[None], x2[None], 0
    return (_unit(x1, dim, eps) * _unit(x2, dim, eps)).sum(dim)


def _unit(x: Any, dim: int, eps: float) -> Any:
    """A vector by its length. As in PyTorch, the lower bound of the length does not stop its gradient."""
    length = _norm(x, 2.0, dim, True)
    return x / (length + _stop(jnp.maximum(length, eps) - length))
