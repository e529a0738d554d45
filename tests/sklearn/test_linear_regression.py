"""The estimator keeps scikit-learn's contract, and gives the answers of the functions it wraps."""

import pickle
import subprocess
import sys

import numpy as np
import optax
import pytest

from funcgrad import regression
from funcgrad.datasets import load_diabetes

sklearn = pytest.importorskip("sklearn")

from sklearn.base import clone  # noqa: E402
from sklearn.exceptions import ConvergenceWarning  # noqa: E402
from sklearn.linear_model import LinearRegression as Theirs  # noqa: E402
from sklearn.model_selection import GridSearchCV, cross_val_score  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from sklearn.utils.estimator_checks import estimator_checks_generator  # noqa: E402

from funcgrad.sklearn import LinearRegression  # noqa: E402

DATA = load_diabetes()
X, Y = np.asarray(DATA.x), np.asarray(DATA.y)
SCALED = (X - X.mean(axis=0)) / X.std(axis=0)
BOTH = np.column_stack([Y, -2 * Y + X[:, 2]])


ESTIMATORS = {
    "exact": LinearRegression(),
    "trained": LinearRegression(optimizer=optax.sgd, learning_rate="auto", max_iter=100),
}
# As `parametrize_with_checks` has them, but for names: its own hold the optimizer's address, which differs between processes.
CHECKS = [
    pytest.param(estimator, check, id=f"{name}-{number}-{check.func.__name__}")
    for name, each in ESTIMATORS.items()
    for number, (estimator, check) in enumerate(estimator_checks_generator(each))
]


# Some of the checks fit data whose features depend on one another, of which ours warns.
@pytest.mark.filterwarnings("ignore::numpy.exceptions.RankWarning")
@pytest.mark.parametrize(("estimator", "check"), CHECKS)
def test_scikit_learns_own_checks_pass(estimator, check):
    check(estimator)


@pytest.mark.parametrize("y", [Y, BOTH], ids=["one output", "two"])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_the_exact_answer_is_scikit_learns(y, fit_intercept):
    ours = LinearRegression(fit_intercept=fit_intercept).fit(X, y)
    theirs = Theirs(fit_intercept=fit_intercept).fit(X, y)
    assert ours.coef_.shape == theirs.coef_.shape
    assert np.shape(ours.intercept_) == (
        np.shape(theirs.intercept_) if fit_intercept else y.shape[1:]
    )
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-9)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, rtol=1e-9)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-10)
    assert ours.score(X, y) == pytest.approx(theirs.score(X, y), abs=1e-12)


@pytest.mark.parametrize(
    ("y", "fit_intercept", "optimizer", "learning_rate"),
    [
        (Y, True, optax.sgd, "auto"),
        (Y, False, optax.lbfgs(), None),
        (BOTH, True, optax.sgd, "auto"),
    ],
    ids=["sgd", "lbfgs", "two outputs"],
)
def test_training_comes_to_the_exact_answer(y, fit_intercept, optimizer, learning_rate):
    trained = LinearRegression(
        fit_intercept=fit_intercept, optimizer=optimizer, learning_rate=learning_rate,
        max_iter=50_000, tol=1e-7,
    ).fit(SCALED, y)  # fmt: skip
    exact = LinearRegression(fit_intercept=fit_intercept).fit(SCALED, y)
    np.testing.assert_allclose(trained.coef_, exact.coef_, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(trained.intercept_, exact.intercept_, rtol=1e-6, atol=1e-6)
    assert 1 < trained.n_iter_ < 50_000


def test_it_stands_in_pipelines_searches_and_files():
    pipeline = make_pipeline(StandardScaler(), LinearRegression())
    theirs = make_pipeline(StandardScaler(), Theirs())
    np.testing.assert_allclose(
        cross_val_score(pipeline, X, Y, cv=2), cross_val_score(theirs, X, Y, cv=2)
    )
    search = GridSearchCV(LinearRegression(), {"fit_intercept": [True, False]}, cv=2).fit(X, Y)
    assert search.best_params_ == {"fit_intercept": True}
    again = pickle.loads(pickle.dumps(search.best_estimator_))
    np.testing.assert_array_equal(again.predict(X), search.predict(X))


def test_an_optimizer_that_is_ready_survives_a_clone():
    model = LinearRegression(optimizer=optax.adam(0.5), max_iter=20)
    np.testing.assert_array_equal(clone(model).fit(SCALED, Y).coef_, model.fit(SCALED, Y).coef_)


def test_dependent_features_are_warned_of():
    with pytest.warns(np.exceptions.RankWarning, match="rank 11 for 12"):
        LinearRegression().fit(np.column_stack([X, X[:, 0]]), Y)


def test_a_tolerance_that_was_missed_is_warned_of_in_scikit_learns_words():
    model = LinearRegression(optimizer=optax.sgd, learning_rate="auto", max_iter=3, tol=1e-9)
    with pytest.warns(ConvergenceWarning, match=r"max_iter=3 steps.*above tol=1e-09") as caught:
        model.fit(SCALED, Y)
    assert [warning.filename for warning in caught] == [__file__]


def test_the_bias_follows_the_targets_where_features_depend_on_one_another():
    twice = np.column_stack([X, X[:, 0]])
    with pytest.warns(np.exceptions.RankWarning):
        model, moved = LinearRegression().fit(twice, Y), LinearRegression().fit(twice, Y + 1000)
    np.testing.assert_allclose(moved.predict(twice) - model.predict(twice), 1000, rtol=1e-9)


def test_without_scikit_learn_the_message_says_how_to_get_it():
    program = (
        "import sys; sys.modules['sklearn'] = None; sys.modules['sklearn.base'] = None\n"
        "import funcgrad, funcgrad.training\n"
        "funcgrad.sklearn.LinearRegression"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert "ImportError: funcgrad.sklearn needs scikit-learn (pip install 'funcgrad[sklearn]')" in (
        done.stderr
    )


def test_the_numbers_are_float64_whatever_the_data():
    answer = regression.least_squares(X, Y, intercept=True)
    single = LinearRegression().fit(X.astype(np.float32), Y.astype(np.float32))
    assert single.coef_.dtype == np.float64
    np.testing.assert_allclose(single.coef_, answer.params.weights, rtol=1e-4)
