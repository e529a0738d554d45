"""Complex numbers made of real ones."""

from typing import Any

import jax
import jax.numpy as jnp

from funcgrad.torch._ops.row import Array, op
from funcgrad.torch._tensor.operands import check_broadcast
from funcgrad.torch._tensor.tensor import Tensor

_OUT = "Expected object of scalar type {Wanted} but got scalar type {Given} for argument 'out'"


def _check_parts(first: Tensor, second: Tensor) -> None:
    names = [each.dtype.scalar_type for each in (first, second)]
    if not all(each.dtype.name in ("float16", "float32", "float64") for each in (first, second)):
        raise RuntimeError(
            f"Expected both inputs to be Half, Float or Double tensors but got {names[0]} and {names[1]}"
        )
    if first.dtype is not second.dtype:
        raise RuntimeError(
            f"Expected object of scalar type {names[0]} but got scalar type {names[1]} for second argument"
        )


@op(
    "complex",
    "ComplexBackward0",
    method=False,
    prepare=_check_parts,
    check=check_broadcast,
    out=_OUT,
)
def complex(real: Array, imag: Array) -> Any:
    """`real + 1j * imag`."""
    return jax.lax.complex(*jnp.broadcast_arrays(real, imag))


@op(
    "polar",
    "PolarBackward0",
    method=False,
    saves="result",
    prepare=_check_parts,
    check=check_broadcast,
    out=_OUT,
)
def polar(abs: Array, angle: Array) -> Any:
    """Complex numbers of these lengths and angles."""
    return jax.lax.complex(abs * jnp.cos(angle), abs * jnp.sin(angle))
