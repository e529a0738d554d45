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
