"""`torch.cuda.nvtx`: names for spans of a program in a profile of the GPU, which JAX's profiler takes.

Behaviour: https://pytorch.org/docs/stable/cuda.html#nvidia-tools-extension-nvtx
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import local
from typing import Any

import jax

from funcgrad.torch._types.accelerators import count

__all__ = ["mark", "range", "range_pop", "range_push"]


def __dir__() -> list[str]:
    return __all__


class _Open(local):
    """The spans that a thread has begun."""

    def __init__(self) -> None:
        self.spans: list[Any] = []


_open = _Open()


def _require() -> None:
    if not count("cuda"):
        raise RuntimeError("NVTX functions not installed. Are you sure you have a CUDA build?")


def range_push(msg: str) -> int:
    """Begin a span with a name; how many were begun before it.

    Raises:
        RuntimeError: there is no GPU.
    """
    _require()
    span = jax.profiler.TraceAnnotation(msg)
    span.__enter__()
    _open.spans.append(span)
    return len(_open.spans) - 1


def range_pop() -> int:
    """End the last span; how many are left.

    Raises:
        RuntimeError: there is no GPU.
    """
    _require()
    if not _open.spans:
        return -2  # as NVTX answers
    _open.spans.pop().__exit__(None, None, None)
    return len(_open.spans)


def mark(msg: str) -> None:
    """Name a moment.

    Raises:
        RuntimeError: there is no GPU.
    """
    _require()
    with jax.profiler.TraceAnnotation(msg):
        pass


@contextmanager
def range(msg: str, *args: Any, **kwargs: Any) -> Iterator[None]:
    """A `with` block that is a span; its name is `msg.format(*args, **kwargs)`.

    Raises:
        RuntimeError: there is no GPU.
    """
    range_push(msg.format(*args, **kwargs))
    try:
        yield
    finally:
        range_pop()
