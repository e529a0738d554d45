"""NIST's reference problems of linear least squares, with answers certified to many digits."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from fractions import Fraction
from importlib import resources
from typing import NamedTuple

import numpy as np
from jaxtyping import ArrayLike, Float

from funcgrad.datasets.table import DataError

NIST_PROBLEMS = (
    "norris",
    "pontius",
    "noint1",
    "noint2",
    "filip",
    "longley",
    "wampler1",
    "wampler2",
    "wampler3",
    "wampler4",
    "wampler5",
)


class ReferenceProblem(NamedTuple):
    """Data as published and its exact least-squares answer, in decimals of 20 digits.

    Attributes:
        x: the one feature of a polynomial, or six, shape (rows, features).
        y: the targets, shape (rows,).
        degree: of the polynomial in the one feature; None where the features stand for themselves.
        intercept: whether the model has one.
        coefficients: the intercept first, then one for each feature or rising power.
        standard_errors: of the coefficients, in the same order.
        residual_standard_deviation: √(Σ residual² / (rows - parameters)).
        r_squared: about the mean with an intercept, about zero without.
    """

    x: Float[np.ndarray, "rows features"]
    y: Float[np.ndarray, " rows"]
    degree: int | None
    intercept: bool
    coefficients: tuple[str, ...]
    standard_errors: tuple[str, ...]
    residual_standard_deviation: str
    r_squared: str


def load_nist(name: str) -> ReferenceProblem:
    """Return one of the eleven linear problems of the Statistical Reference Datasets.

    Args:
        name: one of `NIST_PROBLEMS`, which stand in NIST's order, the easier first.

    Raises:
        DataError: there is no such problem.

    Source: National Institute of Standards and Technology, "Statistical Reference Datasets: Linear
    Regression", public domain, the data as published. The certified values are computed in exact
    rational arithmetic from the published decimals, and agree with every digit that NIST prints.

    >>> from funcgrad.datasets import load_nist
    >>> problem = load_nist("longley")
    >>> problem.x.shape, problem.degree, problem.intercept, problem.coefficients[0]
    ((16, 6), None, True, '-3482258.6345958183253')
    """
    if name not in NIST_PROBLEMS:
        raise DataError(f"there is no problem {name!r}; there are: {', '.join(NIST_PROBLEMS)}")
    text = (resources.files("funcgrad.datasets") / "strd_linear.json").read_text(encoding="utf-8")
    problem = json.loads(text)[name]
    words = problem["model"].split()
    certified = problem["certified"]
    return ReferenceProblem(
        x=np.array(problem["x"]),
        y=np.array(problem["y"]),
        degree=int(words[3]) if words[0] == "polynomial" else None,
        intercept="intercept" in words,
        coefficients=tuple(certified["coefficients"]),
        standard_errors=tuple(certified["standard_errors"]),
        residual_standard_deviation=certified["residual_standard_deviation"],
        r_squared=certified["r_squared"],
    )


def correct_digits(
    computed: Float[ArrayLike, " values"], certified: Sequence[str], most: float = 20.0
) -> float:
    """Return how many decimal digits are right in the worst of some values.

    It is minus the decimal logarithm of the relative error, of the absolute error where the certified
    value is zero, computed in rational arithmetic.

    Args:
        computed: the values, shape (values,).
        certified: as many decimals.
        most: the digits that the decimals hold: no more are counted.

    Returns:
        The digits, at least 0; 0 where a value is not finite.

    Source: B. D. McCullough, "Assessing the reliability of statistical software: part I", The American
    Statistician 52 (1998).

    >>> from funcgrad.datasets import correct_digits
    >>> round(correct_digits([3.1416, 2.0], ["3.14159265358979323846", "2"]), 2)
    5.63
    """

    def digits(value: float, wanted: Fraction) -> float:
        if not math.isfinite(value):
            return 0.0
        error = abs(Fraction(value) - wanted) / (abs(wanted) or 1)
        if error <= Fraction(1, 10 ** int(most)):
            return most
        return max(-math.log10(error.numerator / error.denominator), 0.0)

    values = np.asarray(computed, np.float64).tolist()
    return min(digits(*pair) for pair in zip(values, map(Fraction, certified), strict=True))
