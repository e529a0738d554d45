"""Pieces of HTML that a notebook shows: text as it is, a chart under a line of text, a small table."""

from collections.abc import Sequence
from html import escape

# The colours of a chart in a notebook, light or dark: the page of a report has its own.
_STYLE = (
    "<style>.funcgrad svg{width:100%;max-width:40rem;font:11px sans-serif}.funcgrad text{fill:currentColor;opacity:.7}"
    ".funcgrad .grid{stroke:currentColor;opacity:.15}.funcgrad .line{stroke:#1f6fb2}</style>"
)


class Text(str):
    """Text that a notebook and Python's prompt show with its lines, not as a quoted string."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return f"<pre>{escape(self)}</pre>"


def framed(text: str, *, good: bool) -> str:
    """Return text as it is, with a bar of green or red at its left."""
    colour = "#1a7f37" if good else "#c62828"
    return f'<pre style="border-left: 4px solid {colour}; padding-left: 1em">{escape(text)}</pre>'


def figure(svg: str, caption: str) -> str:
    """Return a chart under a line of text."""
    return f'<div class="funcgrad">{_STYLE}<p>{escape(caption)}</p>{svg}</div>'


def grid(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a small table under a line of text."""
    lines = [("th", head), *(("td", row) for row in rows)]
    body = "".join(
        f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in row)}</tr>"
        for tag, row in lines
    )
    return f"<div><p>{escape(caption)}</p><table>{body}</table></div>"
