"""Many rows, by few reads of them: against longer floats, and never where the columns leave a doubt."""

import jax
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from funcgrad import regression
from funcgrad.regression import exact
from funcgrad.regression.refined import refined
from funcgrad.regression.sums import sums_of_rows

LONG = np.longdouble
pytestmark = pytest.mark.skipif(np.finfo(LONG).eps > 1e-18, reason="no longer floats here")

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(2500, 60))
Y = 1 + X @ RANDOM.normal(size=60) + RANDOM.normal(size=2500)
COUNTS = RANDOM.integers(0, 4, 2500).astype(float)
WIDE = RANDOM.normal(size=(400, 160))
SIZES = 10.0 ** RANDOM.integers(-3, 4, 60)


def in_long(x, y, counts, intercept):
    """The intercept and weights to about 18 digits, and the residuals."""
    rows = np.column_stack([np.ones((len(x), int(intercept))), x]).astype(LONG)
    weighted = rows if counts is None else rows * counts[:, None]
    # The columns as they are would lose digits of the start only, and each pass gains as many again.
    size = np.sqrt((rows * rows).sum(axis=0))
    gram = ((weighted / size).T @ (rows / size)).astype(float)
    answer = np.zeros(rows.shape[1], LONG)
    for _ in range(6):
        residual = y.astype(LONG) - rows @ answer
        towards = ((weighted / size).T @ residual).astype(float)
        answer = answer + np.linalg.solve(gram, towards).astype(LONG) / size
    return answer, residual


CASES = {
    "as they are": (X, Y, None),
    "columns of any size, far from zero": (X * SIZES + 3 * SIZES, Y, None),
    "long tails": (np.exp(X), Y, None),
    "a fit to five digits": (X, 1 + X @ np.arange(1.0, 61) + 1e-5 * Y, None),
    "rows with weights": (X, Y, COUNTS),
    "fewer rows than a block": (WIDE, Y[:400], None),
    "float32": (X.astype(np.float32), Y.astype(np.float32), None),
}


# A shape, a dtype and weights are each a program of a second: those are asked with an intercept only.
PLAIN = ("as they are", "columns of any size, far from zero", "long tails", "a fit to five digits")


@pytest.mark.parametrize(
    ("case", "intercept"), [*((case, True) for case in CASES), *((case, False) for case in PLAIN)]
)
def test_the_answer_is_the_exact_one_rounded(case, intercept, monkeypatch):
    x, y, counts = CASES[case]
    monkeypatch.setattr(exact, "solve", None)  # which is for other data
    answer = regression.least_squares(x, y, intercept=intercept, weights=counts)
    right, residual = in_long(x, y, counts, intercept)
    params, errors = (
        np.append(p.bias, p.weights) if intercept else np.asarray(p)
        for p in (answer.params, answer.standard_errors)
    )
    assert params.dtype == x.dtype
    ulps = np.spacing(np.abs(params)).astype(LONG)
    # The longer floats have some digits more than float64, for the largest weights.
    assert (np.abs(params.astype(LONG) - right) <= 0.505 * ulps + 1e-3 * ulps.max()).all()
    counts = np.ones(len(y)) if counts is None else counts
    left = (counts > 0).sum() - len(right)
    squares = float((counts * residual**2).sum())
    rtol = 1e-12 if x.dtype == np.float64 else 1e-6
    np.testing.assert_allclose(answer.loss, squares / counts.sum(), rtol=rtol)
    np.testing.assert_allclose(
        answer.residual_standard_deviation, np.sqrt(squares / left), rtol=rtol
    )
    rows = np.column_stack([np.ones((len(x), int(intercept))), x]) * np.sqrt(counts)[:, None]
    size = np.sqrt((rows**2).sum(axis=0))
    inverse = np.linalg.inv((rows / size).T @ (rows / size))
    np.testing.assert_allclose(
        errors, np.sqrt(np.diag(inverse) * squares / left) / size, rtol=max(rtol, 1e-10)
    )
    centre = np.average(y, weights=counts) if intercept else 0
    np.testing.assert_allclose(
        answer.r_squared, 1 - squares / (counts * (y - centre) ** 2).sum(), rtol=rtol
    )


def test_several_outputs_are_each_output_alone():
    y = np.column_stack([Y, 1e-3 * Y + X[:, 0]])
    together = regression.least_squares(X, y, intercept=True)
    for j in range(2):
        alone = regression.least_squares(X, y[:, j], intercept=True)
        np.testing.assert_array_equal(together.params.weights[:, j], alone.params.weights)
        np.testing.assert_array_equal(together.params.bias[j], alone.params.bias)
        np.testing.assert_allclose(together.r_squared[j], alone.r_squared, rtol=1e-15)


def test_rows_on_an_explicit_mesh_of_one_device_are_read_as_they_lie():
    rows = NamedSharding(jax.make_mesh((1,), ("rows",)), PartitionSpec("rows"))
    x, y, _ = CASES["float32"]
    placed = regression.least_squares(jax.device_put(x, rows), jax.device_put(y, rows))
    np.testing.assert_array_equal(placed.params, regression.least_squares(x, y).params)


NEARLY = X.copy()
NEARLY[:, 1] = X[:, 0] + 1e-3 * X[:, 1]
DOUBTFUL = {
    "columns nearly dependent": (NEARLY, Y),
    "columns that are far from zero": (X + 1e6, Y),
    "a weight that is zero": (X, 1 + X @ np.arange(60.0)),
    "columns too large to square": (X * 1e120, Y),
    "targets that do not vary": (X, np.ones(len(X))),
}


@pytest.mark.parametrize("case", DOUBTFUL)
def test_doubtful_data_is_left_to_the_factor(case):
    x, y = DOUBTFUL[case]
    with jax.enable_x64(True):
        data = *map(jax.numpy.asarray, (x, y)), None
        sums, _, _ = sums_of_rows(*data)
        assert not refined(*data, sums, intercept=True).certain


def test_nearly_dependent_columns_have_the_answer_of_the_factor():
    answer = regression.least_squares(NEARLY, Y, intercept=True)
    right, _ = in_long(NEARLY, Y, None, intercept=True)
    np.testing.assert_allclose(answer.params.weights, right[1:].astype(float), rtol=4e-16)
