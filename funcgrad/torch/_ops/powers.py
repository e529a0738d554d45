"""Powers. A small integer exponent is part of the op, since it changes the code; any other number is an input."""

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcgrad.engine import Aval, Op, record
from funcgrad.engine.trace import record_one
from funcgrad.torch._ops.pointwise import Pointwise, Row, operator
from funcgrad.torch._tensor.in_place import in_place, watch, writable
from funcgrad.torch._tensor.operands import (
    NUMBERS,
    laid_out,
    number,
    promoted,
    remember,
    stored_number,
)
from funcgrad.torch._tensor.tensor import Tensor, tensor_of

# Integer exponents up to this one are multiplied out.
_LARGEST_STATIC = 16


def _power_of_tensors(base: Any, exponent: Any) -> Any:
    """`base ** exponent`, with PyTorch's derivative: zero along the base where the exponent is zero."""
    constant = jax.lax.stop_gradient(base)
    return jnp.power(jnp.where(exponent == 0, constant, base), exponent)


_of_tensors = Pointwise(Row("pow", _power_of_tensors, "PowBackward1"))


def _check_integers(base: np.dtype, exponent: Any) -> None:
    if base.kind in "iub" and exponent < 0:
        raise RuntimeError("Integers to negative integer powers are not allowed.")


@cache
def _static_power(exponent: float, dtype: np.dtype) -> Op:
    def power(x: Any) -> Any:
        x = x.astype(dtype)
        if dtype.kind == "b":
            return jnp.logical_or(x, exponent == 0)
        return jnp.sqrt(x) if exponent == 0.5 else jax.lax.integer_pow(x, int(exponent))

    return Op(f"pow {exponent:g}", power, label="PowBackward0", saves=(0,))


@cache
def _dynamic_power(dtype: np.dtype) -> Op:
    return Op("pow", lambda x, exponent: jnp.power(x.astype(dtype), exponent), label="PowBackward0")


@cache
def _power_of_number(dtype: np.dtype) -> Op:
    return Op(
        "pow", lambda exponent, base: jnp.power(base, exponent.astype(dtype)), label="PowBackward2"
    )


_static: dict[tuple[Aval, type, Any], Op] = {}


def _power_op(input: Tensor, exponent: Any) -> tuple[Op, tuple[Any, ...]]:
    """The op that takes `input` to a Python number's power, and what it takes beside `input`."""
    key = (input._storage.value.aval, type(exponent), exponent)
    known = _static.get(key)
    if known is not None:
        return known, ()
    dtype = promoted((input, exponent)).numpy_dtype
    _check_integers(dtype, exponent if not isinstance(exponent, complex) else 0)
    if exponent == 0.5 or (exponent == np.round(exponent) and abs(exponent) <= _LARGEST_STATIC):
        op = _static_power(float(np.real(exponent)), dtype)
        return remember(_static, key, op), ()
    return _dynamic_power(dtype), (stored_number(exponent, Aval((), dtype)),)


def _power(input: Tensor, exponent: Any) -> Tensor:
    op, others = _power_op(input, exponent)
    result = tensor_of(*(record(op, (input, *others)) if others else record_one(op, input)))
    return laid_out(result, input)


def pow(input: Any, exponent: Any) -> Tensor:
    """`input` to the power `exponent`, element by element; either may be a Python number.

    Raises:
        RuntimeError: an integer tensor to a negative integer power.

    >>> import funcgrad.torch as torch
    >>> torch.tensor([1.0, 2.0, 3.0]) ** 2
    tensor([1., 4., 9.])
    """
    if not isinstance(input, Tensor):
        dtype = promoted((input, exponent)).numpy_dtype
        base = number(input, Aval((), dtype))
        result = tensor_of(*record(_power_of_number(dtype), (exponent, base)))
        watch(result._node, result._storage, arguments=True)
        return result
    if isinstance(exponent, NUMBERS):
        return _power(input, exponent)
    op = _of_tensors.for_types(input, exponent)
    result = tensor_of(*record(op, (input, exponent)))
    watch(result._node, result._storage, arguments=True)
    return result


def pow_(input: Tensor, exponent: Any) -> Tensor:
    """`pow` stored in `input`."""
    writable(input)
    if isinstance(exponent, NUMBERS) and promoted((input, exponent)) is input.dtype:
        op, others = _power_op(input, exponent)
        return in_place(op, input, *others)
    return _of_tensors.in_place(input, exponent, with_result=isinstance(exponent, Tensor))


def _operator(self: Tensor, exponent: Any) -> Any:
    if isinstance(exponent, NUMBERS):
        return _power(self, exponent)
    return pow(self, exponent) if isinstance(exponent, Tensor) else NotImplemented


FUNCTIONS = {"pow": pow}
METHODS = {
    "pow": pow,
    "pow_": pow_,
    "__pow__": _operator,
    "__rpow__": operator(lambda exponent, base: pow(base, exponent)),
}
