"""NumPy's `.npy` and `.npz`, read with suspicion: nothing is believed before the file is known to hold it.

NumPy's own reader trusts the sizes in headers and archives, and reads headers of any
length. Here every size is checked against a bound, or against the file, before it is used.
"""

import io
import math
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import IO, BinaryIO, NamedTuple

import numpy as np

# NumPy refuses to parse longer ones, but reads them first.
_LONGEST_HEADER = 10_000
_PIECE = 1 << 20
# Python holds about this many bytes for each entry that a directory lists, in at least _ENTRY bytes.
_PER_MEMBER = 2048
_ENTRY = 46
# So many members are never too many.
_FEW = 64
_ENCRYPTED, _UTF8 = 0x1, 0x800
# More arrays than these are not read at once: their headers alone take minutes.
_MOST = 1 << 14


class ArchiveError(ValueError):
    """The content is not an array or an archive of arrays, or it is damaged, or larger than allowed."""


class Header(NamedTuple):
    """How an array lies in a file."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype

    @property
    def nbytes(self) -> int:
        """The bytes it takes, exactly: as a Python number, which does not wrap."""
        return math.prod(self.shape) * self.dtype.itemsize


@contextmanager
def doubted() -> Iterator[None]:
    """Turn whatever a parser raises into an ArchiveError.

    Parsers raise many kinds of errors on unexpected bytes: struct.error, KeyError, NotImplementedError,
    RuntimeError, zlib.error, ... Errors of the disk stay as they are.
    """
    try:
        yield
    except (ArchiveError, OSError):
        raise
    except Exception as error:
        raise ArchiveError(str(error) or type(error).__name__) from None


def read_header(file: IO[bytes]) -> Header:
    """Read the header of a `.npy`, up to the first byte of the array.

    Raises:
        ArchiveError: there is none, or it describes no array of plain values.
    """
    with doubted():
        version = np.lib.format.read_magic(file)
        size = {1: 2, 2: 4, 3: 4}.get(version[0])
        if size is None:
            raise ArchiveError(f"a header of version {version}")
        counted = file.read(size)
        length = int.from_bytes(counted, "little")
        if len(counted) < size or length > _LONGEST_HEADER:
            raise ArchiveError(f"a header of {length} bytes")
        found = _described(size, counted + file.read(length))
        if found.dtype.hasobject or not found.dtype.itemsize:
            raise ArchiveError(f"an array of {found.dtype}, which holds no plain values")
        if any(not isinstance(length, int) or length < 0 for length in found.shape):
            raise ArchiveError(f"an array of shape {found.shape}")
        return found


@lru_cache(maxsize=256)
def _described(size: int, header: bytes) -> Header:
    """The array that a header of a version describes. An archive may have many members with one header."""
    read = {2: np.lib.format.read_array_header_1_0, 4: np.lib.format.read_array_header_2_0}[size]
    return Header(*read(io.BytesIO(header)))


def members_of(file: BinaryIO, *, memory: int) -> list[zipfile.ZipInfo]:
    """Return the members of an archive of arrays.

    Args:
        file: the archive.
        memory: a bound, in bytes, on the list of members.

    Raises:
        ArchiveError: it is none, is damaged, or has members that no NumPy wrote, or too many.
    """
    with doubted():
        most = max(memory // _PER_MEMBER, _FEW)
        if _directory_bytes(file) > most * 2 * _ENTRY:
            raise ArchiveError(f"its list of members is too long: {most} at most")
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
    names = [member.filename for member in members]
    if len(names) > most:
        raise ArchiveError(f"it has {len(names)} members: {most} at most")
    if len(set(names)) < len(names):
        raise ArchiveError("two members have the same name")
    for member in members:
        name = repr(member.filename[:60])
        if not member.filename.endswith(".npy"):
            raise ArchiveError(f"member {name} is not an array")
        if member.flag_bits & _ENCRYPTED:
            raise ArchiveError(f"member {name} is encrypted")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ArchiveError(f"member {name} is compressed in a way that NumPy does not use")
    return members


def read_archive(file: BinaryIO, *, limit: int) -> dict[str, np.ndarray]:
    """Read all arrays of a `.npz`, checksums included.

    Args:
        file: the archive.
        limit: a bound, in bytes, on its unpacked size.

    Raises:
        ArchiveError: it is not an archive of arrays of plain values, is damaged, or exceeds the limit.

    >>> import io
    >>> file = io.BytesIO()
    >>> np.savez(file, a=np.arange(3))
    >>> read_archive(file, limit=10_000)
    {'a': array([0, 1, 2])}
    """
    arrays = {}
    members = members_of(file, memory=min(limit, _MOST * _PER_MEMBER))
    total = sum(member.file_size for member in members)
    if total > limit:
        raise ArchiveError(f"it unpacks to {total} bytes: {limit} at most")
    with doubted(), zipfile.ZipFile(file) as archive:
        for member in members:
            name = member.filename.removesuffix(".npy")
            with archive.open(member) as content:
                header = read_header(content)
                begin = content.tell()
                if begin + header.nbytes != member.file_size:
                    raise ArchiveError(f"array {name[:60]!r} is not as long as its header says")
                # Reading to the end compares the checksum. Without a number, all that a member unpacks
                # to is held, however short the archive says that it is.
                data = bytearray(content.read(header.nbytes))
            if len(data) != header.nbytes:
                raise ArchiveError(f"array {name[:60]!r} ends early")
            arrays[name] = np.ndarray(
                header.shape, header.dtype, data, order="F" if header.fortran else "C"
            )
    return arrays


def begin_of(file: BinaryIO, member: zipfile.ZipInfo) -> int:
    """Return where the content of a member begins."""
    # The local header's lengths, at bytes 26 and 28, may differ from the directory's.
    file.seek(member.header_offset)
    local = file.read(30)
    if len(local) < 30 or not local.startswith(b"PK\x03\x04"):
        raise ArchiveError(f"member {member.filename[:60]!r} is not where the archive says")
    name, extra = struct.unpack("<HH", local[26:])
    if file.read(name) != member.orig_filename.encode(_encoding(member)):
        raise ArchiveError(f"member {member.filename[:60]!r} has another name where it lies")
    return int(member.header_offset + 30 + name + extra)


def _encoding(member: zipfile.ZipInfo) -> str:
    return "utf-8" if member.flag_bits & _UTF8 else "cp437"


def unpacked(file: BinaryIO, member: zipfile.ZipInfo) -> IO[bytes]:
    """Return the content of a member, to be read from its beginning; the file stays the caller's."""
    return zipfile.ZipFile(file).open(member)


def check_sum(file: BinaryIO, member: zipfile.ZipInfo) -> None:
    """Read a member, a piece at a time.

    Raises:
        ArchiveError: its bytes are not those that were written.
    """
    left, crc = member.file_size, 0
    with doubted():
        content: IO[bytes] = file
        file.seek(begin_of(file, member))
        if member.compress_type != zipfile.ZIP_STORED:
            content = unpacked(file, member)
        while left and (piece := content.read(min(left, _PIECE))):
            left, crc = left - len(piece), zlib.crc32(piece, crc)
    if left or crc != member.CRC:
        name = member.filename.removesuffix(".npy")
        raise ArchiveError(f"array {name[:60]!r} is damaged: its checksum does not fit")


def _directory_bytes(file: BinaryIO) -> int:
    """Return how long an archive's list of members says it is.

    Source: PKWARE's APPNOTE.TXT, 4.3.14 to 4.3.16: the end of central directory record, and ZIP64's.
    """
    size = file.seek(0, 2)
    tail_from = max(0, size - (1 << 16) - 22)
    file.seek(tail_from)
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < 22:
        raise ArchiveError("there is no list of members at its end")
    (length,) = struct.unpack_from("<L", tail, at + 12)
    locator = tail.rfind(b"PK\x06\x07", 0, at)
    if locator >= 0:
        (record,) = struct.unpack_from("<Q", tail, locator + 8)
        file.seek(record)
        wide = file.read(56)
        if wide.startswith(b"PK\x06\x06") and len(wide) == 56:
            length = max(length, struct.unpack_from("<Q", wide, 40)[0])
    return int(length)
