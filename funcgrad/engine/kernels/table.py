"""The table from JAX's primitives to NumPy: for each primitive, how a line of Python source computes it.

A rule takes the equation and the source being written (`source.Source`), and adds lines to it. Only primitives whose results
NumPy gives in the same dtype and to rounding have a rule; see `source.supported` for the dtypes.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

Rule = Callable[[Any, Any], None]
RULES: dict[str, Rule] = {}


def _floordiv(a: int, b: int) -> int:
    return a // b


def _mod(a: int, b: int) -> int:
    return a % b


# The functions in which a length that is a symbol is printed.
DIMENSIONS: dict[str, Any] = {"floordiv": _floordiv, "mod": _mod}


def python(text: str) -> str:
    """Expressions of symbols as Python reads them."""
    return text.replace("^", "**")


class NoRuleError(Exception):
    """NumPy has no equal of a primitive, or of this use of it."""


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Declare the rule of some primitives."""

    def declare(function: Rule) -> Rule:
        for name in names:
            assert name not in RULES, f"{name} has two rules"
            RULES[name] = function
        return function

    return declare


def kind_of(atom: Any) -> str:
    """The kind of an atom's dtype, by NumPy's letter."""
    return atom.aval.dtype.kind


def lowest(dtype: np.dtype) -> Any:
    """The least element of a dtype."""
    return (
        dtype.type(-np.inf)
        if dtype.kind == "f"
        else dtype.type(dtype.kind != "b" and np.iinfo(dtype).min)
    )


def highest(dtype: np.dtype) -> Any:
    """The greatest element of a dtype."""
    return (
        dtype.type(np.inf)
        if dtype.kind == "f"
        else dtype.type(dtype.kind == "b" or np.iinfo(dtype).max)
    )
