"""Tensors made in inference mode: they can never be part of a graph, so their writes are not counted."""

import threading
from collections.abc import Callable
from typing import Any

from funcgrad.engine import Storage, Value, local
from funcgrad.engine.threads import PerThread


class InferenceStorage(Storage):
    """A cell whose writes are not counted. A node that would save it asks for its version, and is refused."""

    __slots__ = ()

    def __init__(self, value: Value) -> None:
        self.value = value

    @property
    def version(self) -> int:
        """Nothing in inference mode, where no node asks.

        Raises:
            RuntimeError: outside it.
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
    """How often a storage was written, as `_version` tells.

    Raises:
        RuntimeError: nobody counts that.
    """
    if isinstance(storage.counter, InferenceStorage):
        raise RuntimeError("Inference tensors do not track version counter.")
    return storage.version


def is_of_inference(storage: Storage) -> bool:
    """Whether the memory of a storage was made in inference mode."""
    return type(storage.memory) is InferenceStorage


class _State(PerThread):
    """Of a thread: whether inference mode is on; and the grad mode while it is, which means nothing to ops."""

    enabled = False
    grad_mode = False


state = _State()
_lock = threading.Lock()
_threads_inferring = 0


def enabled() -> bool:
    """Whether inference mode is on in this thread."""
    return state.enabled


def switch(on: bool) -> bool:
    """Switch inference mode on or off in this thread; returns what it was."""

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


# What makes the storage of a result; inference mode, while it is on, has a maker of its own.
new_storage: Callable[[Value], Storage] = Storage


def make_storages_by(maker: Callable[[Value], Storage]) -> None:
    """Set what makes the storage of a result, in all threads."""
    global new_storage
    new_storage = maker
