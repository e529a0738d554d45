"""`.npy` files and `.npz` archives, read in part.

They are read by position rather than mapped into memory: a mapped file that shrinks ends the process
with a bus error, and mapped pages count as the process's memory, whatever bound it was given.
"""

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, BinaryIO, NamedTuple

import numpy as np

from funcgrad.datasets.parts import Part, Span, check_integers, combine
from funcgrad.datasets.table import DataError, NoRowsError, listing
from funcgrad.files.archives import (
    ArchiveError,
    Header,
    begin_of,
    check_sum,
    doubted,
    members_of,
    read_header,
    unpacked,
)


class Stored(NamedTuple):
    """Where an array lies in a file, or in a member of an archive that is compressed.

    Attributes:
        offset: its first byte there.
        header: how to read it.
        member: the archive's member that it is.
    """

    offset: int
    header: Header
    member: zipfile.ZipInfo | None = None

    @property
    def is_compressed(self) -> bool:
        """Whether it can only be read from the beginning of its member."""
        return self.member is not None and self.member.compress_type != zipfile.ZIP_STORED

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
        self._is_compressed = any(stored.is_compressed for stored in arrays.values())
        if any(
            stored.offset + stored.header.nbytes > self.size
            for stored in arrays.values()
            if not stored.is_compressed
        ):
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
            raise NoRowsError("the arrays have no rows")
        self._unsure = {stored.member.filename for stored in arrays.values() if stored.member}

    def spans(self, rows: int, size: int) -> list[Span]:
        """Cut the part into spans of rows; one where each would be unpacked from the beginning."""
        assert self.rows is not None
        if self._is_compressed:
            return [Span(0, self.rows)]
        return [Span(start, min(start + rows, self.rows)) for start in range(0, self.rows, rows)]

    def rows_before(self, span: Span) -> int:
        """Return the span's first row."""
        return span.start

    def read(self, span: Span, columns: Sequence[str], rows: int) -> Iterator[np.ndarray]:
        """Yield the rows of a span, once the whole of their arrays has its checksum."""
        with self.open() as file:
            self._check_sums(file, columns)
            sources = self._sources(file, columns)
            for start in range(span.start, span.stop, rows):
                yield self._read(sources, start, min(start + rows, span.stop), columns)

    def _sources(self, file: BinaryIO, columns: Sequence[str]) -> dict[str, IO[bytes]]:
        """Return where to read each column: of a compressed one, a reader that goes on where it was."""
        opened: dict[object, IO[bytes]] = {}
        sources: dict[str, IO[bytes]] = {}
        for name in columns:
            stored, j = self._columns[name]
            if not stored.is_compressed:
                sources[name] = file
                continue
            assert stored.member is not None
            key = (stored.member.filename, j if stored.header.fortran else 0)
            if key not in opened:
                opened[key] = unpacked(file, stored.member)
            sources[name] = opened[key]
        return sources

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

    def _read(
        self, sources: Mapping[str, IO[bytes]], start: int, stop: int, columns: Sequence[str]
    ) -> np.ndarray:
        matrices: dict[int, np.ndarray] = {}
        taken = []
        for name in columns:
            (stored, j), file = self._columns[name], sources[name]
            if len(stored.shape) == 1 or stored.header.fortran:
                first = j * stored.shape[0] + start
                taken.append(self._numbers(file, stored, first, stop - start))
            else:
                width = stored.shape[1]
                if id(stored) not in matrices:
                    numbers = self._numbers(file, stored, start * width, (stop - start) * width)
                    matrices[id(stored)] = numbers.reshape(stop - start, width)
                taken.append(matrices[id(stored)][:, j])
            if name in self.levels:
                taken[-1] = self.levels[name].codes(taken[-1].tolist(), str(self.path))
            check_integers(f"{self.path}: column {name!r}", taken[-1])
        return combine(taken, stop - start)

    def _numbers(self, file: IO[bytes], stored: Stored, first: int, count: int) -> np.ndarray:
        wanted = count * stored.header.dtype.itemsize
        file.seek(stored.offset + first * stored.header.dtype.itemsize)
        with doubted():
            content = file.read(wanted)
        if len(content) < wanted:
            self.check_size()
            raise DataError(f"{self.path} ends early: {len(content)} of {wanted} bytes")
        return np.frombuffer(content, stored.header.dtype)


def _array(file: IO[bytes]) -> Stored:
    header = read_header(file)
    return Stored(file.tell(), header)


def _members(file: BinaryIO, memory: int) -> dict[str, Stored]:
    arrays = {}
    for member in members_of(file, memory=memory):
        name = member.filename.removesuffix(".npy")
        begin = begin_of(file, member)
        if member.compress_type == zipfile.ZIP_STORED:
            file.seek(begin)
            offset, header = _array(file)[:2]
        else:
            with doubted(), unpacked(file, member) as content:
                offset, header = _array(content)[:2]
            begin = 0
        if offset - begin + header.nbytes != member.file_size:
            raise ArchiveError(f"array {name!r} is not as long as its header says")
        arrays[name] = Stored(offset, header, member)
    if not arrays:
        raise DataError("the archive holds no arrays")
    lying = [stored.header.nbytes for stored in arrays.values() if not stored.is_compressed]
    if sum(lying) > file.seek(0, 2):
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
