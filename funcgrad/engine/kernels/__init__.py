"""Kernels of ops on a CPU: Python functions of NumPy calls, written from jaxprs (`source`) by a table (`table`)."""

import numpy as np

# These fill the table.
from funcgrad.engine.kernels import convolution, elementwise, loops, places, shapes, sums  # noqa: F401
from funcgrad.engine.kernels.source import (
    CALL_SECONDS,
    ELEMENT_SECONDS,
    Kernel,
    Written,
    equations,
    numpy_kernel,
    supported,
)
from funcgrad.engine.kernels.table import DIMENSIONS, python

# C's allocator gives freed memory back to the system beyond a limit, and the system clears each page that is taken again: up to
# a third of the time of a step. GNU's raises its limit to the largest block it has seen freed, up to these 32 MB. No page of
# this block is touched. Memory that stays with the process is at most twice as much.
np.empty(2**25 - 2**14, np.uint8)

__all__ = [
    "CALL_SECONDS",
    "DIMENSIONS",
    "ELEMENT_SECONDS",
    "Kernel",
    "Written",
    "equations",
    "numpy_kernel",
    "python",
    "supported",
]
