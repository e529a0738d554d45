"""Parquet files, read in part by pyarrow, which is imported when the first is opened."""

from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from funcgrad.datasets.parts import Part, Span, combine
from funcgrad.datasets.table import DataError


def pyarrow(module: str = "") -> Any:
    """Import pyarrow, or one of its modules, with an error that says how to get it."""
    try:
        return import_module(f"pyarrow{module}")
    except ImportError as error:
        raise ImportError(
            "reading CSV and Parquet in part needs pyarrow (pip install 'funcgrad[files]')"
        ) from error


class ParquetPart(Part):
    """A Parquet file; a span of it is one row group or several, counted from the first."""

    def __init__(self, path: Path, memory: int) -> None:
        super().__init__(path, memory)
        arrow = pyarrow()
        with self._open() as file:
            schema, metadata = file.schema_arrow, file.metadata
            self._rows = [metadata.row_group(j).num_rows for j in range(metadata.num_row_groups)]
        self.rows = sum(self._rows)
        if not self.rows:
            raise DataError("the file has no rows")
        self.check_width(len(schema.names))
        self.names = tuple(schema.names)
        self._types = {field.name: field.type for field in schema}
        self._numeric = {
            field.name
            for field in schema
            if any(
                is_kind(field.type)
                for is_kind in (
                    arrow.types.is_integer,
                    arrow.types.is_floating,
                    arrow.types.is_boolean,
                    arrow.types.is_decimal,
                    arrow.types.is_null,
                )
            )
        }

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
            if name not in self._numeric:
                raise DataError(
                    f"{self.path}: column {name!r} holds {self._types[name]}, not numbers"
                )
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
                    numbers = [
                        batch.column(name).cast(arrow.float64(), safe=False)
                        if batch.column(name).type != arrow.float32()
                        else batch.column(name)
                        for name in columns
                    ]
                    arrays = [column.to_numpy(zero_copy_only=False) for column in numbers]
                    yield combine(arrays, batch.num_rows)
        except (arrow.ArrowException, OSError) as error:
            self.check_size()
            raise DataError(f"{self.path} cannot be read: {error}") from None

    def _open(self) -> Any:
        parquet, arrow = pyarrow(".parquet"), pyarrow()
        try:
            # A buffer and no pre-buffering: otherwise whole row groups are read before the first row.
            return parquet.ParquetFile(self.path, buffer_size=1 << 16, pre_buffer=False)
        except (arrow.ArrowException, OSError) as error:
            self.check_size()
            raise DataError(f"not a Parquet file: {error}") from None
