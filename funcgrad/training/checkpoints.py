"""Checkpoints: a run's arrays in one file that is whole or not there, with the one before it kept.

What the arrays mean is for the loop that saves them; here they are written so that a process killed, or a
disk full, at any moment leaves one that can be read.
"""

import hashlib
import io
import json
import os
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import ArrayLike

_MAGIC = b"funcgrad checkpoint 1\n"
_IDENTITY = "identity"


class CheckpointError(Exception):
    """No checkpoint can be used; the message says why for each there is."""


class CheckpointWarning(RuntimeWarning):
    """A checkpoint could not be written, or could not be used and the one before it was."""


class Checkpoint:
    """Where a run saves itself, and how often.

    The file holds a line that names the format, the SHA-256 of what follows, and a NumPy `.npz` archive.
    It is written beside its place, synced, and moved there; the one it replaces stays as
    `PATH.previous`.

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
        partial = self.path.with_name(self.path.name + ".partial")
        try:
            with partial.open("wb") as file:
                file.write(_packed(arrays, identity))
                file.flush()
                os.fsync(file.fileno())
            if self.path.exists():
                os.replace(self.path, self.previous)
            os.replace(partial, self.path)
            _sync_folder(self.path.parent)
        except OSError as error:
            partial.unlink(missing_ok=True)
            message = f"checkpoint {self.path} was not written: {error.strerror or error}"
            warnings.warn(message, CheckpointWarning, stacklevel=2)
            self._last = time.monotonic()
            return False
        self._last = time.monotonic()
        return True

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
        """Return what can be used, the last saved first, and why anything else cannot."""
        usable, refused = [], []
        for path in (self.path, self.previous):
            try:
                usable.append(_unpacked(path.read_bytes(), identity))
            except FileNotFoundError:
                continue
            except (OSError, CheckpointError) as error:
                refused.append(f"{path}: {error}")
        return usable, refused

    def of_process(self, index: int, count: int) -> "Checkpoint":
        """Return the checkpoint that one of several processes writes."""
        name = f"{self.path.name}.{index}-of-{count}"
        return Checkpoint(self.path.with_name(name), seconds=self.seconds)

    def remove(self) -> None:
        """Delete the checkpoint and the one before it."""
        self.path.unlink(missing_ok=True)
        self.previous.unlink(missing_ok=True)


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
    with np.load(io.BytesIO(archive), allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    saved = json.loads(arrays.pop(_IDENTITY).tobytes())
    wanted = json.loads(json.dumps(identity))
    for name in {**saved, **wanted}:
        if saved.get(name) != wanted.get(name):
            raise CheckpointError(
                f"it is of another run: there, {name} is {saved.get(name)}; here, {wanted.get(name)}"
            )
    return arrays


def _sync_folder(folder: Path) -> None:
    """Make the move last through a power cut, where the system lets a folder be synced."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
