"""`torch.backends.cudnn`: switches that programs set. JAX's GPU kernels are deterministic if XLA is told so, by its flags."""

from collections.abc import Iterator
from contextlib import contextmanager

from funcgrad.torch._types.accelerators import count

__all__ = [
    "allow_tf32",
    "benchmark",
    "benchmark_limit",
    "deterministic",
    "enabled",
    "flags",
    "is_available",
    "version",
]

enabled = True
deterministic = False
benchmark = False
benchmark_limit = 10
allow_tf32 = True


def is_available() -> bool:
    """Whether JAX has a GPU."""
    return bool(count("cuda"))


def version() -> int | None:
    """The version of the library: JAX does not tell it."""
    return None


@contextmanager
def flags(**switches: object) -> Iterator[None]:
    """Set switches inside a `with` block."""
    before = {name: globals()[name] for name in switches}
    globals().update(switches)
    try:
        yield
    finally:
        globals().update(before)


def __dir__() -> list[str]:
    return __all__
