"""`.npy` files and `.npz` archives, read in part.

They are read by position rather than mapped into memory: a mapped file that shrinks ends the process
with a bus error, and mapped pages count as the process's memory, whatever bound it was given.
"""

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from funcgrad.datasets.parts import Part, Span, combine
from funcgrad.datasets.table import DataError, listing
from funcgrad.files.archives import (
    ArchiveError,
    Header,
    begin_of,
    check_sum,
    members_of,
    read_header,
)


class Stored(NamedTuple):
    """Where an array lies in a file: its first byte, how to read it, and the archive's member it is."""

    offset: int
    header: Header
    member: zipfile.ZipInfo | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array."""
        return self.header.shape


class ArrayPart(Part):
    """A matrix in a `.npy` file, or `x` and `y` or one vector for each column in a `.npz` archive.

    The columns of a matrix are named x0, x1, ...
    """

    def __init__(self, path: Path, memory: int) -> None:
        super().__init__(path, memory)
        archive = path.suffix.lower() == ".npz"
        try:
            with self.open() as file:
                arrays = _members(file, memory) if archive else {"x": _array(file)}
        except ArchiveError as error:
            raise DataError(f"not an array that NumPy saved: {error}") from None
        _check(arrays, archive=archive)
        if any(stored.offset + stored.header.nbytes > self.size for stored in arrays.values()):
            raise DataError(f"the file ends early: {self.size} bytes do not hold the array")
        self.check_width(
            sum(array.shape[1] if len(array.shape) == 2 else 1 for array in arrays.values())
        )
        self._columns: dict[str, tuple[Stored, int]] = {}
        for name, stored in arrays.items():
            if name == "x" and len(stored.shape) == 2:
                self._columns |= {f"x{j}": (stored, j) for j in range(stored.shape[1])}
            else:
                self._columns[name] = (stored, 0)
        self.names = tuple(self._columns)
        self.rows = next(iter(arrays.values())).shape[0]
        if not self.rows:
            raise DataError("the arrays have no rows")
        self._unsure = {stored.member.filename for stored in arrays.values() if stored.member}

    def spans(self, rows: int, size: int) -> list[Span]:
        """Cut the part into spans of rows."""
        assert self.rows is not None
        return [Span(start, min(start + rows, self.rows)) for start in range(0, self.rows, rows)]

    def rows_before(self, span: Span) -> int:
        """Return the span's first row."""
        return span.start

    def read(self, span: Span, columns: Sequence[str], rows: int) -> Iterator[np.ndarray]:
        """Yield the rows of a span, once the whole of their arrays has its checksum."""
        with self.open() as file:
            self._check_sums(file, columns)
            for start in range(span.start, span.stop, rows):
                yield self._read(file, start, min(start + rows, span.stop), columns)

    def _check_sums(self, file: BinaryIO, columns: Sequence[str]) -> None:
        for stored in {
            id(stored): stored for stored, _ in (self._columns[name] for name in columns)
        }.values():
            if stored.member is None or stored.member.filename not in self._unsure:
                continue
            try:
                check_sum(file, stored.member)
            except ArchiveError as error:
                raise DataError(f"{self.path}: {error}") from None
            self._unsure.discard(stored.member.filename)

    def _read(self, file: BinaryIO, start: int, stop: int, columns: Sequence[str]) -> np.ndarray:
        matrices: dict[int, np.ndarray] = {}
        taken = []
        for stored, j in (self._columns[name] for name in columns):
            if len(stored.shape) == 1 or stored.header.fortran:
                first = j * stored.shape[0] + start
                taken.append(self._numbers(file, stored, first, stop - start))
                continue
            width = stored.shape[1]
            if stored.offset not in matrices:
                numbers = self._numbers(file, stored, start * width, (stop - start) * width)
                matrices[stored.offset] = numbers.reshape(stop - start, width)
            taken.append(matrices[stored.offset][:, j])
        return combine(taken, stop - start)

    def _numbers(self, file: BinaryIO, stored: Stored, first: int, count: int) -> np.ndarray:
        wanted = count * stored.header.dtype.itemsize
        file.seek(stored.offset + first * stored.header.dtype.itemsize)
        content = file.read(wanted)
        if len(content) < wanted:
            self.check_size()
            raise DataError(f"{self.path} ends early: {len(content)} of {wanted} bytes")
        return np.frombuffer(content, stored.header.dtype)


def _array(file: BinaryIO) -> Stored:
    header = read_header(file)
    return Stored(file.tell(), header)


def _members(file: BinaryIO, memory: int) -> dict[str, Stored]:
    arrays = {}
    for member in members_of(file, memory=memory):
        name = member.filename.removesuffix(".npy")
        if member.compress_type != zipfile.ZIP_STORED:
            raise DataError(
                f"array {name!r} is compressed, so it cannot be read in part: save it with "
                "numpy.savez instead of numpy.savez_compressed"
            )
        begin = begin_of(file, member)
        file.seek(begin)
        offset, header = _array(file)[:2]
        if offset - begin + header.nbytes != member.file_size:
            raise ArchiveError(f"array {name!r} is not as long as its header says")
        arrays[name] = Stored(offset, header, member)
    if not arrays:
        raise DataError("the archive holds no arrays")
    if sum(stored.header.nbytes for stored in arrays.values()) > file.seek(0, 2):
        raise ArchiveError("its arrays lie in one another")
    return arrays


def _check(arrays: dict[str, Stored], *, archive: bool) -> None:
    for name, stored in arrays.items():
        dtype = stored.header.dtype
        if dtype.kind not in "fiub":
            raise DataError(f"array {name!r} holds {dtype}, not real numbers")
    shapes = {name: stored.shape for name, stored in arrays.items()}
    listed = listing([f"{name} {shape}" for name, shape in shapes.items()])
    if not archive:
        if len(shapes["x"]) != 2:
            raise DataError(f"the array should have shape (rows, columns), not {shapes['x']}")
        return
    matrix = len(shapes.get("x", ())) == 2 and set(shapes) == {"x", "y"}
    if matrix and shapes["y"] in {(shapes["x"][0],), (shapes["x"][0], 1)}:
        return
    if any(len(shape) != 1 for shape in shapes.values()) or len(set(shapes.values())) > 1:
        raise DataError(
            "the arrays should be x (rows, features) and y (rows), or vectors of one length; "
            f"here they are: {listed}"
        )
