"""The reference problems: their certified values hold in rational arithmetic, and digits are counted right."""

from fractions import Fraction

import numpy as np
import pytest

from funcgrad.datasets import NIST_PROBLEMS, DataError, correct_digits, load_nist

TWENTY_DIGITS = Fraction(1, 10**19)


def exact_design(problem):
    """The design matrix of the published decimals, with no rounding: the floats' shortest form."""
    rows = [[Fraction(repr(v)) for v in row] for row in problem.x.tolist()]
    if problem.degree is not None:
        rows = [[row[0] ** k for k in range(1, problem.degree + 1)] for row in rows]
    return [[Fraction(1), *row] for row in rows] if problem.intercept else rows


def dot(a, b):
    return sum(p * q for p, q in zip(a, b, strict=True))


@pytest.mark.parametrize("name", NIST_PROBLEMS)
def test_certified_coefficients_leave_residuals_orthogonal_to_every_column(name):
    problem = load_nist(name)
    design = exact_design(problem)
    coefficients = [Fraction(c) for c in problem.coefficients]
    y = [Fraction(repr(v)) for v in problem.y.tolist()]
    residuals = [t - dot(row, coefficients) for row, t in zip(design, y, strict=True)]
    for j, column in enumerate(zip(*design, strict=True)):
        # The coefficients are rounded to 20 digits; that much may remain.
        scale = sum(
            abs(v) * abs(row[k] * c)
            for v, row in zip(column, design, strict=True)
            for k, c in enumerate(coefficients)
        )
        assert abs(dot(column, residuals)) <= TWENTY_DIGITS * scale, j


@pytest.mark.parametrize("name", NIST_PROBLEMS)
def test_certified_deviation_and_r_squared_are_those_of_the_residuals(name):
    problem = load_nist(name)
    design = exact_design(problem)
    coefficients = [Fraction(c) for c in problem.coefficients]
    y = [Fraction(repr(v)) for v in problem.y.tolist()]
    squares = sum((t - dot(row, coefficients)) ** 2 for row, t in zip(design, y, strict=True))
    centre = sum(y) / len(y) if problem.intercept else 0
    total = sum((t - centre) ** 2 for t in y)
    assert correct_digits([float(1 - squares / total)], [problem.r_squared]) > 15
    variance = squares / (len(y) - len(coefficients))
    deviation = Fraction(problem.residual_standard_deviation)
    assert abs(variance - deviation**2) <= Fraction(1, 10**14) * (deviation**2 or 1)


@pytest.mark.parametrize(
    ("computed", "certified", "digits"),
    [
        ([1.0], ["1"], 20),
        ([1.001], ["1"], 3),
        ([0.0], ["0.0"], 20),
        ([1e-12], ["0.0"], 12),
        ([5.0, 1.01], ["5", "1"], 2),
        ([np.nan], ["1"], 0),
        ([np.inf], ["1"], 0),
        ([1e300], ["1"], 0),
        ([1e-300], ["0"], 20),
    ],
)
def test_digits_are_minus_the_logarithm_of_the_worst_relative_error(computed, certified, digits):
    assert correct_digits(computed, certified) == pytest.approx(digits, abs=1e-6)


def test_as_many_values_as_certified_ones_are_asked_for():
    with pytest.raises(ValueError, match="longer"):
        correct_digits([1.0], ["1", "2"])


def test_an_unknown_problem_is_refused_with_the_names_there_are():
    with pytest.raises(DataError, match=r"'nile'.*norris, pontius"):
        load_nist("nile")
