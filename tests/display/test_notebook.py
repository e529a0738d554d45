"""Results show themselves: a few lines and a curve, never thousands of numbers."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax

import funcgrad.torch as torch
from funcgrad import datasets, engine, fit, regression
from funcgrad.compare.report import BackendResult, LeastSquaresGap, Report
from funcgrad.compare.report import Difference as D
from funcgrad.display import Text, charts
from funcgrad.training import FitResult

SAME = D(0.0, 0.0, 1.0, None, 0.0, True, "")
OFF = D(1.0, 9.0, 0.1, "age", 1.0, False, "")


def report(difference):
    rows = tuple(
        BackendResult(name, 1.0, each, each, each, each, 1e-3, 9e-4, 2e-3, 1e-3, 1.0, True)
        for name, each in (("pytorch", SAME), ("jax", difference))
    )
    settings = {
        "target": "y",
        "features": 2,
        "rows": 3,
        "steps": 4,
        "optimizer": "sgd",
        "learning_rate": 0.1,
    }
    settings |= {"largest_stable_rate": None, "dtype": "float32", "device": "cpu", "seed": 0}
    return Report(rows, {}, LeastSquaresGap(1.0, 0.0, 0.0, "age"), 2.0, settings, {"jax": "0"})  # fmt: skip


def test_a_report_shows_its_table_and_whether_it_agrees():
    good, bad = (report(each)._repr_html_() for each in (SAME, OFF))
    assert "All 2 backends agree" in good
    assert "DISAGREEMENT" in bad
    assert good.split(";")[0] != bad.split(";")[0]  # the colour of the bar


def curves(page):
    """How many lines with more than a point a page shows."""
    return len(re.findall(r'class="line line\d+"><path d="M [\d.]+ [\d.]+  L', page))


def test_a_fit_shows_its_outcome_and_its_loss_curve():
    x = np.random.default_rng(0).standard_normal((20, 50)).astype(np.float32)
    result = fit(regression.loss, jnp.zeros(50), x, x[:, 0], optimizer=optax.sgd(0.01), steps=30)
    assert repr(result) == (
        f"FitResult(loss={result.loss:.6g}, gradient_norm={result.gradient_norm:.6g}, steps=30, converged=False, "
        "diverged=False, params=float32[50])"
    )
    page = result._repr_html_()
    assert curves(page) == 1
    assert "steps=30" in page
    assert ">30</text>" in page
    # Inside a transformation its numbers are not known.
    jax.jit(lambda r: (repr(r), r.loss)[1])(result)


def test_a_fit_without_matplotlib_says_what_draws_its_curve(monkeypatch):
    monkeypatch.setattr(charts, "find_spec", lambda name: None)
    scalar = jnp.float32(1.0)
    result = FitResult(scalar, scalar, jnp.ones(3), scalar, jnp.int32(3), jnp.bool_(1), jnp.bool_(0), ())  # fmt: skip
    page = result._repr_html_()
    assert "steps=3" in page
    assert "a chart needs matplotlib (pip install &#x27;funcgrad[report]&#x27;)" in page
    assert "<svg" not in page


def test_a_long_fit_shows_a_thinned_curve_and_its_last_step():
    scalar = jnp.float32(1.0)
    losses = jnp.linspace(2.0, 1.0, 50_000)
    page = FitResult(scalar, scalar, losses, scalar, jnp.int32(50_000), jnp.bool_(1), jnp.bool_(0), ())._repr_html_()  # fmt: skip
    assert ">50000</text>" in page
    assert len(page) < 40_000


def test_several_fits_show_a_curve_each():
    several = jnp.ones(3)
    losses = jnp.linspace(3.0, 1.0, 12).reshape(3, 4)
    page = FitResult(several, several, losses, several, several, several, several, ())._repr_html_()
    assert curves(page) == 3
    assert "loss=float32[3]" in page


def test_a_dataset_shows_its_names_and_its_first_rows():
    data = datasets.load_diabetes()
    assert repr(data).startswith(f"Dataset(442 rows; {data.target_name} from 10 features: age, ")
    page = data._repr_html_()
    assert page.count("<tr>") == 6
    assert f"<td>{data.y[4]:.6g}</td>" in page
    assert f"<td>{data.y[5]:.6g}</td>" not in page
    assert len(page) < 2000


def test_the_engines_explanation_keeps_its_lines():
    (torch.ones(2) + 1).tolist()
    told = engine.explain()
    assert type(told) is Text
    assert repr(told) == str(told)
    assert Text("a\n<b>")._repr_html_() == "<pre>a\n&lt;b&gt;</pre>"
