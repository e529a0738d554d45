"""Ridge and lasso: against least squares on more rows, the conditions of optimality, and scikit-learn."""

import jax
import numpy as np
import pytest

from funcgrad import regression
from funcgrad.datasets import load_nist
from funcgrad.regression import Linear
from tests.rational import ridge_exactly

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
    sums = regression.moments(x, y)
    with pytest.warns(RuntimeWarning, match="not converged after 10 sweeps.*by up to") as caught:
        regression.lasso(sums, 0.01, steps=10, tolerance=1e-30)
    assert [warning.filename for warning in caught] == [__file__]
    # Where nothing can be said, there is no number to be taken for the answer.
    unsaid = jax.vmap(lambda penalty: regression.lasso(sums, penalty, steps=10, tolerance=1e-30))
    assert np.isnan(unsaid(np.array([0.01, 0.02]))).all()


def unscaled():
    """A salary, a share and an age, as people have them."""
    random = np.random.default_rng(0)
    x = np.column_stack(
        [random.normal(50_000, 15_000, 500), random.random(500), random.normal(40, 10, 500)]
    )
    return x, x @ [1e-4, 20, 0.5] + random.normal(size=500)


@INTERCEPT
@pytest.mark.parametrize("penalty", [0.1, 1.0])
def test_lasso_of_columns_of_any_size_is_scikit_learns(penalty, intercept):
    linear_model = pytest.importorskip("sklearn.linear_model")
    x, y = unscaled()
    theirs = linear_model.Lasso(alpha=penalty, fit_intercept=intercept, tol=1e-14, max_iter=10**6)
    theirs.fit(x, y)
    for data in (regression.moments(x, y), (x, y)):
        ours = regression.lasso(data, penalty, intercept=intercept)
        np.testing.assert_allclose(weights_of(ours), theirs.coef_, rtol=1e-8)


def test_weighted_rows_of_a_lasso_are_scikit_learns():
    linear_model = pytest.importorskip("sklearn.linear_model")
    x, y = unscaled()
    counts = np.arange(500) % 3
    theirs = linear_model.ElasticNet(alpha=0.1, l1_ratio=0.3, tol=1e-14, max_iter=10**6)
    theirs.fit(x, y, sample_weight=counts)
    ours = regression.elastic_net((x, y), 0.1, 0.3, intercept=True, weights=counts)
    np.testing.assert_allclose(ours.weights, theirs.coef_, rtol=1e-8)
    with pytest.raises(ValueError, match="weights are for rows"):
        regression.lasso(regression.moments(x, y), 0.1, weights=counts)


@pytest.mark.filterwarnings(
    "ignore:Objective did not converge"
)  # of the reference, by a gap of 1e-10
def test_a_path_down_to_small_penalties_is_scikit_learns():
    linear_model = pytest.importorskip("sklearn.linear_model")
    x, y = unscaled()
    x = np.column_stack([x, x[:, 1] ** 2, x[:, 2] * x[:, 1]])
    x, y = x - x.mean(axis=0), y - y.mean()
    penalties = np.geomspace(1e4, 1e-4, 40)
    _, theirs, _ = linear_model.lasso_path(x, y, alphas=penalties, tol=1e-14, max_iter=10**6)
    ours = jax.vmap(regression.lasso, in_axes=(None, 0))(regression.moments(x, y), penalties)
    np.testing.assert_allclose(ours, theirs.T, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("penalty", [1e-10, 1e-6, 1.0])
@pytest.mark.parametrize("name", ["filip", "longley"])
def test_ridge_of_rows_is_that_of_rational_arithmetic(name, penalty):
    problem = load_nist(name)
    x = problem.x if problem.degree is None else problem.x ** np.arange(1, problem.degree + 1)
    weights, bias = ridge_exactly(x, problem.y, penalty)
    ours = regression.ridge((x, problem.y), penalty, intercept=True)
    np.testing.assert_allclose(ours.weights, weights, rtol=1e-13)
    np.testing.assert_allclose(ours.bias, bias, rtol=1e-13)


def test_ridge_of_a_column_given_twice_shares_its_weight():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(30, 2)), random.normal(size=30)
    twice = np.column_stack([x, x[:, 0]])
    weights, bias = ridge_exactly(twice, y, 1e-6)
    ours = regression.ridge((twice, y), 1e-6, intercept=True)
    np.testing.assert_allclose(ours.weights, weights, rtol=1e-12)
    np.testing.assert_allclose(ours.bias, bias, rtol=1e-12)


def test_ridge_of_sums_says_how_many_digits_are_left_and_gives_none_where_none_are():
    problem = load_nist("filip")
    x = problem.x ** np.arange(1, 11)
    twice = np.column_stack([x[:, :2], x[:, 0]])
    for columns, penalty in ((x, 1e-6), (twice, 0.0)):
        sums = regression.moments(columns, problem.y)
        with pytest.warns(RuntimeWarning, match="about 0 digits.*give the rows") as caught:
            answer = regression.ridge(sums, penalty, intercept=True)
        assert [warning.filename for warning in caught] == [__file__]
        assert np.isnan(answer.weights).all()
        one = jax.jit(lambda sums, penalty=penalty: regression.ridge(sums, penalty))(sums)
        assert np.isnan(one).all()


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
        (regression.lasso, np.ones(2)),
        (regression.lasso, -1.0),
        (regression.lasso, np.nan),
    ],
)
def test_a_penalty_out_of_range_is_refused(solve, penalty):
    x, y = data()
    with pytest.raises(ValueError, match="penalty must be one number"):
        solve(regression.moments(x, y), penalty)
