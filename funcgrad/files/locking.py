"""Keeping a second process from work that only one may do."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None  # type: ignore[assignment]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock by the name of a file of its own, which is there as long as the block lasts.

    The system lets go of it when the process ends, however that happens. Where files cannot be locked, or
    the folder not be written to, nothing is held.

    Raises:
        BlockingIOError: another process holds it.
    """
    descriptor = None
    if fcntl is not None:
        try:
            descriptor = _lock(path)
        except BlockingIOError:
            raise
        except OSError:
            descriptor = None
    try:
        yield
    finally:
        if descriptor is not None:
            with suppress(FileNotFoundError):
                path.unlink()
            os.close(descriptor)


def _lock(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The process that held it before may have removed the file since it was opened here.
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
