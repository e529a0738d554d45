"""The other estimators keep scikit-learn's contract, and give the answers of scikit-learn's own."""

import pickle
import warnings

import numpy as np
import pytest

from funcgrad.datasets import load_diabetes

sklearn = pytest.importorskip("sklearn")

from sklearn import linear_model  # noqa: E402
from sklearn.exceptions import ConvergenceWarning  # noqa: E402
from sklearn.model_selection import GridSearchCV  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from sklearn.utils.estimator_checks import estimator_checks_generator  # noqa: E402

from funcgrad import sklearn as ours  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    # Some of the checks fit data whose features depend on one another, or classes that are far apart.
    pytest.mark.filterwarnings("ignore::numpy.exceptions.RankWarning"),
    pytest.mark.filterwarnings("ignore:the classes are separated:RuntimeWarning"),
]

DATA = load_diabetes()
X = (np.asarray(DATA.x) - np.mean(DATA.x, 0)) / np.std(DATA.x, 0)
Y = np.asarray(DATA.y)
CLASSES = np.digitize(Y, [90, 170])
WEIGHTS = np.random.default_rng(0).integers(0, 4, len(Y)).astype(float)

# Ours, scikit-learn's with a tolerance as small as ours, and the targets.
PAIRS = {
    "ridge": (ours.Ridge(3.0), linear_model.Ridge(3.0, solver="cholesky"), Y),
    "lasso": (ours.Lasso(2.0), linear_model.Lasso(2.0, tol=1e-12, max_iter=100_000), Y),
    "elastic net": (
        ours.ElasticNet(0.5, l1_ratio=0.3),
        linear_model.ElasticNet(0.5, l1_ratio=0.3, tol=1e-12, max_iter=100_000),
        Y,
    ),
    "poisson": (
        ours.PoissonRegressor(alpha=0.1),
        linear_model.PoissonRegressor(alpha=0.1, tol=1e-10, solver="newton-cholesky"),
        Y,
    ),
    "gamma": (
        ours.GammaRegressor(alpha=0.1),
        linear_model.GammaRegressor(alpha=0.1, tol=1e-10, solver="newton-cholesky"),
        Y,
    ),
    "quantile": (
        ours.QuantileRegressor(quantile=0.7, alpha=0.01),
        linear_model.QuantileRegressor(quantile=0.7, alpha=0.01),
        Y,
    ),
    "logistic": (
        ours.LogisticRegression(C=0.5),
        linear_model.LogisticRegression(C=0.5, tol=1e-12, max_iter=10_000),
        CLASSES > 1,
    ),
    "multinomial": (
        ours.LogisticRegression(C=0.5),
        linear_model.LogisticRegression(C=0.5, tol=1e-12, max_iter=10_000),
        np.array(["low", "middle", "high"])[CLASSES],
    ),
}
KINDS = {name: type(pair[0]) for name, pair in PAIRS.items()} | {"huber": ours.HuberRegressor}
CHECKS = [
    pytest.param(estimator, check, id=f"{name}-{number}-{check.func.__name__}")
    for name in (
        "ridge",
        "lasso",
        "elastic net",
        "poisson",
        "gamma",
        "quantile",
        "huber",
        "logistic",
    )
    for number, (estimator, check) in enumerate(estimator_checks_generator(KINDS[name]()))
]


@pytest.mark.parametrize(("estimator", "check"), CHECKS)
def test_scikit_learns_own_checks_pass(estimator, check):
    check(estimator)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("name", PAIRS)
def test_answers_are_scikit_learns(name, weights):
    mine, theirs, y = PAIRS[name]
    mine.fit(X, y, sample_weight=weights)
    theirs.fit(X, y, sample_weight=weights)
    assert mine.coef_.shape == theirs.coef_.shape
    np.testing.assert_allclose(
        mine.coef_, theirs.coef_, rtol=2e-4, atol=2e-4 * np.abs(mine.coef_).max()
    )
    np.testing.assert_allclose(mine.intercept_, theirs.intercept_, rtol=2e-4, atol=2e-4)
    assert mine.score(X, y) == pytest.approx(theirs.score(X, y), abs=1e-6)
    if hasattr(mine, "predict_proba"):
        np.testing.assert_allclose(mine.predict_proba(X), theirs.predict_proba(X), atol=1e-4)
        assert (mine.predict(X) == theirs.predict(X)).mean() > 0.995


def test_answers_are_the_minimum_to_ten_digits():
    """The gradient of what is minimised, by hand: closer than scikit-learn's own answers come."""
    mine = ours.LogisticRegression(C=0.5).fit(X, CLASSES > 1)
    slopes = mine.predict_proba(X)[:, 1] - (CLASSES > 1)
    np.testing.assert_allclose(0.5 * X.T @ slopes + mine.coef_[0], 0, atol=1e-10)
    mine = ours.PoissonRegressor(alpha=0.1).fit(X, Y)
    slopes = (mine.predict(X) - Y) / len(Y)
    np.testing.assert_allclose(X.T @ slopes + 0.1 * mine.coef_, 0, atol=1e-10)


def test_estimators_stand_in_pipelines_searches_and_files():
    model = make_pipeline(StandardScaler(), ours.Ridge())
    search = GridSearchCV(model, {"ridge__alpha": [0.1, 1e6]}, cv=2).fit(X, Y)
    assert search.best_params_ == {"ridge__alpha": 0.1}
    again = pickle.loads(pickle.dumps(search.best_estimator_))
    np.testing.assert_array_equal(again.predict(X), search.predict(X))


def test_sweeps_that_do_not_suffice_are_said_in_scikit_learns_words():
    with pytest.warns(ConvergenceWarning, match="have not converged"):
        ours.Lasso(1e-9, max_iter=10, tol=1e-15).fit(
            np.vander(np.arange(9.0), 6), np.arange(9.0) ** 0.5
        )


def test_separated_classes_without_a_penalty_are_said():
    with pytest.warns(RuntimeWarning, match="the classes are separated"):
        ours.LogisticRegression(C=np.inf).fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours.LogisticRegression().fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1])
