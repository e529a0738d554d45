"""A report as one page of HTML, in English or in French: it needs no other file and no script."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.metadata import version
from typing import Any

from funcgrad.compare.drawings import Drawing
from funcgrad.compare.leaves import Leaf
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
_STYLE = """
:root{--paper:#fff;--ink:#1c1e21;--soft:#6b7280;--rule:#d9dce1;--a:#1f6fb2;--b:#d1762a;--c:#2a8a6d;--d:#8a4fb0;--band:#8884;--good:#1a7f37;--bad:#b3261e}
@media(prefers-color-scheme:dark){:root{--paper:#15171a;--ink:#e6e6e6;--soft:#9aa0a6;--rule:#3a3e44;--a:#6fb1ea;--b:#f0a35e;--c:#5fc4a5;--d:#c79ae6;
--good:#5fcf80;--bad:#ff8a80}}
@media print{:root{--paper:#fff;--ink:#000;--soft:#444;--rule:#bbb;--a:#1f6fb2;--b:#d1762a;--c:#2a8a6d;--d:#8a4fb0;--good:#1a7f37;--bad:#b3261e}
section{break-inside:avoid}}
body{background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.3rem}h2{font-size:1.05rem;margin-top:2rem}.verdict{border-left:5px solid;padding:.4rem 1rem;font-size:1.15rem}
.good{border-color:var(--good)}.bad{border-color:var(--bad)}.scroll{overflow-x:auto}
table{border-collapse:collapse;font:13px/1.5 ui-monospace,monospace}th,td{padding:.2rem .6rem;text-align:right;
border-bottom:1px solid var(--rule);white-space:nowrap}th:first-child,td:first-child{text-align:left}td.fault{color:var(--bad);
font-weight:bold}dt{font-weight:bold}dd{margin:0 0 .5rem 1rem}.chart{width:100%;max-width:45rem;font:11px sans-serif}
.chart text{fill:var(--soft)}.grid{stroke:var(--rule)}.line{fill:none;stroke:var(--ink);stroke-width:1.8}.line0{stroke:var(--a)}.line1{stroke:var(--b);
stroke-dasharray:5 3}.line2{stroke:var(--c);stroke-dasharray:2 3}
.line3{stroke:var(--d);stroke-dasharray:8 3 2 3}.dot0{fill:var(--a)}.dot1{fill:var(--b)}.dot2{fill:var(--c)}.dot3{fill:var(--d)}.band{fill:var(--band)}.key0{color:var(--a)}.key1{color:var(--b)}
.key2{color:var(--c)}.key3{color:var(--d)}.span{stroke-dasharray:none;stroke-width:5}.mark{stroke-dasharray:none;stroke-width:3}
footer,.soft{color:var(--soft);font-size:.85rem}.drawing svg{max-width:100%;height:auto}
@media screen and (max-width:40rem){.chart{font-size:19px}.drawing svg{max-width:none}}
@media print{.scroll{overflow:visible}table{font-size:9px}th,td{padding:.1rem .3rem}}
"""


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
        OptionError: there is no such language.

    >>> import numpy as np
    >>> from funcgrad.compare import parity, on
    >>> report = parity(on("jax", abs), on("jax", abs), np.ones(2), order=0)
    >>> "Identiques, bit pour bit." in page(report, "fr")
    True
    """
    say = Words(language)
    title, told = _of_a_regression(report, say) if isinstance(report, Report) else _of_two(report, say)  # fmt: skip
    sections = [*told, *_times(times, say)]
    if drawing is not None:
        sections.append((say("graphs"), f'<div class="drawing scroll">{drawing.svg()}</div>'))
    sections.append((say("circumstances"), _circumstances(report, say)))
    words = (GLOSSARY[name][say.column] for name in _GLOSSARIES[type(report)])
    meanings = "".join(f"<dt>{escape(word)}</dt><dd>{escape(is_)}</dd>" for word, is_ in words)
    sections.append((say("words"), f"<dl>{meanings}</dl>"))
    body = "".join(f"<section><h2>{escape(name)}</h2>{each}</section>" for name, each in sections)
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>"
        f"{_verdict(report, say)}{body}</body></html>\n"
    )


Sections = list[tuple[str, str]]
"""The parts of a page: each a heading, as text, and what is under it, as HTML."""


def _verdict(report: Parity | Trajectory | Report, say: Words) -> str:
    if isinstance(report, Report):
        told, good = _verdict_of_backends(report, say), report.agree
    else:
        told, good = _verdict_of_two(report, say), report.ok
    return f'<p class="verdict {"good" if good else "bad"}">{escape(told)}</p>'


# -- two functions, two trainings -------------------------------------------------------------------------------------


def _of_two(report: Parity | Trajectory, say: Words) -> tuple[str, Sections]:
    sides = (
        each.replace("the shim", say("the shim")) for each in (report.candidate, report.reference)
    )
    sections: Sections = []
    if isinstance(report, Trajectory) and report.losses:
        sections += _charts(report, say)
    if report.leaves:
        at = say("arrays at", report.worst) if isinstance(report, Trajectory) else say("arrays")
        sections.append((at, _leaves(report, say)))
    return say("against", *sides), sections


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
    sections = [(say("losses"), _losses(report.losses, say))]
    sections += [(say("apart"), drift)] if drift else []
    sections += [(say("each step"), steps)] if len(report.steps) > 1 and steps else []
    return sections


def _losses(losses: Mapping[str, Sequence[float]], say: Words, first: int = 1, last: int | None = None) -> str:  # fmt: skip
    """The curves of all losses in one chart, under their names."""
    lines = [Line(say(side), values) for side, values in losses.items()]
    values = [value for line in lines for value in line.values]
    wide = min(values) > 0 and max(values) > 10 * min(values)
    return _keys(losses, say) + chart(lines, log=wide, across=say("step"), first=first, last=last)


def _keys(names: Iterable[str], say: Words) -> str:
    keys = " &nbsp; ".join(
        f'<span class="key{k}">━ {escape(say(name))}</span>' for k, name in enumerate(names)
    )
    return f"<p>{keys}</p>"


def _named(leaf: Leaf, say: Words) -> str:
    """The array's name in the page's language."""
    if found := re.fullmatch(r"gradient by (.*)", leaf.name):
        return say("gradient", *found.groups())
    if found := re.fullmatch(r"Hessian product (\d+) by (.*)", leaf.name):
        return say("Hessian product", *found.groups())
    return say(leaf.name) if leaf.name in ("value", "loss") else leaf.name


def _leaves(report: Parity | Trajectory, say: Words) -> str:
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
    told = _reasons((leaf.why for leaf in leaves), say)
    if isinstance(report, Trajectory):
        seen = escape(say("visible in a step", f"{report.visible:.1e}"))
    else:
        seen = escape(say("visible", f"{max(leaf.visible for leaf in leaves):.1e}"))
    return f"{_table(_COLUMNS, rows, say, [leaf.ok for leaf in leaves])}{told}<p>{seen}</p>"


# -- one regression on several backends -------------------------------------------------------------------------------


def _of_a_regression(report: Report, say: Words) -> tuple[str, Sections]:
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
    return title, sections


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


def _backends(report: Report, say: Words) -> str:
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
    notes = "".join(f"<p>{escape(each)}</p>" for each in told)
    return f"{_table(head, rows, say, good)}{reasons}{notes}"


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
        (say("weights apart"), _keys(curves.apart, say) + apart),
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
) -> str:
    return (
        f'{spans(bars)}<p class="soft">{escape(say("spread", rounds))}</p>{_table(head, rows, say)}'
    )


def _time(value: float, steady: bool, say: Words) -> str:
    return seconds(value) if steady else say("not steady")


def _table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    say: Words,
    good: Sequence[bool] | None = None,
) -> str:
    """A table under the phrases of its head; the verdict of a row that is not good is marked as a fault."""
    top = "".join(f"<th>{escape(say(name))}</th>" for name in head)
    body = ""
    for k, row in enumerate(rows):
        faulty = good is not None and not good[k]
        cells = (
            f"<td{mark}>{escape(cell)}</td>"
            for name, cell in zip(head, row, strict=True)
            for mark in [' class="fault"' if faulty and name == "verdict" else ""]
        )
        body += f"<tr>{''.join(cells)}</tr>"
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _reasons(reasons: Iterable[str], say: Words) -> str:
    told = dict.fromkeys(filter(None, reasons))
    return "".join(f'<p class="soft">{escape(say(why))}.</p>' for why in told)


def _circumstances(report: Parity | Trajectory | Report, say: Words) -> str:
    known: dict[str, Any] = dict(report.settings)
    if isinstance(report, Report):
        known |= report.versions
    else:
        known["funcgrad"] = __version__
        known |= {name: version(name) for name in _LIBRARIES if name in sys.modules}
        known["python"] = platform.python_version()
    told = "; ".join(f"{say(name)}: {_setting(value, say)}" for name, value in known.items())
    notes = () if isinstance(report, Report) else report.notes
    written = "".join(f"<p>{escape(note)}.</p>" for note in notes)
    return f'<p class="soft">{escape(told)}</p>{written}'


def _setting(value: Any, say: Words) -> str:
    return f"{value:.6g}" if isinstance(value, float) else say(str(value))
