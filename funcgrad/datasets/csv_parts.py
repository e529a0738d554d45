"""CSV files and their kin, read in part by pyarrow, which is imported when the first is opened.

A file is cut into spans of bytes at line ends outside quotes. One that cannot be cut, compressed or in an encoding
of more than one byte a character, is one span, read from its beginning.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from funcgrad.datasets.arrow_parts import array_of, coded, pyarrow
from funcgrad.datasets.dialect import (
    LARGEST_INTEGER,
    MISSING,
    CsvOptions,
    Dialect,
    dialect_of,
    is_missing,
    is_number,
    number_of,
    pattern_of,
    records_of,
    wrong_width,
)
from funcgrad.datasets.parts import Part, Span, combine
from funcgrad.datasets.table import DataError, NoRowsError, listing

_SPELLINGS = sorted({spell(word) for word in MISSING for spell in (str, str.upper, str.title)})
_SAMPLE_BYTES = 1 << 16
# The bytes that pyarrow's reader gives a thread at once, which must hold a line: so many for each cell.
_BLOCK_BYTES, _CELL_BYTES = 1 << 20, 32
_SCANNED = 1 << 20
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2"}
_QUOTE, _NEW_LINE, _RETURN = 34, 10, 13


class CsvPart(Part):
    """A CSV file; a span of it is counted in bytes.

    A line takes at most a sixteenth of the memory.

    Attributes:
        dialect: how the file writes its table.
    """

    dialect: Dialect

    def __init__(self, path: Path, memory: int, options: CsvOptions | None = None) -> None:
        super().__init__(path, memory)
        pyarrow()
        self.rows = None
        self._longest = max(memory // 16, 1 << 12)
        self._compression = COMPRESSIONS.get(path.suffix.lower())
        content, whole = self._beginning()
        try:
            self.dialect = dialect_of(content, options or CsvOptions(), whole=whole)
        except UnicodeDecodeError:
            raise DataError("it is not text in UTF-8: say its encoding") from None
        encoding, names = self.dialect.encoding, self.dialect.names
        self.check_width(len(names))
        if self.dialect.header and all(map(is_number, names)):
            raise DataError(
                f"the first line should name the columns, but it holds numbers ({listing(names)}): if it is "
                "data, say header=False (--no-header)"
            )
        self.names = tuple(filter(None, names))
        skipped = content.decode(encoding, "replace")[: self.dialect.skipped]
        if "\ufffd" in skipped:
            raise DataError(f"its first lines are not text in {encoding}: say its encoding")
        self._begin = len(skipped.encode(encoding, "replace"))
        self._can_be_cut = self._compression is None and not encoding.startswith("utf-16")
        if self._can_be_cut and self._begin >= self.size:
            raise NoRowsError("there are column names, but no rows below them")
        self._all = Span(self._begin, self.size)

    def _beginning(self) -> tuple[bytes, bool]:
        """Return the first bytes, which hold a line and more, and whether they are all."""
        with self._decoded() as file:
            content = file.read(_SAMPLE_BYTES)
            while len(content) >= _SAMPLE_BYTES and content.strip(b"\r\n").count(b"\n") < 2:
                if len(content) > self._longest:
                    self._too_long(0)
                more = file.read(len(content))
                if not more:
                    break
                content += more
            return content, not file.read(1)

    @property
    def detected(self) -> str | None:
        """How the file is read, in words; None for plain CSV."""
        if self.dialect.is_plain and self._compression is None:
            return None
        return f"{self.dialect}{'' if self._compression is None else f', {self._compression}'}"

    @property
    def expected_rows(self) -> int:
        """As many rows as there would be if all were as long as the first ones."""
        with self._decoded() as file:
            content = file.read(self._begin + _SAMPLE_BYTES)[self._begin :]
        lines = max(1, content.count(b"\n"))
        return max(1, round((self.size - self._begin) * lines / max(len(content), 1)))

    def spans(self, rows: int, size: int) -> list[Span]:
        """Cut the part into spans of about so many bytes, at line ends outside quotes."""
        cuts = self._line_ends(size) if self._can_be_cut else None
        if cuts is None:
            return [self._all]
        edges = [self._begin, *cuts, self.size]
        return [Span(a, b) for a, b in pairwise(edges) if b > a]

    def rows_before(self, span: Span) -> int:
        """Count the rows before a span, by reading them."""
        if span.start <= self._begin:
            return 0
        return sum(1 for _ in self._records(Span(self._begin, span.start)))

    def read(self, span: Span, columns: Sequence[str], rows: int) -> Iterator[np.ndarray]:
        """Yield the rows of a span: all at once where its bytes bound them, else as they are decoded."""
        known = {name: place for place, name in enumerate(self.dialect.names)}
        places = [known[name] for name in columns]
        if not self._can_be_cut or span.stop - span.start > 2 * self._longest:
            yield from self._streamed(span, columns, places)
            return
        content = self._content(span)
        if content and not content.isspace():
            yield self._table(span, content, columns, places)

    def _table(
        self, span: Span, content: bytes, columns: Sequence[str], places: Sequence[int]
    ) -> np.ndarray:
        arrow, reader = pyarrow(), pyarrow(".csv")

        def read(kind: Any) -> Any:
            """Read the columns as numbers, or as text."""
            options = self._options(columns, places, kind, quoted=quoted)
            return reader.read_csv(arrow.BufferReader(buffer), **options)

        quoted = b'"' in content
        if quoted and content.count(b'"') % 2:
            self._explain(span, columns, places)  # pyarrow closes a quote that is left open
        # A copy in Arrow's own memory: its threads let go of it at times of their own, and where that
        # called into a Python that is ending, the process would be aborted.
        copied = arrow.BufferOutputStream()
        copied.write(content)
        buffer = copied.getvalue()
        if not self.dialect.thousands:
            try:
                found = read(arrow.float64())
                table = combine(
                    [
                        coded(column, self.levels[name], str(self.path))
                        if name in self.levels
                        else array_of(column)
                        for name, column in zip(columns, found.columns, strict=True)
                    ],
                    found.num_rows,
                )
                # A float of this size may have been an integer that it is not.
                if not (np.abs(table) >= LARGEST_INTEGER).any():
                    return table
            except arrow.ArrowInvalid:
                pass
        try:
            found = read(arrow.string())
        except arrow.ArrowInvalid as error:
            self._explain(span, columns, places)
            raise DataError(f"{self.path}: {error}") from None
        return self._numbers(found, span, columns, places)

    def _options(
        self, columns: Sequence[str], places: Sequence[int], kind: Any, *, quoted: bool
    ) -> dict[str, Any]:
        reader = pyarrow(".csv")
        names = [str(place) for place in range(len(self.dialect.names))]
        wanted = [names[place] for place in places]
        delimiter = self.dialect.delimiter
        return {
            "read_options": reader.ReadOptions(
                column_names=names,
                block_size=max(_BLOCK_BYTES, _CELL_BYTES * len(names)),
                encoding="utf8",
            ),
            "parse_options": reader.ParseOptions(delimiter=delimiter, newlines_in_values=quoted),
            "convert_options": reader.ConvertOptions(
                column_types={
                    place: pyarrow().string() if name in self.levels else kind
                    for name, place in zip(columns, wanted, strict=True)
                },
                include_columns=wanted,
                null_values=_SPELLINGS,
                decimal_point=self.dialect.decimal,
                check_utf8=False,
            ),
        }

    def _numbers(
        self, table: Any, span: Span, columns: Sequence[str], places: Sequence[int]
    ) -> np.ndarray:
        """Return columns of text as numbers; raise a DataError where a cell is none."""
        arrow, compute = pyarrow(), pyarrow(".compute")
        numbers = []
        for name, column in zip(columns, table.columns, strict=True):
            if name in self.levels:
                numbers.append(coded(column, self.levels[name], str(self.path)))
                continue
            text = compute.utf8_trim_whitespace(column.cast(arrow.string()))
            text = compute.replace_substring_regex(text, '^"(.*)"$', r"\1")
            lower = compute.utf8_lower(text)
            missing = compute.is_in(lower, value_set=arrow.array(sorted(MISSING)))
            text = compute.if_else(missing, arrow.scalar(None, arrow.string()), text)
            for word, digit in (("true", "1"), ("false", "0")):
                text = compute.if_else(compute.equal(lower, word), digit, text)
            good = compute.match_substring_regex(text, f"^(?:{pattern_of(self.dialect)})$")
            if not compute.all(good, min_count=0).as_py():
                self._explain(span, columns, places)
                raise DataError(f"{self.path}: a cell does not hold a number")
            for mark in self.dialect.grouping:
                text = compute.replace_substring(text, mark, "")
            if self.dialect.decimal != ".":
                text = compute.replace_substring(text, self.dialect.decimal, ".")
            values = array_of(text.cast(arrow.float64()))
            whole = np.abs(values) >= LARGEST_INTEGER
            if whole.any() and any(
                cell.lstrip("+-").isdigit() for cell in text.filter(arrow.array(whole)).to_pylist()
            ):
                self._explain(span, columns, places)
            numbers.append(values)
        return combine(numbers, table.num_rows)

    def _streamed(
        self, span: Span, columns: Sequence[str], places: Sequence[int]
    ) -> Iterator[np.ndarray]:
        """Yield the rows of a file that cannot be cut, as it is decoded."""
        arrow, reader = pyarrow(), pyarrow(".csv")
        options = self._options(columns, places, arrow.string(), quoted=True)
        with self._decoded() as file:
            source = _Utf8(file, self.dialect.encoding, self.dialect.skipped)
            try:
                for batch in reader.open_csv(arrow.PythonFile(source, mode="r"), **options):
                    table = arrow.Table.from_batches([batch])
                    yield self._numbers(table, span, columns, places)
            except (arrow.ArrowInvalid, OSError) as error:
                self.check_size()
                self._explain(span, columns, places)
                raise DataError(f"{self.path}: {error}") from None

    def _content(self, span: Span) -> bytes:
        with self.open() as file:
            file.seek(span.start)
            content = file.read(span.stop - span.start)
        if len(content) < span.stop - span.start:
            self.check_size()
            raise DataError(f"{self.path} ends early, at byte {span.start + len(content)}")
        if self.dialect.encoding not in ("utf-8", "utf-8-sig"):
            content = content.decode(self.dialect.encoding, "replace").encode()
        return _single_spaced(content) if self.dialect.delimiter == " " else content

    def _line_ends(self, size: int) -> list[int] | None:
        """Return the first line end outside quotes after each `size` bytes; None where quotes do not tell."""
        found: list[int] = []
        aim, quoted, before = self._begin + size, 0, _NEW_LINE
        with self.open() as file:
            at = self._begin
            file.seek(at)
            while aim < self.size and (content := file.read(_SCANNED)):
                marks = np.empty(0, np.int64)
                if b'"' in content:
                    codes = np.frombuffer(content, np.uint8)
                    marks = np.flatnonzero(codes == _QUOTE)
                    if not _stand_at_edges(codes, marks, before, self.dialect.delimiter):
                        return None
                place = max(aim - at, 0)
                while place < len(content):
                    end = content.find(b"\n", place)
                    if end < 0:
                        break
                    place = end + 1
                    if (np.searchsorted(marks, end) + quoted) % 2:
                        continue
                    if at + place - aim > self._longest:
                        self._too_long(aim)
                    found.append(at + place)
                    aim = at + place + size
                    place = aim - at
                quoted += len(marks)
                at, before = at + len(content), content[-1]
                if at - aim > self._longest:
                    self._too_long(aim)
        return found

    def _too_long(self, begin: int) -> NoReturn:
        raise DataError(
            f"{self.path}: the line at byte {begin} is longer than {self._longest} bytes, a sixteenth "
            "of the memory allowed"
        )

    def _decoded(self) -> Any:
        """Open the file, without its compression."""
        file = self.open()
        if self._compression is None:
            return file
        return pyarrow().CompressedInputStream(
            pyarrow().PythonFile(file, mode="r"), self._compression
        )

    def _records(self, span: Span) -> Iterator[list[str]]:
        """Yield the cells of each row of a span."""
        return records_of(self._text(span), self.dialect.delimiter)

    def _text(self, span: Span) -> Iterator[str]:
        """Yield the lines of a span."""
        encoding, left = self.dialect.encoding, span.stop - span.start
        with self._decoded() as file:
            if self._can_be_cut:
                file.seek(span.start)
            text = io.TextIOWrapper(file, encoding, errors="replace", newline="")
            if not self._can_be_cut:
                text.read(self.dialect.skipped)
            while (not self._can_be_cut or left > 0) and (line := text.readline(self._longest)):
                left -= len(line.encode(encoding, "replace"))
                yield line

    def _explain(self, span: Span, columns: Sequence[str], places: Sequence[int]) -> None:
        """Raise a DataError that names the first row that cannot be read, and its column."""
        row, names = self.rows_before(span), self.dialect.names
        try:
            for cells in self._records(span):
                row += 1
                if len(cells) != len(names):
                    raise DataError(f"{self.path}: {wrong_width(row, cells, names)}")
                for name, place in zip(columns, places, strict=True):
                    if name in self.levels or is_missing(cells[place]):
                        continue
                    try:
                        number_of(cells[place], self.dialect)
                    except DataError as error:
                        raise DataError(
                            f"{self.path}: data row {row}, column {name!r}: {error}"
                        ) from None
        except csv.Error as error:
            raise DataError(f"{self.path}: data row {row + 1} is not CSV: {error}") from None


class _Utf8(io.RawIOBase):
    """A file in any encoding as one in UTF-8, without its first characters."""

    def __init__(self, file: Any, encoding: str, skipped: int) -> None:
        self._text = io.TextIOWrapper(file, encoding=encoding, errors="replace", newline="")
        self._text.read(skipped)

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return about so many bytes."""
        return self._text.read(size if size < 0 else max(size // 4, 1)).encode()

    def close(self) -> None:
        """Leave the file to its owner."""
        if not self.closed:
            self._text.detach()
        super().close()


def _single_spaced(content: bytes) -> bytes:
    """Return lines with one space where there were several."""
    return b"\n".join(b" ".join(line.split()) for line in content.split(b"\n"))


def _stand_at_edges(codes: np.ndarray, marks: np.ndarray, before: int, delimiter: str) -> bool:
    """Return whether each quote stands at the edge of a cell, or beside another."""
    edges = [_QUOTE, _NEW_LINE, _RETURN, *delimiter.encode()]
    previous = np.concatenate([[before], codes])[marks]
    following = np.concatenate([codes, [_NEW_LINE]])[marks + 1]
    return bool((np.isin(previous, [*edges, ord(" ")]) | np.isin(following, edges)).all())
