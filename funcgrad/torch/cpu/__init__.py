"""`torch.cpu`: the processor, as a device."""

from typing import Any

from funcgrad.torch._types.missing import no_attribute as _no_attribute
from funcgrad.torch.cpu import amp

__all__ = [
    "Event",
    "Stream",
    "StreamContext",
    "amp",
    "current_device",
    "current_stream",
    "device_count",
    "is_available",
    "is_initialized",
    "set_device",
    "stream",
    "synchronize",
]


def is_available() -> bool:
    """Whether there is a processor: yes."""
    return True


def is_initialized() -> bool:
    """Whether it is ready: yes."""
    return True


def device_count() -> int:
    """How many there are: one."""
    return 1


def current_device() -> str:
    """The name of the processor as a device."""
    return "cpu"


def set_device(device: Any) -> None:
    """Do nothing: there is one."""


def synchronize(device: Any = None) -> None:
    """Do nothing."""


class Stream:
    """A queue of work. There is one, and work is done at once."""

    def __init__(self, priority: int = -1) -> None:
        """Do nothing with the priority."""

    def wait_stream(self, stream: Any) -> None:
        """Do nothing: work is done in order."""

    def record_event(self) -> None:
        """Do nothing."""

    def wait_event(self, event: Any) -> None:
        """Do nothing."""


class Event:
    """A moment in the work, which is done."""

    def query(self) -> bool:
        """Whether its work is done: yes."""
        return True

    def record(self, stream: Any = None) -> None:
        """Do nothing."""

    def synchronize(self) -> None:
        """Do nothing."""

    def wait(self, stream: Any = None) -> None:
        """Do nothing."""


class StreamContext:
    """A `with` block in which a stream is the current one."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def __enter__(self) -> None:
        """Begin the block."""

    def __exit__(self, *error: object) -> None:
        """End the block."""


def stream(stream: Any) -> StreamContext:
    """A `with` block in which a stream is the current one."""
    return StreamContext(stream)


_current = Stream()


def current_stream(device: Any = None) -> Stream:
    """The stream of the processor."""
    return _current


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    raise _no_attribute(__name__, name)
