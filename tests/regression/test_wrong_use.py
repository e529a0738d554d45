"""Wrong use says what to do instead; results and data frames are taken as they are."""

import jax
import numpy as np
import optax
import pandas
import pytest

import funcgrad
from funcgrad import fit, regression
from funcgrad.datasets import DataError, Stream, load_frame
from funcgrad.regression import Linear
from funcgrad.sklearn import LinearRegression

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


NOTHING = regression.moments(X, Y, np.zeros(4))
LABELLED = pandas.DataFrame(X, columns=["a", "b"]), pandas.Series(Y)[::-1]
FRAME, SERIES = LABELLED


def trained(x, y, **options):
    return fit(regression.loss, np.zeros(2), x, y, optimizer=optax.sgd(0.1), steps=1, **options)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda: regression.least_squares(X, Y, weights=np.array([1, 1, 1, np.inf])),
            "weights must be finite",
        ),
        (lambda: regression.ridge(NOTHING, 1.0), "sums are of 0 rows"),
        (lambda: regression.lasso(NOTHING, 1.0), "sums are of 0 rows"),
        (lambda: regression.ridge((X, Y), np.inf), "one number, 0 or more, got inf"),
        (lambda: regression.lasso((X, Y), np.inf), "greater than 0, got inf"),
        (
            lambda: regression.least_squares(np.ma.masked_greater(X, 9), Y),
            "x is masked in part.*fill it",
        ),
        (lambda: regression.glm(X, np.ma.masked_less(Y, 2)), "y is masked in part"),
        (
            lambda: regression.glm(np.where(X > 9, np.inf, X), Y),
            "x holds values that are not finite",
        ),
        (
            lambda: regression.summary(
                X[:, :1], Y, errors="cluster", groups=np.array([1, 2, np.nan, np.nan])
            ),
            "groups are missing in part",
        ),
        (
            lambda: regression.summary(
                X[:, :1], Y, errors="cluster", groups=np.array(["a", "b", None, "b"], object)
            ),
            "groups are missing in part",
        ),
        (lambda: regression.least_squares(*LABELLED), r"y\.loc\[x\.index\] puts them in one order"),
        (lambda: regression.moments(*LABELLED), "different labels"),
        (lambda: regression.glm(*LABELLED), "different labels"),
        (lambda: regression.huber(*LABELLED), "different labels"),
        (lambda: regression.loss(np.zeros(2), *LABELLED), "x and y have different labels"),
        (lambda: regression.squared_error(np.zeros(2), *LABELLED), "different labels"),
        (lambda: regression.value_and_grad(np.zeros(2), *LABELLED), "different labels"),
        (lambda: trained(*LABELLED), "x and y have different labels"),
        (
            lambda: trained(FRAME, Y, sample_weight=SERIES),
            "x and sample_weight have different labels",
        ),
        (
            lambda: regression.least_squares(FRAME, Y, weights=SERIES),
            "x and weights have different",
        ),
        (lambda: regression.moments(FRAME, Y, SERIES), "x and weights have different labels"),
        (lambda: regression.huber(FRAME, Y, weights=SERIES), "x and weights have different labels"),
        (lambda: regression.lasso((FRAME, Y), 1.0, weights=SERIES), "x and weights have different"),
        (lambda: regression.ridge(LABELLED, 1.0), "x and y have different labels"),
        (lambda: regression.glm(X, FRAME["a"], weights=SERIES), "y and weights have different"),
        (
            lambda: regression.glm(FRAME, Y, "poisson", exposure=SERIES),
            "x and exposure have different labels: exposure.loc.x.index. puts them in one order",
        ),
        (
            lambda: regression.summary(FRAME, Y, errors="cluster", groups=SERIES),
            "x and groups have different labels",
        ),
    ],
)
def test_data_that_would_be_wrong_in_silence_is_refused(call, said):
    with pytest.raises(ValueError, match=said):
        call()


def test_masks_without_a_masked_value_and_equal_labels_are_taken():
    wanted = regression.least_squares(X, Y).params
    frame, series = LABELLED
    for x, y in (
        (np.ma.masked_array(X), Y),
        (frame, series.loc[frame.index]),
        (frame, Y.tolist()),
    ):
        np.testing.assert_array_equal(regression.least_squares(x, y).params, wanted)


def test_a_summary_of_a_perfect_fit_does_not_warn():
    assert regression.summary(X, np.zeros(4)).to_dict()["log_likelihood"] == np.inf


def test_a_frame_with_a_column_twice_says_so():
    frame = pandas.DataFrame(np.column_stack([X, Y]), columns=["a", "a", "y"])
    with pytest.raises(DataError, match="there are 2 columns 'a'"):
        load_frame(frame, "y")


BY_VALUES = {
    "huber": lambda x: regression.huber(x, Y).loss,
    "quantile": lambda x: regression.quantile(x, Y).loss,
    "summary": lambda x: regression.summary(x[:, 0], Y).standard_errors[0],
    "summary of classes": lambda x: regression.summary(x[:, 0], Y > 2, family="binomial").params[0],
    "rounding": lambda x: regression.rounding(np.ones(2), regression.moments(x, Y)),
    "an estimator": lambda x: LinearRegression().fit(np.asarray(x), Y).coef_[0],
}


@pytest.mark.parametrize("name", BY_VALUES)
def test_answers_that_values_decide_are_had_inside_jit_from_data_that_is_not_traced(name):
    call = BY_VALUES[name]
    if name == "rounding":
        sums = regression.moments(X, Y)
        call = lambda _: regression.rounding(np.ones(2), sums)  # noqa: E731
    x = X if "summary" not in name else X[:, :, None]
    inside = jax.jit(lambda start: start + float(call(x)))(0.0)
    assert float(inside) == pytest.approx(float(call(x)), rel=1e-6)


@pytest.mark.parametrize("name", [name for name in BY_VALUES if name != "an estimator"])
def test_traced_data_is_refused_where_values_decide(name):
    said = f"{name.split()[0]} decides by values, .* call it outside of them"
    x = X if "summary" not in name else X[:, :, None]
    with pytest.raises(TypeError, match=said):
        jax.eval_shape(BY_VALUES[name], x)
