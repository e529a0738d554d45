"""CSV and Parquet files, read in part by pyarrow, which is imported when the first is opened."""

import csv
import io
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from funcgrad.datasets.files import DELIMITERS, MISSING, check_names, explain_cells, is_missing
from funcgrad.datasets.parts import Part, Span, combine
from funcgrad.datasets.table import DataError, listing

_SPELLINGS = sorted({spell(word) for word in MISSING for spell in (str, str.upper, str.title)})
_SAMPLE_BYTES = 1 << 16
# The bytes that pyarrow's reader gives a thread at once, which must hold a line: so many for each cell.
_BLOCK_BYTES, _CELL_BYTES = 1 << 20, 32


def pyarrow(module: str = "") -> Any:
    """Import pyarrow, or one of its modules, with an error that says how to get it."""
    try:
        return import_module(f"pyarrow{module}")
    except ImportError as error:
        raise ImportError(
            "reading CSV and Parquet in part needs pyarrow (pip install 'funcgrad[files]')"
        ) from error


class CsvPart(Part):
    """A CSV file whose first line names the columns; a span of it is counted in bytes.

    A line belongs to the span in which it begins. No value holds a line break, as pyarrow's own reader
    assumes unless it is told otherwise. A line takes at most a sixteenth of the memory.
    """

    def __init__(self, path: Path, memory: int) -> None:
        super().__init__(path, memory)
        pyarrow()
        self.rows = None
        self._longest = max(memory // 16, 1 << 12)
        with self.open() as file:
            line = b"\n"
            while line and not line.strip() and file.tell() <= self._longest:
                line = self._line(file)
            self._begin = file.tell()
        try:
            header = line.decode("utf-8-sig").strip("\r\n")
        except UnicodeDecodeError:
            raise DataError("it is not text in UTF-8, as a CSV file is") from None
        self._delimiter = max(DELIMITERS, key=header.count)
        try:
            names = next(csv.reader([header], delimiter=self._delimiter, strict=True), [])
        except csv.Error as error:
            raise DataError(f"the first line is not CSV: {error}") from None
        self.check_width(len(names))
        self.names = tuple(name.strip() for name in names)
        if not self.names:
            raise DataError("the file is empty")
        check_names(self.names)
        if self._begin >= self.size:
            raise DataError("there are column names, but no rows below them")

    @property
    def expected_rows(self) -> int:
        """As many rows as there would be if all were as long as the first ones."""
        with self.open() as file:
            file.seek(self._begin)
            content = file.read(_SAMPLE_BYTES)
        lines = max(1, content.count(b"\n"))
        return max(1, round((self.size - self._begin) * lines / len(content)))

    def spans(self, rows: int, size: int) -> list[Span]:
        """Cut the part into spans of bytes."""
        return [
            Span(start, min(start + size, self.size))
            for start in range(self._begin, self.size, size)
        ]

    def rows_before(self, span: Span) -> int:
        """Count the lines before a span, by reading them."""
        count, left = 0, self._lines(span)[0] - self._begin
        with self.open() as file:
            file.seek(self._begin)
            while line := file.readline(self._longest):
                left -= len(line)
                if left < 0:
                    break
                count += bool(line.strip())
        return count

    def read(self, span: Span, columns: Sequence[str], rows: int) -> Iterator[np.ndarray]:
        """Yield the rows of a span, all at once: the span's bytes bound them."""
        content = self._lines(span)[1]
        if not content.strip():
            return
        arrow, reader = pyarrow(), pyarrow(".csv")
        # A copy in Arrow's own memory: its threads let go of it at times of their own, and where that
        # called into a Python that is ending, the process would be aborted.
        copied = arrow.BufferOutputStream()
        copied.write(content)
        try:
            table = reader.read_csv(
                arrow.BufferReader(copied.getvalue()),
                read_options=reader.ReadOptions(
                    column_names=list(self.names),
                    block_size=max(_BLOCK_BYTES, _CELL_BYTES * len(self.names)),
                ),
                parse_options=reader.ParseOptions(delimiter=self._delimiter),
                convert_options=reader.ConvertOptions(
                    column_types=dict.fromkeys(columns, arrow.float64()),
                    include_columns=list(columns),
                    null_values=_SPELLINGS,
                ),
            )
        except arrow.ArrowInvalid as error:
            self._explain(span, content, columns)
            raise DataError(f"{self.path}: {error}") from None
        numbers = [table.column(name).to_numpy() for name in columns]
        yield combine(numbers, table.num_rows)

    def _lines(self, span: Span) -> tuple[int, bytes]:
        """Return where the first line that begins in a span does, and the lines that begin there."""
        with self.open() as file:
            file.seek(span.start - 1)
            self._line(file)
            begin = file.tell()
            content = file.read(max(0, span.stop - begin))
            if content and not content.endswith(b"\n"):
                content += self._line(file)
        if begin + len(content) < min(span.stop, self.size):
            self.check_size()
            raise DataError(f"{self.path} ends early, at byte {begin + len(content)}")
        return begin, content

    def _line(self, file: BinaryIO) -> bytes:
        """Return the rest of a line; raise a DataError where it is too long to be held."""
        begin, line = file.tell(), file.readline(self._longest)
        if len(line) == self._longest and not line.endswith(b"\n"):
            raise DataError(
                f"{self.path}: the line at byte {begin} is longer than {self._longest} bytes, a sixteenth "
                "of the memory allowed"
            )
        return line

    def _explain(self, span: Span, content: bytes, columns: Sequence[str]) -> None:
        """Raise a DataError that names the first row that pyarrow cannot have read, and its column."""
        row = self.rows_before(span)
        lines = io.StringIO(content.decode(errors="replace"), newline="")
        try:
            for cells in csv.reader(lines, delimiter=self._delimiter, strict=True):
                if not cells:
                    continue
                row += 1
                if len(cells) != len(self.names):
                    raise DataError(
                        f"{self.path}: data row {row} has {len(cells)} values, but there are "
                        f"{len(self.names)} columns ({listing(self.names)})"
                    )
                named = dict(zip(self.names, cells, strict=True))
                numbers = [name for name in columns if not is_missing(named[name])]
                explain_cells(row, numbers, [named[name] for name in numbers])
        except csv.Error as error:
            raise DataError(f"{self.path}: data row {row + 1} is not CSV: {error}") from None
        except DataError as error:
            raise DataError(f"{self.path}: {str(error).removeprefix(f'{self.path}: ')}") from None


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
