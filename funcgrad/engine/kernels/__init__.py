"""Kernels of ops on a CPU: Python functions of NumPy calls, written from jaxprs (`source`) by a table (`table`)."""

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
