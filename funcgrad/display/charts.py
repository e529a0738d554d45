"""Line charts as SVG: small, without a script, in the colours of the page around them.

They are drawn here, and not by matplotlib, for three reasons. The style sheet of a page gives them its colours, light or dark
or on paper; a picture of matplotlib's has colours of its own. They need no import of a second. And a `FitResult` shows its
losses in a notebook where no extra is installed.
"""

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 680.0, 240.0, 70.0, 34.0, 12.0


class Line(NamedTuple):
    """A line of a chart.

    Attributes:
        label: its name, for the legend.
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
    """Return a chart with steps across.

    Args:
        lines: what to draw.
        log: whether the axis upwards is logarithmic.
        across: what the axis across counts.
        last: the number of the last step, where only some steps were given.
        band: the upper edge of an area to be shaded, one number a step.
        first: the number of the first step.

    >>> chart([Line("loss", [3.0, 2.0, 1.0])], log=False, across="step").startswith("<svg")
    True
    """
    shown = [each for line in lines for each in line.values if _fits(each, log)]
    shown += [each for each in band or () if _fits(each, log)]
    if not shown:
        return ""
    low, high = min(shown), max(shown)
    if log:
        low, high = math.floor(math.log10(low)), math.ceil(math.log10(high))
    if high <= low:
        high = low + 1
    count = max(len(line.values) for line in lines)

    def x(step: float) -> float:
        return LEFT + (WIDTH - LEFT - 10) * (step / max(1, count - 1))

    def y(value: float) -> float:
        at = math.log10(value) if log else value
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - (at - low) / (high - low))

    parts = []
    ticks = range(int(low), int(high) + 1, max(1, round((high - low) / 5))) if log else [low + k * (high - low) / 4 for k in range(5)]  # fmt: skip
    for tick, name in zip(
        ticks, [f"1e{k}" for k in ticks] if log else _short_each(ticks), strict=True
    ):
        height = y(10.0**tick if log else tick)
        parts.append(f'<path class="grid" d="M{LEFT} {height:.1f}H{WIDTH - 10}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{height + 4:.1f}" text-anchor="end">{name}</text>')
    floor = y(10.0**low if log else low)
    ends = {0: first, count - 1: last or count}
    parts += [
        f'<text x="{x(step):.1f}" y="{HEIGHT - 16:.0f}" text-anchor="{"end" if step else "middle"}">{name}</text>'
        for step, name in ends.items()
    ]
    parts.append(f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 5:.0f}" text-anchor="middle">{escape(across)}</text>')  # fmt: skip
    if band is not None:
        edge = [(x(k), y(value)) for k, value in enumerate(band) if _fits(value, log)]
        if edge:
            corners = [(edge[0][0], floor), *edge, (edge[-1][0], floor)]
            parts.append(f'<polygon class="band" points="{_points(corners)}"/>')
    for k, line in enumerate(lines):
        for run in _runs(line.values, log):
            points = _points([(x(step), y(value)) for step, value in run])
            parts.append(f'<polyline class="line line{k}" points="{points}"/>')
            if len(run) == 1:
                parts.append(f'<circle class="dot{k}" cx="{x(run[0][0]):.1f}" cy="{y(run[0][1]):.1f}" r="2"/>')  # fmt: skip
    names = "; ".join(line.label for line in lines)
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" role="img" aria-label="{escape(names)}">'
        f"{''.join(parts)}</svg>"
    )


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

    >>> spans([Span("a", 1.0, 2.0, 3.0, "2 s")]).startswith("<svg")
    True
    """
    row, left, right = 44.0, 10.0, WIDTH - 10
    low = math.log10(min(bar.low for bar in bars))
    high = math.log10(max(bar.high for bar in bars))
    width = high - low or 1.0
    parts = []

    def x(value: float) -> float:
        return left + (right - left) * (math.log10(value) - low) / width

    for k, (label, start, middle, end, told) in enumerate(bars):
        y = row * k + 32
        parts.append(f'<path class="grid" d="M{left} {y}H{right}"/>')
        parts.append(f'<path class="line line{k} span" d="M{x(start):.1f} {y}H{max(x(end), x(start) + 1):.1f}"/>')  # fmt: skip
        parts.append(f'<path class="line line{k} mark" d="M{x(middle):.1f} {y - 6}v12"/>')
        parts.append(f'<text x="{left}" y="{y - 12}">{escape(label)}, {escape(told)}</text>')
    names = "; ".join(f"{bar.label}, {bar.told}" for bar in bars)
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH:.0f} {row * len(bars):.0f}" role="img" aria-label="{escape(names)}">'
        f"{''.join(parts)}</svg>"
    )


def _short(value: float, digits: int = 3) -> str:
    """A few digits of a number, in few signs.

    >>> _short(16612.0), _short(1.234e6), _short(0.25)
    ('16600', '1.23e6', '0.25')
    """
    rounded = float(f"{value:.{digits}g}")
    return f"{rounded:.{max(digits, 6)}g}".replace("e+0", "e").replace("e-0", "e-")


def _short_each(values: Sequence[float]) -> list[str]:
    """Numbers with as few digits, from three on, as tell those that differ apart.

    >>> _short_each([2860.0, 2864.9, 2869.8])
    ['2860', '2865', '2870']
    """
    for digits in range(3, 17):
        names = [_short(value, digits) for value in values]
        if len(set(names)) == len(set(values)):
            break
    return names


def _fits(value: float, log: bool) -> bool:
    return math.isfinite(value) and (value > 0 or not log)


def _runs(values: Sequence[float], log: bool) -> list[list[tuple[int, float]]]:
    """The stretches of a line without a gap."""
    runs: list[list[tuple[int, float]]] = [[]]
    for step, value in enumerate(values):
        if _fits(value, log):
            runs[-1].append((step, value))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _points(corners: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
