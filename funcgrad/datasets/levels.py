"""Columns of text as categories: the levels of each, and the columns of zeros and ones that stand for them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from funcgrad.datasets.dialect import is_missing
from funcgrad.datasets.table import DataError, listing

# With more, it is a name or a number rather than a category.
_MOST_LEVELS = 1000


class Levels:
    """The levels of one column, which codes 0, 1, ... stand for.

    Attributes:
        names: the levels, in the order of their codes.
    """

    def __init__(self, column: str, names: Sequence[str] | None = None) -> None:
        """Take levels that are known; None learns them from whatever is coded."""
        self._column, self._learns = column, names is None
        self._codes = {name: code for code, name in enumerate(names or ())}

    @property
    def names(self) -> tuple[str, ...]:
        """The levels known so far."""
        return tuple(self._codes)

    def codes(self, cells: Iterable[Any], place: str) -> Float[np.ndarray, " cells"]:
        """Return the code of each cell, NaN where it is missing.

        Args:
            cells: text or numbers; None is missing.
            place: the file, for a message.

        Raises:
            DataError: a level is none of those that are known, or there are too many to learn.
        """
        return np.array([self._code(cell, place) for cell in cells], np.float64)

    def _code(self, cell: Any, place: str) -> float:
        text = _text_of(cell)
        if text is None or is_missing(text):
            return np.nan
        if self._learns and text not in self._codes:
            if len(self._codes) == _MOST_LEVELS:
                raise DataError(
                    f"{place}: column {self._column!r} has more than {_MOST_LEVELS} levels: it is no category"
                )
            self._codes[text] = len(self._codes)
        if text not in self._codes:
            raise DataError(
                f"{place}: column {self._column!r}: {text!r} is none of the levels that are known: "
                f"{listing(self.names)}"
            )
        return self._codes[text]


def _text_of(cell: Any) -> str | None:
    """Return a cell as text: a whole number without decimals, text without the quotes and spaces around it."""
    if cell is None or cell != cell:
        return None
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    text = str(cell).strip()
    return text[1:-1].strip() if len(text) > 1 and text[0] == text[-1] == '"' else text


def indicators(column: str, levels: Sequence[str]) -> list[str]:
    """Return the names of the columns that stand for a category: one for each level but the first.

    >>> indicators("city", ["Lyon", "Nice", "Paris"])
    ['city=Nice', 'city=Paris']
    """
    return [f"{column}={level}" for level in levels[1:]]


def expanded(
    table: Float[np.ndarray, "rows columns"],
    columns: Sequence[str],
    levels: Mapping[str, Sequence[str]],
) -> Float[np.ndarray, "rows features"]:
    """Return a table with each column of codes as its indicators, 1 where the level is theirs, else 0."""
    parts = []
    for place, name in enumerate(columns):
        column = table[:, place : place + 1]
        if name in levels:
            column = (column == np.arange(1, len(levels[name]))).astype(table.dtype)
        parts.append(column)
    return np.hstack(parts)
