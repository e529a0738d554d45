"""Reading a table from a CSV or `.npz` file, with an error that says where it is not one.

Both formats are read whole into memory as float64, up to a bound.
"""

import csv
import gzip
import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
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
from funcgrad.datasets.table import DataError, Dataset, listing, split_target
from funcgrad.files import ArchiveError, open_regular, read_archive

# A bound on whatever is read at once, in bytes: a text, and the table as float64.
_LARGEST = 1 << 30
# The bytes by which a text's dialect is detected.
_SAMPLED = 1 << 16


def load_file(
    path: str | Path, target: str | None = None, *, csv: CsvOptions | None = None
) -> Dataset:
    """Read the features and the target from a file.

    A text file (CSV) names its columns on the first line and holds a number in every other cell; its delimiter, decimal
    sign, thousands separator and encoding are detected, as a `Stream` does. A `.npz` file holds either a matrix
    `x` (rows, features) and a vector `y` (rows), or one vector per column under the column's name. A table of more
    than 1 GiB is refused: a `Stream` reads it in part.

    Args:
        path: the file; a name ending in `.npz` is read as NumPy's archive, one in `.gz` as compressed text, any other
            as text.
        target: the name of the column to regress on the others. Only a `.npz` file with `x` and `y`
            needs none.
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
        if path.is_dir():
            raise DataError(f"{path} is a directory, not a file")
        if path.suffix.lower() == ".npz":
            return _load_npz(path, target)
        return split_target(*_table_of(_content(path), options), target)
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
    return _table_of("\n".join(line.rstrip("\r\n") for line in lines).encode(), CsvOptions())


def _table_of(
    content: bytes, options: CsvOptions
) -> tuple[list[str], Float[np.ndarray, "rows columns"]]:
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
    return kept_names, table


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


def _load_npz(path: Path, target: str | None) -> Dataset:
    if path.stat().st_size == 0:
        raise DataError("the file is empty")
    try:
        with open_regular(path) as file:
            arrays = read_archive(file, limit=_LARGEST)
    except ArchiveError as error:
        raise DataError(f"not a .npz archive of numeric arrays: {error}") from None
    _check_size(sum(values.size for values in arrays.values()) * 8)
    if not arrays:
        raise DataError("the archive holds no arrays")
    for name, values in arrays.items():
        if values.dtype.kind not in "fiub":
            raise DataError(f"array {name!r} holds {values.dtype}, not real numbers")
    if {"x", "y"} <= arrays.keys() and arrays["x"].ndim == 2:
        arrays = _columns_of(arrays["x"], arrays["y"])
        target = "y" if target is None else target
    lengths = {name: values.shape for name, values in arrays.items()}
    if any(len(shape) != 1 for shape in lengths.values()) or len(set(lengths.values())) > 1:
        shapes = listing([f"{name} {shape}" for name, shape in lengths.items()])
        raise DataError(
            "the arrays should be x (rows, features) and y (rows), or vectors of one length; "
            f"here they are: {shapes}"
        )
    names = list(arrays)
    table = np.stack([values.astype(np.float64) for values in arrays.values()], axis=1)
    if not len(table):
        raise DataError("the arrays have no rows")
    check_finite(names, table)
    return split_target(names, table, target)


def _columns_of(x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    if y.shape not in {(len(x),), (len(x), 1)}:
        raise DataError(f"x has shape {x.shape} and y {y.shape}: y should have shape ({len(x)},)")
    return {f"x{j}": x[:, j] for j in range(x.shape[1])} | {"y": y.reshape(len(x))}
