"""Opening a file to read it."""

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

# Without O_NONBLOCK, opening a FIFO waits for somebody who writes to it.
_FLAGS = os.O_RDONLY | sum(
    getattr(os, name, 0) for name in ("O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY")
)


def open_regular(path: str | Path) -> BufferedReader:
    """Open a regular file to read its bytes; symbolic links are followed.

    Raises:
        OSError: there is no such file; or it is a folder, a device, a FIFO or a socket, which may have no
            end or never begin.

    >>> open_regular("/dev/zero")
    Traceback (most recent call last):
    OSError: [Errno 22] not a regular file: '/dev/zero'
    """
    descriptor = os.open(path, _FLAGS)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise
