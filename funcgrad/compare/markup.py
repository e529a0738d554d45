"""The blocks of a page, and HTML of them: `templates/page.html` marks them up, `templates/page.css` says how they look."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any, ClassVar

from funcgrad.compare.errors import OptionError

# A block's kind is the name of a macro in the template.


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of text; a soft one is small and grey."""

    kind: ClassVar = "paragraph"
    text: str
    soft: bool = False


@dataclass(frozen=True)
class Keys:
    """The names of a chart's lines, in their colours."""

    kind: ClassVar = "keys"
    names: Sequence[str]


@dataclass(frozen=True)
class Picture:
    """An SVG; a wide one can be scrolled."""

    kind: ClassVar = "picture"
    svg: str
    wide: bool = False


@dataclass(frozen=True)
class Table:
    """Cells under titles. In faulty rows, counted from 0, the cell of the column `judged` is marked."""

    kind: ClassVar = "table"
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    faulty: frozenset[int] = frozenset()
    judged: int | None = None


@dataclass(frozen=True)
class Glossary:
    """Words and their meanings."""

    kind: ClassVar = "glossary"
    entries: Sequence[tuple[str, str]]


Blocks = list[Paragraph | Keys | Picture | Table | Glossary]

Sections = list[tuple[str, Blocks]]
"""The parts of a page: each a heading, and what is under it."""


def render(language: str, title: str, verdict: str, good: bool, sections: Sections) -> str:
    """Return a page of HTML that needs no other file and no script.

    Args:
        language: "en" or "fr", for the browser.
        title: the page's name and its first heading.
        verdict: one sentence, shown first.
        good: whether the verdict is marked as good.
        sections: what follows.

    >>> "<p>1 &lt; 2</p>" in render("en", "A page", "Yes.", True, [("Why", [Paragraph("1 < 2")])])
    True
    """
    return _template().render(
        language=language, title=title, verdict=verdict, good=good, sections=sections
    )


def require_libraries() -> None:
    """Check that a page can be made; a command does before it computes for long.

    Raises:
        OptionError: jinja2, which marks it up, or matplotlib, which draws its charts, is not installed.
    """
    missing = [name for name in ("jinja2", "matplotlib") if find_spec(name) is None]
    if missing:
        told = " and ".join(missing)
        raise OptionError(f"a report's page needs {told} (pip install 'funcgrad[report]')")


@cache
def _template() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("funcgrad.compare"), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template("page.html")
