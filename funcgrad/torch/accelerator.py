"""`torch.accelerator`: the GPU or TPU that JAX has, if any."""

import warnings
from collections import OrderedDict
from typing import Any

import jax

from funcgrad.torch._types import accelerators
from funcgrad.torch._types.devices import device as _device
from funcgrad.torch._types.dtypes import ALL_DTYPES
from funcgrad.torch._types.missing import no_attribute as _no_attribute

__all__ = [
    "current_accelerator",
    "current_device_idx",
    "current_device_index",
    "device_count",
    "device_index",
    "empty_cache",
    "get_device_capability",
    "get_memory_info",
    "is_available",
    "max_memory_allocated",
    "max_memory_reserved",
    "memory_allocated",
    "memory_reserved",
    "memory_stats",
    "reset_accumulated_memory_stats",
    "reset_peak_memory_stats",
    "set_device_idx",
    "set_device_index",
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


def _of(device: Any) -> "jax.Device":
    """JAX's device of a number, or of a device; the first without one."""
    kind = _require().type
    if device is None or isinstance(device, int):
        return _device(kind, device or 0).jax_device()
    return _device(device).jax_device()


def set_device_index(device: Any, /) -> None:
    """Check that there is such a device. Tensors go to the device that they are told to."""
    _of(device)


def _renamed(name: str, function: Any) -> Any:
    def call(*args: Any) -> Any:
        """The function under its old name, with PyTorch's warning."""
        warnings.warn(f"Use `{name}` instead.", FutureWarning, stacklevel=2)
        return function(*args)

    return call


current_device_idx = _renamed("current_device_index", current_device_index)
set_device_idx = _renamed("set_device_index", set_device_index)


class device_index:
    """A `with` block for a device: tensors go to the device that they are told to, so this changes nothing."""

    def __init__(self, device: int | None, /) -> None:
        """Hold the number."""
        self.idx = device

    def __enter__(self) -> None:
        """Begin the block, if there is such a device."""
        if self.idx is not None:
            _of(self.idx)

    def __exit__(self, *error: object) -> None:
        """End the block."""


# ------------------------------------------------------------------------------------------- memory


def memory_stats(device_index: Any = None, /) -> OrderedDict[str, Any]:
    """All that JAX counts of a device's memory."""
    return OrderedDict(sorted((_of(device_index).memory_stats() or {}).items()))


def memory_allocated(device_index: Any = None, /) -> int:
    """The bytes in use."""
    return memory_stats(device_index).get("bytes_in_use", 0)


def max_memory_allocated(device_index: Any = None, /) -> int:
    """The most bytes that were in use."""
    return memory_stats(device_index).get("peak_bytes_in_use", 0)


def memory_reserved(device_index: Any = None, /) -> int:
    """The bytes that JAX has reserved."""
    return memory_stats(device_index).get("bytes_reserved", 0)


def max_memory_reserved(device_index: Any = None, /) -> int:
    """The most bytes that JAX had reserved."""
    return memory_stats(device_index).get("peak_bytes_reserved", 0)


def get_memory_info(device_index: Any = None, /) -> tuple[int, int]:
    """The free and the whole memory, in bytes."""
    stats = memory_stats(device_index)
    whole = stats.get("bytes_limit", 0)
    return whole - stats.get("bytes_in_use", 0), whole


def reset_peak_memory_stats(device_index: Any = None, /) -> None:
    """Do nothing, if there is a device: JAX does not forget its peak."""
    _of(device_index)


reset_accumulated_memory_stats = reset_peak_memory_stats


def empty_cache() -> None:
    """Do nothing, if there is a device: JAX's memory is its own."""
    _require()


def get_device_capability(device: Any = None, /) -> dict[str, Any]:
    """The dtypes that a device computes in."""
    _of(device)
    return {"supported_dtypes": set(ALL_DTYPES)}


def synchronize(device: Any = None) -> None:
    """Wait until it has done its work."""
    jax.device_put(0.0, _of(device)).block_until_ready()


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    raise _no_attribute(__name__, name)
