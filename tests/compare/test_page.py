"""A report's page holds the verdict, the charts and the glossary in both languages, and nothing from elsewhere."""

import functools
import json
import platform
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import jax.numpy as jnp
import numpy as np
import pytest

from funcgrad.compare import OptionError, draw, page, parity, trajectory
from funcgrad.display.charts import Line, chart
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
        assert each.replace("'", "&#x27;") in text


@functools.cache
def training():
    state, batch = start(4, 5, 3, 2)
    return trajectory(with_jax(1e-3), with_jax(1.01e-3), state, batch, 3)


def test_the_page_of_a_training_has_its_charts():
    report = training()
    text = page(report)
    check(text)
    assert f"It begins at step 1, in {report.leaf}." in text
    assert f"A fault of {report.visible:.1e} of a step&#x27;s change would have been seen" in text
    # The losses and how far they drift; one step from the reference's state is no line.
    assert text.count('<svg class="chart"') == 2
    assert 'class="band"' in text


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


def points(svg, name):
    root = ET.fromstring(svg)
    return [
        [tuple(map(float, corner.split(","))) for corner in each.get("points").split()]
        for each in root.iter("polyline")
        if name in each.get("class").split()
    ]


def test_a_chart_draws_each_number_where_it_belongs():
    svg = chart([Line("a", [1.0, 10.0, 100.0])], log=True, across="step")
    ((left, middle, right),) = points(svg, "line0")
    assert left[0] < middle[0] < right[0]
    assert left[1] > middle[1] > right[1]
    assert left[1] - middle[1] == pytest.approx(middle[1] - right[1], abs=0.2)  # one decade each


def test_zeros_and_nan_leave_gaps_on_a_logarithmic_axis():
    svg = chart([Line("a", [1.0, 2.0, 0.0, 3.0, float("nan"), 4.0])], log=True, across="step")
    assert [len(each) for each in points(svg, "line0")] == [2, 1, 1]
    assert chart([Line("a", [0.0, 0.0])], log=True, across="step") == ""


# -- in a browser -----------------------------------------------------------------------------------------------------

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
ASKED = """<script>
const small = [...document.querySelectorAll("svg.chart text")].map(t => t.getBoundingClientRect().height);
document.title = JSON.stringify({
  wide: document.documentElement.scrollWidth - innerWidth, text: Math.min(...small),
  paper: getComputedStyle(document.body).backgroundColor, clipped: small.length == 0});
</script>"""


@pytest.mark.skipif(BROWSER is None, reason="there is no browser")
@pytest.mark.parametrize(("width", "dark"), [(500, False), (900, True), (1400, False)])
def test_a_page_fits_the_screen_and_can_be_read(width, dark, tmp_path):
    file = tmp_path / "page.html"
    file.write_text(page(training(), "fr").replace("</body>", f"{ASKED}</body>"))
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--window-size={width},900",
        "--dump-dom",
    ]
    scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    run = subprocess.run([BROWSER, *flags, scheme, f"file://{file}"], capture_output=True, text=True, check=True, timeout=120)  # fmt: skip
    found = json.loads(re.search("<title>(.*?)</title>", run.stdout)[1].replace("&quot;", '"'))
    assert found["wide"] <= 0
    assert found["text"] >= 10
    assert (found["paper"] == "rgb(255, 255, 255)") is not dark
