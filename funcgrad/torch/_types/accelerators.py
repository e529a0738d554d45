"""The accelerators that JAX finds, under PyTorch's device types, and PyTorch's errors where there is none."""

from functools import cache

import jax

from funcgrad.torch._types.devices import PLATFORMS

NO_ACCELERATOR = "Cannot access accelerator device when none is available."


@cache
def count(kind: str) -> int:
    """How many devices of a PyTorch type JAX has in this process: "cuda" stands for GPUs."""
    platform = PLATFORMS.get(kind)
    if platform is None:
        return 0
    try:
        return len(jax.local_devices(backend=platform))
    except RuntimeError:
        return 0


def accelerator() -> str | None:
    """The type of the accelerator: "cuda", "tpu", or None."""
    return next((kind for kind in ("cuda", "tpu") if count(kind)), None)


def require(kind: str) -> None:
    """Check that JAX has a device of this type.

    Raises:
        AssertionError: it has none.
    """
    if not count(kind):
        raise AssertionError(f"Torch not compiled with {kind.upper()} enabled")
