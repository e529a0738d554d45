"""Files whose bytes are the memory of tensors."""

import os
from typing import Any

import numpy as np


def mapped(filename: Any, shared: bool, length: int) -> np.ndarray:
    """The first bytes of a file, which are read when they are asked for.

    Args:
        filename: a path.
        shared: whether what is written to the array goes to the file, too. A shorter file grows.
        length: how many bytes.

    Raises:
        RuntimeError: the file cannot be opened, or is too short and not shared.
    """
    if not length:
        return np.empty(0, np.uint8)
    try:
        size = os.stat(filename).st_size
        if size < length and not shared:
            raise RuntimeError(
                f"file <{filename}> size <{size}> is smaller than the required mapping size <{length}>"
            )
        return np.memmap(filename, np.uint8, "r+" if shared else "c", shape=(length,)).view(
            np.ndarray
        )
    except OSError as error:
        how = "read-write" if shared else "read-only"
        raise RuntimeError(
            f"unable to open file <{filename}> in {how} mode: {os.strerror(error.errno or 0)} ({error.errno})"
        ) from error
