"""Python numbers as elements of a dtype: PyTorch's rules for numbers that do not fit."""

from math import isfinite
from typing import Any

import jax.numpy as jnp
import numpy as np

from funcgrad.torch._types.dtypes import C_NAMES, from_numpy_dtype


def kind_of(value: Any) -> str:
    """The name of an argument's type in PyTorch's errors.

    >>> kind_of(np.zeros(2)), kind_of("a")
    ('numpy.ndarray', 'str')
    """
    kind = type(value)
    return f"numpy.{kind.__name__}" if kind.__module__ == "numpy" else kind.__name__


def as_scalar(value: Any, dtype: np.dtype) -> Any:
    """A number as an operand of arithmetic. Integers wrap around, and a float that is too large becomes infinity.

    Raises:
        OverflowError: an integer has more than 64 bits.
        RuntimeError: the number has an imaginary part, and the dtype is real.

    >>> as_scalar(300, np.dtype(np.uint8))
    np.uint8(44)
    """
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        raise OverflowError("int too big to convert")
    if isinstance(value, complex) and dtype.kind not in "cb":
        if value.imag:
            raise _overflow(dtype)
        value = value.real
    if dtype.kind in "iu" and isinstance(value, int):
        return np.uint64(value % 2**64).astype(dtype)
    with np.errstate(over="ignore"):
        try:
            return dtype.type(value)
        except (OverflowError, ValueError) as error:
            if isinstance(value, str):
                raise TypeError(f"expected a number, not {value!r}") from error
            raise _overflow(dtype) from None


def check_fits(value: Any, dtype: np.dtype) -> None:
    """Check that a dtype can hold a number, by PyTorch's rules.

    Raises:
        OverflowError: an integer has more than 64 bits.
        RuntimeError: the dtype cannot hold the number.
    """
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        raise OverflowError("int too big to convert")
    if dtype.kind == "b":
        return
    parts = (
        (value.real, value.imag) if isinstance(value, (complex, np.complexfloating)) else (value,)
    )
    if len(parts) > 1 and parts[1] and dtype.kind != "c":
        raise _overflow(dtype)
    if dtype.kind in "iu":
        real, largest, smallest = parts[0], int(np.iinfo(dtype).max), int(np.iinfo(dtype).min)
        if dtype.kind == "u" and not isinstance(real, (float, np.floating)):
            smallest = -largest  # an integer below zero wraps around
        if not isfinite(real) or not smallest <= real <= largest:
            raise _overflow(dtype)
    elif any(isfinite(part) and abs(part) > float(jnp.finfo(dtype).max) for part in parts):
        raise _overflow(dtype)


def fitting(value: Any, dtype: np.dtype) -> Any:
    """A number as an element of a dtype, which has to hold it.

    Raises:
        OverflowError, RuntimeError: see `check_fits`.

    >>> fitting(2.7, np.dtype(np.int32)), fitting(-1, np.dtype(np.uint8))
    (np.int32(2), np.uint8(255))
    """
    check_fits(value, dtype)
    if dtype.kind in "iu":
        value = int(value.real)
    return as_scalar(value, dtype)


def _overflow(dtype: np.dtype) -> RuntimeError:
    name = dtype.name
    if dtype.kind not in "iu":
        name = C_NAMES[from_numpy_dtype(dtype)]
    elif name != "int32":
        name = f"{name}_t"
    else:
        name = "int"
    return RuntimeError(f"value cannot be converted to type {name} without overflow")
