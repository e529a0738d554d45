"""A drawing of a computation: boxes and arrows, as SVG, as DOT and as Mermaid. `graphs` makes it of a tensor or a function."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from funcgrad.compare.errors import OptionError

INPUT, OP, RESULT = "input", "op", "result"

# Ops that do the same have one colour, whichever library names them.
FAMILIES = {
    "#7aa6da": "mm mv dot bmm addmm addmv baddbmm matmul dotgeneral convgeneraldilated convolution",
    "#8fbc8f": "add sub neg addinplace addany rsub subinplace",
    "#e0b15a": "mul div muldiv divinplace mulinplace reciprocal",
    "#c792c9": "pow integerpow sqrt rsqrt square abs sign",
    "#d98a7e": "sum mean reducesum reducemax reducemin amax amin max0 cumsum prod argmax logsumexp var std msseloss mseloss",
    "#6fb8b8": "tanh relu sigmoid logistic exp log sin cos max maximum min minimum clamp threshold erf where selectn softmax "
    "logsoftmax gelu softplus exp2 log1p expm1 clampmin clampmax gt lt ge le eq",
    "#b8a07a": "view reshape t transpose permute expand broadcastindim squeeze unsqueeze slice select concatenate cat stack "
    "copyslices asstrided convertelementtype tocopy clone alias index gather scatter unsafeview split unbind copy",
}
_COLOURS = {name: colour for colour, names in FAMILIES.items() for name in names.split()}
PLAIN = "#a0a4ab"

LETTER, LINE, PADDING, GAP = 7.3, 15.0, 8.0, 26.0


@dataclass(frozen=True)
class Box:
    """One box of a drawing.

    Attributes:
        label: an op's name, or an input's.
        details: lines below it: shapes, saved tensors.
        kind: "input", "op" or "result".
    """

    label: str
    details: tuple[str, ...] = ()
    kind: str = OP

    @property
    def lines(self) -> tuple[str, ...]:
        """All lines of text."""
        return (self.label, *self.details)

    @property
    def colour(self) -> str:
        """Its family's colour; inputs have none."""
        if self.kind == INPUT:
            return "none"
        return _COLOURS.get(family_name(self.label), PLAIN)


@dataclass(frozen=True)
class Panel:
    """One graph: boxes, and arrows from the place of one to the place of another."""

    title: str
    boxes: tuple[Box, ...]
    arrows: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Drawing:
    """The result of `draw`; a notebook shows it.

    Attributes:
        panels: the graphs, from left to right.
    """

    panels: tuple[Panel, ...]

    def beside(self, other: "Drawing") -> "Drawing":
        """Return both as one drawing, side by side; ops that do the same have one colour."""
        return Drawing((*self.panels, *other.panels))

    def dot(self) -> str:
        """Return it as DOT, the language of Graphviz."""
        lines = ["digraph {", "  node [shape=box, style=filled, fontname=monospace]"]
        for p, panel in enumerate(self.panels):
            lines += [f"  subgraph cluster_{p} {{", f'    label="{_quoted(panel.title)}"']
            for k, box in enumerate(panel.boxes):
                text = "\\n".join(map(_quoted, box.lines))
                colour = "white" if box.kind == INPUT else box.colour
                shape = ", shape=ellipse" if box.kind == INPUT else ""
                lines.append(f'    n{p}_{k} [label="{text}", fillcolor="{colour}"{shape}]')
            lines += [f"    n{p}_{a} -> n{p}_{b}" for a, b in panel.arrows]
            lines.append("  }")
        return "\n".join([*lines, "}"])

    def mermaid(self) -> str:
        """Return it as Mermaid, which GitHub and many notebooks show."""
        lines = ["flowchart TD"]
        for p, panel in enumerate(self.panels):
            lines.append(f'  subgraph p{p} ["{_entities(panel.title)}"]')
            for k, box in enumerate(panel.boxes):
                text = "<br/>".join(map(_entities, box.lines))
                opened, closed = ("([", "])") if box.kind == INPUT else ("[", "]")
                lines.append(f'    n{p}_{k}{opened}"{text}"{closed}')
            lines += [f"    n{p}_{a} --> n{p}_{b}" for a, b in panel.arrows]
            lines.append("  end")
            lines += [
                f"  style n{p}_{k} fill:{box.colour},color:#000"
                for k, box in enumerate(panel.boxes)
                if box.kind != INPUT
            ]
        return "\n".join(lines)

    def svg(self) -> str:
        """Return it as SVG.

        Raises:
            OptionError: the library that lays it out is not installed.
        """
        parts, left, height = [], 0.0, 0.0
        for panel in self.panels:
            body, wide, tall = _panel_svg(panel)
            parts.append(f'<g transform="translate({left:.1f} 0)">{body}</g>')
            left, height = left + wide, max(height, tall)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left:.0f} {height:.0f}" width="{left:.0f}" '
            f'height="{height:.0f}" font-family="monospace" font-size="12" role="img">'
            f"<title>{escape(' | '.join(panel.title for panel in self.panels))}</title>"
            f"<style>{_STYLE}</style>{_ARROW_HEAD}{''.join(parts)}</svg>"
        )

    def save(self, path: str | Path) -> None:
        """Write a file: .svg, .dot or .mmd (Mermaid), as its name says.

        Raises:
            OptionError: its name says something else.
        """
        forms = {".svg": self.svg, ".dot": self.dot, ".mmd": self.mermaid}
        suffix = Path(path).suffix
        if suffix not in forms:
            raise OptionError(f"{path}: a drawing is written as {', '.join(forms)}, not {suffix!r}")
        Path(path).write_text(f"{forms[suffix]()}\n", encoding="utf-8")

    def _repr_svg_(self) -> str:
        return self.svg()


def family_name(label: str) -> str:
    """Return an op's name as the table of colours has it.

    >>> family_name("MvBackward0"), family_name("dot_general"), family_name("max 0.0")
    ('mv', 'dotgeneral', 'max')
    """
    name = label.split(" ")[0].split("Backward")[0]
    return name.replace("_", "").lower()


def can_lay_out() -> bool:
    """Whether the library is installed that an SVG needs for its layout."""
    return find_spec("fast_sugiyama") is not None


def positions(panel: Panel) -> list[tuple[float, float]]:
    """Return the middle of each box, in pixels, from the top left.

    Raises:
        OptionError: the library that lays it out is not installed.
    """
    if not can_lay_out():
        raise OptionError(
            "an SVG needs a library for its layout (pip install 'funcgrad[report]'); .dot() and .mermaid() need none"
        )
    from fast_sugiyama import from_edges

    wide = max(_size(box)[0] for box in panel.boxes) + GAP
    tall = max(_size(box)[1] for box in panel.boxes) + GAP
    layouts = from_edges(sorted(set(panel.arrows)), vertex_spacing=1.0, check_layout=False)
    placed: dict[int, tuple[float, float]] = {}
    right = 0.0
    for found, width, height, *_ in layouts:
        places: Any = found
        placed |= {k: (right + x, height - y) for k, (x, y) in places if k < len(panel.boxes)}
        right += width + 1.0
    for k in range(len(panel.boxes)):  # a box without any arrow
        if k not in placed:
            placed[k], right = (right, 0.0), right + 1.0
    low = min(x for x, _ in placed.values())
    top = min(y for _, y in placed.values())
    return [
        ((placed[k][0] - low + 0.5) * wide, (placed[k][1] - top + 0.5) * tall)
        for k in range(len(panel.boxes))
    ]


_STYLE = (
    "text{fill:#111}.i{fill:none;stroke:#666}.o{stroke:#333}.r{stroke:#111;stroke-width:2.5}.a{stroke:#666;fill:none}"
    ".h{fill:#666}.t,.n{fill:#111}@media(prefers-color-scheme:dark){.t,.n{fill:#eee}.i,.a{stroke:#aaa}.h{fill:#aaa}"
    ".r{stroke:#fff}}"
)
_ARROW_HEAD = (
    '<defs><marker id="h" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path class="h" d="M0 0 8 4 0 8z"/></marker></defs>'
)
_CLASSES = {INPUT: "i", OP: "o", RESULT: "o r"}


def _panel_svg(panel: Panel) -> tuple[str, float, float]:
    """One graph as SVG, its width and its height."""
    middles = positions(panel)
    top = 2 * LINE
    parts = [f'<text class="t" x="{PADDING}" y="{LINE}" font-weight="bold">{escape(panel.title)}</text>']  # fmt: skip
    for a, b in panel.arrows:
        (x1, y1), (x2, y2) = middles[a], middles[b]
        y1, y2 = y1 + _size(panel.boxes[a])[1] / 2 + top, y2 - _size(panel.boxes[b])[1] / 2 + top
        bend = (y1 + y2) / 2
        parts.append(
            f'<path class="a" marker-end="url(#h)" d="M{x1:.1f} {y1:.1f}C{x1:.1f} {bend:.1f} {x2:.1f} {bend:.1f} '
            f'{x2:.1f} {y2:.1f}"/>'
        )
    right, bottom = PADDING * 2 + LETTER * len(panel.title), 0.0
    for box, (x, y) in zip(panel.boxes, middles, strict=True):
        wide, tall = _size(box)
        y += top
        radius = tall / 2 if box.kind == INPUT else 4
        parts.append(
            f'<rect class="{_CLASSES[box.kind]}" x="{x - wide / 2:.1f}" y="{y - tall / 2:.1f}" width="{wide:.1f}" '
            f'height="{tall:.1f}" rx="{radius:.0f}" fill="{box.colour}"/>'
        )
        name = "n" if box.kind == INPUT else "b"
        for k, line in enumerate(box.lines):
            at = y - tall / 2 + PADDING / 2 + LINE * (k + 0.8)
            parts.append(f'<text class="{name}" text-anchor="middle" x="{x:.1f}" y="{at:.1f}">{escape(line)}</text>')  # fmt: skip
        right, bottom = max(right, x + wide / 2), max(bottom, y + tall / 2)
    return "".join(parts), math.ceil(right + GAP), math.ceil(bottom + GAP / 2)


def _size(box: Box) -> tuple[float, float]:
    return (
        # An input's corners are round, and its lines lie between them.
        LETTER * max(map(len, box.lines)) + (4 if box.kind == INPUT else 2) * PADDING,
        LINE * len(box.lines) + PADDING,
    )


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _entities(text: str) -> str:
    return text.replace('"', "#quot;").replace("<", "#lt;").replace(">", "#gt;")


def arrows_of(sources: Sequence[Sequence[int]]) -> Iterator[tuple[int, int]]:
    """Yield the arrows of boxes whose sources are listed.

    >>> list(arrows_of([[], [0], [0, 1]]))
    [(0, 1), (0, 2), (1, 2)]
    """
    for target, places in enumerate(sources):
        for source in places:
            yield source, target
