"""Arrays come back as NumPy wrote them; what is damaged, foreign or too large is refused before it is unpacked."""

import io
import os
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from funcgrad.files import ArchiveError, open_regular, read_archive
from funcgrad.files.archives import read_header
from tests.files.hostile import bomb, header, many_members, zipped

ARRAYS = {
    "a": np.arange(6.0).reshape(2, 3),
    "b": np.asfortranarray(np.arange(6, dtype=">i4").reshape(2, 3)),
    "c": np.asarray("text"),
    "d": np.empty((0, 2)),
}


def archived(save=np.savez, **arrays):
    file = io.BytesIO()
    save(file, **(arrays or ARRAYS))
    return file.getvalue()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_are_those_that_numpy_reads(save):
    content = archived(save)
    read = read_archive(io.BytesIO(content), limit=10_000)
    assert read.keys() == ARRAYS.keys()
    for name, array in np.load(io.BytesIO(content)).items():
        np.testing.assert_array_equal(read[name], array)
        assert read[name].dtype == array.dtype
        assert read[name].flags.writeable


def encrypted():
    content = bytearray(archived())
    at = content.rfind(b"PK\x01\x02")
    content[at + 8] |= 1
    return bytes(content)


def flipped():
    content = archived()
    at = content.find(ARRAYS["a"].tobytes())
    return content[: at + 20] + bytes([content[at + 20] ^ 64]) + content[at + 21 :]


REFUSED = {
    "noise": (lambda: b"noise" * 100, "no list of members"),
    "empty": (lambda: b"", "no list of members"),
    "cut": (lambda: archived()[:-30], "no list of members"),
    "one bit": (flipped, "Bad CRC-32 for file 'a.npy'"),
    "encrypted": (encrypted, "is encrypted"),
    "foreign": (lambda: zipped(("report.docx", b"text")), "'report.docx' is not an array"),
    "foreign, as an array": (lambda: zipped(("a.npy", b"text" * 9)), "magic string is not correct"),
    "lzma": (
        lambda: zipped(("a.npy", header((0,))), compression=zipfile.ZIP_LZMA),
        "compressed in a way",
    ),
    "twice": (
        lambda: zipped(("a.npy", header((0,))), ("b.npy", header((0,)))).replace(
            b"b.npy", b"a.npy"
        ),
        "same name",
    ),
    "objects": (lambda: archived(a=np.array([[], None], dtype=object)), "no plain values"),
    "bomb": (bomb, "unpacks to 67108992 bytes: 1000000 at most"),
    "bomb that lies": (lambda: bomb(declared=1000), "Bad CRC-32"),
    "too few bytes": (lambda: zipped(("a.npy", header((9,)))), "not as long as its header says"),
    "huge shape": (lambda: zipped(("a.npy", header((2**62, 4)))), "not as long as its header"),
    "negative shape": (lambda: zipped(("a.npy", header((-1, -8)))), "shape"),
    "nested": (
        lambda: zipped(("a.npy", b"\x93NUMPY\x01\x00\xff\x1f" + b"(" * 0x1FFF)),
        "multi-line statement|nested",
    ),
    "many": (lambda: many_members(3000), "488 at most"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_archive_of_arrays_is_refused_within_the_limit(case):
    make, message = REFUSED[case]
    content = make()
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveError, match=message):
            read_archive(io.BytesIO(content), limit=1_000_000)
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


def test_a_header_of_any_length_is_not_read():
    class Endless(io.BytesIO):
        def read(self, size=-1):
            assert 0 <= size < 20_000
            return super().read(size)

    content = b"\x93NUMPY\x02\x00" + struct.pack("<L", 2**31) + bytes(100)
    with pytest.raises(ArchiveError, match="a header of 2147483648 bytes"):
        read_header(Endless(content))


def test_every_bit_of_a_small_archive_may_flip_and_the_arrays_are_right_or_refused():
    """Some bits do not matter, such as those of a time stamp."""
    content = archived(a=np.arange(3.0), b=np.asarray("b"))
    for bit in range(0, len(content) * 8, 5):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        try:
            read = read_archive(io.BytesIO(changed), limit=10_000)
        except ArchiveError:
            continue
        if read.keys() == {"a", "b"}:
            np.testing.assert_array_equal(read["a"], np.arange(3.0))
            assert read["b"] == "b"


@pytest.mark.skipif(os.name == "nt", reason="POSIX's kinds of files")
@pytest.mark.parametrize("kind", ["fifo", "device", "folder"])
def test_only_regular_files_are_opened(tmp_path, kind):
    path = tmp_path / "file"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    with pytest.raises(OSError, match="directory" if kind == "folder" else "not a regular file"):
        open_regular(path)
