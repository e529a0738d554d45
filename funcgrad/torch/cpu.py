"""`torch.cpu`: the processor, as a device."""

from typing import Any


def is_available() -> bool:
    """Whether there is a processor: yes."""
    return True


def device_count() -> int:
    """How many there are: one."""
    return 1


def current_device() -> str:
    """The name of the processor as a device."""
    return "cpu"


def synchronize(device: Any = None) -> None:
    """Do nothing."""
