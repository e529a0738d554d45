"""A chart shows each number where it belongs, and leaves its colours to the page and matplotlib's settings to the user."""

import re
import xml.etree.ElementTree as ET

import matplotlib
import numpy as np
import pytest

from funcgrad.display.charts import HEIGHT, LEFT, RIGHT, WIDTH, Line, Span, chart, spans

NAN, INF = float("nan"), float("inf")


def stretches(svg, name):
    """The corners of the parts of a line, each without a gap."""
    found = []
    for group in ET.fromstring(svg).iter("g"):
        if name in group.get("class", "").split():
            for path in group.iter("path"):
                assert not set(re.findall("[a-zA-Z]", path.get("d"))) - {*"MLz"}
                for run in path.get("d").split("M")[1:]:
                    numbers = list(map(float, re.findall(r"[\d.]+", run)))
                    found.append(list(zip(numbers[::2], numbers[1::2], strict=True)))
    return found


def texts(svg):
    return [(each.text, float(each.get("x")), float(each.get("y"))) for each in ET.fromstring(svg).iter("text")]  # fmt: skip


def test_a_chart_draws_each_number_where_it_belongs():
    svg = chart([Line("a", [1.0, 10.0, 100.0])], log=True, across="step")
    ((left, middle, right),) = stretches(svg, "line0")
    assert (left[0], right[0]) == (LEFT, WIDTH - RIGHT)
    assert middle[0] == pytest.approx((left[0] + right[0]) / 2)
    assert left[1] - middle[1] == pytest.approx(middle[1] - right[1])  # one decade each
    # Text stands beside its number: the axis upwards, and the first and the last step.
    told = {text: (x, y) for text, x, y in texts(svg)}
    assert {"1e0", "1e1", "1e2", "1", "3", "step"} <= told.keys()
    assert told["1e1"][1] == pytest.approx(middle[1], abs=6)
    assert (told["1"][0], told["3"][0]) == (left[0], right[0])
    assert all(0 < y < HEIGHT for _, y in told.values())


def test_a_linear_axis_has_round_numbers_around_all():
    svg = chart([Line("a", [2863.0, 2866.0])], log=False, across="step")
    marks = {float(text): y for text, _, y in texts(svg) if text not in ("1", "2", "step")}
    assert min(marks) <= 2863 < 2866 <= max(marks)
    ((start, end),) = stretches(svg, "line0")
    low, high = min(marks), max(marks)
    scale = (marks[low] - marks[high]) / (high - low)
    assert start[1] - end[1] == pytest.approx(3 * scale)


def test_only_some_steps_are_named_by_their_own_numbers():
    svg = chart([Line("a", [3.0, 2.0, 1.0])], log=False, across="step", first=20, last=1000)
    assert {"20", "1000"} <= {text for text, _, _ in texts(svg)}
    ((left, _, right),) = stretches(svg, "line0")
    assert (left[0], right[0]) == (LEFT, WIDTH - RIGHT)


@pytest.mark.parametrize(
    ("log", "values", "lengths"),
    [
        (True, [1.0, 2.0, 0.0, 3.0, NAN, 4.0], [2, 1, 1]),
        (False, [1.0, -2.0, INF, 3.0, 4.0, -INF, 0.0], [2, 2, 1]),
        (True, [1e-320, 1.7e308], [2]),
        (False, [1.0], [1]),
        (False, [5.0, 5.0], [2]),
    ],
)
def test_gaps_are_left_and_a_lone_number_is_a_dot(log, values, lengths):
    svg = chart([Line("a", values)], log=log, across="step")
    found = stretches(svg, "line0")
    lines, dots = found[: len(lengths)], found[len(lengths) :]
    assert [len(each) for each in lines] == lengths
    assert [dot[0] for dot in dots] == [line[0] for line in lines if len(line) == 1]
    assert all(dot[0] == dot[1] for dot in dots)


def test_no_number_is_no_chart():
    assert chart([Line("a", [0.0, 0.0])], log=True, across="step") == ""


def test_a_band_is_shaded_from_the_floor_up_to_its_edge():
    svg = chart([Line("a", [1.0, 100.0])], log=True, across="step", band=[10.0, 10.0, 100.0])
    ((floor, start, _, end, corner),) = [
        list(dict.fromkeys(each)) for each in stretches(svg, "band")
    ]
    ((bottom, top),) = stretches(svg, "line0")
    assert (floor, corner) == (bottom, (top[0], bottom[1]))
    assert start[1] == pytest.approx((bottom[1] + top[1]) / 2)
    assert end == top


def test_bars_go_from_their_low_end_to_their_high_end():
    svg = spans([Span("a <b> $c$ \x01", 1.0, 10.0, 100.0, "10 s"), Span("d", 10.0, 10.0, 10.0, "10 s")])  # fmt: skip
    bar, mark = stretches(svg, "line0")
    assert (bar[0][0] + bar[1][0]) / 2 == pytest.approx(mark[0][0])
    assert {x for run in stretches(svg, "line1") for x, _ in run} == {mark[0][0]}
    assert [text for text, _, _ in texts(svg)] == ["a <b> $c$  , 10 s", "d, 10 s"]


def test_the_page_around_gives_the_colours_and_the_fonts():
    lines = [Line(f"{k} & more", np.linspace(k, 9, 5)) for k in range(5)]
    svg = chart(lines, log=False, across="step", band=np.ones(5))
    assert not re.search(r"#\w{3,6}|font|<style|\bid=|href|url\(|xmlns|<\?xml", svg)
    root = ET.fromstring(svg)
    assert root.get("aria-label") == "; ".join(line.label for line in lines)
    classes = {name for each in root.iter() for name in each.get("class", "").split()}
    assert classes == {"chart", "grid", "band", "line", *(f"line{k}" for k in range(5))}


def test_settings_of_matplotlib_neither_matter_nor_change():
    lines = [Line("a", [3.0, 2.0, 1.0])]
    plain = chart(lines, log=False, across="step")
    with matplotlib.rc_context({"font.size": 30, "lines.linewidth": 9, "axes.facecolor": "red", "svg.fonttype": "path"}):  # fmt: skip
        before = dict(matplotlib.rcParams)
        assert chart(lines, log=False, across="step") == plain
        assert dict(matplotlib.rcParams) == before
