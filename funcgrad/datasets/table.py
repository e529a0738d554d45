"""A table of named numeric columns, and its split into features and a target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from funcgrad.display import grid

_MOST_LISTED = 20
_ROWS_SHOWN = 5


class DataError(ValueError):
    """The data cannot be used; the message says what is wrong, where, and what would be right."""


class NoRowsError(DataError):
    """A file is a table without rows."""


def listing(names: Sequence[str]) -> str:
    """Return names for a message, the first of them where there are many.

    >>> listing(["a", "b"]), listing([f"x{j}" for j in range(100)])[-16:]
    ('a, b', 'x18, x19 ... x99')
    """
    if len(names) <= _MOST_LISTED:
        return ", ".join(names)
    return f"{', '.join(names[:_MOST_LISTED])} ... {names[-1]}"


class Dataset(NamedTuple):
    """Features and a target to regress on them, as NumPy arrays in float64.

    `levels` are those of features that are categories; `classes` of the target, which y numbers, where it is one.
    `detected` says how a text file was read, unless it is plain CSV.
    """

    x: Float[np.ndarray, "rows features"]
    y: Float[np.ndarray, " rows"]
    feature_names: tuple[str, ...]
    target_name: str
    levels: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    classes: tuple[str, ...] = ()
    detected: str | None = None

    def __repr__(self) -> str:
        """Its size and its names, not its numbers."""
        return (
            f"Dataset({len(self.y)} rows; {self.target_name} from {len(self.feature_names)} features: "
            f"{listing(self.feature_names)}{f'; read with {self.detected}' if self.detected else ''})"
        )

    def _repr_html_(self) -> str:
        few = self.feature_names[:_MOST_LISTED]
        rows = [
            [*(f"{value:.6g}" for value in row[: len(few)]), f"{y:.6g}"]
            for row, y in zip(self.x[:_ROWS_SHOWN], self.y, strict=False)
        ]
        return grid(repr(self), [*few, self.target_name], rows)


def split_target(
    names: Sequence[str], values: Float[np.ndarray, "rows columns"], target: str | None
) -> Dataset:
    """Take the target's column out of a table; every other column is a feature.

    Args:
        names: one name per column.
        values: the table.
        target: the name of the column to regress on the others.

    Raises:
        DataError: there is no such column, or none but it.

    >>> import numpy as np
    >>> split_target(["a", "b"], np.array([[1.0, 2.0], [3.0, 4.0]]), "b").y
    array([2., 4.])
    """
    columns = listing(names)
    if target is None:
        raise DataError(f"which column is the target? Name one of: {columns}")
    if target not in names:
        raise DataError(f"there is no column {target!r}; the columns are: {columns}")
    if len(names) < 2:
        raise DataError(f"{target!r} is the only column: there is nothing to regress it on")
    at = list(names).index(target)
    features = tuple(name for name in names if name != target)
    return Dataset(np.delete(values, at, axis=1), values[:, at].copy(), features, target)
