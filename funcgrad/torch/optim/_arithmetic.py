"""The elementwise steps that update rules are made of, each rounded as PyTorch's vectorised CPU kernel of that name rounds.

A rule that keeps to them gives PyTorch's numbers also in half precision, where each step is computed in float32 and
rounded to the parameter's dtype.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

import jax
import jax.numpy as jnp

from funcgrad.torch._types.dtypes import bfloat16, float16

_HALF = {float16.numpy_dtype, bfloat16.numpy_dtype}


def _kernel(function: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    @wraps(function)
    def rounded(first: jax.Array, *others: Any) -> jax.Array:
        dtype = first.dtype
        if dtype not in _HALF:
            return function(first, *others)
        return _rounded(
            function(*(jnp.asarray(each, jnp.float32) for each in (first, *others))), dtype
        )

    return rounded


def _rounded(wide: jax.Array, dtype: Any) -> jax.Array:
    """Round float32 numbers to half precision. XLA may keep the digits that a mere conversion takes away."""
    limits = jnp.finfo(dtype)
    result = jax.lax.reduce_precision(wide, limits.nexp, limits.nmant)
    if limits.nexp < jnp.finfo(jnp.float32).nexp:
        # `reduce_precision` gives zero for numbers below the normal ones, which have so many of the smallest in them.
        least = float(limits.smallest_subnormal)
        small = jnp.abs(wide) < float(limits.smallest_normal)
        result = jnp.where(small, jnp.round(wide / least) * least, result)
    return result.astype(dtype)


def add(a: Any, b: Any, alpha: Any = 1) -> Any:
    """`a + alpha b`; the one kernel that rounds numbers, too."""
    if a.dtype in _HALF:
        b, alpha = (_rounded(jnp.asarray(each, jnp.float32), a.dtype) for each in (b, alpha))
    return _add(a, b, alpha)


@_kernel
def _add(a: Any, b: Any, alpha: Any) -> Any:
    return a + alpha * b


@_kernel
def mul(a: Any, b: Any) -> Any:
    """`a b`."""
    return a * b


@_kernel
def div(a: Any, b: Any) -> Any:
    """`a / b`."""
    return a / b


@_kernel
def reciprocal(a: Any) -> Any:
    """`1 / a`."""
    return 1 / a


@_kernel
def sqrt(a: Any) -> Any:
    """The root of `a`."""
    return jnp.sqrt(a)


@_kernel
def lerp(a: Any, b: Any, weight: Any) -> Any:
    """`a + weight (b - a)`, exact at a weight of zero and of one."""
    return jnp.where(weight < 0.5, a + weight * (b - a), b - (1 - weight) * (b - a))


@_kernel
def addcmul(a: Any, b: Any, c: Any, value: Any = 1) -> Any:
    """`a + value b c`."""
    return a + value * b * c


@_kernel
def addcdiv(a: Any, b: Any, c: Any, value: Any = 1) -> Any:
    """`a + value b / c`."""
    return a + value * b / c
