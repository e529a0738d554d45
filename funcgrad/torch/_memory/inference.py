"""Tensors made in inference mode. They can never be part of a graph, so their writes are not counted."""

import threading
from collections.abc import Callable
from typing import Any

from funcgrad.engine import Storage, Value, local
from funcgrad.engine.threads import PerThread


class InferenceStorage(Storage):
    """A storage without a version counter. A node that would save it asks for its version, and that raises."""

    __slots__ = ()
    is_plain = False
    is_apart = False

    def __init__(self, value: Value) -> None:
        self.value = value

    @property
    def version(self) -> int:
        """Zero in inference mode, where no node saves anything.

        Raises:
            RuntimeError: inference mode is off.
        """
        if enabled():
            return 0
        raise RuntimeError(
            "Inference tensors cannot be saved for backward. Please do not use Tensors created in inference mode in "
            "computation tracked by autograd. To work around this, you can make a clone to get a normal tensor and "
            "use it in autograd, or use `torch.no_grad()` instead of `torch.inference_mode()`."
        )

    @version.setter
    def version(self, version: int) -> None:
        """Count nothing."""


def version_of(storage: Storage) -> int:
    """The number of writes to a storage, for `_version`.

    Raises:
        RuntimeError: the storage was made in inference mode.
    """
    if uncounted(storage):
        raise RuntimeError("Inference tensors do not track version counter.")
    return storage.version


def uncounted(storage: Storage) -> bool:
    """Whether writes to a storage are not counted. A tensor detached from one made in inference mode has a counter again."""
    return isinstance(storage.counter, InferenceStorage)


def is_of_inference(storage: Storage) -> bool:
    """Whether the memory of a storage was made in inference mode."""
    return isinstance(storage.memory, InferenceStorage)


class _State(PerThread):
    """Per thread: whether inference mode is on, and the grad mode set inside it, which ops ignore."""

    enabled = False
    grad_mode = False


state = _State()
_lock = threading.Lock()
_threads_inferring = 0


def enabled() -> bool:
    """Whether inference mode is on in this thread."""
    return state.enabled


def switch(on: bool) -> bool:
    """Switch inference mode on or off in this thread; returns whether it was on."""

    global _threads_inferring
    before, state.enabled = state.enabled, on
    local.recorder.forward_enabled = not on
    with _lock:
        _threads_inferring += on - before
        make_storages_by(_storage_of if _threads_inferring else Storage)
    return before


def _storage_of(value: Value) -> Any:
    """The storage of a new tensor, while inference mode is on in any thread."""
    return InferenceStorage(value) if state.enabled else Storage(value)


# Makes the storage of a result. Inference mode replaces it while it is on.
new_storage: Callable[[Value], Storage] = Storage


def make_storages_by(maker: Callable[[Value], Storage]) -> None:
    """Set `new_storage` for all threads."""
    global new_storage
    new_storage = maker
