"""`torch.mps`: Apple's GPUs, which are not here. Questions have PyTorch's answers, and what needs one is refused."""

from typing import Any, NoReturn

from funcgrad.torch._types.missing import no_attribute as _no_attribute

__all__ = [
    "current_allocated_memory",
    "device_count",
    "driver_allocated_memory",
    "empty_cache",
    "get_rng_state",
    "is_available",
    "manual_seed",
    "recommended_max_memory",
    "seed",
    "set_per_process_memory_fraction",
    "set_rng_state",
    "synchronize",
]


def is_available() -> bool:
    """Whether Apple's GPU can be used: no."""
    return False


def device_count() -> int:
    """How many there are: none."""
    return 0


def manual_seed(seed: int) -> None:
    """Check the seed: every device uses the CPU's stream."""
    int(seed)


def _refusing(function: str) -> Any:
    """A function that needs Apple's GPU."""

    def refuse(*args: Any, **kwargs: Any) -> NoReturn:
        """Refuse.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError(f"Cannot execute {function}() without MPS backend.")

    return refuse


empty_cache, synchronize = _refusing("emptyCache"), _refusing("deviceSynchronize")
current_allocated_memory = _refusing("getCurrentAllocatedMemory")
driver_allocated_memory = _refusing("getDriverAllocatedMemory")
recommended_max_memory = _refusing("getRecommendedMaxMemory")
set_per_process_memory_fraction = _refusing("setMemoryFraction")
get_rng_state = set_rng_state = seed = _refusing("getDefaultGenerator")


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    raise _no_attribute(__name__, name)
