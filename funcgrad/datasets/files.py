"""Reading a table from a CSV or `.npz` file, with an error that says where it is not one.

Both formats are read whole into memory as float64, up to a bound.
"""

import csv
import io
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

import numpy as np
from jaxtyping import Float

from funcgrad.datasets.table import DataError, Dataset, listing, split_target
from funcgrad.files import ArchiveError, open_regular, read_archive

DELIMITERS = ",;\t"
MISSING = {"", "na", "n/a", "nan", "null", "none", "?", "."}
# Bounds on whatever is read at once: the table as float64, in bytes, and a line of text, in characters.
_LARGEST = 1 << 30
_LONGEST_LINE = 1 << 24
_SHOWN = 60


def load_file(path: str | Path, target: str | None = None) -> Dataset:
    """Read the features and the target from a file.

    A CSV file (comma, semicolon or tab) names its columns on the first line and holds a number in
    every other cell. A `.npz` file holds either a matrix `x` (rows, features) and a vector `y`
    (rows), or one vector per column under the column's name. A table of more than 1 GiB is refused: a
    `Stream` reads it in part.

    Args:
        path: the file; a name ending in `.npz` is read as NumPy's archive, any other as CSV.
        target: the name of the column to regress on the others. Only a `.npz` file with `x` and `y`
            needs none.

    Raises:
        DataError: the file cannot be read, is not such a table, or has no such column.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "plants.csv"
    >>> _ = path.write_text("light,height\\n1,2.5\\n2,4.5\\n")
    >>> load_file(path, target="height").x
    array([[1.],
           [2.]])
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise DataError(f"{path} is a directory, not a file")
        if path.suffix.lower() == ".npz":
            return _load_npz(path, target)
        # The byte order mark that spreadsheets write would otherwise join the first column's name.
        with io.TextIOWrapper(open_regular(path), encoding="utf-8-sig", newline="") as text:
            return split_target(*read_csv(_lines(text)), target)
    except DataError as error:
        raise DataError(str(error) if str(path) in str(error) else f"{path}: {error}") from None
    except FileNotFoundError:
        raise DataError(f"there is no file {path}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise DataError(
            f"{path} is not text in UTF-8: give a CSV file, or a .npz file by that name"
        ) from None


def read_csv(lines: Iterable[str]) -> tuple[list[str], Float[np.ndarray, "rows columns"]]:
    """Read column names and numbers from the lines of a CSV file.

    Raises:
        DataError: naming the data row (the first below the names is 1) and the column at fault.

    >>> read_csv(["a,b", "1,2", "3,4"])
    (['a', 'b'], array([[1., 2.],
                        [3., 4.]]))
    """
    lines = iter(lines)
    header = next((line for line in lines if line.strip()), None)
    if header is None:
        raise DataError("the file is empty")
    delimiter = max(DELIMITERS, key=header.count)
    values = array("d")
    rows = 0
    try:
        names = [name.strip() for name in next(csv.reader([header], delimiter=delimiter))]
        check_names(names)
        for cells in csv.reader(lines, delimiter=delimiter, strict=True):
            if not cells:
                continue
            rows += 1
            if len(cells) != len(names):
                raise DataError(
                    f"data row {rows} has {len(cells)} values, but there are {len(names)} columns "
                    f"({listing(names)})"
                )
            _check_size((rows * len(names)) * values.itemsize)
            try:
                values.extend(map(float, cells))
            except ValueError:
                explain_cells(rows, names, cells)
    except csv.Error as error:
        raise DataError(f"data row {rows + 1} is not CSV: {error}") from None
    if not rows:
        raise DataError("there are column names, but no rows below them")
    table = np.frombuffer(values).reshape(rows, len(names))
    check_finite(names, table)
    return names, table


def check_finite(names: Sequence[str], table: Float[np.ndarray, "rows columns"]) -> None:
    """Raise a DataError that names the first row and column holding a NaN or an infinity."""
    bad = np.argwhere(~np.isfinite(table))
    if len(bad):
        row, column = bad[0]
        value = table[row, column]
        kind = "NaN (a missing value)" if np.isnan(value) else "infinite"
        more = f"; so are {len(bad) - 1} more" if len(bad) > 1 else ""
        raise DataError(f"data row {row + 1}, column {names[column]!r} is {kind}{more}")


def check_names(names: Sequence[str]) -> None:
    """Raise a DataError unless each column has a name, a word of its own."""
    if all(map(_is_number, names)):
        raise DataError(
            f"the first line should name the columns, but it holds numbers ({listing(names)})"
        )
    if "" in names:
        raise DataError(f"column {names.index('') + 1} has no name on the first line")
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise DataError(f"two columns have the same name: {listing([*map(repr, repeated)])}")


def explain_cells(row: int, names: Sequence[str], cells: Sequence[str]) -> None:
    """Raise a DataError that names the first cell of a row that is not a number, if one is not."""
    for name, cell in zip(names, cells, strict=True):
        where = f"data row {row}, column {name!r}"
        if is_missing(cell):
            raise DataError(f"{where}: the value is missing ({cell!r})")
        if not _is_number(cell):
            hint = (
                "; write the decimals after a point" if _is_number(cell.replace(",", ".")) else ""
            )
            shown = cell if len(cell) <= _SHOWN else f"{cell[:_SHOWN]}..."
            raise DataError(f"{where}: {shown!r} is not a number{hint}")


def is_missing(cell: str) -> bool:
    """Return whether a cell is one of the usual spellings of a missing value."""
    return cell.strip().lower() in MISSING


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _lines(text: TextIO) -> Iterator[str]:
    """Yield the lines of a text, none of which may be endless."""
    while line := text.readline(_LONGEST_LINE):
        if len(line) == _LONGEST_LINE:
            raise DataError(
                f"a line is longer than {_LONGEST_LINE} characters: this is no CSV file"
            )
        yield line


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
