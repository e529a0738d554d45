"""Wrong use says what to do instead; results and data frames are taken as they are."""

import numpy as np
import optax
import pytest

import funcgrad
from funcgrad import fit, regression
from funcgrad.datasets import Stream
from funcgrad.regression import Linear

X, Y = np.arange(8.0).reshape(4, 2) ** 2, np.array([1.0, 2.0, 4.0, 9.0])


@pytest.fixture
def stream(tmp_path):
    np.save(tmp_path / "t.npy", np.column_stack([X, Y]))
    return Stream(tmp_path / "t.npy", "x2")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda _: regression.ridge(X, 1.0), r"a pair of rows, ridge\(\(x, y\), penalty\)"),
        (lambda _: regression.lasso(X, 1.0), r"a pair of rows, lasso\(\(x, y\), penalty\)"),
        (
            lambda _: regression.elastic_net(X, 1.0),
            r"sums, elastic_net\(moments\(x, y\), penalty\), and this is ndarray",
        ),
        (lambda stream: regression.least_squares(stream, Y), r"take its sums, moments\(x\)"),
        (
            lambda _: fit(np.zeros(2), regression.loss, X, Y, optimizer=optax.sgd(0.1), steps=1),
            r"loss must be a function .*, got ndarray: the loss comes first, then the params",
        ),
        (
            lambda _: regression.least_squares(np.array([[1, "a"]], object), Y[:1]),
            "x must hold numbers, got an array of dtype object, with 'a' in it",
        ),
        (
            lambda _: regression.predict(np.zeros(2), X.astype(object)),
            r"dtype object: convert it, such as by \.astype\(float\)",
        ),
    ],
)
def test_wrong_use_says_what_to_do(call, said, stream):
    with pytest.raises(TypeError, match=said):
        call(stream)


def test_predict_takes_a_result():
    params = Linear(np.array([2.0, -1.0]), np.array(0.5))
    answer = regression.Generalised(params, None, None, None, "poisson", "log")
    np.testing.assert_allclose(regression.predict(answer, X[:2]), np.exp([-0.5, -0.5]))
    result = regression.LeastSquares(params, *[None] * 5)
    np.testing.assert_array_equal(regression.predict(result, X[:2]), [-0.5, -0.5])


def test_a_result_is_saved_and_loaded(tmp_path):
    params = Linear(np.array([2.0, -1.0]), np.array(0.5))
    answer = regression.Generalised(params, np.array(0.25), None, None, "poisson", "log")
    funcgrad.save_model(tmp_path / "m", answer, feature_names=["a", "b"], target_name="n")
    model = funcgrad.load_model(tmp_path / "m")
    assert (model.feature_names, model.target_name, model.link) == (("a", "b"), "n", "log")
    np.testing.assert_allclose(model.predict(X[:2]), np.exp([-0.5, -0.5]), rtol=1e-15)
    with pytest.raises(ValueError, match=r"3 names of features for weights of shape \(2,\)"):
        funcgrad.save_model(tmp_path / "m", params, feature_names=["a", "b", "c"])
