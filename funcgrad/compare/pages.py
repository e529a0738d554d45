"""A report as one page of HTML, in English or in French: it needs no other file and no script."""

import platform
import re
import sys
from html import escape
from importlib.metadata import version
from typing import Any

from funcgrad.compare.drawings import Drawing
from funcgrad.compare.errors import OptionError
from funcgrad.compare.leaves import CONSTANT, FEWER_DIGITS, STAYS, Leaf
from funcgrad.compare.parities import Parity
from funcgrad.compare.trajectories import Trajectory
from funcgrad.display.charts import Line, chart
from funcgrad.version import __version__

ENGLISH, FRENCH = "en", "fr"

# One row a phrase: its name in the code, English, French.
_PHRASES = {
    "against": ("{0} against {1}", "{0} comparé à {1}"),
    "identical": ("Identical, bit for bit.", "Identiques, bit pour bit."),
    "rounding": (
        "They agree. The differences are rounding.",
        "Accord. Les différences sont des arrondis.",
    ),
    "real": ("A real difference.", "Une vraie différence."),
    "undecided": ("Undecided.", "Indécidable."),
    "begins": (
        "It begins at step {0}, in {1}.",
        "Elle commence au pas {0}, dans {1}.",
    ),
    "nothing": ("Not compared.", "Pas de comparaison."),
    "losses": ("The losses of both trainings", "Les pertes des deux entraînements"),
    "apart": (
        "How far apart the losses are, as a part of the loss; shaded: the rounding band",
        "Écart des pertes, rapporté à la perte ; en grisé : la bande d'arrondi",
    ),
    "each step": (
        "Each step from the reference's state, in rounding bands; up to 8 agree",
        "Chaque pas depuis l'état de la référence, en bandes d'arrondi ; accord jusqu'à 8",
    ),
    "step": ("step", "pas"),
    "arrays": ("Every array", "Tous les tableaux"),
    "arrays at": ("Every array at step {0}", "Tous les tableaux au pas {0}"),
    "graphs": ("The computation", "Le calcul"),
    "circumstances": ("Circumstances", "Circonstances"),
    "words": ("Words", "Vocabulaire"),
    "dtype": ("dtype", "type"),
    "device": ("device", "matériel"),
    "moves": ("moves", "déplacements"),
    "steps": ("steps", "pas"),
    "order": ("order", "ordre"),
    "seed": ("seed", "graine"),
    "the shim": ("the shim", "funcgrad.torch"),
    "leaf": ("array", "tableau"),
    "absolute": ("difference", "écart"),
    "relative": ("relative", "relatif"),
    "ulps": ("ulps", "ulps"),
    "bands": ("bands", "bandes"),
    "shadow": ("in float64", "en float64"),
    "index": ("at", "indice"),
    "reference": ("reference", "référence"),
    "candidate": ("candidate", "candidat"),
    "verdict": ("verdict", "verdict"),
    "visible": (
        "This run would have seen a fault of {0} of an array's largest element.",
        "Cet essai aurait montré une faute de {0} du plus grand élément d'un tableau.",
    ),
    "visible in a step": (
        "A fault of {0} of a step's change would have been seen at any step.",
        "Une faute de {0} du changement d'un pas aurait été vue à n'importe quel pas.",
    ),
    "value": ("value", "valeur"),
    "gradient": ("gradient by {0}", "gradient par rapport à {0}"),
    "Hessian product": (
        "Hessian product {0} by {1}",
        "produit {0} par la hessienne, par rapport à {1}",
    ),
    "True": ("yes", "oui"),
    "False": ("no", "non"),
    "a float64 shadow": ("a float64 shadow", "une ombre en float64"),
    FEWER_DIGITS: (
        FEWER_DIGITS,
        "en float64 les deux côtés sont la même fonction ; dans ce type le candidat a moins de chiffres que la référence : "
        "produits en TF32 ou en bfloat16, une constante comme 1 - 0,999, ou une formule qui se simplifie mal",
    ),
    STAYS: (STAYS, "en float64 la différence demeure"),
    CONSTANT: (
        CONSTANT,
        "en float64 l'écart est celui d'une constante qu'un côté arrondit à ce type",
    ),
}
_VERDICTS = {
    "identical": ("identical", "identiques"),
    "rounding": ("rounding", "arrondi"),
    "real": ("real", "réelle"),
    "undecided": ("undecided", "indécidable"),
}
_WORDS = {
    "ulp": (
        "A unit in the last place: the step from a number to the next one that its dtype has.",
        "Unité en dernière position : le pas d'un nombre au suivant dans son type.",
    ),
    "rounding band|bande d'arrondi": (
        "How far an array of the reference moves when every input moves by one ulp. Up to 8 bands are rounding.",
        "Déplacement d'un tableau de la référence quand chaque entrée bouge d'un ulp. Jusqu'à 8 bandes, c'est un arrondi.",
    ),
    "float64 shadow|ombre en float64": (
        "The same computation in float64, from the same numbers. A fault stays there; rounding all but vanishes.",
        "Le même calcul en float64, à partir des mêmes nombres. Une faute y demeure ; l'arrondi y disparaît presque.",
    ),
    "re-synchronised|resynchronisé": (
        "Each step of the candidate begins at the reference's state, so that differences cannot grow from step to step.",
        "Chaque pas du candidat part de l'état de la référence : les écarts ne peuvent pas croître d'un pas à l'autre.",
    ),
}
# A page names the versions of those that are loaded.
_LIBRARIES = ("jax", "numpy", "optax", "torch")
_COLUMNS = ("leaf", "absolute", "relative", "ulps", "bands", "shadow", "index", "reference", "candidate", "verdict")  # fmt: skip
_STYLE = """
:root{--paper:#fff;--ink:#1c1e21;--soft:#6b7280;--rule:#d9dce1;--a:#1f6fb2;--b:#d1762a;--band:#8884;--good:#1a7f37;--bad:#b3261e}
@media(prefers-color-scheme:dark){:root{--paper:#15171a;--ink:#e6e6e6;--soft:#9aa0a6;--rule:#3a3e44;--a:#6fb1ea;--b:#f0a35e;
--good:#5fcf80;--bad:#ff8a80}}
@media print{:root{--paper:#fff;--ink:#000;--soft:#444;--rule:#bbb;--a:#1f6fb2;--b:#d1762a;--good:#1a7f37;--bad:#b3261e}
section{break-inside:avoid}}
body{background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.3rem}h2{font-size:1.05rem;margin-top:2rem}.verdict{border-left:5px solid;padding:.4rem 1rem;font-size:1.15rem}
.good{border-color:var(--good)}.bad{border-color:var(--bad)}.scroll{overflow-x:auto}
table{border-collapse:collapse;font:13px/1.5 ui-monospace,monospace}th,td{padding:.2rem .6rem;text-align:right;
border-bottom:1px solid var(--rule);white-space:nowrap}th:first-child,td:first-child{text-align:left}td.fault{color:var(--bad);
font-weight:bold}dt{font-weight:bold}dd{margin:0 0 .5rem 1rem}.chart{width:100%;max-width:45rem;font:11px sans-serif}
.chart text{fill:var(--soft)}.grid{stroke:var(--rule)}.line{fill:none;stroke-width:1.8}.line0{stroke:var(--a)}.line1{stroke:var(--b);
stroke-dasharray:5 3}.dot0{fill:var(--a)}.dot1{fill:var(--b)}.band{fill:var(--band)}.key0{color:var(--a)}.key1{color:var(--b)}
footer,.soft{color:var(--soft);font-size:.85rem}.drawing svg{max-width:100%;height:auto}
@media screen and (max-width:40rem){.chart{font-size:19px}.drawing svg{max-width:none}}
@media print{.scroll{overflow:visible}table{font-size:9px}th,td{padding:.1rem .3rem}}
"""


def page(
    report: Parity | Trajectory, language: str = ENGLISH, drawing: Drawing | None = None
) -> str:
    """Return a report as a page of HTML.

    Args:
        report: of `parity` or of `trajectory`.
        language: "en" or "fr".
        drawing: what to show of the computation; see `draw`.

    Raises:
        OptionError: there is no such language.

    >>> import numpy as np
    >>> from funcgrad.compare import parity, on
    >>> report = parity(on("jax", abs), on("jax", abs), np.ones(2), order=0)
    >>> "Identiques, bit pour bit." in page(report, "fr")
    True
    """
    if language not in (ENGLISH, FRENCH):
        raise OptionError(f"a page is written in en or fr, not in {language!r}")
    say = _Words(language)
    sides = (
        each.replace("the shim", say("the shim")) for each in (report.candidate, report.reference)
    )
    title = say("against", *sides)
    parts = [f"<h1>{escape(title)}</h1>", _verdict(report, say)]
    if isinstance(report, Trajectory) and report.losses:
        parts += _charts(report, say)
    if report.leaves:
        at = say("arrays at", report.worst) if isinstance(report, Trajectory) else say("arrays")
        parts.append(_section(at, _leaves(report, say)))
    if drawing is not None:
        parts.append(_section(say("graphs"), f'<div class="drawing scroll">{drawing.svg()}</div>'))
    parts.append(_section(say("circumstances"), _circumstances(report, say)))
    words = "".join(
        f"<dt>{escape(word.split('|')[-1 if language == FRENCH else 0])}</dt><dd>{escape(meaning[say.column])}</dd>"
        for word, meaning in _WORDS.items()
    )
    parts.append(_section(say("words"), f"<dl>{words}</dl>"))
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


class _Words:
    """The phrases of one language."""

    def __init__(self, language: str) -> None:
        self.column = int(language == FRENCH)

    def __call__(self, name: str, *values: Any) -> str:
        phrase = _PHRASES[name][self.column] if name in _PHRASES else name
        return phrase.format(*values) if values else phrase


def _verdict(report: Parity | Trajectory, say: _Words) -> str:
    if report.problem is not None:
        told = f"{say('nothing')} {report.problem}."
    elif isinstance(report, Trajectory):
        told = say(report.verdict)
        if report.step is not None:
            told += f" {say('begins', report.step, report.leaf)}"
    else:
        verdicts = {leaf.verdict for leaf in report.leaves}
        told = say(next(each for each in ("real", "undecided", "rounding", "identical") if each in verdicts))  # fmt: skip
    return f'<p class="verdict {"good" if report.ok else "bad"}">{escape(told)}</p>'


def _charts(report: Trajectory, say: _Words) -> list[str]:
    lines = [Line(say(side), values) for side, values in report.losses.items()]
    keys = " &nbsp; ".join(
        f'<span class="key{k}">━ {escape(line.label)}</span>' for k, line in enumerate(lines)
    )
    step = say("step")
    values = [value for line in lines for value in line.values]
    wide = min(values) > 0 and max(values) > 10 * min(values)
    drift = chart([Line(say("apart"), report.drift.loss)], log=True, across=step, band=report.drift.band)  # fmt: skip
    steps = chart([Line(say("each step"), report.steps)], log=True, across=step, band=[8.0] * len(report.steps))  # fmt: skip
    sections = [_section(say("losses"), f"<p>{keys}</p>{chart(lines, log=wide, across=step)}")]
    sections += [_section(say("apart"), drift)] if drift else []
    sections += [_section(say("each step"), steps)] if len(report.steps) > 1 and steps else []
    return sections


def _named(leaf: Leaf, say: _Words) -> str:
    """The array's name in the page's language."""
    if found := re.fullmatch(r"gradient by (.*)", leaf.name):
        return say("gradient", *found.groups())
    if found := re.fullmatch(r"Hessian product (\d+) by (.*)", leaf.name):
        return say("Hessian product", *found.groups())
    return say(leaf.name) if leaf.name == "value" else leaf.name


def _leaves(report: Parity | Trajectory, say: _Words) -> str:
    head = "".join(f"<th>{escape(say(name))}</th>" for name in _COLUMNS)
    rows, leaves = [], report.leaves
    for leaf in leaves:
        cells = (
            _named(leaf, say),
            f"{leaf.absolute:.1e}",
            f"{leaf.relative:.1e}",
            f"{leaf.ulps:.3g}",
            f"{leaf.bands:.2g}",
            "" if leaf.shadow is None else f"{leaf.shadow:.1e}",
            str(list(leaf.index)) if leaf.index else "",
            "" if leaf.reference is None else f"{leaf.reference:.9g}",
            "" if leaf.candidate is None else f"{leaf.candidate:.9g}",
        )
        body = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        mark = "" if leaf.ok else ' class="fault"'
        verdict = _VERDICTS[leaf.verdict][say.column]
        rows.append(f"<tr>{body}<td{mark}>{escape(verdict)}</td></tr>")
    reasons = dict.fromkeys(leaf.why for leaf in leaves if leaf.why)
    told = "".join(f'<p class="soft">{escape(say(why))}.</p>' for why in reasons)
    if isinstance(report, Trajectory):
        seen = escape(say("visible in a step", f"{report.visible:.1e}"))
    else:
        seen = escape(say("visible", f"{max(leaf.visible for leaf in leaves):.1e}"))
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
        f"{told}<p>{seen}</p>"
    )


def _circumstances(report: Parity | Trajectory, say: _Words) -> str:
    known: dict[str, Any] = dict(report.settings) | {"funcgrad": __version__}
    known |= {name: version(name) for name in _LIBRARIES if name in sys.modules}
    known["python"] = platform.python_version()
    told = "; ".join(f"{say(name)}: {say(str(value))}" for name, value in known.items())
    notes = "".join(f"<p>{escape(note)}.</p>" for note in report.notes)
    return f'<p class="soft">{escape(told)}</p>{notes}'


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{body}</section>"
