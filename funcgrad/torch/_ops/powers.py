"""Powers. A small integer exponent is part of the op, because it changes the code; any other number is an input."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero

from funcgrad.engine import Aval, Op, record
from funcgrad.engine.ops import remember
from funcgrad.engine.unrolled import record_one
from funcgrad.torch._ops.elementwise import elementwise, operator
from funcgrad.torch._ops.out import store
from funcgrad.torch._ops.row import SAME, Array, accumulating, no_kernel, op
from funcgrad.torch._tensor.in_place import in_place, watch, writable
from funcgrad.torch._tensor.operands import (
    NUMBERS,
    laid_out,
    number,
    of_array,
    promoted,
    stored_number,
)
from funcgrad.torch._tensor.registry import publish
from funcgrad.torch._tensor.tensor import Tensor, tensor_of
from funcgrad.torch._types.dtypes import forgotten_with_default_dtype
from funcgrad.torch._types.numbers import kind_of

# Powers with integer exponents up to this one are computed by multiplication.
_LARGEST_STATIC = 16


def _power_of_tensors(base: Any, exponent: Any) -> Any:
    """`base ** exponent`, with PyTorch's derivatives where base or exponent is zero."""
    if jnp.issubdtype(base.dtype, jnp.integer):
        # `1 / base ** -exponent` rounded as in C: zero, except for the bases 1 and -1.
        sign = jnp.where(exponent % 2 == 0, 1, -1).astype(base.dtype)
        inverse = jnp.where(base == 1, 1, jnp.where(base + 1 == 0, sign, 0))
        return jnp.where(exponent < 0, inverse, jnp.power(base, jnp.maximum(exponent, 0)))
    return _raised(base, exponent)


@jax.custom_jvp
def _raised(base: Any, exponent: Any) -> Any:
    return jnp.power(base, exponent)


@partial(_raised.defjvp, symbolic_zeros=True)
def _raised_jvp(primals: Any, tangents: Any) -> Any:
    base, exponent = primals
    result = _raised(base, exponent)
    along = jnp.zeros_like(result)
    # An absent tangent is skipped: a zero in its place times an infinite slope would give NaN.
    if not isinstance(tangents[0], SymbolicZero):
        flat = exponent == 0
        slope = jnp.where(flat, 0, exponent * _raised(base, exponent - 1))
        along = along + jnp.where(flat, 0, tangents[0] * slope)
    if not isinstance(tangents[1], SymbolicZero):
        flat = (base == 0) & (jnp.real(exponent) >= 0) & (jnp.imag(exponent) == 0)
        slope = jnp.where(flat, 0, result * jnp.log(base))
        along = along + tangents[1] * slope
    return result, along


_of_tensors = elementwise(
    "pow",
    _power_of_tensors,
    "PowBackward1",
    SAME,
    operands=2,
    other="exponent",
    kind="power",
    public=False,
    saves="self exponent result",
    refuses=(no_kernel("b", "pow"),),
)


def _check_integers(base: np.dtype, exponent: Any) -> None:
    if base.kind in "iub" and exponent < 0:
        raise RuntimeError("Integers to negative integer powers are not allowed.")


@op("pow.Tensor_Scalar", "PowBackward0", saves="self", keeps=(0,))
def _static_power(input: Array, exponent: float, dtype: np.dtype) -> Any:
    x = input.astype(dtype)
    if dtype.kind == "b":
        return jnp.logical_or(x, exponent == 0)
    if exponent == 0.5:
        return jnp.sqrt(x)
    return accumulating(partial(jax.lax.integer_pow, y=int(exponent)))(x)


@op("pow.Tensor_Scalar_input", "PowBackward0", saves="self")
def _dynamic_power(input: Array, exponent: Array, dtype: np.dtype) -> Any:
    return jnp.power(input.astype(dtype), exponent)


@op("pow.Scalar", "PowBackward2")
def _power_of_number(exponent: Array, self: Array, dtype: np.dtype) -> Any:
    return _raised(self, exponent.astype(dtype))


_static: dict[tuple[int, type, Any], Op] = forgotten_with_default_dtype({})


def _power_op(input: Tensor, exponent: Any) -> tuple[Op, tuple[Any, ...]]:
    """The op that raises `input` to a Python number, and the op's arguments after `input`."""
    storage = input._storage
    key = ((storage.value or storage).aval.kind, type(exponent), exponent)
    known = _static.get(key)
    if known is not None:
        return known, ()
    dtype = promoted((input, exponent)).numpy_dtype
    _check_integers(dtype, exponent if not isinstance(exponent, complex) else 0)
    whole = np.imag(exponent) == 0 and exponent == np.round(exponent)
    if exponent == 0.5 or (whole and abs(exponent) <= _LARGEST_STATIC):
        found = _static_power.op(float(np.real(exponent)), dtype)
        found.flat = exponent == 1
        return remember(_static, key, found), ()
    return _dynamic_power.op(dtype), (stored_number(exponent, Aval((), dtype)),)


def _power(input: Tensor, exponent: Any) -> Tensor:
    op, others = _power_op(input, exponent)
    result = tensor_of(*(record(op, (input, *others)) if others else record_one(op, input)))
    return laid_out(result, input)


def pow(input: Any, exponent: Any, *, out: Tensor | None = None) -> Tensor:
    """`input` to the power `exponent`, element by element; either may be a Python number.

    Raises:
        RuntimeError: an integer tensor is raised to a negative integer.

    >>> import funcgrad.torch as torch
    >>> torch.tensor([1.0, 2.0, 3.0]) ** 2
    tensor([1., 4., 9.])
    """
    if out is not None:
        return store("pow", out, (input, exponent), lambda: pow(input, exponent))
    if isinstance(input, Tensor) and isinstance(exponent, NUMBERS):
        return _power(input, exponent)
    if isinstance(input, Tensor) and isinstance(exponent, Tensor):
        result = tensor_of(*record(_of_tensors.for_types(input, exponent), (input, exponent)))
    else:
        for name, position, each in (("exponent", 2, exponent), ("input", 1, input)):
            if not isinstance(each, (Tensor, *(NUMBERS if position == 1 else ()))):
                raise TypeError(
                    f"pow(): argument '{name}' (position {position}) must be Tensor, not {kind_of(each)}"
                )
        dtype = promoted((input, exponent)).numpy_dtype
        base = number(input, Aval((), dtype))
        if dtype.kind in "iu":
            return tensor_of(*record(_of_tensors.for_types(base, exponent), (base, exponent)))
        result = tensor_of(*record(_power_of_number.op(dtype), (exponent, base)))
    watch(result._node, result._storage, arguments=True)
    return result


def pow_(self: Tensor, exponent: Any) -> Tensor:
    """`pow`, stored in the tensor itself."""
    writable(self)
    if isinstance(exponent, NUMBERS) and promoted((self, exponent)) is self.dtype:
        op, others = _power_op(self, exponent)
        return in_place(op, self, *others)
    return _of_tensors.in_place(self, exponent, saves=None if isinstance(exponent, Tensor) else "")


def _operator(self: Tensor, exponent: Any) -> Any:
    if isinstance(exponent, NUMBERS):
        return _power(self, exponent)
    given = exponent if isinstance(exponent, Tensor) else of_array(exponent)
    return NotImplemented if given is None else pow(self, given)


def _in_place_operator(self: Tensor, exponent: Any) -> Any:
    given = exponent if isinstance(exponent, (Tensor, *NUMBERS)) else of_array(exponent)
    return NotImplemented if given is None else pow_(self, given)


publish(pow, checks_input=True)
publish(pow_, function=False)
publish(_operator, "__pow__", function=False)
publish(_in_place_operator, "__ipow__", function=False)
publish(operator(lambda exponent, base: pow(base, exponent)), "__rpow__", function=False)
