"""How many threads NumPy's products of matrices take.

NumPy's own packages bring OpenBLAS, whose functions have another name in each build. Where none is found, as with another
library or on Windows, the number is neither known nor changed.
"""

import ctypes
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

import numpy as np

_NAMES = ("scipy_openblas_{}64_", "scipy_openblas_{}", "openblas_{}64_", "openblas_{}")


@cache
def _function(name: str) -> Callable[..., Any] | None:
    with suppress(AttributeError, OSError):
        # The symbols of a module's libraries are found by the module.
        library = ctypes.CDLL(np._core._multiarray_umath.__file__)  # type: ignore[attr-defined]
        for each in _NAMES:
            with suppress(AttributeError):
                return getattr(library, each.format(name))
    return None


def get_threads() -> int | None:
    """The number of threads; None where it is not known."""
    find = _function("get_num_threads")
    return None if find is None else find()


def set_threads(number: int) -> None:
    """Let products take so many threads, in the whole process."""
    change = _function("set_num_threads")
    if change is not None:
        change(ctypes.c_int(number))
