"""`funcgrad fit --summary`, `--family` and `--weights`: the numbers of the functions behind them, from the shell."""

import argparse

import jax
import numpy as np
import pandas
import pytest

from funcgrad import regression
from funcgrad.cli import main
from funcgrad.cli.common import add_csv_options, csv_options
from funcgrad.datasets import DataError, load_diabetes
from funcgrad.models import load_model

pytest.importorskip("pyarrow")

DATA = load_diabetes()
X, Y = DATA.x[:60, :3], DATA.y[:60]
RNG = np.random.default_rng(0)
COLUMNS = {
    "age": X[:, 0],
    "sex, coded": X[:, 1],
    "bmi": X[:, 2],
    "count": RNG.integers(1, 4, 60),
    "town": RNG.integers(0, 9, 60),
    "none": np.zeros(60),
    "y": Y,
    "many": RNG.poisson(3, 60),
    "ill": (np.median(Y) < Y).astype(int),
}
COLUMNS["share"] = COLUMNS["count"] / COLUMNS["count"].sum()


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with the table as French spreadsheets write it."""
    monkeypatch.chdir(tmp_path)
    names = ";".join(f'"{name}"' for name in COLUMNS)
    rows = [
        ";".join(repr(value).replace(".", ",") for value in row)
        for row in np.column_stack(list(COLUMNS.values())).tolist()
    ]
    (tmp_path / "t.csv").write_text("\n".join([names, *rows, ""]))
    return tmp_path


FEATURES = ["--features", 'age,"sex, coded",bmi']


def fit(*more, target="y"):
    return main(["fit", "t.csv", "--target", target, "--out", "model", *FEATURES, *more])


def test_tabs_and_spaces_are_told_by_words():
    parser = argparse.ArgumentParser()
    add_csv_options(parser)
    options = csv_options(parser.parse_args(["--delimiter", "tab", "--thousands", "space"]))
    assert (options.delimiter, options.thousands) == ("\t", " ")


@pytest.mark.parametrize("errors", ["classical", "HC3", "cluster"])
def test_summary_is_the_librarys(here, capsys, errors):
    more = {"classical": [], "HC3": ["--errors", "HC3"], "cluster": ["--cluster", "town"]}[errors]
    assert fit("--summary", "--weights", "count", *more) == 0
    expected = regression.summary(
        X,
        Y,
        intercept=True,
        weights=COLUMNS["count"],
        errors=errors,
        groups=COLUMNS["town"] if errors == "cluster" else None,
        feature_names=["age", "sex, coded", "bmi"],
        target_name="y",
    )
    said = capsys.readouterr()
    assert str(expected) in said.out
    assert "read with delimiter ;, decimal ,, encoding utf-8" in said.err
    model = np.load("model")
    np.testing.assert_allclose([model["bias"], *model["weights"]], expected.params, rtol=1e-12)


@pytest.mark.parametrize("weights", [None, "count"])
@pytest.mark.parametrize(("family", "target"), [("poisson", "many"), ("binomial", "ill")])
def test_a_fit_ends_with_the_measures_of_its_family(here, capsys, family, target, weights):
    metrics = pytest.importorskip("sklearn.metrics")
    counts = np.ones(60) if weights is None else COLUMNS[weights]
    assert fit("--family", family, *([] if weights is None else ["--weights", weights]), target=target) == 0  # fmt: skip
    told = capsys.readouterr().out
    y, model = COLUMNS[target], load_model("model")
    mean = model.predict(X)
    alone = np.full(60, np.average(y, weights=counts))
    if family == "poisson":
        expected = [
            counts.sum() * metrics.mean_poisson_deviance(y, at, sample_weight=counts)
            for at in (mean, alone)
        ]
    else:
        expected = [
            2 * metrics.log_loss(y, at, sample_weight=counts, normalize=False)
            for at in (mean, alone)
        ]
        log_loss = metrics.log_loss(y, mean, sample_weight=counts)
        accuracy = metrics.accuracy_score(y, mean > 0.5, sample_weight=counts)
        assert f", log loss {log_loss:.6g}, accuracy {accuracy:.4f}\n" in told
    assert f"\ndeviance {expected[0]:.6g}, {expected[1]:.6g} without the features" in told
    assert "squared" not in told


def test_a_family_is_kept_in_the_model_and_predicts_means(here, capsys):
    assert fit("--family", "poisson", "--quiet", target="many") == 0
    assert main(["predict", "t.csv", "--model", "model"]) == 0
    name, *means = capsys.readouterr().out.split()
    answer = regression.glm(X, COLUMNS["many"], "poisson", intercept=True)
    assert name == "many"
    np.testing.assert_allclose(np.array(means, float), regression.predict(answer, X), rtol=1e-12)
    # The mean of Poisson's answer is that of the data.
    np.testing.assert_allclose(np.mean(np.array(means, float)), COLUMNS["many"].mean(), rtol=1e-12)
    assert str(np.load("model")["format"]) == "funcgrad linear model 2"


@pytest.mark.parametrize("weights", ["count", "share"])
def test_weights_count_as_repeated_rows(here, weights):
    """Weights that add up to one are as good as any."""
    assert fit("--weights", weights, "--quiet") == 0
    counts = COLUMNS["count"]
    assert int(np.load("model")["rows"]) == 60
    repeated = np.column_stack([np.ones(60), X]).repeat(counts, axis=0)
    exact = np.linalg.lstsq(repeated, Y.repeat(counts))[0]
    model = np.load("model")
    np.testing.assert_allclose([model["bias"], *model["weights"]], exact, rtol=1e-9)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--errors", "HC3"], "for the table that --summary prints"),
        (["--summary", "--ridge", "1"], "no standard errors of --ridge"),
        (["--family", "huber", "--ridge", "1"], "it has no --ridge"),
        (["--summary", "--optimizer", "sgd"], "leave out --optimizer"),
        (["--family", "poisson", "--link", "probit"], "the links of family 'poisson'"),
        (["--family", "binomial"], "0 or 1, or a share between them"),
        (["--weights", "bmi"], "the weights 'bmi' are also among the features"),
        (["--weights", "y"], "the target 'y' is also the weights"),
        (["--cluster", "bmi", "--summary"], "column 'bmi' is a feature or the target already"),
        (["--weights", "none"], "all --weights are zero"),
        (["--weights", "weight"], "no column 'weight'"),
        (["--decimal", ";"], "--decimal must be one of"),
    ],
)
def test_options_that_do_not_go_together(here, capsys, options, said):
    assert fit(*options) == 2
    assert said in capsys.readouterr().err
    assert not (here / "model").exists()


@pytest.mark.parametrize(
    ("options", "model"),
    [
        (["--family", "huber"], lambda: regression.huber(X, Y, intercept=True)),
        (
            ["--family", "quantile", "--quantile", "0.9", "--weights", "count"],
            lambda: regression.quantile(X, Y, 0.9, intercept=True, weights=COLUMNS["count"]),
        ),
    ],
)
def test_robust_fits_predict_as_the_library_does(here, capsys, options, model):
    assert fit(*options) == 0
    capsys.readouterr()
    assert main(["predict", "t.csv", "--model", "model"]) == 0
    printed = [float(line) for line in capsys.readouterr().out.splitlines()[1:]]
    np.testing.assert_allclose(printed, regression.predict(model(), X), rtol=1e-9)
    wrong = ["--family", "huber", "--summary"], ["--quantile", "0.5"]
    assert [fit(*more) for more in wrong] == [2, 2]


def test_weights_of_a_training_make_the_weighted_answer(here, capsys):
    """All rows in each step, on data without noise in the weighted rows: the answer is known."""
    rows = [[a, b, w, 1 + 2 * a - b + (w == 0)] for a in range(4) for b in range(4) for w in (0, 3)]
    np.savez("w.npz", **dict(zip("abwy", np.array(rows, float).T, strict=True)))
    options = (
        "--target y --weights w --optimizer sgd --learning-rate 0.4 --epochs 60 --batch-size 32"
    )
    assert main(["fit", "w.npz", "--out", "model", *options.split()]) == 0
    assert "32 rows" in capsys.readouterr().out
    model = load_model("model")
    assert model.feature_names == ("a", "b")
    np.testing.assert_allclose([*model.weights, model.bias], [2, -1, 1], rtol=1e-9)
    assert model.loss < 1e-15


def test_exposure_is_the_librarys(here, capsys):
    assert fit("--family", "poisson", "--exposure", "count", target="many") == 0
    answer = regression.glm(
        X, COLUMNS["many"] * 1.0, "poisson", intercept=True, exposure=COLUMNS["count"]
    )
    model = load_model("model")
    np.testing.assert_allclose(model.weights, answer.params.weights, rtol=1e-9)
    assert (model.target_name, model.prediction_name) == ("many", "many per count")
    mean = COLUMNS["count"] * np.asarray(regression.predict(answer, X))
    assert model.loss == pytest.approx(np.square(COLUMNS["many"] - mean).mean(), rel=1e-9)
    assert fit("--exposure", "count", target="many") == 2
    assert "for the link log, such as that of --family poisson" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("family", "target", "beside"),
    [
        ("poisson", "many", "exposure"),
        ("poisson", "many", "offset"),
        ("binomial", "ill", "offset"),
        ("gamma", "y", "exposure"),
        ("gaussian", "y", "offset"),
    ],
)
def test_offsets_and_exposures_are_those_of_the_librarys_summary(
    here, capsys, family, target, beside
):
    assert fit("--family", family, f"--{beside}", "count", "--summary", target=target) == 0
    told = capsys.readouterr().out
    expected = regression.summary(
        X,
        COLUMNS[target],
        family=family,
        intercept=True,
        **{beside: COLUMNS["count"]},
        feature_names=["age", "sex, coded", "bmi"],
        target_name=target,
    )
    assert str(expected) in told
    model = load_model("model")
    named = f"{target} per count" if beside == "exposure" else f"{target} at count=0"
    assert (model.prediction_name, f"target {named}" in told) == (named, True)
    np.testing.assert_allclose([model.bias, *model.weights], expected.params, rtol=1e-8)
    if family != "gaussian":
        deviances = [expected.fit[each] for each in ("deviance", "null_deviance")]
        assert "deviance {:.6g}, {:.6g} without the features".format(*deviances) in told


@pytest.mark.parametrize(
    ("family", "target", "beside"),
    [
        ("poisson", "many", "exposure"),
        ("binomial", "ill", "offset"),
        ("gaussian", "y", "offset"),
    ],
)
def test_predictions_take_the_exposure_or_the_offset(here, capsys, family, target, beside):
    """R and statsmodels predict with the data's own too; without it the column's name and a line say the unit."""
    assert fit("--family", family, f"--{beside}", "count", target=target) == 0
    more = {beside: COLUMNS["count"] * 1.0}
    answer = regression.glm(X, COLUMNS[target] * 1.0, family, intercept=True, **more)
    capsys.readouterr()
    for options, header, offset in (
        ([], load_model("model").prediction_name, 0),
        ([f"--{beside}", "count"], target, more.get("offset", np.log(COLUMNS["count"]))),
    ):
        assert main(["predict", "t.csv", "--model", "model", *options]) == 0
        told = capsys.readouterr()
        name, *printed = told.out.splitlines()
        with jax.enable_x64(True):
            expected = np.asarray(answer.mean(regression.predict(answer.params, X) + offset))
        np.testing.assert_allclose(np.array(printed, float), expected, rtol=1e-8)
        assert (name, f"--{beside} count uses that column" in told.err) == (header, not options)
    frame = pandas.DataFrame(COLUMNS)
    series = load_model("model").predict(frame, **{beside: frame["count"]})
    np.testing.assert_allclose(series, expected, rtol=1e-8)
    assert series.name == target
    with pytest.raises(DataError, match="different labels"):
        load_model("model").predict(frame, **{beside: frame["count"].sort_values()})


@pytest.mark.parametrize(
    ("family", "options", "said"),
    [
        ("poisson", ["--exposure", "none"], "exposure must be greater than 0"),
        ("poisson", ["--exposure", "bmi"], "is one of the model's features"),
        ("poisson", ["--exposure", "years"], "no column 'years'"),
        ("poisson", ["--exposure", "count", "--offset", "count"], "give one of the two"),
        ("multinomial", ["--offset", "count"], "a model of several classes has none"),
        ("gaussian", ["--exposure", "count"], "models of the link log, and this is identity"),
    ],
)
def test_an_exposure_that_a_model_cannot_predict_with(here, capsys, family, options, said):
    assert fit("--family", family, target="many") == 0
    capsys.readouterr()
    assert main(["predict", "t.csv", "--model", "model", "--out", "p.csv", *options]) == 2
    assert said in capsys.readouterr().err
    assert not (here / "p.csv").exists()


def test_an_offset_of_a_robust_fit_is_taken_from_the_target(here):
    assert fit("--family", "huber", "--offset", "count") == 0
    answer = regression.huber(X, Y - COLUMNS["count"], intercept=True)
    np.testing.assert_allclose(load_model("model").weights, answer.params.weights, rtol=1e-9)
    assert fit("--offset", "count", "--exposure", "many") == 2
