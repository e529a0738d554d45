"""Finding the parts of a table: one file, or a folder of files of one kind with the same columns.

A folder is searched as pyarrow's datasets do. Partitions such as `year=2024/` are columns too.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import numpy as np
from jaxtyping import Float

from funcgrad.datasets.array_parts import ArrayPart
from funcgrad.datasets.arrow_parts import ParquetPart
from funcgrad.datasets.csv_parts import COMPRESSIONS, CsvPart
from funcgrad.datasets.dialect import CsvOptions
from funcgrad.datasets.levels import Levels
from funcgrad.datasets.parts import Part, Span
from funcgrad.datasets.table import DataError, NoRowsError, listing

_KINDS: dict[str, Callable[[Path, int], Part]] = {
    ".npy": ArrayPart,
    ".npz": ArrayPart,
    ".parquet": ParquetPart,
    ".pq": ParquetPart,
    ".csv": CsvPart,
    ".tsv": CsvPart,
    ".txt": CsvPart,
}


# How Hive names the folder of a partition that has no value.
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
# Files of no more bytes than these together are told from others by their content.
_CHEAP = 1 << 26
# So much is read at once where only the levels of columns are wanted.
_ROWS, _BYTES = 1 << 16, 1 << 22


class Block(NamedTuple):
    """A span of one of a table's parts."""

    part: int
    span: Span


class Table:
    """The parts of a table, and the columns that they share.

    Attributes:
        path: the file or folder it was opened from.
        names: its columns: first the parts' columns, then the partitions'.
    """

    def __init__(self, path: str | Path, memory: int, csv: CsvOptions | None = None) -> None:
        """Open a file or a folder.

        Args:
            path: the file or folder.
            memory: a bound, in bytes, on a file's names and on a line of it.
            csv: how text files are to be read, in place of what would be detected.

        Raises:
            DataError: it cannot be read, or its files do not make one table.
            ImportError: it needs pyarrow, which is missing.
        """
        self.path = Path(path)
        found = list(_find(self.path))
        opened = [_open(file, memory, csv) for file, _ in found]
        self.parts = [part for part in opened if isinstance(part, Part)]
        if not self.parts:
            raise next(part for part in opened if isinstance(part, NoRowsError))
        self._constants = [
            keys for (_, keys), part in zip(found, opened, strict=True) if isinstance(part, Part)
        ]
        self.names = (*self.parts[0].names, *self._constants[0])
        for part, constants in zip(self.parts, self._constants, strict=True):
            repeated = [name for name in constants if name in set(part.names)]
            if repeated:
                raise DataError(f"{part.path}: two columns have the same name: {listing(repeated)}")

    @property
    def identity(self) -> dict[str, dict[str, Any]]:
        """For each file, by its path within the table: its identity."""
        content = self.size <= _CHEAP
        return {
            str(part.path.relative_to(self.path) if part.path != self.path else self.path.name): (
                part.identity(content=content)
            )
            for part in self.parts
        }

    @property
    def rows(self) -> int | None:
        """The number of rows, where the files tell it without being read."""
        counts = [part.rows for part in self.parts]
        known = [count for count in counts if count is not None]
        return sum(known) if len(known) == len(counts) else None

    @property
    def expected_rows(self) -> int:
        """The number of rows, estimated from the first lines where the files do not tell."""
        return sum(part.expected_rows for part in self.parts)

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(part.size for part in self.parts)

    @property
    def detected(self) -> str | None:
        """How the first text file is read, in words; None for plain CSV and other kinds."""
        first = self.parts[0]
        return first.detected if isinstance(first, CsvPart) else None

    def check_columns(self, wanted: Sequence[str] | None) -> None:
        """Raise a DataError unless every part has the columns wanted, or, for None, the same columns."""
        first = set(self.names)
        for part in self.parts:
            counts = Counter(part.names)
            repeated = [name for name in wanted or first if counts[name] > 1]
            if repeated:
                shown = listing([*map(repr, sorted(repeated))])
                raise DataError(f"{part.path}: two columns have the same name: {shown}")
        for part, constants in zip(self.parts, self._constants, strict=True):
            names = {*part.names, *constants}
            for name in wanted or sorted(first):
                if name not in names:
                    other = self.parts[0].path.name
                    raise DataError(f"{part.path} has no column {name!r}, which {other} has")
            if wanted is None and names - first:
                extra = ", ".join(map(repr, sorted(names - first)))
                raise DataError(
                    f"{part.path} has columns that {self.parts[0].path.name} lacks: {extra}; "
                    "name the columns to use"
                )

    def blocks(self, rows: int, size: int) -> list[Block]:
        """Cut the table into blocks of about so many rows, or bytes where rows are unknown."""
        return [
            Block(j, span) for j, part in enumerate(self.parts) for span in part.spans(rows, size)
        ]

    def read(
        self, block: Block, columns: Sequence[str], rows: int
    ) -> Iterator[Float[np.ndarray, "rows columns"]]:
        """Yield the rows of a block in order, at most about so many at once; missing values are NaN."""
        part, constants = self.parts[block.part], self._constants[block.part]
        own = [name for name in columns if name not in constants]
        if len(own) == len(columns):
            yield from part.read(block.span, own, rows)
            return
        # With no column of its own, some column must still tell how many rows there are.
        for numbers in part.read(block.span, own or part.names[:1], rows):
            table = np.empty((len(numbers), len(columns)), numbers.dtype)
            for j, name in enumerate(columns):
                if name in constants:
                    table[:, j] = self._constant(part, name, constants[name])
                else:
                    table[:, j] = numbers[:, own.index(name)]
            yield table

    def code(self, levels: Mapping[str, Levels]) -> None:
        """Read these columns as codes of their levels from now on."""
        for part in self.parts:
            part.levels = levels

    def learned(self, columns: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Return the levels of columns, sorted, by reading these once.

        Raises:
            DataError: a column has one level only, or too many.
        """
        levels = {name: Levels(name) for name in columns}
        self.code(levels)
        for block in self.blocks(_ROWS, _BYTES):
            for _ in self.read(block, columns, _ROWS):
                pass
        found = {name: tuple(sorted(each.names)) for name, each in levels.items()}
        for name, names in found.items():
            if len(names) < 2:
                raise DataError(
                    f"{self.path}: column {name!r} has one level only, {listing(names)}: it tells nothing"
                )
        return found

    @staticmethod
    def _constant(part: Part, name: str, value: str | None) -> float:
        if name in part.levels:
            return float(part.levels[name].codes([value], str(part.path))[0])
        return _number(name, value)

    def where(self, block: Block, row: int) -> str:
        """Say where the row-th row of a block is, for a message."""
        part = self.parts[block.part]
        return f"{part.path}: data row {part.rows_before(block.span) + row + 1}"


def _find(path: Path) -> Iterator[tuple[Path, dict[str, str | None]]]:
    """Yield the files of a table, each with the partitions that its folders name."""
    if not path.exists():
        raise DataError(f"there is no file or folder {path}")
    if not path.is_dir():
        yield path, {}
        return
    files = sorted(file for file in path.rglob("*") if _is_data(file.relative_to(path), file))
    if not files:
        raise DataError(f"the folder {path} holds no files")
    kinds = sorted({_suffix(file) for file in files})
    if len({_KINDS.get(kind) for kind in kinds}) > 1:
        raise DataError(f"the folder {path} holds files of several kinds: {', '.join(kinds)}")
    partitioned = _KINDS.get(kinds[0]) in (CsvPart, ParquetPart)
    for file in files:
        yield file, _partitions(path, file) if partitioned else {}


def _partitions(path: Path, file: Path) -> dict[str, str | None]:
    """Return the partitions that the folders between a table's own and a file name, such as {"year": "2024"}."""
    said: dict[str, str | None] = {}
    for folder in file.relative_to(path).parts[:-1]:
        name, equals, value = map(unquote, folder.partition("="))
        if not equals:
            continue
        if name in said:
            raise DataError(f"{file}: two of its folders name the partition {name!r}")
        said[name] = None if value == _NO_VALUE else value
    return said


def _is_data(relative: Path, file: Path) -> bool:
    hidden = any(name.startswith((".", "_")) for name in relative.parts)
    return not hidden and file.is_file()


def _number(name: str, value: str | None) -> float:
    """Return the value in a partition's name, as a number."""
    try:
        return math.nan if value is None else float(value)
    except ValueError:
        raise DataError(f"the partition {name}={value} is not a number") from None


def _suffix(path: Path) -> str:
    """Return the end of a file's name that tells its kind, which a compression's may follow."""
    suffix = path.suffix.lower()
    return Path(path.stem).suffix.lower() if suffix in COMPRESSIONS else suffix


def _open(path: Path, memory: int, csv: CsvOptions | None) -> Part | NoRowsError:
    """Open a file; return, not raise, that it has no rows: others of its folder may have some."""
    kind = _KINDS.get(_suffix(path))
    if kind is None:
        raise DataError(
            f"{path}: which kind of file is this? The names that can be read end in "
            f"{', '.join(_KINDS)}; text may be compressed, as {', '.join(COMPRESSIONS)}"
        )
    try:
        return CsvPart(path, memory, csv) if kind is CsvPart else kind(path, memory)
    except NoRowsError as error:
        return NoRowsError(f"{path}: {error}")
    except DataError as error:
        raise DataError(str(error) if str(path) in str(error) else f"{path}: {error}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
