"""A report as one page of HTML, in English or in French: it needs no other file and no script.

This module says what is on a page; `markup` makes HTML of it.
"""

from __future__ import annotations

import math
import platform
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

from funcgrad.compare.drawings import Drawing
from funcgrad.compare.errors import OptionError
from funcgrad.compare.leaves import Leaf
from funcgrad.compare.markup import (
    Blocks,
    Glossary,
    Keys,
    Paragraph,
    Picture,
    Sections,
    Table,
    render,
    require_libraries,
)
from funcgrad.compare.parities import Parity
from funcgrad.compare.report import Curves, Difference, Report
from funcgrad.compare.tables import seconds
from funcgrad.compare.timings import Speed
from funcgrad.compare.trajectories import Trajectory
from funcgrad.compare.wording import (
    BACKENDS,
    BAND,
    ENGLISH,
    GLOSSARY,
    RESYNCHRONISED,
    SHADOW,
    ULP,
    VERDICTS,
    Words,
)
from funcgrad.display.charts import Line, Span, chart, spans
from funcgrad.version import __version__

# A page names the versions of those that are loaded.
_LIBRARIES = ("jax", "numpy", "optax", "torch")
_COLUMNS = ("leaf", "absolute", "relative", "ulps", "bands", "shadow", "index", "reference", "candidate", "verdict")  # fmt: skip
_GLOSSARIES: Mapping[type, Sequence[str]] = {
    Parity: (ULP, BAND, SHADOW),
    Trajectory: (ULP, BAND, SHADOW, RESYNCHRONISED),
    Report: (ULP, BAND, SHADOW, BACKENDS),
}


def page(
    report: Parity | Trajectory | Report,
    language: str = ENGLISH,
    drawing: Drawing | None = None,
    times: Speed | None = None,
) -> str:
    """Return a report as a page of HTML.

    Args:
        report: of `parity`, of `trajectory` or of `compare`; that of `compare` has charts if it was asked for `curves`.
        language: "en" or "fr".
        drawing: what to show of the computation; see `draw`.
        times: what to show of the times; see `speed`. A report of `compare` has its own.

    Raises:
        OptionError: there is no such report or language, or jinja2 or matplotlib is not installed.

    >>> import numpy as np
    >>> from funcgrad.compare import parity, on
    >>> report = parity(on("jax", abs), on("jax", abs), np.ones(2), order=0)
    >>> "Identiques, bit pour bit." in page(report, "fr")
    True
    """
    say = Words(language)
    if not isinstance(report, (Parity, Trajectory, Report)):
        raise OptionError(
            f"a page shows a report of parity, trajectory or compare; got {report!r:.100}"
        )
    require_libraries()
    told = _of_a_regression(report, say) if isinstance(report, Report) else _of_two(report, say)
    title, verdict, good, sections = told
    sections += _times(times, say)
    if drawing is not None:
        sections.append((say("graphs"), [Picture(drawing.svg(), wide=True)]))
    sections.append((say("circumstances"), _circumstances(report, say)))
    words = [GLOSSARY[name][say.column] for name in _GLOSSARIES[type(report)]]
    sections.append((say("words"), [Glossary(words)]))
    return render(language, title, verdict, good, sections)


Contents = tuple[str, str, bool, Sections]
"""A page's title, its verdict, whether that is good, and its first sections."""


# -- two functions, two trainings -------------------------------------------------------------------------------------


def _of_two(report: Parity | Trajectory, say: Words) -> Contents:
    sides = (
        each.replace("the shim", say("the shim")) for each in (report.candidate, report.reference)
    )
    sections: Sections = []
    if isinstance(report, Trajectory) and report.losses:
        sections += _charts(report, say)
    if report.leaves:
        at = say("arrays at", report.worst) if isinstance(report, Trajectory) else say("arrays")
        sections.append((at, _leaves(report, say)))
    return say("against", *sides), _verdict_of_two(report, say), report.ok, sections


def _verdict_of_two(report: Parity | Trajectory, say: Words) -> str:
    if report.problem is not None:
        return f"{say('nothing')} {report.problem}."
    if isinstance(report, Trajectory):
        begins = "" if report.step is None else f" {say('begins', report.step, report.leaf)}"
        return say(report.verdict) + begins
    verdicts = {leaf.verdict for leaf in report.leaves}
    return say(next(each for each in ("real", "undecided", "rounding", "identical") if each in verdicts))  # fmt: skip


def _charts(report: Trajectory, say: Words) -> Sections:
    step = say("step")
    drift = chart([Line(say("apart"), report.drift.loss)], log=True, across=step, band=report.drift.band)  # fmt: skip
    steps = chart([Line(say("each step"), report.steps)], log=True, across=step, band=[8.0] * len(report.steps))  # fmt: skip
    sections: Sections = [(say("losses"), _losses(report.losses, say))]
    sections += [(say("apart"), [Picture(drift)])] if drift else []
    sections += [(say("each step"), [Picture(steps)])] if len(report.steps) > 1 and steps else []
    return sections


def _losses(losses: Mapping[str, Sequence[float]], say: Words, first: int = 1, last: int | None = None) -> Blocks:  # fmt: skip
    """The curves of all losses in one chart, under their names."""
    lines = [Line(say(side), values) for side, values in losses.items()]
    values = [value for line in lines for value in line.values]
    wide = min(values) > 0 and max(values) > 10 * min(values)
    drawn = chart(lines, log=wide, across=say("step"), first=first, last=last)
    return [_keys(losses, say), Picture(drawn)]


def _keys(names: Iterable[str], say: Words) -> Keys:
    return Keys([say(name) for name in names])


def _named(leaf: Leaf, say: Words) -> str:
    """The array's name in the page's language."""
    if found := re.fullmatch(r"gradient by (.*)", leaf.name):
        return say("gradient", *found.groups())
    if found := re.fullmatch(r"Hessian product (\d+) by (.*)", leaf.name):
        return say("Hessian product", *found.groups())
    return say(leaf.name) if leaf.name in ("value", "loss") else leaf.name


def _leaves(report: Parity | Trajectory, say: Words) -> Blocks:
    leaves = report.leaves
    rows = [
        [
            _named(leaf, say),
            f"{leaf.absolute:.1e}",
            f"{leaf.relative:.1e}",
            f"{leaf.ulps:.3g}",
            f"{leaf.bands:.2g}",
            "" if leaf.shadow is None else f"{leaf.shadow:.1e}",
            str(list(leaf.index)) if leaf.index else "",
            "" if leaf.reference is None else f"{leaf.reference:.9g}",
            "" if leaf.candidate is None else f"{leaf.candidate:.9g}",
            VERDICTS[leaf.verdict][say.column],
        ]
        for leaf in leaves
    ]
    phrase, visible = "visible", [leaf.visible for leaf in leaves if math.isfinite(leaf.visible)]
    if isinstance(report, Trajectory):
        phrase, visible = "visible in a step", [report.visible]
    largest = max(visible, default=0.0)
    seen = [Paragraph(say(phrase, f"{largest:.1e}"))] if 0 < largest < math.inf else []
    return [
        _table(_COLUMNS, rows, say, [leaf.ok for leaf in leaves]),
        *_reasons((leaf.why for leaf in leaves), say),
        *seen,
    ]


# -- one regression on several backends -------------------------------------------------------------------------------


def _of_a_regression(report: Report, say: Words) -> Contents:
    settings = report.settings
    title = say(
        "regression", settings["target"], settings["features"], settings["rows"], len(report.rows)
    )
    sections: Sections = [(say("backends"), _backends(report, say))]
    if report.curves is not None:
        sections += _curves(report.curves, say)
    bars = [
        Span(row.backend, row.lower, row.seconds_per_step, row.upper, _time(row.seconds_per_step, row.steady, say))
        for row in report.rows
    ]  # fmt: skip
    table = [
        [
            row.backend,
            _time(row.seconds_per_step, row.steady, say),
            say("from to", seconds(row.lower), seconds(row.upper)),
            f"{row.ratio:.3g}" if row.steady and report.rows[0].steady else "",
            seconds(row.compile_seconds),
        ]
        for row in report.rows
    ]
    head = ["backend", "a step", "quartiles", "ratio", "compile"]
    sections.append((say("times"), _timed(bars, head, table, settings["rounds"], say)))
    return title, _verdict_of_backends(report, say), report.agree, sections


def _verdict_of_backends(report: Report, say: Words) -> str:
    if len(report.rows) == 1:
        return say("alone")
    if report.agree:
        return say("all agree", len(report.rows))
    wrong = [
        say("disagrees", row.backend, ", ".join(say(name) for name, each in row.differences().items() if not each.agrees))
        for row in report.rows
        if not row.agrees
    ]  # fmt: skip
    return " ".join([say("real"), *wrong])


def _backends(report: Report, say: Words) -> Blocks:
    reference = report.rows[0]
    head = ["backend", "quantity", "verdict", "absolute", "allowed", "shadow", "ulps", "farthest", "final loss"]  # fmt: skip
    rows = [[reference.backend, "", say("reference"), *[""] * 5, f"{reference.final_loss:.8g}"]]
    good = [True]
    for row in report.rows[1:]:
        for k, (name, each) in enumerate(row.differences().items()):
            backend, loss = ("", "") if k else (row.backend, f"{row.final_loss:.8g}")
            rows.append([backend, say(name), *_difference(each, say), loss])
            good.append(each.agrees)
    told = [
        say("exact", f"{report.gap.exact_loss:.8g}", f"{report.gap.loss:.2g}"),
        *(say("ended above", row.backend, f"{report.starting_loss:.8g}") for row in report.rows if row.final_loss > report.starting_loss),
        *(say("did not run", name, reason) for name, reason in report.absent.items()),
    ]  # fmt: skip
    reasons = _reasons((each.why for row in report.rows for each in row.differences().values()), say)  # fmt: skip
    return [_table(head, rows, say, good), *reasons, *map(Paragraph, told)]


def _difference(each: Difference, say: Words) -> list[str]:
    verdict = "real" if not each.agrees else "rounding" if each.absolute else "identical"
    element = say("intercept") if each.element == "the intercept" else each.element or ""
    return [
        VERDICTS[verdict][say.column],
        f"{each.absolute:.1e}",
        f"{each.allowed:.1e}",
        "" if each.shadow is None else f"{each.shadow:.1e}",
        f"{each.ulps:.3g}",
        element if each.absolute else "",
    ]


def _curves(curves: Curves, say: Words) -> Sections:
    first, last = curves.steps[0], curves.steps[-1]
    lines = [Line(name, values) for name, values in curves.apart.items()]
    apart = chart(lines, log=True, across=say("step"), band=curves.allowed, first=first, last=last)
    return [
        (say("losses"), _losses(curves.losses, say, first=first, last=last)),
        (say("weights apart"), [_keys(curves.apart, say), Picture(apart)]),
    ]


# -- parts of all pages -----------------------------------------------------------------------------------------------


def _times(times: Speed | None, say: Words) -> Sections:
    if times is None:
        return []
    first = times.timings[0]
    bars = [
        Span(each.name, each.lower, each.median, each.upper, _time(each.median, each.steady, say))
        for each in times.timings
    ]
    rows = []
    for each in times.timings:
        certain = each is not first and each.steady and first.steady
        rows.append(
            [
                each.name,
                _time(each.median, each.steady, say),
                say("from to", seconds(each.lower), seconds(each.upper)),
                f"{each.ratio:.3g}" if certain else "",
                say("from to", *(f"{end:.3g}" for end in each.interval)) if certain else "",
                seconds(each.compile_seconds) if times.settings["warm_up"] else "",
            ]
        )
    head = ["name", "median", "quartiles", "ratio", "interval", "compile"]
    return [(say("times"), _timed(bars, head, rows, times.settings["rounds"], say))]


def _timed(
    bars: Sequence[Span], head: Sequence[str], rows: list[list[str]], rounds: int, say: Words
) -> Blocks:
    spread = Paragraph(say("spread", rounds), soft=True)
    return [Picture(spans(bars)), spread, _table(head, rows, say)]


def _time(value: float, steady: bool, say: Words) -> str:
    return seconds(value) if steady else say("not steady")


def _table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    say: Words,
    good: Sequence[bool] = (),
) -> Table:
    """A table under the phrases of its head; the verdict of a row that is not good is marked as a fault."""
    return Table(
        head=[say(name) for name in head],
        rows=rows,
        faulty=frozenset(k for k, each in enumerate(good) if not each),
        judged=head.index("verdict") if "verdict" in head else None,
    )


def _reasons(reasons: Iterable[str], say: Words) -> Blocks:
    told = dict.fromkeys(filter(None, reasons))
    return [Paragraph(f"{say(why)}.", soft=True) for why in told]


def _circumstances(report: Parity | Trajectory | Report, say: Words) -> Blocks:
    known: dict[str, Any] = dict(report.settings)
    if isinstance(report, Report):
        known |= report.versions
    else:
        known["funcgrad"] = __version__
        known |= {name: version(name) for name in _LIBRARIES if name in sys.modules}
        known["python"] = platform.python_version()
    told = "; ".join(
        say("setting", say(name), _setting(value, say)) for name, value in known.items()
    )
    notes = () if isinstance(report, Report) else report.notes
    return [Paragraph(told, soft=True), *(Paragraph(f"{note}.") for note in notes)]


def _setting(value: Any, say: Words) -> str:
    return f"{value:.6g}" if isinstance(value, float) else say(str(value))
