"""`torch.cuda`: questions about GPUs, answered by JAX. Without one the answers and the errors are PyTorch's on a CPU."""

import warnings
from collections import OrderedDict
from typing import Any

import jax

from funcgrad.torch._ops.legacy import CUDA_CLASSES
from funcgrad.torch._random.generator import default_generator
from funcgrad.torch._tensor.registry import FUNCTIONS
from funcgrad.torch._types.accelerators import count, require
from funcgrad.torch._types.devices import device as _device
from funcgrad.torch._types.stand_ins import stand_in as _stand_in
from funcgrad.torch.cuda import amp, nvtx
from funcgrad.torch.cuda._streams import (
    Event,
    Stream,
    StreamContext,
    current_stream,
    default_stream,
    stream,
)

__all__ = [  # noqa: PLE0604
    *CUDA_CLASSES,
    "Event",
    "Stream",
    "StreamContext",
    "amp",
    "can_device_access_peer",
    "current_device",
    "current_stream",
    "default_stream",
    "device",
    "default_generators",
    "device_count",
    "device_of",
    "empty_cache",
    "get_arch_list",
    "get_device_capability",
    "get_device_name",
    "get_device_properties",
    "get_gencode_flags",
    "get_rng_state",
    "get_rng_state_all",
    "get_sync_debug_mode",
    "has_half",
    "has_magma",
    "host_memory_stats",
    "init",
    "initial_seed",
    "ipc_collect",
    "is_available",
    "is_bf16_supported",
    "is_initialized",
    "is_tf32_supported",
    "manual_seed",
    "manual_seed_all",
    "max_memory_allocated",
    "max_memory_cached",
    "max_memory_reserved",
    "mem_get_info",
    "memory_allocated",
    "memory_cached",
    "memory_reserved",
    "memory_stats",
    "memory_stats_as_nested_dict",
    "memory_summary",
    "nvtx",
    "reset_max_memory_allocated",
    "reset_max_memory_cached",
    "reset_peak_memory_stats",
    "seed",
    "seed_all",
    "set_device",
    "set_per_process_memory_fraction",
    "set_rng_state",
    "set_rng_state_all",
    "set_stream",
    "set_sync_debug_mode",
    "stream",
    "synchronize",
]


globals().update(CUDA_CLASSES)
has_half, has_magma = True, False


def is_available() -> bool:
    """Whether JAX has a GPU.

    >>> import funcgrad.torch as torch
    >>> device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    """
    return bool(count("cuda"))


# The generators of GPUs: every device uses the CPU's stream.
default_generators: tuple[Any, ...] = ()


def device_count() -> int:
    """How many GPUs JAX has in this process."""
    return count("cuda")


# Read by code that saves the states of GPUs' generators; here they have none of their own.
_initialized = False


def is_initialized() -> bool:
    """Whether GPUs are ready to use."""
    return is_available()


def init() -> None:
    """Check that there is a GPU.

    Raises:
        AssertionError: there is none.
    """
    require("cuda")


def _jax_device(of: Any = None) -> "jax.Device":
    require("cuda")
    where = (
        _device("cuda")
        if of is None
        else _device("cuda", of)
        if isinstance(of, int)
        else _device(of)
    )
    return where.jax_device()


def current_device() -> int:
    """The number of the current GPU: the first one."""
    require("cuda")
    return 0


def get_device_name(device: Any = None) -> str:
    """The name of a GPU."""
    return _jax_device(device).device_kind


class _Properties:
    """A GPU, as far as JAX knows it."""

    def __init__(self, of: "jax.Device") -> None:
        self.name = of.device_kind
        self.total_memory = (of.memory_stats() or {}).get("bytes_limit", 0)
        major, _, minor = str(getattr(of, "compute_capability", "0.0")).partition(".")
        self.major, self.minor = int(major), int(minor or 0)
        self.multi_processor_count = getattr(of, "core_count", 0)


def get_device_properties(device: Any = None) -> _Properties:
    """The name, the memory and the capability of a GPU."""
    return _Properties(_jax_device(device))


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """The compute capability of a GPU."""
    found = get_device_properties(device)
    return found.major, found.minor


def set_device(device: Any) -> None:
    """Check that there is such a GPU. Tensors go to the device that they are told to."""
    _jax_device(device)


def synchronize(device: Any = None) -> None:
    """Wait until the GPU has done its work."""
    jax.device_put(0.0, _jax_device(device)).block_until_ready()


def empty_cache() -> None:
    """Do nothing: JAX's memory is its own."""


def ipc_collect() -> None:
    """Do nothing, if there is a GPU."""
    require("cuda")


def get_arch_list() -> list[str]:
    """The architectures of PyTorch's own kernels: none."""
    return []


def get_gencode_flags() -> str:
    """The flags of PyTorch's own compiler: none."""
    return ""


def is_tf32_supported() -> bool:
    """Whether a GPU has TensorFloat-32: from the capability 8.0 on."""
    return is_available() and get_device_capability() >= (8, 0)


def can_device_access_peer(device: Any, peer_device: Any) -> bool:
    """Whether a GPU reads another one's memory: JAX copies between them."""
    both = _jax_device(device), _jax_device(peer_device)
    return both[0] != both[1]


class _Sync:
    """The setting of `set_sync_debug_mode`, which changes nothing."""

    mode = 0


def set_sync_debug_mode(debug_mode: int | str) -> None:
    """Keep a setting: JAX waits for a GPU only where a result is read.

    Raises:
        RuntimeError: it is none.
    """
    require("cuda")
    modes = {"default": 0, "warn": 1, "error": 2}
    found = modes.get(debug_mode, -1) if isinstance(debug_mode, str) else debug_mode
    if found not in modes.values():
        raise RuntimeError(
            f"invalid value of debug_mode, expected one of `default`, `warn`, `error`, but got {debug_mode}"
        )
    _Sync.mode = found


def get_sync_debug_mode() -> int:
    """The last argument of `set_sync_debug_mode`; 0 at first."""
    require("cuda")
    return _Sync.mode


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Whether a GPU computes in bfloat16."""
    return is_available()


# ------------------------------------------------------------------------------------------- memory


def _memory(device: Any, name: str) -> int:
    return (_jax_device(device).memory_stats() or {}).get(name, 0) if is_available() else 0


def memory_allocated(device: Any = None) -> int:
    """The bytes in use on a GPU."""
    return _memory(device, "bytes_in_use")


def max_memory_allocated(device: Any = None) -> int:
    """The most bytes that were in use on a GPU."""
    return _memory(device, "peak_bytes_in_use")


def memory_reserved(device: Any = None) -> int:
    """The bytes that JAX has reserved on a GPU."""
    return _memory(device, "bytes_reserved")


def max_memory_reserved(device: Any = None) -> int:
    """The most bytes that JAX had reserved on a GPU."""
    return _memory(device, "peak_bytes_reserved")


memory_cached, max_memory_cached = memory_reserved, max_memory_reserved


def memory_stats(device: Any = None) -> OrderedDict[str, int]:
    """All that JAX counts of a GPU's memory."""
    stats = (_jax_device(device).memory_stats() or {}) if is_available() else {}
    return OrderedDict(sorted(stats.items()))


def memory_stats_as_nested_dict(device: Any = None) -> dict[str, Any]:
    """All that JAX counts of a GPU's memory."""
    return dict(memory_stats(device))


def host_memory_stats() -> OrderedDict[str, int]:
    """The counts of pinned memory: none, since there is none."""
    return OrderedDict()


def memory_summary(device: Any = None, abbreviated: bool = False) -> str:
    """All that JAX counts of a GPU's memory, one line each.

    Raises:
        AssertionError: there is no GPU.
    """
    require("cuda")
    return "\n".join(f"{name}: {value}" for name, value in memory_stats(device).items())


def set_per_process_memory_fraction(fraction: float, device: Any = None) -> None:
    """Accept a limit: JAX's is set before it starts, by XLA_PYTHON_CLIENT_MEM_FRACTION."""
    require("cuda")


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """The free and the whole memory of a GPU, in bytes."""
    stats = _jax_device(device).memory_stats() or {}
    whole = stats.get("bytes_limit", 0)
    return whole - stats.get("bytes_in_use", 0), whole


def reset_peak_memory_stats(device: Any = None) -> None:
    """Do nothing: JAX does not forget its peak."""


def _reset(name: str) -> Any:
    def reset(device: Any = None) -> None:
        """As `reset_peak_memory_stats`, with PyTorch's warning."""
        warnings.warn(
            f"torch.cuda.{name} now calls torch.cuda.reset_peak_memory_stats, which resets /all/ peak memory stats.",
            FutureWarning,
            stacklevel=2,
        )

    return reset


reset_max_memory_allocated = _reset("reset_max_memory_allocated")
reset_max_memory_cached = _reset("reset_max_memory_cached")


# ------------------------------------------------------------------------------------------- random numbers


def manual_seed(seed: int) -> None:
    """Check the seed: every device uses the CPU's stream, so `torch.manual_seed` seeds it."""
    int(seed)


def manual_seed_all(seed: int) -> None:
    """Check the seed: every device uses the CPU's stream, so `torch.manual_seed` seeds it."""
    int(seed)


def seed() -> None:
    """Do nothing: every device uses the CPU's stream."""


def seed_all() -> None:
    """Do nothing: every device uses the CPU's stream."""


def initial_seed() -> int:
    """The seed of the stream that GPUs use too: the CPU's."""
    require("cuda")
    return default_generator.initial_seed()


def get_rng_state(device: Any = "cuda") -> Any:
    """The position of the stream that GPUs use too: the CPU's."""
    require("cuda")
    return FUNCTIONS["get_rng_state"]()


def get_rng_state_all() -> list[Any]:
    """The position of the stream, for each GPU."""
    return [FUNCTIONS["get_rng_state"]() for _ in range(count("cuda"))]


def set_rng_state(new_state: Any, device: Any = "cuda") -> None:
    """Do nothing: the stream is the CPU's, and `torch.set_rng_state` sets it."""


def set_rng_state_all(new_states: Any) -> None:
    """Do nothing: the stream is the CPU's, and `torch.set_rng_state` sets it."""


def set_stream(stream: Any) -> None:
    """Do nothing: there is one."""


class device:
    """A `with` block for a GPU: tensors go to the device that they are told to, so this changes nothing."""

    def __init__(self, device: Any) -> None:
        """Hold the device."""
        self.idx = device

    def __enter__(self) -> None:
        """Begin the block."""

    def __exit__(self, *error: object) -> None:
        """End the block."""


class device_of(device):
    """`device`, of a tensor."""

    def __init__(self, obj: Any) -> None:
        """Hold the device of a tensor."""
        super().__init__(obj.get_device() if obj.is_cuda else -1)


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    return _stand_in(__name__, name)
