"""Line charts as SVG: small, without a script, in the colours of the page around them."""

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
) -> str:
    """Return a chart with steps across.

    Args:
        lines: what to draw.
        log: whether the axis upwards is logarithmic.
        across: what the axis across counts.
        last: the number of the last step, where only some steps were given.
        band: the upper edge of an area to be shaded, one number a step.

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
    for tick in ticks:
        at = y(10.0**tick if log else tick)
        name = f"1e{tick}" if log else f"{tick:.3g}"
        parts.append(f'<path class="grid" d="M{LEFT} {at:.1f}H{WIDTH - 10}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{name}</text>')
    floor = y(10.0**low if log else low)
    parts += [
        f'<text x="{x(step):.1f}" y="{HEIGHT - 16:.0f}" text-anchor="middle">{name}</text>'
        for step, name in {0: 1, count - 1: last or count}.items()
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
