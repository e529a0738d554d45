"""PyTorch's `torch.__config__`: what computes here, as text."""

import jax
import jaxlib
import numpy as np

from funcgrad.torch._tensor.registry import FUNCTIONS

__all__ = ["parallel_info", "show"]


def __dir__() -> list[str]:
    return __all__


def show() -> str:
    """The versions of JAX and NumPy, and JAX's devices."""
    devices = ", ".join(str(each) for each in jax.devices())
    return (
        "funcgrad on JAX:\n"
        f"  - JAX {jax.__version__}\n  - jaxlib {jaxlib.__version__}\n  - NumPy {np.__version__}\n  - Devices: {devices}\n"
    )


def parallel_info() -> str:
    """The numbers of threads that programs asked for. XLA has its own."""
    return "".join(
        f"{name}: {FUNCTIONS[name]()}\n" for name in ("get_num_threads", "get_num_interop_threads")
    )
