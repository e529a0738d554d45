"""Data frames by the names of their columns: of pandas, Polars, pyarrow, or another library like them.

No library is imported: a frame has `columns` or `column_names`, `frame[name]` is a column, and that has `to_numpy`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from funcgrad.datasets.dialect import TO_CATEGORY
from funcgrad.datasets.levels import Levels, expanded, indicators
from funcgrad.datasets.parts import check_integers
from funcgrad.datasets.table import DataError, Dataset, listing


def is_frame(value: Any) -> bool:
    """Return whether a value is a data frame."""
    return hasattr(value, "columns") and hasattr(value, "__getitem__")


def _names(frame: Any) -> list[str]:
    # pyarrow's `columns` are their values.
    return [str(name) for name in getattr(frame, "column_names", frame.columns)]


def load_frame(
    frame: Any,
    target: str,
    *,
    features: Sequence[str] | None = None,
    categorical: Sequence[str] | Mapping[str, Sequence[str]] = (),
) -> Dataset:
    """Take the features and the target from a data frame, by the names of its columns.

    Args:
        frame: of pandas, Polars, pyarrow, or another library whose frames have columns by name.
        target: the column to regress on the others.
        features: the columns of x, in order; None for all but the target.
        categorical: the features that are categories: a column of zeros and ones stands for each level but the
            first. The target may be one too: y is the number of its level in `classes`. The levels are those found, sorted; or they are given, as in `Dataset.levels`.

    Raises:
        DataError: there is no such column, or one does not hold numbers, or holds missing values.

    >>> import pandas
    >>> from funcgrad import datasets, regression
    >>> frame = pandas.DataFrame({"city": ["Lyon", "Nice", "Lyon"], "area": [1, 2, 3], "rent": [2.0, 9.0, 6.0]})
    >>> data = datasets.load_frame(frame, "rent", categorical=["city"])
    >>> data.feature_names
    ('city=Nice', 'area')
    """
    names = _names(frame)
    chosen = [name for name in names if name != target] if features is None else list(features)
    for name in (target, *chosen, *categorical):
        if name not in names:
            raise DataError(f"there is no column {name!r}; the columns are: {listing(names)}")
    for name in (target, *chosen):
        if list(names).count(name) > 1:
            raise DataError(
                f"there are {list(names).count(name)} columns {name!r}: rename one, or name the features (features=)"
            )
    if target in chosen:
        raise DataError(f"the target {target!r} is also among the features")
    levels = {
        name: tuple(categorical[name])
        if isinstance(categorical, Mapping)
        else _levels_of(frame, name)
        for name in categorical
    }
    (y,) = _coded(frame, [target], levels)
    classes = levels.pop(target, ())
    x = features_of(frame, chosen, levels)
    every = [
        each
        for name in chosen
        for each in (indicators(name, levels[name]) if name in levels else [name])
    ]
    return Dataset(x, y, tuple(every), target, levels, classes)


def features_of(
    frame: Any, columns: Sequence[str], levels: Mapping[str, Sequence[str]]
) -> Float[np.ndarray, "rows features"]:
    """Return columns of a frame side by side in float64, categories as their indicators.

    Raises:
        DataError: as `load_frame` does, or a level is none of those given.
    """
    names = set(_names(frame))
    for name in columns:
        if name not in names:
            raise DataError(
                f"there is no column {name!r}; the columns are: {listing(sorted(names))}"
            )
    return expanded(np.column_stack(_coded(frame, columns, levels)), columns, levels)


def _coded(
    frame: Any, columns: Sequence[str], levels: Mapping[str, Sequence[str]]
) -> list[Float[np.ndarray, " rows"]]:
    """Return columns of a frame, those of categories as the numbers of their levels."""
    taken = []
    for name in columns:
        if name in levels:
            codes = Levels(name, levels[name]).codes(_cells(frame, name), "the data frame")
            _refuse_missing(name, codes)
            taken.append(codes)
        else:
            taken.append(_numbers(frame, name))
    return taken


def _levels_of(frame: Any, name: str) -> tuple[str, ...]:
    learned = Levels(name)
    learned.codes(_cells(frame, name), "the data frame")
    if len(learned.names) < 2:
        raise DataError(f"column {name!r} has one level only: it tells nothing")
    return tuple(sorted(learned.names))


def _cells(frame: Any, name: str) -> list[Any]:
    """Return the cells of a column, None for those that are missing."""
    return [
        None if _is_missing(cell) else cell for cell in np.asarray(frame[name].to_numpy()).tolist()
    ]


def _is_missing(cell: Any) -> bool:
    try:
        return cell is None or bool(cell != cell)
    except TypeError:  # pandas' NA is neither equal to itself nor not
        return True


def _numbers(frame: Any, name: str) -> Float[np.ndarray, " rows"]:
    values = np.asarray(frame[name].to_numpy())
    if values.dtype.kind == "O" and not any(isinstance(cell, str) for cell in values):
        cells = [np.nan if _is_missing(cell) else cell for cell in values]
        values = np.asarray(cells, np.float64 if any(cell != cell for cell in cells) else None)
    if values.dtype.kind in "Mm":
        raise DataError(
            f"column {name!r} holds {values.dtype}, not numbers; give a number instead, such as the seconds since a "
            "moment of your choice"
        )
    if values.dtype.kind not in "fiub" or values.ndim != 1:
        raise DataError(f"column {name!r} holds {values.dtype}, not numbers{TO_CATEGORY}")
    check_integers(f"column {name!r}", values)
    numbers = values.astype(np.float64)
    _refuse_missing(name, numbers)
    return numbers


def _refuse_missing(name: str, values: np.ndarray) -> None:
    wrong = np.flatnonzero(~np.isfinite(values))
    if len(wrong):
        kind = "missing" if np.isnan(values[wrong[0]]) else "infinite"
        more = f"; so are {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise DataError(f"column {name!r}: the value of row {wrong[0] + 1} is {kind}{more}")
