"""Numbers as 0-d arguments of ops. They are inputs of a program, not part of it, so a new number compiles nothing."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from funcgrad.engine import Aval, Constant, Value, Variable, local
from funcgrad.engine.compiling import placed
from funcgrad.engine.ops import remember

_constants: dict[tuple[Aval, Any], Variable] = {}
_LIMIT = 4096
_INT32, _INT64 = Aval((), np.dtype(np.int32)), Aval((), np.dtype(np.int64))
_WIDEST = np.iinfo(np.int32).max


def constant(value: Any, aval: Aval, convert: Callable[[Any, np.dtype], Any]) -> Variable:
    """A number as a 0-d variable; equal numbers of one type share a variable.

    Args:
        value: the number.
        aval: the variable's 0-d type.
        convert: makes a NumPy scalar from a number and a dtype.
    """
    known = _constants.get((aval, value))
    if known is not None:
        storage = known._storage
        held = storage.value or storage.read()
        if not (local.recorder.trace.eager or isinstance(held.array, jax.Array)):
            # A number that comes again is likely to come often, and an array on the device costs a program less per call.
            held.array = placed(held.array)
        return known
    made = Variable(Constant(Value(convert(value, aval.dtype), aval)))
    if (
        value != 0 or aval.dtype.kind in "iub"
    ):  # 0.0 and -0.0 are equal, and are not the same number
        remember(_constants, (aval, value), made, _LIMIT)
    return made


def index_variable(index: int) -> Variable:
    """An index or an offset as a 0-d variable, so that all its values share a program."""
    return constant(index, _INT32 if index <= _WIDEST else _INT64, _as_scalar)


def _as_scalar(value: Any, dtype: np.dtype) -> Any:
    return dtype.type(value)
