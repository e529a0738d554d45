"""Huber's regression against the condition of its optimum and scikit-learn; quantiles against exact vertices."""

from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest

from funcgrad import regression

RNG = np.random.default_rng(5)
X = RNG.normal(size=(60, 3)) * [1.0, 30.0, 0.02] + [0.0, 10.0, 1.0]
Y = 4 + X @ [2.0, -0.1, 15.0] + RNG.standard_t(2, size=60)
WEIGHTS = RNG.uniform(0, 2, 60)
WEIGHTS[:3] = 0
CASES = [(None, 0.0, True), (WEIGHTS, 0.0, True), (WEIGHTS, 3.0, True), (None, 0.5, False)]


def flat(params):
    leaves = params if not isinstance(params, regression.Linear) else [params.bias, *params.weights]
    return np.asarray(leaves)


@pytest.mark.parametrize(("weights", "penalty", "intercept"), CASES)
def test_hubers_answer_is_where_the_derivatives_of_its_objective_vanish(
    weights, penalty, intercept
):
    answer = regression.huber(X, Y, weights=weights, penalty=penalty, intercept=intercept)
    assert answer.converged
    counts = np.ones(60) if weights is None else weights
    design = np.column_stack([np.ones(60), X]) if intercept else X
    w, scale = flat(answer.params), float(answer.scale)
    residuals = design @ w - Y
    psi = 2 * np.clip(residuals / scale, -1.35, 1.35)
    slopes = design.T @ (counts * psi) + 2 * penalty * w * (np.arange(len(w)) >= intercept)
    size = np.abs(design).T @ (counts * np.abs(psi))
    assert np.abs(slopes / size).max() < 1e-12
    assert abs(counts @ (1 - (psi / 2) ** 2)) < 1e-11 * counts.sum()


@pytest.mark.slow  # scikit-learn takes seconds to be imported
@pytest.mark.parametrize(("weights", "penalty", "intercept"), CASES)
def test_hubers_answer_is_scikit_learns(weights, penalty, intercept):
    linear = pytest.importorskip("sklearn.linear_model")
    scaled = X / [1.0, 30.0, 0.02]
    answer = regression.huber(scaled, Y, weights=weights, penalty=penalty, intercept=intercept)
    theirs = linear.HuberRegressor(
        alpha=penalty, fit_intercept=intercept, max_iter=100_000, tol=1e-9
    ).fit(scaled, Y, weights)
    want = np.append(theirs.intercept_, theirs.coef_) if intercept else theirs.coef_
    # It stops as soon as its objective hardly falls, so that few of its digits are sure.
    np.testing.assert_allclose(flat(answer.params), want, rtol=1e-3)
    np.testing.assert_allclose(answer.scale, theirs.scale_, rtol=1e-3)


def test_rows_on_a_line_and_one_far_from_it_give_the_line():
    x = np.arange(20.0)[:, None]
    y = 2 * x[:, 0] + 1
    y[7] = 1e6
    answer = regression.huber(x, y, intercept=True)
    np.testing.assert_allclose(flat(answer.params), [1, 2], rtol=1e-8)
    np.testing.assert_allclose(regression.predict(answer, x[:2]), [1, 3], rtol=1e-8)


def best_line(x, y, level, counts):
    """The line through two rows that has the least pinball loss, in exact arithmetic: one such line is the answer."""
    level = Fraction(level)
    x, y, counts = ([Fraction(float(value)) for value in values] for values in (x, y, counts))
    best = None
    for j, k in combinations(range(len(x)), 2):
        slope = (y[k] - y[j]) / (x[k] - x[j])
        bias = y[j] - slope * x[j]
        left = [b - bias - slope * a for a, b in zip(x, y, strict=True)]
        loss = sum(c * max(level * r, (level - 1) * r) for c, r in zip(counts, left, strict=True))
        if best is None or loss < best[0]:
            best = loss, bias, slope
    return [float(value) for value in best]


@pytest.mark.parametrize("level", [0.1, 0.5, 0.75])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_quantile_is_the_best_vertex_to_the_last_digits(level, weighted):
    x, y = X[:25, 1], Y[:25]
    counts = WEIGHTS[:25] if weighted else np.ones(25)
    loss, bias, slope = best_line(x, y, level, counts)
    answer = regression.quantile(
        x[:, None], y, level, intercept=True, weights=counts if weighted else None
    )
    np.testing.assert_allclose(flat(answer.params), [bias, slope], rtol=1e-12)
    np.testing.assert_allclose(answer.loss, loss / counts.sum(), rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [0.0, 0.02])
def test_a_quantile_is_scikit_learns(alpha):
    linear = pytest.importorskip("sklearn.linear_model")
    theirs = linear.QuantileRegressor(quantile=0.3, alpha=alpha).fit(X, Y, WEIGHTS)
    answer = regression.quantile(
        X, Y, 0.3, penalty=alpha * WEIGHTS.sum(), intercept=True, weights=WEIGHTS
    )
    want = np.append(theirs.intercept_, theirs.coef_)
    np.testing.assert_allclose(flat(answer.params), want, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: regression.huber(X, Y, epsilon=1.0), "epsilon must be greater than 1"),
        (lambda: regression.huber(X, Y, penalty=-1), "penalty must be 0 or more"),
        (lambda: regression.quantile(X, Y, 1.0), "level must be between 0 and 1"),
        (lambda: regression.quantile(X, Y[:, None]), r"y must have shape \(60,\)"),
        (lambda: regression.huber(X, np.append(Y[1:], np.nan)), "y holds values that are not"),
    ],
)
def test_wrong_use_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
