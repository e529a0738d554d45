"""Reading a table whole into memory as float64, up to a bound, with an error that says where it is not one.

Plain text is read here, without pyarrow; all else, and chosen columns, as a `Stream` reads them.
"""

from __future__ import annotations

import csv
import gzip
import math
import os
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from funcgrad.datasets.dialect import (
    CsvOptions,
    Dialect,
    check_names,
    dialect_of,
    number_of,
    rows_of,
    wrong_width,
)
from funcgrad.datasets.folder import Table
from funcgrad.datasets.stream import Stream
from funcgrad.datasets.table import DataError, Dataset, split_target
from funcgrad.files import open_regular

# A bound on whatever is read at once, in bytes: a text, and the table as float64.
_LARGEST = 1 << 30
# The bytes by which a text's dialect is detected.
_SAMPLED = 1 << 16
_ROWS = 1 << 16
# Every other file is text, and needs no pyarrow.
_OTHER_KINDS = (".npy", ".npz", ".parquet", ".pq", ".zst", ".bz2")


def load_file(
    path: str | Path,
    target: str | None = None,
    *,
    features: Sequence[str] | None = None,
    categorical: Sequence[str] | Mapping[str, Sequence[str]] = (),
    csv: CsvOptions | None = None,
) -> Dataset:
    """Read the features and the target from a file.

    A text file (CSV) names its columns on the first line and holds a number in every other cell; its delimiter, decimal
    sign, thousands separator and encoding are detected, as a `Stream` does. A `.npz` file holds either a matrix
    `x` (rows, features) and a vector `y` (rows), or one vector per column under the column's name. `.npy`, Parquet
    and folders are read as a `Stream` reads them. A table of more than 1 GiB is refused: a `Stream` reads it in part.

    Args:
        path: the file or folder; a name ending in `.gz` is read as compressed text, one that tells no other kind
            as text.
        target: the name of the column to regress on the others. Only a `.npz` file with `x` and `y`
            needs none.
        features: the columns of x, in order; None for all but the target. Columns that are not named may hold text.
        categorical: the features that are categories, text or numbers, as for a `Stream`.
        csv: how the text is to be read, in place of what would be detected.

    Raises:
        DataError: the file cannot be read, is not such a table, or has no such column.
        ValueError: an option cannot be.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "plants.csv"
    >>> _ = path.write_text("light;height\\n1,5;2,5\\n2;4,5\\n")
    >>> load_file(path, target="height").x
    array([[1.5],
           [2. ]])
    """
    path, options = Path(path), csv or CsvOptions()
    options.check()
    try:
        if features is not None or categorical:
            return _chosen(path, target, features, categorical, options)
        if path.is_dir() or path.suffix.lower() in _OTHER_KINDS:
            return _load_parts(path, target, options)
        names, values, detected = _table_of(_content(path), options)
        return split_target(names, values, target)._replace(detected=detected)
    except DataError as error:
        raise DataError(str(error) if str(path) in str(error) else f"{path}: {error}") from None
    except FileNotFoundError:
        raise DataError(f"there is no file {path}") from None
    except (OSError, EOFError) as error:
        raise DataError(
            f"{path} cannot be read: {getattr(error, 'strerror', None) or error}"
        ) from None
    except UnicodeDecodeError:
        raise DataError(
            f"{path} is not text in UTF-8: say its encoding, or give a .npz file by that name"
        ) from None


def _content(path: Path) -> bytes:
    with open_regular(path) as file:
        _check_size(os.fstat(file.fileno()).st_size)  # before it takes the memory
        source: Any = gzip.GzipFile(fileobj=file) if path.suffix.lower() == ".gz" else file
        content: bytes = source.read(_LARGEST + 1)
    _check_size(len(content))
    return content


def read_csv(lines: Iterable[str]) -> tuple[list[str], Float[np.ndarray, "rows columns"]]:
    """Read column names and numbers from the lines of a CSV file.

    Raises:
        DataError: naming the data row (the first below the names is 1) and the column at fault.

    >>> read_csv(["a,b", "1,2", "3,4"])
    (['a', 'b'], array([[1., 2.],
                        [3., 4.]]))
    """
    content = "\n".join(line.rstrip("\r\n") for line in lines).encode()
    names, values, _ = _table_of(content, CsvOptions())
    return names, values


def _table_of(
    content: bytes, options: CsvOptions
) -> tuple[list[str], Float[np.ndarray, "rows columns"], str | None]:
    """Return the names, the numbers, and how the text was read unless it is plain CSV."""
    if not content.strip():
        raise DataError("the file is empty")
    sampled = _SAMPLED
    while sampled < len(content) and content.count(b"\n", 0, sampled) < 3:
        sampled *= 4
    dialect = dialect_of(content[:sampled], options, whole=sampled >= len(content))
    check_names(dialect)
    names = dialect.names
    kept = [place for place, name in enumerate(names) if name]
    values, row = array("d"), 0
    try:
        for row, cells in enumerate(rows_of(content.decode(dialect.encoding), dialect), 1):
            if len(cells) != len(names):
                raise DataError(wrong_width(row, cells, names))
            _check_size(row * len(kept) * values.itemsize)
            values.extend(_numbers(row, [(names[place], cells[place]) for place in kept], dialect))
    except csv.Error as error:
        raise DataError(f"data row {row + 1} is not CSV: {error}") from None
    if not row:
        raise DataError("there are column names, but no rows below them")
    table = np.frombuffer(values).reshape(row, len(kept))
    kept_names = [names[place] for place in kept]
    check_finite(kept_names, table)
    return kept_names, table, None if dialect.is_plain else str(dialect)


def _numbers(row: int, cells: Sequence[tuple[str, str]], dialect: Dialect) -> Iterator[float]:
    for name, cell in cells:
        where = f"data row {row}, column {name!r}"
        try:
            value = number_of(cell, dialect)
        except DataError as error:
            raise DataError(f"{where}: {error}") from None
        if math.isnan(value) and cell.strip().lower() != "nan":
            raise DataError(f"{where}: the value is missing ({cell!r})")
        yield value


def check_finite(names: Sequence[str], table: Float[np.ndarray, "rows columns"]) -> None:
    """Raise a DataError that names the first row and column holding a NaN or an infinity."""
    bad = np.argwhere(~np.isfinite(table))
    if len(bad):
        row, column = bad[0]
        value = table[row, column]
        kind = "NaN (a missing value)" if np.isnan(value) else "infinite"
        more = f"; so are {len(bad) - 1} more" if len(bad) > 1 else ""
        raise DataError(f"data row {row + 1}, column {names[column]!r} is {kind}{more}")


def _check_size(size: int) -> None:
    if size > _LARGEST:
        raise DataError(f"the table takes more than {_LARGEST} bytes: read it with a Stream")


def _chosen(
    path: Path,
    target: str | None,
    features: Sequence[str] | None,
    categorical: Sequence[str] | Mapping[str, Sequence[str]],
    options: CsvOptions,
) -> Dataset:
    """Read some columns, or categories, as a `Stream` does."""
    if target is None:
        raise DataError("name the target: it is the column to regress on the features")
    stream = Stream(path, target, features=features, categorical=categorical, csv=options)
    parts, size = [], 0
    for x, y in stream:
        parts.append((x, y))
        size += x.nbytes
        _check_size(size)
    if not parts:
        raise DataError("there are no rows")
    x, y = (np.concatenate(each) for each in zip(*parts, strict=True))
    return Dataset(
        x, y, stream.feature_names, target, stream.levels, stream.classes, stream.detected
    )


def _load_parts(path: Path, target: str | None, options: CsvOptions) -> Dataset:
    """Read a file of another kind, or a folder, as a `Stream` does."""
    table = Table(path, _LARGEST, options)
    table.check_columns(None)
    _check_size((table.rows or 0) * len(table.names) * 8)
    parts, size = [], 0
    for block in table.blocks(_ROWS, _SAMPLED):
        for part in table.read(block, table.names, _ROWS):
            parts.append(part.astype(np.float64, copy=False))
            size += parts[-1].nbytes
            _check_size(size)
    values = np.concatenate(parts)
    check_finite(table.names, values)
    matrix = path.suffix.lower() == ".npz" and table.names[:1] == ("x0",)
    if target is None and matrix and table.names[-1] == "y":
        target = "y"
    return split_target(table.names, values, target)
