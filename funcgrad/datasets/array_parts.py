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
from funcgrad.datasets.table import DataError


class Stored(NamedTuple):
    """Where an array lies in a file: its first byte, and the header that says how to read it."""

    offset: int
    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype

    @property
    def nbytes(self) -> int:
        """The bytes it takes."""
        return int(np.prod(self.shape)) * self.dtype.itemsize


class ArrayPart(Part):
    """A matrix in a `.npy` file, or `x` and `y` or one vector for each column in a `.npz` archive.

    The columns of a matrix are named x0, x1, ...
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        try:
            with path.open("rb") as file:
                arrays = _members(file) if path.suffix.lower() == ".npz" else {"x": _header(file)}
        except (ValueError, EOFError, zipfile.BadZipFile, UnicodeDecodeError) as error:
            raise DataError(f"not an array that NumPy saved: {error}") from None
        _check(arrays, archive=path.suffix.lower() == ".npz")
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
        if any(stored.offset + stored.nbytes > self.size for stored in arrays.values()):
            raise DataError(f"the file ends early: {self.size} bytes do not hold the array")

    def spans(self, rows: int, size: int) -> list[Span]:
        """Cut the part into spans of rows."""
        assert self.rows is not None
        return [Span(start, min(start + rows, self.rows)) for start in range(0, self.rows, rows)]

    def rows_before(self, span: Span) -> int:
        """Return the span's first row."""
        return span.start

    def read(self, span: Span, columns: Sequence[str], rows: int) -> Iterator[np.ndarray]:
        """Yield the rows of a span."""
        with self.open() as file:
            for start in range(span.start, span.stop, rows):
                yield self._read(file, start, min(start + rows, span.stop), columns)

    def _read(self, file: BinaryIO, start: int, stop: int, columns: Sequence[str]) -> np.ndarray:
        matrices: dict[int, np.ndarray] = {}
        taken = []
        for stored, j in (self._columns[name] for name in columns):
            if len(stored.shape) == 1 or stored.fortran:
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
        wanted = count * stored.dtype.itemsize
        file.seek(stored.offset + first * stored.dtype.itemsize)
        content = file.read(wanted)
        if len(content) < wanted:
            self.check_size()
            raise DataError(f"{self.path} ends early: {len(content)} of {wanted} bytes")
        return np.frombuffer(content, stored.dtype)


def _header(file: BinaryIO) -> Stored:
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    else:
        shape, fortran, dtype = np.lib.format.read_array_header_2_0(file)
    return Stored(file.tell(), shape, fortran, dtype)


def _members(file: BinaryIO) -> dict[str, Stored]:
    arrays = {}
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            if member.compress_type != zipfile.ZIP_STORED:
                raise DataError(
                    f"array {member.filename.removesuffix('.npy')!r} is compressed, so it cannot be "
                    "read in part: save it with numpy.savez instead of numpy.savez_compressed"
                )
            # The local header's lengths, at bytes 26 and 28, may differ from the directory's.
            file.seek(member.header_offset + 26)
            name, extra = np.frombuffer(file.read(4), "<u2").tolist()
            file.seek(member.header_offset + 30 + name + extra)
            arrays[member.filename.removesuffix(".npy")] = _header(file)
    if not arrays:
        raise DataError("the archive holds no arrays")
    return arrays


def _check(arrays: dict[str, Stored], *, archive: bool) -> None:
    for name, stored in arrays.items():
        if stored.dtype.kind not in "fiub":
            raise DataError(f"array {name!r} holds {stored.dtype}, not real numbers")
    shapes = {name: stored.shape for name, stored in arrays.items()}
    listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
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
