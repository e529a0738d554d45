"""`torch.xpu`: Intel's GPUs, which are not here. Questions have PyTorch's answers, and what needs one is refused."""

from collections import OrderedDict
from typing import Any

from funcgrad.torch._types.accelerators import require
from funcgrad.torch._types.missing import no_attribute as _no_attribute

__all__ = [
    "current_device",
    "current_stream",
    "device_count",
    "empty_cache",
    "get_arch_list",
    "get_device_capability",
    "get_device_name",
    "get_device_properties",
    "get_rng_state",
    "init",
    "initial_seed",
    "is_available",
    "is_bf16_supported",
    "is_initialized",
    "manual_seed",
    "manual_seed_all",
    "max_memory_allocated",
    "max_memory_reserved",
    "mem_get_info",
    "memory_allocated",
    "memory_reserved",
    "memory_stats",
    "seed",
    "seed_all",
    "set_device",
    "synchronize",
]


def is_available() -> bool:
    """Whether Intel's GPU can be used: no."""
    return False


def is_initialized() -> bool:
    """Whether it is ready: no."""
    return False


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Whether it computes in bfloat16: no."""
    return False


def device_count() -> int:
    """How many there are: none."""
    return 0


def get_arch_list() -> list[str]:
    """The architectures of PyTorch's own kernels: none."""
    return []


def manual_seed(seed: int) -> None:
    """Check the seed: every device uses the CPU's stream."""
    int(seed)


def manual_seed_all(seed: int) -> None:
    """Check the seed: every device uses the CPU's stream."""
    int(seed)


def seed() -> None:
    """Do nothing: every device uses the CPU's stream."""


def seed_all() -> None:
    """Do nothing: every device uses the CPU's stream."""


def empty_cache() -> None:
    """Do nothing."""


def memory_allocated(device: Any = None) -> int:
    """The bytes in use: none."""
    return 0


max_memory_allocated = memory_reserved = max_memory_reserved = memory_allocated


def memory_stats(device: Any = None) -> OrderedDict[str, int]:
    """The counts of its memory: none."""
    return OrderedDict()


def synchronize(device: Any = None) -> None:
    """Refuse.

    Raises:
        AssertionError: always.
    """
    require("xpu")


def _refuse(*args: Any, **kwargs: Any) -> Any:
    """Refuse, as `synchronize`."""
    require("xpu")


init = current_device = current_stream = set_device = _refuse
get_device_name = get_device_properties = get_device_capability = mem_get_info = _refuse
initial_seed = get_rng_state = _refuse


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    raise _no_attribute(__name__, name)
