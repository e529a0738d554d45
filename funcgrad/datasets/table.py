"""A table of named numeric columns, and its split into features and a target."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

_MOST_LISTED = 20


class DataError(ValueError):
    """The data cannot be used; the message says what is wrong, where, and what would be right."""


def listing(names: Sequence[str]) -> str:
    """Return names for a message, the first of them where there are many.

    >>> listing(["a", "b"]), listing([f"x{j}" for j in range(100)])[-16:]
    ('a, b', 'x18, x19 ... x99')
    """
    if len(names) <= _MOST_LISTED:
        return ", ".join(names)
    return f"{', '.join(names[:_MOST_LISTED])} ... {names[-1]}"


class Dataset(NamedTuple):
    """Features and a target to regress on them, as NumPy arrays in float64."""

    x: Float[np.ndarray, "rows features"]
    y: Float[np.ndarray, " rows"]
    feature_names: tuple[str, ...]
    target_name: str


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
