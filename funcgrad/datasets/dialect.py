"""How a text file writes a table: delimiter, decimals, encoding, header. Told by options, or else by its beginning.

A cell becomes a number here; whole files are read elsewhere.
"""

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import NamedTuple

from funcgrad.datasets.table import DataError, listing

MISSING = {"", "na", "n/a", "#n/a", "#na", "<na>", "nan", "null", "none", "?", "."}
DELIMITERS = "\t;|, "
_TRUTH = {"true": 1.0, "false": 0.0}
_SPACES = "\u00a0\u202f"
# Between groups of three digits: space, its unbreakable and narrow forms, apostrophes, point, comma.
THOUSANDS = f" {_SPACES}'\u2019.,"
TO_CATEGORY = (
    "; to make a category of it, name it in categorical= (--categorical); to leave it out, name the "
    "features (features=, --features)"
)
# A line by which Excel is told the delimiter, and the names that pandas gives to columns without one.
_EXCELS_OWN = re.compile(r'"?sep=(.)"?[\r\n]*', re.IGNORECASE)
_OF_PANDAS = re.compile(r"^Unnamed: \d+$")
# Digits between separators of thousands, of which the first is no zero.
_GROUPED = r"[1-9][0-9]{{0,2}}(?:{mark}[0-9]{{3}})+"
# Cells that differ only in these digits are written alike.
_ALIKE = str.maketrans("23456789", "11111111")
# Lines by which the delimiter and the header are detected; decimals are by all lines that were read.
_SAMPLED = 50
_SHOWN = 60
# Integers beyond this are rounded by float64.
LARGEST_INTEGER = 1 << 53
_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


class CsvOptions(NamedTuple):
    """How a text file is to be read, for whatever is not to be detected; None is detected.

    Attributes:
        delimiter: between the cells of a line, one character.
        decimal: before the decimals: "." or ",".
        thousands: between groups of three digits, one character; "" for none.
        encoding: such as "utf-8", "cp1252" or "utf-16".
        comment: lines above the header that begin with it are skipped; "" for none.
        header: whether the first line names the columns; False names them x0, x1, ...
    """

    delimiter: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    encoding: str | None = None
    comment: str | None = None
    header: bool | None = None

    def check(self) -> None:
        """Raise a ValueError where an option cannot be."""
        for name, allowed in (("decimal", ".,"), ("thousands", THOUSANDS)):
            value = getattr(self, name)
            if value is not None and (len(value) > 1 or value not in allowed):
                raise ValueError(f"{name} must be one of {list(allowed)}, got {value!r}")
        if self.delimiter is not None and (len(self.delimiter) != 1 or self.delimiter in '"\r\n'):
            raise ValueError(f"delimiter must be one character, got {self.delimiter!r}")
        if self.decimal is not None and self.decimal in (self.delimiter, self.thousands):
            raise ValueError(f"{self.decimal!r} cannot be the decimal sign and more")
        if self.encoding is not None:
            try:
                "".encode(self.encoding)
            except LookupError:
                raise ValueError(f"there is no encoding {self.encoding!r}") from None


class Dialect(NamedTuple):
    """How a file writes a table.

    Attributes:
        delimiter, decimal, thousands, encoding: as in `CsvOptions`.
        names: of the columns; "" where one has none.
        skipped: how many characters come before the first row of data.
    """

    delimiter: str
    decimal: str
    thousands: str
    encoding: str
    names: tuple[str, ...]
    skipped: int
    header: bool

    @property
    def grouping(self) -> str:
        """The characters between groups of three digits: a space of any kind where it is one of them."""
        spaces = f" {_SPACES}"
        return spaces if self.thousands and self.thousands in spaces else self.thousands

    @property
    def is_plain(self) -> bool:
        """Whether it is what a CSV file is by default."""
        plain = (self.delimiter, self.decimal, self.thousands) == (",", ".", "")
        return plain and self.encoding in ("utf-8", "utf-8-sig") and self.header

    def __str__(self) -> str:
        """Say it in one line."""
        said = [
            f"delimiter {_shown(self.delimiter)}",
            f"decimal {self.decimal}",
            f"encoding {self.encoding.removesuffix('-sig')}",
        ]
        if self.thousands:
            said.insert(2, f"thousands {_shown(self.thousands)}")
        if not self.header:
            said.append("no header")
        return ", ".join(said)


def _shown(character: str) -> str:
    names = {"\t": "tab", " ": "space", "\u00a0": "unbreakable space", "\u202f": "narrow space"}
    return names.get(character, character)


def encoding_of(content: bytes) -> str:
    """Return the encoding of a text that begins like this: by its mark, or UTF-8 where it can be, else Windows'."""
    for mark, name in _MARKS.items():
        if content.startswith(mark):
            return name
    if content.count(0) > len(content) // 8:
        return "utf-16-le" if content[1:2] == b"\0" else "utf-16-be"
    try:
        content[: len(content) - 4 if len(content) > 64 else None].decode("utf-8")
    except UnicodeDecodeError as error:
        if error.reason != "unexpected end of data":
            return "cp1252"
    return "utf-8"


def dialect_of(content: bytes, options: CsvOptions, *, whole: bool) -> Dialect:
    """Return the dialect of a file that begins like this.

    Args:
        content: the first bytes.
        options: what is told.
        whole: whether these are all bytes.

    Raises:
        DataError: it is no text in the encoding told, holds nothing, or decimals could mean two things.
    """
    encoding = options.encoding or encoding_of(content)
    text = content.decode(encoding, errors="strict" if whole else "replace")
    lines = io.StringIO(text, newline="").readlines()
    if not whole and len(lines) > 1:
        lines.pop()
    if any("\0" in line for line in lines):
        raise DataError("it holds zero bytes, so it is no text: is it a CSV file?")
    comment = "#" if options.comment is None else options.comment
    first = 0
    while first < len(lines) and (
        not lines[first].strip() or (comment and lines[first].lstrip().startswith(comment))
    ):
        first += 1
    told = _EXCELS_OWN.fullmatch(lines[first]) if first < len(lines) else None
    sample = lines[first + bool(told) :]
    if not sample:
        raise DataError("the file is empty")
    skipped = sum(map(len, lines[: len(lines) - len(sample)]))
    delimiter = options.delimiter or (told[1] if told else _delimiter_of(sample))
    records = _readable(sample, delimiter, None)
    if not whole and len(records) > 1:
        records.pop()  # which may go on beyond what was read
    header = options.header is not False
    all_rows = records[1:] if header else records
    rows = all_rows[:_SAMPLED]
    width = max(map(len, rows), default=0)
    if header:
        names = [_OF_PANDAS.sub("", name.strip()) for name in records[0]]
        skipped += _length_of_first(sample, delimiter)
        if rows and all(len(row) == len(names) + 1 for row in rows):
            # A trailing delimiter may stand below the header alone, and R leaves out the name of its row names.
            if all(not row[-1].strip() for row in rows):
                names.append("")
            elif _are_row_names([row[0] for row in rows]):
                names.insert(0, "")
    else:
        names = [f"x{j}" for j in range(width)]
        if rows and all(not row[-1].strip() for row in rows) and width > 1:
            names[-1] = ""
    decimal, thousands = _numbers_in(chain.from_iterable(all_rows), delimiter, options)
    return Dialect(delimiter, decimal, thousands, encoding, tuple(names), skipped, header)


def _are_row_names(cells: Sequence[str]) -> bool:
    """Return whether cells are text, or count the rows."""
    counted = len(cells) > 1 and list(cells) == [str(j + 1) for j in range(len(cells))]
    return counted or not any(map(is_number, cells))


def records_of(lines: Iterable[str], delimiter: str) -> Iterator[list[str]]:
    """Yield the cells of each line that is not blank; break lines within quotes as they are."""
    source = (line for line in lines if line.strip())
    if delimiter == " ":
        source = (" ".join(line.split()) + "\n" for line in source)
    return csv.reader(source, delimiter=delimiter, skipinitialspace=True, strict=True)


def _readable(lines: Sequence[str], delimiter: str, most: int | None = _SAMPLED) -> list[list[str]]:
    """Return the first records, up to one that is not CSV, which is told when the rows are read."""
    records: list[list[str]] = []
    try:
        records.extend(islice(records_of(lines, delimiter), most))
    except csv.Error as error:
        if not records:
            raise DataError(f"the first line is not CSV: {error}") from None
    return records


def _length_of_first(lines: Sequence[str], delimiter: str) -> int:
    """Return how many characters the first record takes, which may have line breaks within quotes."""
    reader = csv.reader(iter(lines), delimiter=delimiter, skipinitialspace=True)
    next(reader)
    return sum(map(len, lines[: reader.line_num]))


def _delimiter_of(lines: Sequence[str]) -> str:
    """Return the delimiter that gives all lines the same number of cells, two at least."""
    best, most = "", 1
    for delimiter in DELIMITERS:
        try:
            counts = [len(row) for row in _readable(lines, delimiter)]
        except DataError:
            continue
        first, *rest = counts
        even = len(set(rest)) <= 1 and (not rest or rest[0] - first in (0, 1))
        if even and max(counts) > most and not (delimiter == " " and best):
            best, most = delimiter, max(counts)
        if best and delimiter != " " and best == delimiter and delimiter in "\t;|":
            return best
    if best:
        return best
    counted = {delimiter: lines[0].count(delimiter) for delimiter in "\t;|,"}
    common = max(counted, key=lambda delimiter: counted[delimiter])
    return common if counted[common] else ","


def _numbers_in(cells: Iterable[str], delimiter: str, options: CsvOptions) -> tuple[str, str]:
    """Return the decimal sign and the thousands separator of cells.

    Raises:
        DataError: numbers could mean two things.
    """
    alike = {cell.translate(_ALIKE): cell for cell in map(str.strip, cells)}
    cells = list(alike.values())
    decimal, thousands = options.decimal, options.thousands
    if decimal is None and thousands == ".":
        decimal = ","
    if decimal is None:
        with_comma, with_point = (
            rf"[+-]?[\d.'\u2019 {_SPACES}]*\d,\d+(e[+-]?\d+)?",
            r"[+-]?[\d,]*\.\d+(e[+-]?\d+)?",
        )
        commas, points = (
            [cell for cell in cells if re.fullmatch(pattern, cell, re.IGNORECASE)]
            for pattern in (with_comma, with_point)
        )
        decimal = "."
        if commas and thousands != ",":
            grouped = _grouped(commas, ",")
            if len(grouped) < len(commas) or (delimiter == ";" and not points):
                decimal = ","
            elif not points and thousands is None:
                raise _unsure(grouped[0], ",")
        elif points and delimiter == ";" and thousands is None:
            # Semicolons stand where commas are decimal signs, and points may group thousands there.
            grouped = _grouped(points, ".")
            if len(grouped) == len(points):
                raise _unsure(grouped[0], ".")
    if thousands is None:
        thousands = ""
        for mark in [mark for mark in THOUSANDS if mark != decimal]:
            found = _grouped(cells, mark, rf"({re.escape(decimal)}\d*)?")
            if not found:
                continue
            # A text with a comma is no reason to take the decimals of other columns for thousands.
            unsure = (delimiter, decimal, mark) == (",", ",", ".") and options.decimal is None
            if unsure and not any("," in cell or cell.count(".") > 1 for cell in found):
                raise _unsure(found[0], ".")
            thousands = mark
            break
    return decimal, thousands


def _grouped(cells: Sequence[str], mark: str, decimals: str = "") -> list[str]:
    """Return the cells whose digits stand in groups of three, with this mark between them."""
    pattern = re.compile("[+-]?" + _GROUPED.format(mark=re.escape(mark)) + decimals)
    return [cell for cell in cells if pattern.fullmatch(cell)]


def _unsure(cell: str, mark: str) -> DataError:
    return DataError(
        f"{cell!r} could be a number with decimals or one with thousands: say which by "
        f"decimal={mark!r} or thousands={mark!r} (--decimal, --thousands)"
    )


def pattern_of(dialect: Dialect) -> str:
    """Return the regular expression of a number in a dialect, but for those that Python reads besides."""
    digits = "[0-9]+"  # Python's \d has those of other scripts, which pyarrow does not read
    whole = digits
    if dialect.thousands:
        whole = _GROUPED.format(mark=f"[{re.escape(dialect.grouping)}]") + f"|{digits}"
    decimal = re.escape(dialect.decimal)
    finite = rf"(?:(?:{whole})(?:{decimal}[0-9]*)?|{decimal}{digits})(?:[eE][+-]?{digits})?"
    return rf"[+-]?(?:{finite}|(?i:inf|infinity))"


def is_missing(cell: str) -> bool:
    """Return whether a cell is one of the usual spellings of a missing value."""
    return cell.strip().lower() in MISSING


def number_of(cell: str, dialect: Dialect) -> float:
    """Return the number that a cell holds; NaN where it is missing.

    Raises:
        DataError: it holds none, or an integer that float64 does not; without its place.

    >>> plain = dialect_of(b"a;b\\n1;2,5\\n", CsvOptions(), whole=True)
    >>> number_of("-1,5", plain), number_of("TRUE", plain), number_of("NA", plain)
    (-1.5, 1.0, nan)
    """
    text = cell.strip()
    lower = text.lower()
    if lower in MISSING:
        return math.nan
    if lower in _TRUTH:
        return _TRUTH[lower]
    if re.fullmatch(pattern_of(dialect), text):
        plain = text.translate(dict.fromkeys(map(ord, dialect.grouping)))
        if plain.lstrip("+-").isdigit():
            check_integer(int(plain))
        return float(plain.replace(dialect.decimal, "."))
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    raise DataError(f"{shown!r} is not a number{_hint(text, dialect)}")


def check_integer(value: int, place: str = "") -> None:
    """Raise a DataError, which begins with the place where one is given, for an integer that float64 does not hold."""
    if abs(value) > LARGEST_INTEGER:
        raise DataError(
            f"{place}{': ' if place else ''}the integer {value} is beyond 2**53, up to which float64 holds every "
            "integer: subtract an offset, or write it with decimals if rounding is meant"
        )


def _hint(text: str, dialect: Dialect) -> str:
    other = "," if dialect.decimal == "." else "."
    if text.endswith("%"):
        return "; write the share itself, such as 0.05 for 5%, or leave out the sign"
    if re.fullmatch(rf"[+-]?\d*{re.escape(other)}\d+", text):
        return f"; are decimals after {other!r}? Say decimal={other!r} (--decimal {other!r})"
    if re.fullmatch("[+-]?" + _GROUPED.format(mark=f"[{re.escape(THOUSANDS)}]") + ".*", text):
        return "; does it group thousands? Say by which character: thousands= (--thousands)"
    is_date = re.match(r"\d{1,4}([-/.])\d{1,2}\1\d", text)
    return TO_CATEGORY if is_date or any(map(str.isalpha, text)) else ""


def check_names(dialect: Dialect) -> None:
    """Raise a DataError unless the columns have names, a word of its own for each that has one."""
    names = dialect.names
    if dialect.header and all(map(is_number, names)):
        raise DataError(
            f"the first line should name the columns, but it holds numbers ({listing(names)}): if it is data, "
            "say header=False (--no-header)"
        )
    if not any(names):
        raise DataError("no column has a name")
    repeated = [name for name, count in Counter(filter(None, names)).items() if count > 1]
    if repeated:
        raise DataError(f"two columns have the same name: {listing([*map(repr, repeated)])}")


def wrong_width(row: int, cells: Sequence[str], names: Sequence[str]) -> str:
    """Say that a row has not a cell for each column."""
    return f"data row {row} has {len(cells)} values, but there are {len(names)} columns ({listing(names)})"


def rows_of(text: str, dialect: Dialect) -> Iterator[list[str]]:
    """Yield the cells of each row of data of a text."""
    return records_of(io.StringIO(text[dialect.skipped :], newline=""), dialect.delimiter)


def is_number(text: str) -> bool:
    """Return whether a name is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
