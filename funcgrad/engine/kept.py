"""Traces and kernels are kept on disk between processes: a script's second run traces nothing that its first did.

An entry is a file of the user's cache directory, in a folder for this version of the library, of Python, JAX and NumPy. Only
the user can have written it: a folder of somebody else's, or that others may write to, is left alone. If anything goes wrong
with a file, the engine goes on as if there were none. FUNCGRAD_CACHE=off keeps nothing; FUNCGRAD_CACHE=PATH keeps it there.
"""

import atexit
import hashlib
import os
import pickle
import shutil
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import jax
import jaxlib
import numpy as np

from funcgrad.engine.fingerprints import LIBRARY

# Files in a folder, and folders: the oldest go first. An entry takes some 2 KB. Entries that wait to be written.
MOST_FILES, MOST_FOLDERS, MOST_WAITING = 4096, 4, 256
MISSING: Any = object()


class Kept:
    """The entries on disk, by text; `engine.kept.kept` is the one instance.

    Args:
        where: FUNCGRAD_CACHE: "off", the path of a folder, or nothing for the user's cache directory.
    """

    def __init__(self, where: str) -> None:
        self._where = where
        self._folder: Path | None = None
        self._looked = where == "off"
        self._waiting: dict[str, Any] = {}
        self._lock = threading.Lock()

    @property
    def folder(self) -> Path | None:
        """The folder for this version; None where nothing is kept."""
        if not self._looked:
            with suppress(OSError, RuntimeError):  # a user without a home has no cache
                self._folder = _own_folder(Path(self._where) if self._where else _user_cache())
            self._looked = True
        return self._folder

    def find(self, key: str) -> Any:
        """The thing that was kept by this key; `MISSING` if there is none."""
        if self.folder is None:
            return MISSING
        try:
            with open(self._file(key), "rb") as file:
                written_by, thing = pickle.load(file)
        except Exception:  # no file, half a file, or not a pickle
            return MISSING
        return thing if written_by == key else MISSING

    def put(self, key: str, thing: Any) -> None:
        """Keep a thing by a key. It is written when many wait, and when the process ends."""
        if self.folder is None:
            return
        self._waiting[key] = thing
        if len(self._waiting) >= MOST_WAITING:
            self.write()

    def write(self) -> None:
        """Write what waits."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        folder = self.folder
        if folder is None or not waiting:
            return
        with suppress(OSError):
            for key, thing in waiting.items():
                try:
                    text = pickle.dumps((key, thing), pickle.HIGHEST_PROTOCOL)
                except Exception:  # it holds something that cannot be written
                    continue
                file = self._file(key)
                new = f"{file}.{os.getpid()}"
                with open(new, "wb") as opened:
                    opened.write(text)
                os.replace(new, file)
            _remove_oldest(list(folder.iterdir()), MOST_FILES)

    def _file(self, key: str) -> str:
        return f"{self._folder}/{hashlib.sha256(key.encode()).hexdigest()[:32]}"


def _user_cache() -> Path:
    """The user's cache directory, as each system has it."""
    given = os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME")
    if given:
        return Path(given) / "funcgrad"
    return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "funcgrad"


def _own_folder(cache: Path) -> Path:
    """The folder for this version, made if need be, and none but the user's own.

    Raises:
        PermissionError: it is another user's, or others may write to it.
    """
    folder = cache / _version()
    made = not folder.exists()
    cache.parent.mkdir(parents=True, exist_ok=True)
    for each in (cache, folder):
        each.mkdir(mode=0o700, exist_ok=True)
        found = each.stat()
        if hasattr(os, "getuid") and (found.st_uid != os.getuid() or found.st_mode & 0o022):
            raise PermissionError(f"{each} may be written to by others")
    if made:
        _remove_oldest([each for each in cache.iterdir() if each != folder], MOST_FOLDERS - 1)
    return folder


def _remove_oldest(paths: list[Path], most: int) -> None:
    if len(paths) <= most:
        return
    # Down to three quarters, so that the next entries remove nothing.
    for each in sorted(paths, key=_time)[: len(paths) - 3 * most // 4]:
        with suppress(OSError):
            if each.is_dir():
                shutil.rmtree(each)
            else:
                each.unlink()


def _time(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # another process removed it
        return 0.0


def _version() -> str:
    """A text for all that kernels follow from besides their ops: the library's own code, and the packages it stands on."""
    code: list[Any] = [
        sys.version,
        sys.byteorder,
        jax.__version__,
        jaxlib.__version__,
        np.__version__,
    ]
    code += [(name, str(value)) for name, value in sorted(jax.config.values.items())]
    folders = [LIBRARY]
    while folders:
        with os.scandir(folders.pop()) as found:
            for each in found:
                if each.name.endswith(".py"):
                    about = each.stat()
                    code.append((each.path, about.st_size, about.st_mtime_ns))
                elif each.is_dir() and each.name != "__pycache__":
                    folders.append(each.path)
    return hashlib.sha256(repr(sorted(map(repr, code))).encode()).hexdigest()[:16]


kept = Kept(os.environ.get("FUNCGRAD_CACHE", ""))
atexit.register(kept.write)
