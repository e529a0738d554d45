"""`torch.backends.cuda`: switches for products on GPUs, and for the kernels of attention. They are kept and change nothing."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

from funcgrad.torch._types.accelerators import count

__all__ = [
    "cudnn_sdp_enabled",
    "enable_cudnn_sdp",
    "enable_flash_sdp",
    "enable_math_sdp",
    "enable_mem_efficient_sdp",
    "flash_sdp_enabled",
    "is_built",
    "math_sdp_enabled",
    "matmul",
    "mem_efficient_sdp_enabled",
    "sdp_kernel",
]

matmul = SimpleNamespace(
    allow_tf32=False,
    allow_fp16_reduced_precision_reduction=True,
    allow_bf16_reduced_precision_reduction=True,
    fp32_precision="none",
)


def is_built() -> bool:
    """Whether JAX has GPUs."""
    return bool(count("cuda"))


_enabled = {"flash": True, "math": True, "mem_efficient": True, "cudnn": True}


def flash_sdp_enabled() -> bool:
    """Whether this kernel may be chosen."""
    return _enabled["flash"]


def math_sdp_enabled() -> bool:
    """Whether this kernel may be chosen."""
    return _enabled["math"]


def mem_efficient_sdp_enabled() -> bool:
    """Whether this kernel may be chosen."""
    return _enabled["mem_efficient"]


def cudnn_sdp_enabled() -> bool:
    """Whether this kernel may be chosen."""
    return _enabled["cudnn"]


def enable_flash_sdp(enabled: bool) -> None:
    """Keep the switch: there is one kernel."""
    _enabled["flash"] = enabled


def enable_math_sdp(enabled: bool) -> None:
    """Keep the switch: there is one kernel."""
    _enabled["math"] = enabled


def enable_mem_efficient_sdp(enabled: bool) -> None:
    """Keep the switch: there is one kernel."""
    _enabled["mem_efficient"] = enabled


def enable_cudnn_sdp(enabled: bool) -> None:
    """Keep the switch: there is one kernel."""
    _enabled["cudnn"] = enabled


@contextmanager
def sdp_kernel(
    enable_flash: bool = True,
    enable_math: bool = True,
    enable_mem_efficient: bool = True,
    enable_cudnn: bool = True,
) -> Iterator[None]:
    """A block in which some kernels of attention may be chosen: there is one here. The name is old."""
    warnings.warn(
        "`torch.backends.cuda.sdp_kernel()` is deprecated. In the future, this context manager will be removed. Please see "
        "`torch.nn.attention.sdpa_kernel()` for the new context manager, with updated signature.",
        FutureWarning,
        stacklevel=3,
    )
    before = dict(_enabled)
    given = (enable_flash, enable_math, enable_mem_efficient, enable_cudnn)
    _enabled.update(zip(("flash", "math", "mem_efficient", "cudnn"), given, strict=True))
    try:
        yield
    finally:
        _enabled.update(before)


def __dir__() -> list[str]:
    return __all__
