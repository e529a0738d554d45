"""Checkpoints: a run's arrays in one file that is whole or not there, with the one before it kept.

The loop that saves the arrays knows their meaning. Here they are written so that one readable file is left,
even if the process is killed or the disk is full at any moment.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import ArrayLike

from funcgrad.files import (
    ArchiveError,
    locked,
    open_regular,
    read_archive,
    remove_leftovers,
    replacing,
)

_MAGIC = b"funcgrad checkpoint 1\n"
_IDENTITY = "identity"
_LONGEST_VALUE = 200
# For the archive's list of members, which takes more room in memory than in the file.
_DIRECTORY = 1 << 24


class CheckpointError(Exception):
    """No checkpoint can be used; the message says why for each there is."""


class CheckpointWarning(RuntimeWarning):
    """A checkpoint could not be written, or could not be used and the one before it was."""


class Checkpoint:
    """Where a run saves itself, and how often.

    The file holds a line that names the format, the SHA-256 of the rest, and a NumPy `.npz` archive.
    It is written beside its place, synced, and moved there; the one it replaces stays as
    `PATH.previous`. A path that is a symbolic link to a file stands for that file.

    >>> import tempfile
    >>> import numpy as np
    >>> from funcgrad.training import Checkpoint
    >>> checkpoint = Checkpoint(tempfile.mkdtemp() + "/run", seconds=60)
    >>> checkpoint.save({"weights": np.ones(2), "step": 7}, {"seed": 0})
    True
    >>> checkpoint.load({"seed": 0})["step"]
    array(7)
    """

    def __init__(self, path: str | Path, *, seconds: float = 30.0) -> None:
        """Name the file; nothing is written yet.

        Args:
            path: the file. Its folder must exist.
            seconds: the least time between two saves.
        """
        if not seconds >= 0:
            raise ValueError(f"seconds must be 0 or more, got {seconds!r}")
        self.path = Path(path)
        if self.path.is_symlink() and self.path.exists():
            self.path = Path(os.path.realpath(path))
        self.previous = self.path.with_name(self.path.name + ".previous")
        self.seconds = seconds
        self._last = time.monotonic()

    def due(self) -> bool:
        """Return whether it is time to save again."""
        return time.monotonic() - self._last >= self.seconds

    def save(self, arrays: Mapping[str, ArrayLike], identity: Mapping[str, Any]) -> bool:
        """Write the arrays; return whether that went well.

        Args:
            arrays: what to save, by name.
            identity: what tells this run from others, as JSON values.

        Warns:
            CheckpointWarning: if it cannot be written, such as to a full disk. The ones before stay.
        """
        try:
            with replacing(self.path, keep=self.previous) as file:
                file.write(_packed(arrays, identity))
        except OSError as error:
            message = f"checkpoint {self.path} was not written: {error.strerror or error}"
            warnings.warn(message, CheckpointWarning, stacklevel=2)
            self._last = time.monotonic()
            return False
        self._last = time.monotonic()
        return True

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other runs from this checkpoint while the block lasts, by the file `PATH.lock`.

        Raises:
            CheckpointError: another run holds it.
        """
        try:
            with locked(self.path.with_name(self.path.name + ".lock")):
                yield
        except BlockingIOError:
            raise CheckpointError(
                f"another run is using the checkpoint {self.path}: wait for it, or name another"
            ) from None

    def exists(self) -> bool:
        """Return whether there is a checkpoint, of whatever kind."""
        return self.path.exists() or self.previous.exists()

    def load(self, identity: Mapping[str, Any]) -> dict[str, np.ndarray] | None:
        """Return the arrays last saved by a run of this identity; None if nothing was ever saved.

        Raises:
            CheckpointError: if there are checkpoints, and none that this run wrote and that is whole.

        Warns:
            CheckpointWarning: if the last one cannot be used and the one before it is.
        """
        usable, refused = self.read(identity)
        if refused and not usable:
            raise CheckpointError("; ".join(refused))
        if refused and refused[0].startswith(f"{self.path}: "):
            message = f"{refused[0]}; going on from the one before, {self.previous}"
            warnings.warn(message, CheckpointWarning, stacklevel=2)
        return usable[0] if usable else None

    def read(self, identity: Mapping[str, Any]) -> tuple[list[dict[str, np.ndarray]], list[str]]:
        """Return the usable checkpoints, the last saved first, and why any other is not."""
        usable, refused = [], []
        for path in (self.path, self.previous):
            try:
                with open_regular(path) as file:
                    usable.append(_unpacked(file.read(), identity))
            except FileNotFoundError:
                continue
            except OSError as error:
                refused.append(f"{path}: {error.strerror or error}")
            except CheckpointError as error:
                refused.append(f"{path}: {error}")
        return usable, refused

    def of_process(self, index: int, count: int) -> Checkpoint:
        """Return the checkpoint that one of several processes writes."""
        name = f"{self.path.name}.{index}-of-{count}"
        return Checkpoint(self.path.with_name(name), seconds=self.seconds)

    def remove(self) -> None:
        """Delete the checkpoint, the one before it, and the leftovers of one that was never finished."""
        self.path.unlink(missing_ok=True)
        self.previous.unlink(missing_ok=True)
        remove_leftovers(self.path)


def _packed(arrays: Mapping[str, ArrayLike], identity: Mapping[str, Any]) -> bytes:
    archive = io.BytesIO()
    described = np.frombuffer(json.dumps(identity).encode(), np.uint8)
    named: dict[str, Any] = {_IDENTITY: described, **arrays}
    np.savez(archive, **named)
    content = archive.getvalue()
    return _MAGIC + hashlib.sha256(content).digest() + content


def _unpacked(content: bytes, identity: Mapping[str, Any]) -> dict[str, np.ndarray]:
    if not content.startswith(_MAGIC):
        whole = len(content) >= len(_MAGIC)
        raise CheckpointError("not a funcgrad checkpoint" if whole else "it is truncated")
    digest, archive = content[len(_MAGIC) :][:32], content[len(_MAGIC) + 32 :]
    if hashlib.sha256(archive).digest() != digest:
        raise CheckpointError("it is truncated or damaged")
    try:
        # They are stored as they are, so they are no larger than the file.
        arrays = read_archive(io.BytesIO(archive), limit=len(content) + _DIRECTORY)
        saved = json.loads(arrays.pop(_IDENTITY).tobytes())
    except (ArchiveError, KeyError, ValueError) as error:
        raise CheckpointError(f"it is damaged: {error}") from None
    if not isinstance(saved, dict):
        raise CheckpointError("it is damaged: it does not tell of which run it is")
    wanted = json.loads(json.dumps(identity))
    for name, there, here in _differences(saved, wanted):
        raise CheckpointError(
            f"it is of another run: there, {name} is {_short(there)}; here, {_short(here)}"
        )
    return arrays


def _differences(
    saved: Mapping[str, Any], wanted: Mapping[str, Any], within: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """Yield each difference: its name, and both values."""
    for key in {**saved, **wanted}:
        name, there, here = f"{within}{key}", saved.get(key), wanted.get(key)
        if isinstance(there, dict) and isinstance(here, dict):
            yield from _differences(there, here, f"{name}, ")
        elif there != here:
            yield name, there, here


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."
