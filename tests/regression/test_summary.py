"""Standard errors, tests and intervals: against statsmodels, to ten digits."""

import json
import warnings

import jax
import numpy as np
import optax
import pytest

from funcgrad import fit, regression
from funcgrad.datasets import load_diabetes
from funcgrad.regression import Linear, by_blocks
from funcgrad.regression.families import family_of

pytestmark = pytest.mark.slow  # statsmodels takes seconds to be imported

DIGITS = {"rtol": 1e-10, "atol": 1e-13}
ROWS = 200
_RNG = np.random.default_rng(0)
X = _RNG.normal(size=(ROWS, 3)) * [1.0, 20.0, 0.1] + [0.0, 50.0, 1.0]
LINEAR = 0.3 + X @ [0.5, -0.02, 2.0]
Y = LINEAR + _RNG.normal(size=ROWS) * (0.5 + np.abs(X[:, 0]))
WEIGHTS = _RNG.uniform(0.5, 2.0, ROWS)
OFFSET = np.sin(np.arange(ROWS))
GROUPS = _RNG.integers(0, 12, ROWS)
CLASSES = (_RNG.uniform(size=ROWS) < 1 / (1 + np.exp(-(LINEAR - 1.5)))).astype(float)
COUNTS = _RNG.poisson(np.exp(LINEAR / 2)).astype(float)
SPANS = _RNG.gamma(2.0, np.exp(LINEAR / 2) / 2)


@pytest.fixture(scope="module")
def sm():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("statsmodels.api")


def assert_as_statsmodels(ours, theirs):
    """Compare what every model has."""
    for mine, name in (
        ("params", "params"),
        ("standard_errors", "bse"),
        ("statistics", "tvalues"),
        ("p_values", "pvalues"),
    ):
        np.testing.assert_allclose(getattr(ours, mine), getattr(theirs, name), **DIGITS)
    np.testing.assert_allclose(ours.intervals, theirs.conf_int(), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(ours.covariance, theirs.cov_params(), rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("errors", ["classical", "HC0", "HC1", "HC2", "HC3", "cluster"])
def test_least_squares(sm, errors, weights):
    ours = regression.summary(
        X,
        Y,
        intercept=True,
        weights=weights,
        errors=errors,
        groups=GROUPS if errors == "cluster" else None,
    )
    kind = "nonrobust" if errors == "classical" else errors
    more = {"cov_kwds": {"groups": GROUPS}} if errors == "cluster" else {}
    model = sm.WLS(Y, sm.add_constant(X), weights=1.0 if weights is None else weights)
    theirs = model.fit(cov_type=kind, use_t=True, **more)
    assert_as_statsmodels(ours, theirs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = {
            "r_squared": theirs.rsquared,
            "adjusted_r_squared": theirs.rsquared_adj,
            "f_statistic": float(theirs.fvalue),
            "f_p_value": float(theirs.f_pvalue),
            "log_likelihood": theirs.llf,
            "aic": theirs.aic,
            "bic": theirs.bic,
            "scale": theirs.scale,
        }
    found = {name: ours.fit[name] for name in expected}
    np.testing.assert_allclose(list(found.values()), list(expected.values()), rtol=1e-9)
    np.testing.assert_allclose(ours.condition_number, theirs.condition_number, rtol=1e-9)


def test_intervals_of_predictions_and_diagnostics(sm):
    from statsmodels.stats.outliers_influence import variance_inflation_factor
    from statsmodels.stats.stattools import durbin_watson, jarque_bera

    ours, constant = regression.summary(X, Y, intercept=True), sm.add_constant(X)
    theirs = sm.OLS(Y, constant).fit()
    new = X[:5] + 0.5
    found = ours.predict(new, level=0.9)
    expected = theirs.get_prediction(sm.add_constant(new, has_constant="add")).summary_frame(0.1)
    for mine, name in (
        ("mean", "mean"),
        ("standard_error", "mean_se"),
        ("lower", "mean_ci_lower"),
        ("upper", "mean_ci_upper"),
        ("lower_of_target", "obs_ci_lower"),
        ("upper_of_target", "obs_ci_upper"),
    ):
        np.testing.assert_allclose(getattr(found, mine), expected[name], **DIGITS)
    inflation = [variance_inflation_factor(constant, j) for j in (1, 2, 3)]
    np.testing.assert_allclose(ours.variance_inflation, inflation, rtol=1e-9)
    statistic, p_value, skew, kurtosis = jarque_bera(theirs.resid)
    np.testing.assert_allclose(
        [
            ours.fit[name]
            for name in ("durbin_watson", "jarque_bera", "jarque_bera_p_value", "skew")
        ],
        [durbin_watson(theirs.resid), statistic, p_value, skew],
        rtol=1e-9,
    )
    np.testing.assert_allclose(ours.fit["kurtosis"], kurtosis, rtol=1e-9)


@pytest.mark.parametrize("errors", ["classical", "HC0", "cluster"])
@pytest.mark.parametrize("family", ["binomial", "poisson"])
def test_generalised_models_of_dispersion_one(sm, family, errors):
    y, theirs = {"binomial": (CLASSES, sm.Logit), "poisson": (COUNTS, sm.Poisson)}[family]
    groups = GROUPS if errors == "cluster" else None
    ours = regression.summary(X, y, family=family, intercept=True, errors=errors, groups=groups)
    kind = "nonrobust" if errors == "classical" else errors
    more = {"cov_kwds": {"groups": GROUPS}} if groups is not None else {}
    theirs = theirs(y, sm.add_constant(X)).fit(
        method="newton", tol=1e-13, disp=0, cov_type=kind, **more
    )
    assert_as_statsmodels(ours, theirs)
    np.testing.assert_allclose(
        [ours.fit[name] for name in ("log_likelihood", "aic", "bic")],
        [theirs.llf, theirs.aic, theirs.bic],
        rtol=1e-10,
    )
    # Theirs fits the model of the intercept alone by steps, to fewer digits.
    np.testing.assert_allclose(
        [ours.fit[name] for name in ("pseudo_r_squared", "likelihood_ratio_p_value")],
        [theirs.prsquared, theirs.llr_pvalue],
        rtol=1e-6,
    )


@pytest.mark.filterwarnings("ignore::RuntimeWarning:statsmodels.*")  # of its numerical derivatives
@pytest.mark.parametrize(
    ("family", "link", "y", "offset"),
    [
        ("gamma", "log", SPANS, OFFSET),
        ("gamma", "inverse", SPANS + 1, None),
        ("binomial", "probit", CLASSES, OFFSET),
        ("binomial", "cloglog", CLASSES, None),
        ("poisson", "log", COUNTS, OFFSET),
    ],
)
def test_links_weights_offsets_and_dispersion(sm, family, link, y, offset):
    links = {
        "log": sm.families.links.Log,
        "inverse": sm.families.links.InversePower,
        "probit": sm.families.links.Probit,
        "cloglog": sm.families.links.CLogLog,
    }
    added = {} if offset is None else {"offset": offset}
    if (family, offset is None) == ("poisson", False):
        added = {"exposure": np.exp(offset)}
    ours = regression.summary(
        X, y, family=family, link=link, intercept=True, weights=WEIGHTS, **added
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of links that allow means out of range
        model = sm.GLM(
            y,
            sm.add_constant(X),
            family=getattr(sm.families, family.title())(links[link]()),
            var_weights=WEIGHTS,
            offset=offset,
        )
        theirs = model.fit(tol=1e-14, maxiter=200, tol_criterion="params", use_t=family == "gamma")
    assert_as_statsmodels(ours, theirs)
    np.testing.assert_allclose(
        [
            ours.fit[name]
            for name in ("log_likelihood", "deviance", "null_deviance", "pearson_chi2")
        ],
        [theirs.llf, theirs.deviance, theirs.null_deviance, theirs.pearson_chi2],
        rtol=1e-9,
    )
    new = X[:4] + 0.1
    frame = theirs.get_prediction(sm.add_constant(new, has_constant="add")).summary_frame()
    found = ours.predict(new)
    np.testing.assert_allclose(found.mean, frame["mean"], rtol=1e-10)
    # statsmodels carries the ends through the link as they are: one that falls turns them round.
    ends = np.sort(frame[["mean_ci_lower", "mean_ci_upper"]], axis=1)
    np.testing.assert_allclose(np.column_stack([found.lower, found.upper]), ends, rtol=1e-9)


def test_any_mean_loss_by_the_hessian_at_its_optimum(sm):
    """A model that `fit` trained: its errors are those of the same model fitted by name."""
    logistic = regression.mean_loss(optax.losses.sigmoid_binary_cross_entropy)
    x = (X - X.mean(0)) / X.std(0)
    with jax.enable_x64(True):
        start = Linear(np.zeros(3), np.zeros(()))
        result = fit(
            logistic, start, x, CLASSES, optimizer=optax.lbfgs(), steps=200, tolerance=1e-12
        )
    theirs = sm.Logit(CLASSES, sm.add_constant(x)).fit(method="newton", tol=1e-13, disp=0)
    ours = regression.summary(x, CLASSES, params=result, loss=logistic)
    np.testing.assert_allclose(ours.standard_errors, theirs.bse, rtol=1e-9)
    robust = regression.summary(x, CLASSES, params=result, loss=logistic, errors="HC0")
    theirs = sm.Logit(CLASSES, sm.add_constant(x)).fit(
        method="newton", tol=1e-13, disp=0, cov_type="HC0"
    )
    np.testing.assert_allclose(robust.standard_errors, theirs.bse, rtol=1e-9)
    assert ours.degrees_of_freedom == np.inf


def test_table_and_dictionary():
    data = load_diabetes()
    found = regression.summary(
        data.x, data.y, intercept=True, feature_names=data.feature_names, target_name="progression"
    )
    text = str(found)
    for expected in ("R-squared:", "0.5177", "Adj. R-squared:", "0.5066", "P>|t|", "[0.025"):
        assert expected in text
    row = next(line for line in text.splitlines() if line.startswith("bmi"))
    # B. Efron et al., "Least Angle Regression", 2004: bmi is 5.6 a unit, with t = 7.8.
    assert row.split()[1:5] == ["5.6030", "0.7171", "7.813", "0.000"]
    assert "Nearly explained by the other features (VIF above 10): s1" in text
    assert max(map(len, text.splitlines()[:-1])) <= 83
    parts = json.loads(json.dumps(found.to_dict()))
    assert parts["rows"] == 442
    np.testing.assert_allclose(parts["parameters"]["bmi"]["estimate"], found.params[3])
    np.testing.assert_allclose(parts["variance_inflation"]["s1"], 59.2, rtol=1e-3)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"errors": "HC4"}, "errors must be one of classical, HC0"),
        ({"errors": "cluster"}, "go together"),
        ({"groups": GROUPS}, "go together"),
        ({"level": 95}, "level must be between 0 and 1"),
        ({"family": "normal"}, "family must be one of gaussian"),
        ({"family": "poisson", "link": "logit"}, "links of family 'poisson' are log, identity"),
        ({"family": "binomial"}, "0 or 1, or a share between them; y"),
        ({"feature_names": ["a"]}, "there are 3 features"),
        ({"weights": -WEIGHTS}, "weights must be finite, 0 or more"),
        ({"exposure": WEIGHTS}, "exposure is for the log link, and this is 'identity'"),
    ],
)
def test_wrong_use_says_what_to_do(options, said):
    with pytest.raises(ValueError, match=said):
        regression.summary(X, Y, **options)


@pytest.mark.parametrize(("name", "x", "y"), [("x", X * 1e200, Y), ("y", X, Y * 1e200)])
def test_numbers_whose_squares_do_not_fit_are_refused_by_name(name, x, y):
    with pytest.raises(ValueError, match=f"{name} is too large to square in float64"):
        regression.summary(x, y, intercept=True)


def test_no_more_rows_than_parameters_has_no_errors():
    with pytest.raises(ValueError, match="3 rows that count cannot tell"):
        regression.summary(X[:3], Y[:3])


def test_row_that_decides_alone_has_no_leverage_left():
    x = np.column_stack([X[:10, 0], np.eye(10)[0]])
    with pytest.raises(ValueError, match="row 0 alone decides"):
        regression.summary(x, Y[:10], errors="HC3")


def test_a_logistic_rows_information_is_its_second_derivative_also_at_zero():
    with jax.enable_x64(True):
        family, linear = family_of("binomial"), np.array([-700.0, -2.0, 0.0, 1e-9, 3.0, 700.0])
        second = jax.vmap(jax.grad(jax.grad(family.error)), (0, None))(linear, 1.0)
        for found in (second, family.information(linear)):
            np.testing.assert_allclose(found, 1 / (2 + 2 * np.cosh(linear)), rtol=1e-14)


def test_separated_classes_are_said():
    x, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0.0, 0.0, 1.0, 1.0])
    with pytest.warns(RuntimeWarning, match="the classes are separated"):
        regression.glm(x, y, "binomial", intercept=True)


@pytest.mark.parametrize("link", ["Logit", "Probit", "CLogLog"])
def test_classes_that_are_nearly_told_apart_have_the_answer_of_statsmodels(sm, link):
    """Most means are 0 or 1 to rounding, where slope² / variance is zero by zero: the steps ended there."""
    x = np.linspace(-60, 100, 200)[:, None]
    y = (x[:, 0] > 0) * 1.0
    y[[74, 76]] = 1, 0
    ours = regression.glm(x, y, "binomial", link=link.lower(), intercept=True)
    with np.errstate(all="ignore"):
        family = sm.families.Binomial(getattr(sm.families.links, link)())
        theirs = sm.GLM(y, sm.add_constant(x), family).fit(tol=1e-13, tol_criterion="params")
    assert ours.converged
    assert np.abs(theirs.fittedvalues - y).min() == 0
    np.testing.assert_allclose(
        np.append(ours.params.bias, ours.params.weights), theirs.params, rtol=1e-8
    )


@pytest.mark.parametrize(("family", "theirs"), [("binomial", "Binomial"), ("poisson", "Poisson")])
def test_rows_that_are_read_in_blocks_give_the_answer_of_statsmodels(
    sm, family, theirs, monkeypatch
):
    monkeypatch.setattr(by_blocks, "_CHUNK", 2048)  # the last of which begins within the one before
    random = np.random.default_rng(5)
    x, weights = random.standard_normal((9001, 3)), random.integers(0, 3, 9001)
    mean = x @ [0.3, -0.2, 0.1] + 0.5
    y = (
        random.poisson(np.exp(mean))
        if family == "poisson"
        else random.random(9001) < 0.5 + mean / 9
    )
    offset = x[:, 0] * x[:, 1]
    ours = regression.glm(x, y * 1.0, family, intercept=True, weights=weights, offset=offset)
    ones = np.column_stack([np.ones(9001), x])
    fitted = sm.GLM(
        y * 1.0, ones, getattr(sm.families, theirs)(), freq_weights=weights, offset=offset
    ).fit(tol=1e-13, tol_criterion="params")
    np.testing.assert_allclose(
        np.append(ours.params.bias, ours.params.weights), fitted.params, rtol=1e-10
    )
    assert ours.converged


@pytest.mark.parametrize(
    ("family", "link"), [("multinomial", None), ("binomial", "probit"), ("gamma", "inverse")]
)
def test_rows_in_blocks_and_one_program_give_the_same(family, link, monkeypatch):
    monkeypatch.setattr(by_blocks, "_CHUNK", 300)
    random = np.random.default_rng(6)
    x = random.uniform(1, 2, (1300, 2))
    y = {
        "multinomial": np.eye(3)[
            (x @ [1, -1] + random.logistic(size=1300) > 0) + (x[:, 0] > 1.8) * 1
        ],
        "binomial": x @ [1, -1] + random.standard_normal(1300) > 0,
        "gamma": random.gamma(2, 1 / x[:, 0]),
    }[family]
    offset = 0.1 * x.prod(axis=1) if family == "binomial" else None

    def fitted(x):
        return regression.glm(
            x, y * 1.0, family, link=link, intercept=True, penalty=0.5, offset=offset
        )

    ours = fitted(x)
    with jax.enable_x64(True):
        theirs = jax.jit(fitted)(x)
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        if one.dtype == np.float64:
            np.testing.assert_allclose(one, other, rtol=1e-10)
    assert ours.converged


def test_an_offset_of_a_linear_model_is_taken_from_the_target():
    with_offset, without = (
        regression.summary(X, y, intercept=True, weights=WEIGHTS, **more)
        for y, more in ((Y, {"offset": OFFSET}), (Y - OFFSET, {}))
    )
    assert str(with_offset) == str(without)


def test_exposure_is_an_offset(sm):
    x, years = X[:, :2], np.abs(X[:, 2]) + 0.5
    y = np.random.default_rng(7).poisson(years * np.exp(0.3 * x[:, 0]))
    ours = regression.glm(x, y, "poisson", intercept=True, exposure=years)
    ones = np.column_stack([np.ones(len(y)), x])
    fitted = sm.GLM(y, ones, sm.families.Poisson(), exposure=years).fit(tol=1e-13)
    np.testing.assert_allclose(
        np.append(ours.params.bias, ours.params.weights), fitted.params, rtol=1e-9
    )
    rate = np.asarray(regression.predict(ours, x[:3])) * years[:3]
    np.testing.assert_allclose(rate, fitted.predict(ones[:3], exposure=years[:3]), rtol=1e-9)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"exposure": np.zeros(4)}, "exposure must be greater than 0"),
        ({"exposure": np.ones(4), "offset": np.ones(4)}, "give one of the two"),
        ({"exposure": np.ones(4), "link": "identity"}, "exposure is for the log link"),
        ({"offset": np.ones(3)}, r"must have shape \(4,\), got \(3,\)"),
        ({"offset": np.full(4, np.nan)}, "must be finite"),
    ],
)
def test_wrong_offsets_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        regression.glm(X[:4, :1], np.ones(4), "poisson", intercept=True, **options)


def test_data_of_about_as_many_rows_shares_a_program():
    """Folds of a cross-validation, for example. Their answers are those of as many rows as they have."""
    rows = np.arange(70)
    x, y = np.sin(rows)[:, None], (rows % 3 == 0) * 1.0
    regression.glm(x, y, "binomial")
    compiled = by_blocks._of_rows._cache_size()
    for count in (65, 69):
        part = regression.glm(x[:count], y[:count], "binomial")
        wide = np.append(x, np.ones((1, 1)), axis=0)
        weights = np.append(np.arange(70) < count, 0.0)
        whole = regression.glm(wide, np.append(y, 1), "binomial", weights=weights)
        np.testing.assert_allclose(part.params, whole.params, rtol=1e-12)
    assert by_blocks._of_rows._cache_size() == compiled
