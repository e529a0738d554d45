"""A file is written whole or not at all, beside its place; links, devices and folders are not replaced."""

import errno
import os
import stat
import threading

import pytest

from funcgrad.files import refuse_overlap, replacing

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX's kinds of files")


def write(path, content=b"new", **options):
    with replacing(path, **options) as file:
        file.write(content)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_old_content_stays_until_the_new_is_whole(tmp_path):
    path = tmp_path / "out"
    path.write_bytes(b"old")
    with replacing(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(errno.ENOSPC, "full"), ValueError])
def test_an_error_leaves_no_trace(tmp_path, error):
    path = tmp_path / "out"
    path.write_bytes(b"old")
    with pytest.raises(type(error) if isinstance(error, Exception) else error), replacing(path):
        raise error
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["out"]


def test_the_one_before_is_kept_where_asked(tmp_path):
    path, keep = tmp_path / "out", tmp_path / "kept"
    write(path, b"1", keep=keep)
    assert not keep.exists()
    write(path, b"2", keep=keep)
    assert (path.read_bytes(), keep.read_bytes()) == (b"2", b"1")


def test_a_link_is_followed_and_stays(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    target, link = tmp_path / "elsewhere" / "out", tmp_path / "link"
    target.write_bytes(b"old")
    link.symlink_to(target)
    write(link)
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert names(tmp_path / "elsewhere") == ["out"]


def test_a_planted_link_is_not_followed(tmp_path, monkeypatch):
    """Beside the target, whatever lies at the name that is drawn."""
    monkeypatch.setattr("secrets.token_hex", lambda size: "drawn")
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / "out.drawn.partial").symlink_to(victim)
    with pytest.raises(FileExistsError):
        write(tmp_path / "out")
    assert victim.read_bytes() == b"precious"


def test_the_mode_of_the_file_replaced_stays(tmp_path):
    path = tmp_path / "out"
    path.write_bytes(b"old")
    path.chmod(0o640)
    write(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_device_is_written_to_and_stays():
    write("/dev/null")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_a_fifo_is_written_to_and_stays(tmp_path):
    fifo, read = tmp_path / "fifo", []
    os.mkfifo(fifo)
    reader = threading.Thread(target=lambda: read.append(fifo.read_bytes()))
    reader.start()
    write(fifo)
    reader.join()
    assert read == [b"new"]
    assert stat.S_ISFIFO(fifo.stat().st_mode)


def make(kind, path):
    if kind == "folder":
        path.mkdir()
    elif kind == "link to nothing":
        path.symlink_to(path.with_name("nothing"))
    elif kind == "socket":
        os.mknod(path, stat.S_IFSOCK | 0o600)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("folder", "Is a directory"),
        ("link to nothing", "a symbolic link to nothing"),
        ("socket", "not a regular file"),
    ],
)
def test_other_kinds_are_refused(tmp_path, kind, message):
    make(kind, tmp_path / "out")
    before = os.lstat(tmp_path / "out")
    with pytest.raises(OSError, match=message):
        write(tmp_path / "out")
    assert os.path.samestat(os.lstat(tmp_path / "out"), before)
    assert names(tmp_path) == ["out"]


def test_a_device_cannot_be_kept_aside(tmp_path):
    with pytest.raises(OSError, match="not a regular file"):
        write("/dev/null", keep=tmp_path / "kept")


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("data", "--out .* is .*data, which is read"),
        ("link", "--out .* is .*data, which is read"),
        ("hard", "--out .* is .*data, which is read"),
        ("up/../data", "--out .* is .*data, which is read"),
        ("folder/new", "--out .* lies in .*folder, which is read"),
        ("to-folder/new", "--out .* lies in .*folder, which is read"),
        ("run", "--checkpoint .* is also --out"),
        ("./run", "--checkpoint .* is also --out"),
    ],
)
def test_a_file_that_is_read_or_written_already_is_refused(tmp_path, out, message):
    (tmp_path / "data").write_bytes(b"1")
    (tmp_path / "link").symlink_to("data")
    (tmp_path / "up").mkdir()
    (tmp_path / "folder").mkdir()
    (tmp_path / "to-folder").symlink_to("folder")
    os.link(tmp_path / "data", tmp_path / "hard")
    outputs = {"--out": tmp_path / out, "--checkpoint": tmp_path / "run"}
    inputs = [tmp_path / "data", tmp_path / "folder"]
    with pytest.raises(ValueError, match=message):
        refuse_overlap(outputs, inputs)
    refuse_overlap(outputs | {"--out": tmp_path / "fresh"}, inputs)
    refuse_overlap({"--out": tmp_path / "/dev/null"}, inputs)
