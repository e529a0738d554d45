"""A report's page holds the verdict, the charts and the glossary in both languages, and nothing from elsewhere."""

import functools
import json
import platform
import re
import shutil
import subprocess
import time
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser

import jax.numpy as jnp
import numpy as np
import pytest

import funcgrad.torch as shim
from funcgrad.cli import main
from funcgrad.compare import (
    Backend,
    OptionError,
    Session,
    compare,
    draw,
    markup,
    on,
    page,
    parity,
    speed,
    trajectory,
)
from funcgrad.compare.functional import prepare_steps
from funcgrad.compare.paces import time_both
from funcgrad.compare.tables import seconds
from tests.compare.nets import start, with_jax

X = np.arange(3, dtype=np.float32)
VOID = {"meta", "br"}


def loss(x):
    return jnp.exp(x).sum()


def wrong(x):
    return jnp.exp(x).sum() * 1.001


class Checker(HTMLParser):
    """Every tag that is opened is closed, in order."""

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def check(text):
    checker = Checker()
    checker.feed(text)
    assert checker.open == []
    assert "<script" not in text
    assert not re.search(r"(src|href)=", text)
    assert text.startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ["A real difference.", "rounding band", "gradient by x", "Hessian product 1 by x"]),
        (
            "fr",
            [
                "Une vraie différence.",
                "bande d'arrondi",
                "gradient par rapport à x",
                "produit 1 par la hessienne, par rapport à x",
                "<td>valeur</td>",
                "une ombre en float64",
            ],
        ),
    ],
)
def test_the_page_of_a_parity_is_whole_in_both_languages(language, words):
    text = page(parity(loss, wrong, X, order=2), language)
    check(text)
    assert f'lang="{language}"' in text
    for each in (*words, "wrong (JAX)"):
        assert each in unescape(text)


@functools.cache
def training():
    state, batch = start(4, 5, 3, 2)
    return trajectory(with_jax(1e-3), with_jax(1.01e-3), state, batch, 3)


def test_the_page_of_a_training_has_its_charts():
    report = training()
    text = page(report)
    check(text)
    assert f"It begins at step 1, in {report.leaf}." in text
    assert f"A fault of {report.visible:.1e} of a step's change would have been seen" in unescape(
        text
    )
    # The losses and how far they drift; one step from the reference's state is no line.
    assert text.count('<svg class="chart"') == 2
    assert 'class="band"' in text
    assert "<td>perte</td>" in page(report, "fr")


@functools.cache
def regression():
    random = np.random.default_rng(0)
    x = random.standard_normal((30, 2))
    y = x @ [1.0, 2.0] + random.standard_normal(30)
    off = Backend("off", lambda device: None, one_weight_is_off)
    names = ["age", "<sex>"]
    backends = ["shim", "jax", off]
    return compare(x, y, feature_names=names, backends=backends, steps=20, rounds=2, curves=True)


def one_weight_is_off(problem):
    session = prepare_steps(problem)

    def train(steps):
        params = session.train(steps)
        return params._replace(weights=params.weights + np.float32([0, 0.01]))

    return Session(train, session.value_and_grad)


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ["A real difference. It is in off: weights after", "the times", "final weights"]),
        ("fr", ["Une vraie différence. Elle est dans off", "les temps", "poids finals"]),
    ],
)
def test_the_page_of_a_regression_is_whole_in_both_languages(language, words):
    text = page(regression(), language)
    check(text)
    for each in words:
        assert each.lower() in text.lower()
    # Losses, distances of the weights, times.
    assert text.count('<svg class="chart"') == 3
    assert text.count('<td class="fault">') == 2
    assert "&lt;sex&gt;" in text


def test_the_curves_of_a_regression_are_of_its_trainings():
    report = regression()
    curves = report.curves
    assert curves.steps == tuple(range(1, 21))
    assert curves.losses["jax"][-1] == report.rows[1].final_loss
    assert set(curves.apart["shim"]) == {0.0}
    for apart, allowed in zip(curves.apart["jax"], curves.allowed, strict=True):
        assert apart <= allowed
    assert curves.apart["off"][-1] == pytest.approx(0.01, rel=1e-3)


def test_a_regression_without_curves_has_the_rest_of_its_page():
    text = page(replace(regression(), curves=None))
    check(text)
    assert text.count('<svg class="chart"') == 1


def test_times_are_told_with_their_spread():
    cases = {"short": lambda: time.sleep(0), "long": lambda: sum(range(20000))}
    times = speed(cases, rounds=3)
    text = page(parity(loss, loss, X), times=times)
    check(text)
    for each in times.timings:
        assert f"<td>{seconds(each.lower)} to {seconds(each.upper)}</td>" in text


@pytest.mark.parametrize("kind", ["PyTorch", "the shim"])
def test_both_sides_are_timed_with_tensors_of_their_own(request, kind):
    torch = request.getfixturevalue("torch") if kind == "PyTorch" else shim
    given = []

    def step(state, batch):
        given.append(float(state.detach()[0]))
        (state * batch).sum().backward()
        with torch.no_grad():
            state -= state.grad
        return state, state.sum()

    def pure(state, batch):
        return state - batch, (state - batch).sum()

    times = time_both(step, on("jax", pure), (X + 1, X))
    names = [each.name for each in times.timings]
    assert names == [f"step ({kind})", "pure (JAX)", "jax.jit(pure)"]
    assert set(given) <= {1.0}


def test_a_side_that_cannot_be_called_has_no_times():
    assert time_both(on("jax", loss), on("jax", lambda x: 1 / 0), (X,)) is None


def test_a_page_names_the_versions_of_the_libraries_that_were_used(torch):
    text = page(parity(loss, loss, X))
    assert f"torch: {torch.__version__}; python: {platform.python_version()}" in text


def test_a_page_without_anything_compared_says_why():
    text = page(parity(loss, lambda x: loss(x)[None], X))
    check(text)
    assert "Not compared. value has shape ()" in text


def test_a_drawing_is_part_of_the_page():
    pytest.importorskip("fast_sugiyama")
    text = page(parity(loss, wrong, X), drawing=draw(loss, X).beside(draw(wrong, X)))
    check(text)
    assert "reduce_sum" in text


def test_an_unknown_language_is_refused():
    with pytest.raises(OptionError, match="en or fr, not in 'de'"):
        page(parity(loss, loss, X), "de")


@pytest.mark.parametrize("missing", ["jinja2", "matplotlib"])
def test_a_page_without_a_library_of_its_own_says_how_to_install_it(
    missing, monkeypatch, tmp_path, capsys
):
    monkeypatch.setattr(markup, "find_spec", lambda name: None if name == missing else name)
    with pytest.raises(OptionError, match=rf"needs {missing} \(pip install 'funcgrad\[report\]'\)"):
        page(parity(loss, loss, X))
    file = tmp_path / "page.html"
    # The command says it before it trains.
    monkeypatch.setattr("funcgrad.compare.compare", None)
    assert main(["compare", "--html", str(file)]) == 2
    assert f"needs {missing} (pip install 'funcgrad[report]')" in capsys.readouterr().err
    assert not file.exists()


def test_what_a_page_shows_is_text_and_no_markup():
    def unsafe(x):
        return loss(x)

    unsafe.__name__ = "<script>alert(1)</script>"
    text = page(parity(loss, unsafe, X), times=speed({"a <b> & 'c'": int, "d": int}, rounds=2))
    check(text)
    assert "<td>a &lt;b&gt; &amp; &#39;c&#39;</td>" in text


def test_what_is_no_report_has_no_page():
    with pytest.raises(
        OptionError, match="a page shows a report of parity, trajectory or compare; got 3"
    ):
        page(3)


# -- in a browser -----------------------------------------------------------------------------------------------------

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
ASKED = """<script>
if (PRINTED) {
  const rules = [...document.styleSheets[0].cssRules].filter(r => r.media && r.media.mediaText == "print");
  const style = document.createElement("style");
  style.textContent = rules.flatMap(r => [...r.cssRules].map(s => s.cssText)).join("");
  document.head.append(style);
}
const small = [...document.querySelectorAll("svg.chart text")].map(t => t.getBoundingClientRect().height);
document.title = JSON.stringify({
  wide: document.documentElement.scrollWidth - innerWidth, text: Math.min(...small),
  paper: getComputedStyle(document.body).backgroundColor, clipped: small.length == 0});
</script>"""


@pytest.mark.skipif(BROWSER is None, reason="there is no browser")
@pytest.mark.parametrize(
    ("report", "width", "look"),
    [
        (training, 500, "light"),
        (training, 1400, "dark"),
        (regression, 500, "dark"),
        (regression, 900, "light"),
        (training, 700, "print"),
        (regression, 700, "print"),
    ],
)
def test_a_page_fits_the_screen_and_the_paper_and_can_be_read(report, width, look, tmp_path):
    file = tmp_path / "page.html"
    asked = ASKED.replace("PRINTED", "true" if look == "print" else "false")
    file.write_text(page(report(), "fr").replace("</body>", f"{asked}</body>"))
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--window-size={width},900",
        f"--blink-settings=preferredColorScheme={1 if look == 'light' else 0}",
        "--dump-dom",
    ]
    run = subprocess.run([BROWSER, *flags, f"file://{file}"], capture_output=True, text=True, check=True, timeout=120)  # fmt: skip
    found = json.loads(re.search("<title>(.*?)</title>", run.stdout)[1].replace("&quot;", '"'))
    assert found["wide"] <= 0
    assert found["text"] >= 10
    assert (found["paper"] == "rgb(255, 255, 255)") is (look != "dark")
