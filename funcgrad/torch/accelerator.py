"""`torch.accelerator`: the GPU or TPU that JAX has, if any."""

from typing import Any

import jax

from funcgrad.torch._types import accelerators
from funcgrad.torch._types.devices import device as _device

__all__ = [
    "current_accelerator",
    "current_device_index",
    "device_count",
    "is_available",
    "synchronize",
]


def is_available() -> bool:
    """Whether there is one."""
    return accelerators.accelerator() is not None


def device_count() -> int:
    """How many there are."""
    kind = accelerators.accelerator()
    return 0 if kind is None else accelerators.count(kind)


def current_accelerator(check_available: bool = False) -> _device | None:
    """Its type as a device, without a number; None if there is none."""
    kind = accelerators.accelerator()
    return None if kind is None else _device(kind)


def _require() -> _device:
    found = current_accelerator()
    if found is None:
        raise RuntimeError(accelerators.NO_ACCELERATOR)
    return found


def current_device_index() -> int:
    """The number of the current one: the first."""
    _require()
    return 0


def synchronize(device: Any = None) -> None:
    """Wait until it has done its work."""
    jax.device_put(0.0, _require().jax_device()).block_until_ready()


def __dir__() -> list[str]:
    return __all__
