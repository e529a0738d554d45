"""Streams and events of `torch.cuda`. JAX orders a GPU's work by itself, so a stream changes nothing, and an event waits for the GPU."""

import time
from typing import Any

from funcgrad.torch._types.accelerators import count, require

__all__ = ["Event", "Stream", "StreamContext", "current_stream", "default_stream", "stream"]


class Stream:
    """A queue of a GPU's work: there is one.

    Raises:
        RuntimeError: there is no GPU.
    """

    def __init__(self, device: Any = None, priority: int = 0, **kwargs: Any) -> None:
        if not count("cuda"):
            raise RuntimeError("torch.cuda.Stream requires CUDA support")

    def synchronize(self) -> None:
        """Do nothing: reading a result waits for it."""

    def wait_stream(self, stream: Any) -> None:
        """Do nothing: work is done in order."""

    def wait_event(self, event: Any) -> None:
        """Do nothing: work is done in order."""

    def record_event(self, event: Any = None) -> "Event":
        """An event of now."""
        made = event or Event()
        made.record(self)
        return made

    def query(self) -> bool:
        """Whether its work is done; reading a result waits for it."""
        return True


class Event:
    """A moment in a GPU's work.

    Raises:
        RuntimeError: there is no GPU.
    """

    def __init__(
        self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False
    ) -> None:
        if not count("cuda"):
            raise RuntimeError("Tried to instantiate dummy base class Event")
        self._moment: float | None = None

    def record(self, stream: Any = None) -> None:
        """Hold this moment."""
        self._moment = time.perf_counter()

    def synchronize(self) -> None:
        """Do nothing: reading a result waits for it."""

    def wait(self, stream: Any = None) -> None:
        """Do nothing: work is done in order."""

    def query(self) -> bool:
        """Whether its work is done."""
        return True

    def elapsed_time(self, end_event: "Event") -> float:
        """The milliseconds between two moments.

        Raises:
            RuntimeError: one of them was not recorded.
        """
        if self._moment is None or end_event._moment is None:
            raise RuntimeError("Both events must be recorded before calculating elapsed time.")
        return 1000 * (end_event._moment - self._moment)


class StreamContext:
    """A `with` block in which a stream is the current one."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def __enter__(self) -> None:
        """Begin the block."""

    def __exit__(self, *error: object) -> None:
        """End the block."""


def stream(stream: Any) -> StreamContext:
    """A `with` block in which a stream is the current one; None changes nothing."""
    return StreamContext(stream)


def current_stream(device: Any = None) -> Stream:
    """The stream of a GPU."""
    require("cuda")
    return Stream(device)


def default_stream(device: Any = None) -> Stream:
    """The stream of a GPU."""
    require("cuda")
    return Stream(device)
