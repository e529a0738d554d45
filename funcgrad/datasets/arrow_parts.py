"""Parquet files, read in part by pyarrow, which is imported when the first is opened."""

from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from funcgrad.datasets.dialect import TO_CATEGORY, check_integer
from funcgrad.datasets.levels import Levels
from funcgrad.datasets.parts import Part, Span, combine
from funcgrad.datasets.table import DataError, NoRowsError


def pyarrow(module: str = "") -> Any:
    """Import pyarrow, or one of its modules, with an error that says how to get it."""
    try:
        return import_module(f"pyarrow{module}")
    except ImportError as error:
        raise ImportError(
            "reading CSV and Parquet in part needs pyarrow (pip install 'funcgrad[files]')"
        ) from error


def array_of(column: Any) -> np.ndarray:
    """Return a column of numbers as NumPy's, with NaN where there is nothing.

    By DLPack where nothing is missing: `to_numpy` imports pandas wherever it is installed, which takes longer than
    reading many files.
    """
    chunks = getattr(column, "chunks", [column])
    parts = [
        chunk.to_numpy(zero_copy_only=False) if chunk.null_count else np.from_dlpack(chunk)
        for chunk in chunks
    ]
    return parts[0] if len(parts) == 1 else np.concatenate(parts or [np.empty(0)])


def coded(column: Any, levels: Levels, place: str) -> np.ndarray:
    """Return a column of a category as codes; each of its values is looked at once."""
    arrow, compute = pyarrow(), pyarrow(".compute")
    if not pyarrow().types.is_dictionary(column.type):
        column = column.dictionary_encode()
    chunks = column.chunks if isinstance(column, arrow.ChunkedArray) else [column]
    parts = []
    for chunk in chunks:
        try:
            values = levels.codes(chunk.dictionary.to_pylist(), place)
        except UnicodeDecodeError:
            raise DataError(f"{place}: it is not text in UTF-8: say its encoding") from None
        indices = compute.fill_null(chunk.indices.cast(arrow.int64()), len(values))
        parts.append(np.append(values, np.nan)[indices.to_numpy(zero_copy_only=False)])
    return np.concatenate(parts) if parts else np.empty(0)


class ParquetPart(Part):
    """A Parquet file; a span of it is one row group or several, counted from the first."""

    def __init__(self, path: Path, memory: int) -> None:
        super().__init__(path, memory)
        with self._open() as file:
            schema, metadata = file.schema_arrow, file.metadata
            self._rows = [metadata.row_group(j).num_rows for j in range(metadata.num_row_groups)]
        self.rows = sum(self._rows)
        if not self.rows:
            raise NoRowsError("the file has no rows")
        self.check_width(len(schema.names))
        self.names = tuple(schema.names)
        self._types = {field.name: field.type for field in schema}

    def spans(self, rows: int, size: int) -> list[Span]:
        """Cut the part into its row groups."""
        return [Span(j, j + 1) for j in range(len(self._rows)) if self._rows[j]]

    def rows_before(self, span: Span) -> int:
        """Return how many rows the earlier row groups hold."""
        return sum(self._rows[: span.start])

    def read(self, span: Span, columns: Sequence[str], rows: int) -> Iterator[np.ndarray]:
        """Yield the rows of a span, decoded as they are asked for."""
        self.check_size()
        for name in columns:
            wrong = None if name in self.levels else _complaint(self._types[name])
            if wrong:
                raise DataError(f"{self.path}: column {name!r} {wrong}")
        arrow = pyarrow()
        try:
            with self._open() as file:
                batches = file.iter_batches(
                    batch_size=rows,
                    row_groups=list(range(span.start, span.stop)),
                    columns=list(columns),
                    use_threads=False,
                )
                for batch in batches:
                    arrays = [self._numbers(name, batch.column(name)) for name in columns]
                    yield combine(arrays, batch.num_rows)
        except (arrow.ArrowException, OSError) as error:
            self.check_size()
            raise DataError(f"{self.path} cannot be read: {error}") from None

    def _numbers(self, name: str, column: Any) -> np.ndarray:
        """Return a column as floating point, a category as codes; NaN where there is nothing."""
        arrow = pyarrow()
        if name in self.levels:
            return coded(column, self.levels[name], str(self.path))
        if arrow.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if arrow.types.is_integer(column.type):
            extremes = pyarrow(".compute").min_max(column).as_py()
            for extreme in filter(None, extremes.values()):
                check_integer(extreme, f"{self.path}: column {name!r}")
        if column.type != arrow.float32():
            column = column.cast(arrow.float64(), safe=False)
        return array_of(column)

    def _open(self) -> Any:
        parquet, arrow = pyarrow(".parquet"), pyarrow()
        try:
            # A buffer and no pre-buffering: otherwise whole row groups are read before the first row.
            return parquet.ParquetFile(self.path, buffer_size=1 << 16, pre_buffer=False)
        except (arrow.ArrowException, OSError) as error:
            self.check_size()
            raise DataError(f"not a Parquet file: {error}") from None


def _complaint(kind: Any) -> str | None:
    """Say what is wrong with a column of a type, as a half sentence; None where it holds numbers."""
    types = pyarrow().types
    if types.is_dictionary(kind):
        kind = kind.value_type
    numeric = (
        types.is_integer,
        types.is_floating,
        types.is_boolean,
        types.is_decimal,
        types.is_null,
    )
    if any(is_kind(kind) for is_kind in numeric):
        return None
    if types.is_temporal(kind):
        cure = "; save a number instead, such as the seconds since a moment of your choice"
    elif types.is_nested(kind):
        cure = "; save a column of its own for each number in it"
    elif types.is_string(kind) or types.is_large_string(kind):
        cure = TO_CATEGORY
    else:
        cure = ""
    return f"holds {kind}, not numbers{cure}"
