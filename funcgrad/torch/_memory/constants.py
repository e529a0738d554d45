"""Numbers as 0-d arguments of ops. They are inputs of a program and no part of it, so a new number compiles nothing."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from funcgrad.engine import Aval, Constant, Value, Variable
from funcgrad.engine.compiling import placed
from funcgrad.engine.ops import remember

_constants: dict[tuple[Aval, Any], Variable] = {}
_LIMIT = 4096
_INT32, _INT64 = Aval((), np.dtype(np.int32)), Aval((), np.dtype(np.int64))
_WIDEST = np.iinfo(np.int32).max


def constant(value: Any, aval: Aval, convert: Callable[[Any, np.dtype], Any]) -> Variable:
    """A number as a 0-d variable; one that was met before is the same variable.

    Args:
        value: the number.
        aval: the 0-d type that it takes.
        convert: makes the NumPy scalar of a number and a dtype.
    """
    known = _constants.get((aval, value))
    if known is not None:
        held = known._storage.value
        if not isinstance(held.array, jax.Array):
            # Met again, so likely to be met often: on the device it costs less with every call.
            held.array = placed(held.array)
        return known
    made = Variable(Constant(Value(convert(value, aval.dtype), aval)))
    if (
        value != 0 or aval.dtype.kind in "iub"
    ):  # 0.0 and -0.0 are equal, and are not the same number
        remember(_constants, (aval, value), made, _LIMIT)
    return made


def place(index: int) -> Variable:
    """An index or an offset as a 0-d variable, so that all values of it share a program."""
    return constant(index, _INT32 if index <= _WIDEST else _INT64, _as_scalar)


def _as_scalar(value: Any, dtype: np.dtype) -> Any:
    return dtype.type(value)
