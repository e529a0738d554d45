"""A text that tells functions apart, the same in every process: what was made from a function is found again by it.

It is built from the place of the function's code and from all that its closure holds. It does not follow globals: these are
the library's own, which `kept` compares as a whole.
"""

import os
from collections.abc import Callable
from enum import Enum
from functools import partial
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any
from zlib import crc32

import jax
import numpy as np

_PLAIN = frozenset({type(None), type(...), bool, int, float, complex, str, bytes})
# The library's code, and JAX's and NumPy's. Code elsewhere, such as the user's, may change between processes.
LIBRARY = str(Path(__file__).parents[1])
_ROOTS = tuple(f"{root}{os.sep}" for root in (LIBRARY, *jax.__path__, *np.__path__))


class NoFingerprintError(Exception):
    """An object has no text of its own."""


def fingerprint(thing: Any) -> str:
    """The text of a function, or of anything that one may hold.

    Raises:
        NoFingerprintError: it holds something that is not known, or is defined outside of the library.
    """
    kind = type(thing)
    if kind in _PLAIN:
        return f"{kind.__name__}:{thing!r}"
    if isinstance(thing, Enum):
        return f"{_named(kind)}.{thing.name}"
    find = _KINDS.get(kind)
    if find is not None:
        return find(thing)
    if isinstance(thing, tuple):  # a named one
        return f"{_named(kind)}{_each(thing)}"
    if isinstance(thing, np.dtype):
        return f"dtype:{thing.name}"
    if isinstance(thing, np.generic):
        return f"{thing.dtype.name}:{thing.tobytes().hex()}"
    if isinstance(thing, type):
        return _named(thing)
    own = getattr(kind, "fingerprint", None)
    if own is not None:
        return f"{_named(kind)}({fingerprint(own(thing))})"
    inner = getattr(thing, "__wrapped__", None)
    if inner is not None:  # such as a compiled function of JAX's
        return f"{kind.__name__}({fingerprint(inner)})"
    name = _named(kind)
    if "__reduce__" in vars(kind) and isinstance(reduced := thing.__reduce__(), str):
        return f"{name}:{reduced}"  # it is found by name
    raise NoFingerprintError


def _named(kind: Any) -> str:
    if kind.__module__.partition(".")[0] not in (
        "builtins",
        "funcgrad",
        "jax",
        "numpy",
        "ml_dtypes",
    ):
        raise NoFingerprintError
    return f"{kind.__module__}.{kind.__qualname__}"


def _each(things: Any) -> str:
    return f"({','.join(map(fingerprint, things))})"


def _of_function(function: FunctionType) -> str:
    code = function.__code__
    if not code.co_filename.startswith(_ROOTS):
        raise NoFingerprintError
    try:
        held = [cell.cell_contents for cell in function.__closure__ or ()]
    except ValueError:  # a cell that is still empty
        raise NoFingerprintError from None
    defaults = (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).items())
    # Two functions may begin in one line.
    text = crc32(code.co_code + code.co_linetable + repr(code.co_names).encode())
    place = f"{code.co_filename}:{code.co_firstlineno}:{code.co_qualname}:{text}"
    return f"{place}{_each(held)}{_each(defaults)}"


_KINDS: dict[type, Callable[[Any], str]] = {
    tuple: _each,
    list: lambda things: f"list{_each(things)}",
    dict: lambda things: f"dict{_each(things.items())}",
    slice: lambda each: f"slice{_each((each.start, each.stop, each.step))}",
    partial: lambda each: f"partial{_each((each.func, each.args, each.keywords))}",
    FunctionType: _of_function,
    MethodType: lambda each: f"method{_each((each.__func__, each.__self__))}",
    BuiltinFunctionType: lambda each: f"{each.__module__}.{each.__qualname__}",
    np.ufunc: lambda each: f"ufunc:{each.__name__}",
    jax.custom_jvp: lambda each: f"custom_jvp({fingerprint(each.fun)})",
    jax.numpy.ufunc: lambda each: f"jax:{each.__name__}",
}
