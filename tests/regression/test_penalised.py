"""Ridge and lasso: against least squares on more rows, the conditions of optimality, and scikit-learn."""

import jax
import numpy as np
import pytest

from funcgrad import regression
from funcgrad.regression import Linear

OUTPUTS = pytest.mark.parametrize("outputs", [(), (3,)], ids=["one output", "three outputs"])
INTERCEPT = pytest.mark.parametrize("intercept", [False, True])


def data(outputs=(), rows=80, features=6):
    random = np.random.default_rng(0)
    x = random.normal(1, [1, 1, 1, 3, 0.3, 1], size=(rows, features))
    x[:, 5] = x[:, 0] + 0.1 * x[:, 5]
    y = x[:, :2] @ random.normal(size=(2, *outputs)) + random.normal(size=(rows, *outputs))
    return x, y


def predicted(params, x):
    bias = np.asarray(params.bias) if isinstance(params, Linear) else 0
    return x @ weights_of(params) + bias


def weights_of(params):
    return np.asarray(params.weights if isinstance(params, Linear) else params)


@OUTPUTS
@pytest.mark.parametrize("penalty", [1e-3, 1.0, 1e3])
def test_ridge_is_least_squares_with_a_row_more_for_each_weight(penalty, outputs):
    x, y = data(outputs)
    more = np.sqrt(penalty) * np.eye(6), np.zeros((6, *outputs))
    rows = np.concatenate([x, more[0]]), np.concatenate([y, more[1]])
    ours = regression.ridge(regression.moments(x, y), penalty)
    np.testing.assert_allclose(ours, regression.least_squares(*rows).params, rtol=1e-10)


@OUTPUTS
def test_ridge_without_a_penalty_is_least_squares(outputs):
    x, y = data(outputs)
    ours = regression.ridge(regression.moments(x, y), 0.0, intercept=True)
    exact = regression.least_squares(x, y, intercept=True).params
    np.testing.assert_allclose(ours.weights, exact.weights, rtol=1e-10)
    np.testing.assert_allclose(ours.bias, exact.bias, rtol=1e-10)


@OUTPUTS
@INTERCEPT
def test_ridge_is_scikit_learns(intercept, outputs):
    linear_model = pytest.importorskip("sklearn.linear_model")
    x, y = data(outputs)
    theirs = linear_model.Ridge(alpha=2.0, fit_intercept=intercept, solver="svd").fit(x, y)
    ours = regression.ridge(regression.moments(x, y), 2.0, intercept=intercept)
    np.testing.assert_allclose(weights_of(ours), theirs.coef_.T, rtol=1e-10)
    if intercept:
        np.testing.assert_allclose(ours.bias, theirs.intercept_, rtol=1e-10)


@OUTPUTS
@INTERCEPT
@pytest.mark.parametrize("penalty", [0.003, 0.1, 0.5])
def test_lasso_meets_the_conditions_of_optimality(penalty, intercept, outputs):
    """Each correlation with the residuals is ±penalty where the weight is not zero, within it elsewhere."""
    x, y = data(outputs)
    ours = regression.lasso(regression.moments(x, y), penalty, intercept=intercept, tolerance=1e-14)
    weights = weights_of(ours)
    residuals = y - predicted(ours, x)
    slopes = x.T @ residuals / len(x)
    at_zero = weights == 0
    np.testing.assert_allclose(slopes[~at_zero], penalty * np.sign(weights[~at_zero]), atol=1e-6)
    assert (np.abs(slopes[at_zero]) <= penalty + 1e-6).all()
    if intercept:
        np.testing.assert_allclose(residuals.mean(axis=0), 0, atol=1e-12)


@OUTPUTS
@INTERCEPT
def test_lasso_is_scikit_learns(intercept, outputs):
    linear_model = pytest.importorskip("sklearn.linear_model")
    x, y = data(outputs)
    theirs = linear_model.Lasso(alpha=0.1, fit_intercept=intercept, tol=1e-14, max_iter=10**6)
    theirs.fit(x, y)
    ours = regression.lasso(regression.moments(x, y), 0.1, intercept=intercept, tolerance=1e-14)
    np.testing.assert_allclose(weights_of(ours), theirs.coef_.T, atol=1e-6)
    assert (weights_of(ours) == 0).sum() == (theirs.coef_ == 0).sum() > 0


def test_a_penalty_above_the_largest_correlation_leaves_no_weight():
    x, y = data()
    largest = np.abs(x.T @ y).max() / len(x)
    sums = regression.moments(x, y)
    np.testing.assert_array_equal(regression.lasso(sums, largest * 1.001), np.zeros(6))
    assert np.count_nonzero(regression.lasso(sums, largest * 0.999)) == 1


def test_lasso_that_ran_out_of_steps_says_so_where_it_was_asked_for():
    x, y = data()
    with pytest.warns(RuntimeWarning, match="after 10 steps") as caught:
        regression.lasso(regression.moments(x, y), 0.01, steps=10)
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize("solve", [regression.ridge, regression.lasso])
def test_a_path_of_penalties_is_one_vmap(solve):
    x, y = data()
    sums = regression.moments(x, y)
    penalties = np.array([0.1, 0.2, 0.4], np.float32)
    path = jax.jit(jax.vmap(solve, in_axes=(None, 0)))(sums, penalties)
    for penalty, ours in zip(penalties, path, strict=True):
        np.testing.assert_allclose(ours, solve(sums, float(penalty)), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("solve", "penalty"),
    [
        (regression.ridge, -1.0),
        (regression.ridge, np.nan),
        (regression.ridge, np.ones(2)),
        (regression.lasso, 0.0),
        (regression.lasso, -1.0),
        (regression.lasso, np.nan),
    ],
)
def test_a_penalty_out_of_range_is_refused(solve, penalty):
    x, y = data()
    with pytest.raises(ValueError, match="penalty must be one number"):
        solve(regression.moments(x, y), penalty)
