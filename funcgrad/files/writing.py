"""The one way in which this package writes a file: whole or not at all, and never over a file that it reads."""

import errno
import glob
import os
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL
_NEW |= sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_CLOEXEC", "O_BINARY"))
_TOKEN = 8


class OverlapError(ValueError):
    """A command would write over a file that it reads, or write one file twice."""


@contextmanager
def replacing(path: str | Path, *, keep: str | Path | None = None) -> Iterator[BinaryIO]:
    """Give a file to write to, which takes the place of `path` when the block ends without an error.

    The new content goes to a file of its own beside the target, `NAME.*.partial`, which is created there and
    then, synced, and moved into place. So at any moment the target has its old content or all of the new. An
    error leaves no trace; a process that is killed may leave the `.partial` file, which may be
    deleted.

    A symbolic link is followed: the file that it names is replaced, and the link stays. A link to nothing is
    refused. A character device or a FIFO, such as `/dev/null`, is written to and stays. Everything else
    that is no regular file is refused, and so is a file that may not be written to.

    Args:
        path: the target.
        keep: where to move the old file at `path`. Then `path` must be a regular file, or not exist.

    Raises:
        OSError: the target is refused, or cannot be written.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "numbers"
    >>> with replacing(path) as file:
    ...     _ = file.write(b"1 2 3")
    >>> path.read_bytes(), len(list(path.parent.iterdir()))
    (b'1 2 3', 1)
    """
    path = target_of(Path(path))
    if is_special(path):
        if keep is not None:
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        with open(path, "wb", opener=lambda name, _: os.open(name, os.O_WRONLY)) as file:
            yield file
        return
    beside = path.with_name(f"{path.name}.{secrets.token_hex(_TOKEN)}.partial")
    descriptor = os.open(beside, _NEW, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, beside)
            if keep is not None:
                os.replace(path, keep)
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def remove_leftovers(path: Path) -> None:
    """Delete the files that killed processes left beside a target; nobody may be writing it now."""
    pattern = f"{glob.escape(path.name)}.{'[0-9a-f]' * 2 * _TOKEN}.partial"
    for leftover in path.parent.glob(pattern):
        leftover.unlink(missing_ok=True)


def is_special(path: str | Path) -> bool:
    """Return whether there is something that is written to rather than replaced: a device or a FIFO."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return False
    return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)


def refuse_overlap(outputs: Mapping[str, Path], inputs: Iterable[Path]) -> None:
    """Refuse to write over a file that is read, or to one file twice, by whatever names and links.

    Args:
        outputs: the files to write, by how the message calls them.
        inputs: the files and folders to read. Nothing is written into such a folder.

    Raises:
        OverlapError: naming the output.
    """
    taken: dict[object, str] = {}
    for name, path in outputs.items():
        if is_special(path):
            continue
        for key in _keys(path):
            if taken.setdefault(key, name) != name:
                raise OverlapError(f"{name} {path} is also {taken[key]}: name another file")
    real = {name: Path(os.path.realpath(path)) for name, path in outputs.items()}
    for path in inputs:
        if path.is_dir():
            folder = Path(os.path.realpath(path))
            for name, output in real.items():
                if output.is_relative_to(folder):
                    raise OverlapError(f"{name} {outputs[name]} lies in {path}, which is read")
            continue
        for key in _keys(path):
            if key in taken:
                name = taken[key]
                raise OverlapError(f"{name} {outputs[name]} is {path}, which is read")


def _keys(path: Path) -> list[object]:
    """Return what tells a file from all others: its real path, and where it exists its inode."""
    keys: list[object] = [os.path.realpath(path)]
    if path.exists():
        status = path.stat()
        if status.st_ino:
            keys.append((status.st_dev, status.st_ino))
    return keys


def target_of(path: Path) -> Path:
    """Return the path to write to, which is the file's own where a link is given.

    Raises:
        OSError: the path can neither be replaced nor written to.
    """
    if path.is_symlink():
        if not path.exists():
            raise OSError(errno.ELOOP, "a symbolic link to nothing", str(path))
        path = Path(os.path.realpath(path)) if not is_special(path) else path
    if not path.exists() or is_special(path):
        return path
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not path.is_file():
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    if not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    return path


def _sync_folder(folder: Path) -> None:
    """Make the move last through a power cut, where the system lets a folder be synced."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
