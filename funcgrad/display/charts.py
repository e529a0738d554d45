"""Line charts as SVG: drawn by matplotlib, in the colours of the page around them.

A chart has no colours and no fonts of its own: its parts have classes, and the style sheet of a page paints them, light or
dark or on paper. The classes are `grid`, `band`, `line` with `line0`, `line1`, ... and `text`, which is an element.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from io import StringIO
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np

WIDTH, HEIGHT, LEFT, RIGHT, BOTTOM, TOP = 680.0, 240.0, 74.0, 10.0, 34.0, 12.0
ROW, EDGE = 44.0, 10.0  # of a chart of spans

# A picture has 72 points an inch, and a point is a unit of its box.
POINTS = 72

# One row a line of a chart, from the first on: without a dash, then dashes and gaps in the line's widths.
_DASHES = ("-", (0, (3, 1.7)), (0, (1.1, 1.7)), (0, (4.4, 1.7, 1.1, 1.7)))

# Text stays text, and so does what looks like mathematics in a name; a picture is the same each time.
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "funcgrad",
    "text.parse_math": False,
    "font.size": 11,
}
_PAINT = re.compile(r"(?:(?:fill|stroke): #\w+|font[\w-]*: [^;]*)(?:; |$)")


class Line(NamedTuple):
    """A line of a chart.

    Attributes:
        label: its name, for those who cannot see it.
        values: one number a step; what is not finite, or not positive on a logarithmic axis, leaves a gap.
    """

    label: str
    values: Sequence[float]


def chart(
    lines: Sequence[Line],
    *,
    log: bool,
    across: str,
    band: Sequence[float] | None = None,
    last: int | None = None,
    first: int = 1,
) -> str:
    """Return a chart with steps across; nothing, where no number can be shown.

    Args:
        lines: what to draw.
        log: whether the axis upwards is logarithmic.
        across: what the axis across counts.
        last: the number of the last step, where only some steps were given.
        band: the upper edge of an area to be shaded, one number a step.
        first: the number of the first step.

    Raises:
        ImportError: matplotlib is not installed.

    >>> chart([Line("loss", [3.0, 2.0, 1.0])], log=False, across="step").startswith("<svg")
    True
    """
    curves = [_heights(line.values, log) for line in lines]
    edge = _heights(band if band is not None else (), log)
    shown = np.concatenate([*curves, edge])
    shown = shown[np.isfinite(shown)]
    if not shown.size:
        return ""
    last = first + max(curve.size for curve in curves) - 1 if last is None else last

    def paint(axes: Any) -> None:
        levels = _levels(float(shown.min()), float(shown.max()), log)
        axes.set_ylim(levels[0], levels[-1])
        axes.set_yticks(levels, [f"1e{level:.0f}" if log else f"{level:.10g}" for level in levels])
        axes.grid(axis="y", gid="grid", linewidth=1, clip_on=False)
        axes.set_xlim(first, max(last, first + 1))
        ends = sorted({first, last})
        axes.set_xticks(ends, [str(end) for end in ends])
        axes.get_xticklabels()[-1].set_horizontalalignment("right" if last > first else "center")
        axes.tick_params(axis="x", pad=9)
        axes.set_xlabel(across, labelpad=-8)
        known = np.isfinite(edge)
        if known.any():
            at = np.linspace(first, last, edge.size)[known]
            corners = [levels[0], *edge[known], levels[0]]
            axes.fill([at[0], *at, at[-1]], corners, linewidth=0, gid="band", clip_on=False)
        for k, curve in enumerate(curves):
            at, alone = np.linspace(first, last, curve.size), _alone(curve)
            drawn = {"gid": f"line line{k}", "clip_on": False}
            axes.plot(at, curve, linewidth=1.8, linestyle=_DASHES[k % len(_DASHES)], **drawn)
            axes.plot([at[alone]] * 2, [curve[alone]] * 2, linewidth=4, solid_capstyle="round", **drawn)  # fmt: skip

    box = (LEFT, BOTTOM, WIDTH - LEFT - RIGHT, HEIGHT - BOTTOM - TOP)
    return _drawn(paint, HEIGHT, box, [line.label for line in lines])


class Span(NamedTuple):
    """A bar of a chart of spans.

    Attributes:
        label: its name.
        low, middle, high: where it begins, its mark, and its end; all positive.
        told: the number at its mark, with a unit.
    """

    label: str
    low: float
    middle: float
    high: float
    told: str


def spans(bars: Sequence[Span]) -> str:
    """Return bars under each other, on a logarithmic axis, each from its low end to its high end with a mark.

    Raises:
        ImportError: matplotlib is not installed.

    >>> spans([Span("a", 1.0, 2.0, 3.0, "2 s")]).startswith("<svg")
    True
    """
    names = [
        "".join(sign if sign.isprintable() else " " for sign in f"{bar.label}, {bar.told}")
        for bar in bars
    ]
    low, high = min(bar.low for bar in bars), max(bar.high for bar in bars)
    height = ROW * len(bars)

    def paint(axes: Any) -> None:
        axes.set_xlim(math.log10(low), math.log10(high) if high > low else math.log10(low) + 1)
        axes.set_ylim(height, 0)
        axes.set_axis_off()
        for k, (bar, name) in enumerate(zip(bars, names, strict=True)):
            y = ROW * k + 32
            drawn = {"gid": f"line line{k}", "solid_capstyle": "butt", "clip_on": False}
            axes.axhline(y, gid="grid", linewidth=1, clip_on=False)
            axes.plot(np.log10([bar.low, bar.high]), [y, y], linewidth=5, **drawn)
            axes.plot(np.log10([bar.middle] * 2), [y - 6, y + 6], linewidth=3, **drawn)
            axes.text(0, y - 12, name, transform=axes.get_yaxis_transform())

    return _drawn(paint, height, (EDGE, 0.0, WIDTH - 2 * EDGE, height), names)


def _heights(values: Sequence[float], log: bool) -> np.ndarray:
    """Where numbers lie on the axis upwards; NaN for those that do not. matplotlib's own logarithmic axis ends at 1e308."""
    given = np.asarray(values, np.float64)
    fits = np.isfinite(given) & ((given > 0) | (not log))
    kept = np.where(fits, given, 1.0)
    return np.where(fits, np.log10(kept) if log else kept, np.nan)


def _levels(low: float, high: float, log: bool) -> list[float]:
    """The marks of the axis upwards; the first and the last are its ends."""
    from matplotlib.ticker import MaxNLocator

    if high <= low:
        high = low + (abs(low) or 1.0)
    locator = MaxNLocator(8 if log else 5, integer=log, steps=[1, 2, 2.5, 5, 10])
    return [float(each) for each in locator.tick_values(low, high)]


def _alone(curve: np.ndarray) -> np.ndarray:
    """Which numbers have a gap on both sides."""
    known = np.pad(np.isfinite(curve), 1)
    return known[1:-1] & ~known[:-2] & ~known[2:]


def _drawn(
    paint: Callable[[Any], None],
    height: float,
    box: tuple[float, float, float, float],
    names: Sequence[str],
) -> str:
    """A picture of axes in a box, which `paint` fills. The user's settings of matplotlib neither matter nor change."""
    if find_spec("matplotlib") is None:
        raise ImportError("a chart needs matplotlib (pip install 'funcgrad[report]')")
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    left, bottom, width, tall = box
    svg = StringIO()
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        warnings.filterwarnings("ignore", "Glyph .* missing")  # the page has a font of its own
        figure = Figure((WIDTH / POINTS, height / POINTS), frameon=False)
        place = (left / WIDTH, bottom / height, width / WIDTH, tall / height)
        axes = figure.add_axes(place, frame_on=False)
        axes.tick_params(length=0, left=False, bottom=False)
        paint(axes)
        FigureCanvasSVG(figure).print_svg(svg, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))  # fmt: skip
    return _for_a_page(svg.getvalue(), names)


def _for_a_page(svg: str, names: Sequence[str]) -> str:
    """The picture of matplotlib's as an element of HTML: our names become classes, colours and fonts go.

    Its own style sheet goes too, which would hold for the page around it.
    """
    root = ElementTree.fromstring(svg)
    for each in list(root.iter()):
        each.tag = each.tag.rpartition("}")[2]
        each.text, each.tail = (each.text or "").strip(), None
        for child in [child for child in each if child.tag.endswith("defs")]:
            each.remove(child)
        name = each.attrib.pop("id", "_")
        if "_" not in name:  # matplotlib's own have one
            each.set("class", name)
        if style := _PAINT.sub("", each.attrib.pop("style", "")):
            each.set("style", style)
    box = root.get("viewBox", "")
    root.attrib = {"class": "chart", "viewBox": box, "role": "img", "aria-label": "; ".join(names)}
    return ElementTree.tostring(root, encoding="unicode")
