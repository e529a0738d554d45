"""One file of a table, opened so that any run of its rows can be read without the rest.

A run is counted in rows or in bytes, by the kind of file. Every kind yields the same: columns of numbers,
with NaN where a value is missing. Nothing here decides which values are acceptable.
"""

import hashlib
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from funcgrad.datasets.dialect import check_integer
from funcgrad.datasets.levels import Levels
from funcgrad.datasets.table import DataError, NoRowsError
from funcgrad.files import open_regular

# Python holds about this many bytes for each column's name and place.
_PER_COLUMN = 256
# A file that grows gets its new time a moment before its new size.
_GROWTH_SECONDS = 0.01


class Span(NamedTuple):
    """A run of rows within a part: from `start` up to `stop`, rows or bytes as the kind has it."""

    start: int
    stop: int


class Part(ABC):
    """A file of rows.

    Attributes:
        path: the file.
        names: its columns, in order.
        rows: how many rows it holds; None for a kind that tells only when it is read.
        size: its size in bytes when it was opened.
        memory: a bound, in bytes, on the memory for opening it.
        levels: the columns that are categories, which are read as codes.
    """

    path: Path
    names: tuple[str, ...]
    rows: int | None
    size: int
    memory: int
    levels: Mapping[str, Levels]

    def __init__(self, path: Path, memory: int) -> None:
        self.path, self.memory = path, memory
        self.levels = {}
        with open_regular(path) as file:
            self._status = os.fstat(file.fileno())
        self.size = self._status.st_size
        if self.size == 0:
            raise NoRowsError("the file is empty")

    @property
    def expected_rows(self) -> int:
        """About how many rows the part holds."""
        assert self.rows is not None
        return self.rows

    @abstractmethod
    def spans(self, rows: int, size: int) -> list[Span]:
        """Cut the part into spans of at most so many rows, or about so many bytes where rows are unknown."""

    @abstractmethod
    def read(
        self, span: Span, columns: Sequence[str], rows: int
    ) -> Iterator[Float[np.ndarray, "rows columns"]]:
        """Yield the rows of a span in order, the columns asked for, at most about so many rows at once.

        Raises:
            DataError: a value is not a number, or the file changed since it was opened.
        """

    @abstractmethod
    def rows_before(self, span: Span) -> int:
        """Return how many rows of the part lie before a span, for messages."""

    def identity(self, *, content: bool) -> dict[str, Any]:
        """Return the file's identity as JSON values: by content, or by size, time and inode."""
        if content:
            with self.open() as file:
                return {"sha256": hashlib.file_digest(file, "sha256").hexdigest()}
        status = self._status
        return {"size": self.size, "modified": status.st_mtime_ns, "inode": status.st_ino}

    def check_width(self, columns: int) -> None:
        """Raise a DataError if the names of so many columns would not fit in memory."""
        if columns * _PER_COLUMN > self.memory:
            raise DataError(f"{columns} columns do not fit in {self.memory} bytes of memory")

    def open(self) -> BufferedReader:
        """Open the file; raise a DataError if it is gone, or not what it was at first.

        It may have grown: the rows that are read are those that it had.
        """
        try:
            file = open_regular(self.path)
        except FileNotFoundError:
            raise DataError(f"{self.path} was removed while it was read") from None
        status, first = os.fstat(file.fileno()), self._status
        if status.st_size == self.size and status.st_mtime_ns != first.st_mtime_ns:
            time.sleep(_GROWTH_SECONDS)
            status = os.fstat(file.fileno())
        wrong = None
        if status.st_size < self.size:
            wrong = f"shrank while it was read: from {self.size} bytes to {status.st_size}"
        elif not os.path.samestat(status, first):
            wrong = "was replaced while it was read"
        elif status.st_size == self.size and status.st_mtime_ns != first.st_mtime_ns:
            wrong = "was changed while it was read"
        if wrong is None:
            return file
        file.close()
        raise DataError(f"{self.path} {wrong}")

    def check_size(self) -> None:
        """Raise a DataError if the file is gone, or changed since it was opened."""
        self.open().close()


def check_integers(place: str, values: np.ndarray) -> None:
    """Raise a DataError where an integer is one that float64 does not hold.

    Args:
        place: the file and the column, for the message.
        values: of any dtype.
    """
    if values.dtype.kind in "iu" and values.dtype.itemsize == 8 and len(values):
        for extreme in (values.min(), values.max()):
            check_integer(int(extreme), place)


def combine(
    columns: Sequence[Float[np.ndarray, " rows"]], rows: int
) -> Float[np.ndarray, "rows columns"]:
    """Set columns side by side in a new row-major array of float64, or float32 where all are."""
    dtype = np.result_type(np.float32, *columns) if columns else np.float64
    table = np.empty((rows, len(columns)), dtype)
    for j, column in enumerate(columns):
        table[:, j] = column
    return table
