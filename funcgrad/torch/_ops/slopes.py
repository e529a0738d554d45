"""Functions with PyTorch's derivative, where JAX's own differs at a zero, an infinity, NaN or a kink."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def sloped(function: Callable[..., Any], *slopes: Callable[..., Any]) -> Any:
    """A function of arrays with these partial derivatives.

    Args:
        function: an elementwise function.
        slopes: for each operand the derivative with respect to it, as a function of the operands and of the result.
    """
    made = jax.custom_jvp(function)

    def along(slope: Callable[..., Any]) -> Callable[..., Any]:
        def change(tangent: Any, result: Any, *operands: Any) -> Any:
            return jnp.broadcast_to(tangent * slope(*operands, result), result.shape)

        return change

    made.defjvps(*map(along, slopes))
    return made


@jax.custom_jvp
def with_derivative_of(value: Any, other: Any) -> Any:
    """`value`, with the derivative of `other`, an array of its shape."""
    return value


@with_derivative_of.defjvp
def _(primals: Any, tangents: Any) -> Any:
    return primals[0], tangents[1]


def choosing(function: Callable[..., Any]) -> Any:
    """A function that chooses one element of an array. Elements equal to it share the gradient, and NaN equals NaN."""
    made = jax.custom_jvp(lambda x: function(x))  # without arguments that have defaults

    def change(tangent: Any, result: Any, x: Any) -> Any:
        equal = (x == result) | (jnp.isnan(x) & jnp.isnan(result))
        return (jnp.where(equal, tangent, 0).sum() / equal.sum()).astype(result.dtype)

    made.defjvps(change)
    return made


def sharing(function: Callable[..., Any]) -> Any:
    """A reduction to an extreme, with PyTorch's derivative: equal elements share the gradient, and at NaN it is NaN.

    Args:
        function: JAX's reduction of (x, axis, keepdims).
    """

    def reduced(x: Any, axis: Any, keepdims: bool) -> Any:
        return function(x, axis=axis, keepdims=keepdims)

    made = jax.custom_jvp(reduced, nondiff_argnums=(1, 2))

    @made.defjvp
    def _(axis: Any, keepdims: bool, primals: Any, tangents: Any) -> Any:
        (x,), (t,) = primals, tangents
        equal = x == function(x, axis=axis, keepdims=True)
        # NaN equals nothing. Then all elements share, and the count is NaN: XLA would take zero for zero by zero.
        equal |= ~equal.any(axis, keepdims=True)
        shared = jnp.where(equal, t, 0).sum(axis, keepdims=keepdims)
        result = made(x, axis, keepdims)
        count = equal.sum(axis, keepdims=keepdims).astype(x.dtype)
        return result, shared / jnp.where(jnp.isnan(result), jnp.nan, count)

    return lambda x, axis, keepdims: made(x, axis, keepdims)
