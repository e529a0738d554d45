"""Settings and questions of `torch` that are no ops: threads, determinism, precision, the default device and dtype."""

import math
import operator
import os
from importlib import import_module
from typing import Any

import jax

from funcgrad.engine.kernels.blas import get_threads, set_threads
from funcgrad.torch._ops.conversions import TYPES
from funcgrad.torch._tensor.registry import publish_all
from funcgrad.torch._tensor.typename import typename
from funcgrad.torch._types.devices import device, is_meta, set_default
from funcgrad.torch._types.dtypes import dtype, set_default_dtype
from funcgrad.torch._types.warning import warn


class _Settings:
    """The settings that programs made. JAX's own settings decide; these only answer the questions."""

    processors = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    )
    threads: int | None = None
    interop_threads = processors
    deterministic = False
    warn_only = False
    precision = "highest"
    warn_always = False


# ------------------------------------------------------------------------------------------- threads


def _threads(name: str, number: Any) -> int:
    if isinstance(number, bool) or not isinstance(number, int):
        raise RuntimeError(f"{name} expects an int, but got {type(number).__name__}")
    if number < 1:
        raise RuntimeError(f"{name} expects a positive integer")
    return number


def get_num_threads() -> int:
    """How many threads an op may use: what `set_num_threads` was told, or else as many as NumPy's products take."""
    return _Settings.threads or get_threads() or _Settings.processors or 1


def set_num_threads(int: int) -> None:
    """Let NumPy's products of matrices take so many threads. XLA's threads are as many as it started with."""
    _Settings.threads = _threads("set_num_threads", int)
    set_threads(int)


def get_num_interop_threads() -> int:
    """How many ops may run at once: the processors, or what `set_num_interop_threads` was told."""
    return _Settings.interop_threads or 1


def set_num_interop_threads(int: int) -> None:
    """Note a number of threads. XLA's threads are as many as it started with."""
    _Settings.interop_threads = _threads("set_num_interop_threads", int)


# ------------------------------------------------------------------------------------------- determinism, precision


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Note whether results must be the same each time: on a CPU they are. For GPUs XLA has a flag of its own."""
    if not isinstance(mode, bool):
        raise TypeError(
            f"_set_deterministic_algorithms(): argument 'mode' (position 1) must be bool, not {type(mode).__name__}"
        )
    _Settings.deterministic, _Settings.warn_only = mode, warn_only


def are_deterministic_algorithms_enabled() -> bool:
    """Whether `use_deterministic_algorithms` is on."""
    return _Settings.deterministic


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """Whether it is on with warnings instead of errors."""
    return _Settings.warn_only


def get_deterministic_debug_mode() -> int:
    """0 if `use_deterministic_algorithms` is off, 1 if it warns, 2 if it is on."""
    return 0 if not _Settings.deterministic else 1 if _Settings.warn_only else 2


def set_deterministic_debug_mode(debug_mode: Any) -> None:
    """`use_deterministic_algorithms` by a number or a name: "default", "warn" or "error"."""
    modes = {"default": 0, "warn": 1, "error": 2}
    if not isinstance(debug_mode, (int, str)):
        raise TypeError(f"debug_mode must be str or int, but got {type(debug_mode)}")
    if isinstance(debug_mode, str) and debug_mode not in modes:
        raise RuntimeError(
            f"invalid value of debug_mode, expected one of `default`, `warn`, `error`, but got {debug_mode}"
        )
    found = modes[debug_mode] if isinstance(debug_mode, str) else debug_mode
    if found not in (0, 1, 2):
        raise RuntimeError(f"invalid value of debug_mode, expected 0, 1, or 2, but got {found}")
    use_deterministic_algorithms(found > 0, warn_only=found == 1)


def get_float32_matmul_precision() -> str:
    """The precision that `set_float32_matmul_precision` was told; "highest" at first."""
    return _Settings.precision


def set_float32_matmul_precision(precision: str) -> None:
    """Note a precision. Products of float32 are always computed with the highest, which every setting allows."""
    if precision not in ("highest", "high", "medium"):
        warn(
            f"{precision} is not one of 'highest', 'high', or 'medium'; the currentsetFloat32MatmulPrecision call has no effect."
        )
        return
    _Settings.precision = precision


def set_flush_denormal(mode: bool) -> bool:
    """Tell that the processor's treatment of tiny numbers cannot be set from here: False, as PyTorch where it cannot."""
    return False


def set_warn_always(b: bool, /) -> None:
    """Note whether each warning is to be given each time."""
    _Settings.warn_always = b


def is_warn_always_enabled() -> bool:
    """Whether each warning is to be given each time."""
    return _Settings.warn_always


# ------------------------------------------------------------------------------------------- defaults


def get_default_device() -> device:
    """The device of new tensors."""
    if is_meta(None):
        return device("meta")
    bound = jax.config.jax_default_device or jax.local_devices()[0]  # type: ignore[attr-defined]
    return device.from_jax(bound)


def set_default_device(device: Any) -> None:
    """Choose the device of new tensors; JAX's own default if None.

    Raises:
        RuntimeError, AssertionError: JAX does not have it.
    """
    set_default(None if device is None else _device(device))


_device = device


def set_default_tensor_type(t: Any, /) -> None:
    """`set_default_dtype` by an old type, such as `torch.DoubleTensor`."""
    found = TYPES.get(t) if isinstance(t, str) else getattr(t, "dtype", None)
    if not isinstance(found, dtype):
        raise TypeError("invalid type object")
    if not found.is_floating_point:
        raise TypeError(
            f"only floating-point types are supported as the default type, but got {typename(t) if not isinstance(t, str) else t}"
        )
    warn(
        "torch.set_default_tensor_type() is deprecated as of PyTorch 2.1, please use torch.set_default_dtype() and "
        "torch.set_default_device() as alternatives. (Triggered internally at "
        "/pytorch/torch/csrc/tensor/python_tensor.cpp:434.)"
    )
    set_default_dtype(found)


def _assert(condition: Any, message: str) -> Any:
    """Python's `assert`, as a function.

    Raises:
        AssertionError: the condition does not hold.
    """
    if not condition:
        raise AssertionError(message)


def is_storage(obj: Any, /) -> bool:
    """Whether a thing is a storage."""
    return type(obj).__name__ in ("TypedStorage", "UntypedStorage")


def is_vulkan_available() -> bool:
    """Whether tensors can be on Vulkan: no."""
    return False


def compiled_with_cxx11_abi() -> bool:
    """Whether PyTorch was built with this interface: yes, as its wheels are."""
    return True


def get_device_module(device: Any = None) -> Any:
    """The module of a device's type, such as `torch.cpu`."""
    where = get_default_device() if device is None else _device(device)
    return import_module(f"funcgrad.torch.{where.type}")


# ------------------------------------------------------------------------------------------- numbers of a program


def sym_int(a: Any) -> int:
    """A number without its fraction. In a program that PyTorch exports it may be unknown; here numbers are numbers."""
    return math.floor(a) if a >= 0 else math.ceil(a)


def sym_max(a: Any, b: Any) -> Any:
    """The larger number; a float if one of both is."""
    return max(a, b) if isinstance(a, int) and isinstance(b, int) else max(float(a), float(b))


def sym_min(a: Any, b: Any) -> Any:
    """The smaller number; a float if one of both is."""
    return min(a, b) if isinstance(a, int) and isinstance(b, int) else min(float(a), float(b))


def sym_ite(b: bool, t: Any, f: Any) -> Any:
    """`t` if `b`, else `f`."""
    return t if b else f


_NUMBERS = {
    "sym_float": float,
    "sym_int": sym_int,
    "sym_ite": sym_ite,
    "sym_max": sym_max,
    "sym_min": sym_min,
    "sym_not": operator.not_,
    "sym_sqrt": math.sqrt,
    "sym_sum": sum,
}

_QUESTIONS = (
    _assert,
    are_deterministic_algorithms_enabled,
    compiled_with_cxx11_abi,
    get_default_device,
    get_deterministic_debug_mode,
    get_device_module,
    get_float32_matmul_precision,
    get_num_interop_threads,
    get_num_threads,
    is_deterministic_algorithms_warn_only_enabled,
    is_storage,
    is_vulkan_available,
    is_warn_always_enabled,
    set_default_device,
    set_default_tensor_type,
    set_deterministic_debug_mode,
    set_float32_matmul_precision,
    set_flush_denormal,
    set_num_interop_threads,
    set_num_threads,
    set_warn_always,
    typename,
    use_deterministic_algorithms,
)
publish_all({each.__name__: each for each in _QUESTIONS} | _NUMBERS, {})
