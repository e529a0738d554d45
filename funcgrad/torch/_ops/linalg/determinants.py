"""Determinants of square matrices, and their logarithms."""

from typing import Any

import jax.numpy as jnp

from funcgrad.torch._ops.linalg.checks import (
    kept,
    square_matrices,
)
from funcgrad.torch._ops.out import EXACT
from funcgrad.torch._ops.row import Array, apart, return_type
from funcgrad.torch._tensor.registry import publish
from funcgrad.torch._tensor.tensor import Tensor


@apart(
    "linalg_det",
    "LinalgDetBackward0",
    saves="A result",
    prepare=square_matrices("linalg_det"),
    out=EXACT,
)
def det(A: Array) -> Any:
    """The determinants of square matrices."""
    return jnp.linalg.det(A) if A.shape[-1] else jnp.ones(A.shape[:-2], A.dtype)


@apart(
    "linalg_slogdet",
    "LinalgSlogdetBackward0",
    saves="A sign",
    returns=("sign", "logabsdet"),
    prepare=square_matrices("linalg_slogdet"),
    out=EXACT,
)
def slogdet(A: Array) -> Any:
    """The signs of the determinants of square matrices, and the logarithms of their sizes."""
    sign, size = jnp.linalg.slogdet(A)
    return sign, size


@apart("logdet", "WhereBackward0", prepare=square_matrices("logdet"))
def logdet(input: Array) -> Any:
    """The logarithms of determinants; NaN where a determinant is negative."""
    sign, size = jnp.linalg.slogdet(input)
    return jnp.log(sign) + size if jnp.iscomplexobj(input) else jnp.where(sign < 0, jnp.nan, size)


_TORCH_SLOGDET = return_type("slogdet", ("sign", "logabsdet"))


def torch_det(input: Tensor) -> Tensor:
    """The determinants of square matrices."""
    return det(input)


def torch_slogdet(input: Tensor, *, out: Any = None) -> Any:
    """The signs of the determinants of square matrices, and the logarithms of their sizes."""
    return _TORCH_SLOGDET(*slogdet(input, out=out))


publish(logdet, "logdet")
publish(kept("det", torch_det))
publish(kept("slogdet", torch_slogdet))
