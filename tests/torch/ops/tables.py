"""The rows of the tables of elementwise ops and of reductions, and how tests call them on either side."""

import numpy as np

import funcgrad.torch.special  # noqa: F401  its rows are there once it is loaded
from funcgrad.torch._ops.row import rows

UNARY = rows("unary")
BINARY = rows("binary")
REDUCTIONS = rows("reduction")
# Ops by the numbers that they take; for an op of two operands, the second one's.
BETWEEN_ZERO_AND_ONE = {
    "acos",
    "asin",
    "atanh",
    "erfinv",
    "log",
    "log10",
    "log1p",
    "log2",
    "reciprocal",
    "rsqrt",
    "special_entr",
    "special_ndtri",
    "special_xlog1py",
    "sqrt",
    "xlogy",
}
ABOVE_ONE = {"acosh"}


def called(torch, name):
    """The function of a row: `special_entr` is `torch.special.entr`."""
    special = name.removeprefix("special_")
    return getattr(torch if special == name else torch.special, special)


def sample(name: str, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Elements from the op's domain, away from its kinks."""
    elements = np.random.default_rng(seed).uniform(0.15, 0.85, shape)
    if name in ABOVE_ONE:
        return elements + 1
    if name in BETWEEN_ZERO_AND_ONE:
        return elements
    return elements * 4 - 2
