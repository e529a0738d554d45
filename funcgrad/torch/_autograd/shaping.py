"""Gradients from Python code, fitted to their variable: summed, cast, or refused."""

from functools import lru_cache
from typing import Any

import jax.numpy as jnp

from funcgrad.engine import Aval, Op, Variable
from funcgrad.torch._tensor.operands import call
from funcgrad.torch._tensor.tensor import Tensor


@lru_cache(maxsize=1024)
def _fit(shape: tuple[int, ...], aval: Aval) -> Op:
    """The op that sums over broadcast dimensions, and casts."""
    lead = len(shape) - len(aval.shape)
    axes = tuple(range(lead)) + tuple(
        lead + k for k, length in enumerate(aval.shape) if length == 1 and shape[lead + k] != 1
    )

    def fit(gradient: Any) -> Any:
        summed = jnp.sum(gradient, axes).reshape(aval.shape)
        if jnp.iscomplexobj(summed) and aval.dtype.kind != "c":
            summed = summed.real
        return summed.astype(aval.dtype)

    return Op("sum to size", fit, label="SumBackward1" if axes else "ToCopyBackward0")


def as_gradient_of(aval: Aval, gradient: Tensor, function: str, position: int) -> Variable:
    """Fit a gradient to a variable of type `aval`.

    Args:
        aval: the variable's type.
        gradient: has that shape, or a shape that it broadcasts to.
        function, position: who gave it, and for which argument, for the message.

    Raises:
        RuntimeError: the gradient has another shape, or just one of gradient and variable is complex.
    """
    given = gradient._storage.aval
    if given.shape == aval.shape and given.dtype == aval.dtype:
        return gradient
    lead = len(given.shape) - len(aval.shape)
    if lead < 0 or any(
        length not in (1, given.shape[lead + k]) for k, length in enumerate(aval.shape)
    ):
        raise RuntimeError(
            f"Function {function} returned an invalid gradient at index {position} - got {list(given.shape)} but "
            f"expected shape compatible with {list(aval.shape)}"
        )
    is_complex = given.dtype.kind == "c"
    if (is_complex or not given.inexact) and is_complex != (aval.dtype.kind == "c"):
        raise RuntimeError(
            "Expected isFloatingType(grad.scalar_type()) || (input_is_complex == grad_is_complex) to be true, but got "
            "false.  (Could this error message be improved?  If so, please report an enhancement request to PyTorch.)"
        )
    return call(_fit(given.shape, aval), gradient)
