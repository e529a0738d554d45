"""One file of a table, opened so that any run of its rows can be read without the rest.

What a run is depends on the kind of file; what comes out of each is the same: columns of numbers with
NaN where a value is missing. Nothing here decides which values are acceptable.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from jaxtyping import Float

from funcgrad.datasets.table import DataError


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
    """

    path: Path
    names: tuple[str, ...]
    rows: int | None
    size: int

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = path.stat().st_size
        if self.size == 0:
            raise DataError("the file is empty")

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
            DataError: a value is not a number, or the file is not what it was when it was opened.
        """

    @abstractmethod
    def rows_before(self, span: Span) -> int:
        """Return how many rows of the part lie before a span, for messages."""

    def open(self) -> BinaryIO:
        """Open the file; raise a DataError if it is gone, or shorter than it was at first."""
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            raise DataError(f"{self.path} was removed while it was read") from None
        size = os.fstat(file.fileno()).st_size
        if size < self.size:
            file.close()
            raise DataError(
                f"{self.path} shrank while it was read: from {self.size} bytes to {size}"
            )
        return file

    def check_size(self) -> None:
        """Raise a DataError if the file is gone, or shorter than it was at first."""
        self.open().close()


def combine(
    columns: Sequence[Float[np.ndarray, " rows"]], rows: int
) -> Float[np.ndarray, "rows columns"]:
    """Set columns side by side in a new row-major array of float64, or float32 where all are."""
    dtype = np.result_type(np.float32, *columns) if columns else np.float64
    table = np.empty((rows, len(columns)), dtype)
    for j, column in enumerate(columns):
        table[:, j] = column
    return table
