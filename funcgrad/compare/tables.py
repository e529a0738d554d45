"""How reports are written: tables that fit the terminal, times in their unit, and values that JSON knows."""

import math
import shutil
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any


def terminal_width() -> int:
    """Return the columns of the terminal; of a file or a pipe, 120."""
    return shutil.get_terminal_size((120, 24)).columns


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    width: int | None = None,
    optional: Sequence[str] = (),
) -> list[str]:
    """Return the lines of a table that fits the terminal: optional columns go first, then each row becomes a block.

    Args:
        head: the columns' titles.
        rows: a cell for each column. A column without any content is left out.
        width: how wide a line may be; None for the terminal's width.
        optional: the columns that are left out where there is no room, the first of them first.

    >>> print(*table(["leaf", "ulps"], [["value", "1"], ["gradient", "250"]], width=80), sep="\\n")
    leaf      ulps
    --------------
    value        1
    gradient   250
    >>> print(*table(["leaf", "ulps"], [["value", "1"]], width=10), sep="\\n")
    leaf  value
      ulps  1
    """
    width = terminal_width() if width is None else width
    filled = [k for k in range(len(head)) if k == 0 or any(row[k] for row in rows)]
    for left_out in range(len(optional) + 1):
        kept = [k for k in filled if head[k] not in optional[:left_out]]
        lines = aligned([[row[k] for k in kept] for row in (head, *rows)])
        longest = max(map(len, lines))
        if longest <= width:
            return [lines[0], "-" * longest, *lines[1:]]
    size = max(map(len, head[1:]), default=0)
    blocks = []
    for row in rows:
        blocks.append(f"{head[0]}  {row[0]}")
        blocks += [f"  {head[k].ljust(size)}  {row[k]}" for k in filled[1:] if row[k]]
    return blocks


def prose(text: str, width: int | None = None) -> list[str]:
    """Return a paragraph as lines that fit.

    Args:
        text: the paragraph.
        width: how wide a line may be; None for the terminal's width.

    >>> prose("one two three", width=8)
    ['one two', 'three']
    """
    return textwrap.wrap(text, terminal_width() if width is None else width, break_long_words=False)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows of cells as lines, the first column to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def seconds(value: float) -> str:
    """Return a time in the unit that suits it.

    >>> seconds(0.0012), seconds(3e-6)
    ('1.2 ms', '3 us')
    """
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e-6:.3g} us"


def as_json(value: Any) -> Any:
    """Return a value in JSON's types; a number that is not finite becomes None."""
    if isinstance(value, Mapping):
        return {str(key): as_json(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(each) for each in value]
    if isinstance(value, complex):
        return [as_json(value.real), as_json(value.imag)]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
