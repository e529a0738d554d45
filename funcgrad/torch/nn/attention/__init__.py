"""`torch.nn.attention`: the choice among PyTorch's kernels of attention. There is one here, XLA's, and it stays the same."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Any

from funcgrad.torch._types.missing import no_attribute as _no_attribute

__all__ = ["SDPBackend", "sdpa_kernel"]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    raise _no_attribute(__name__, name)


class SDPBackend(IntEnum):
    """PyTorch's kernels of `scaled_dot_product_attention`."""

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4

    def __str__(self) -> str:
        return f"SDPBackend.{self.name}"


@contextmanager
def sdpa_kernel(backends: Any, set_priority: bool = False) -> Iterator[None]:
    """Accept a choice of kernels for a block: results are those of every kernel, to rounding.

    Args:
        backends: a kernel, or a list of them.
        set_priority: whether their order counts.

    Raises:
        AssertionError: `backends` is something else.

    >>> import funcgrad.torch as torch
    >>> from funcgrad.torch.nn.attention import SDPBackend, sdpa_kernel
    >>> with sdpa_kernel(SDPBackend.MATH):
    ...     y = torch.nn.functional.scaled_dot_product_attention(*[torch.ones(1, 2, 3)] * 3)
    """
    if not isinstance(backends, (list, SDPBackend)):
        raise AssertionError(
            "Backend must be an instance of SDPBackend or a list of SDPBackend instances, got "
            + type(backends).__name__
        )
    yield
