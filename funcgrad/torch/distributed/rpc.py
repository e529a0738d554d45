"""PyTorch's `torch.distributed.rpc` as in a build without it: a group of one process calls no other."""

from typing import Any

from funcgrad.torch._types.missing import no_attribute as _no_attribute

__all__ = ["is_available"]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    raise _no_attribute(__name__, name)


def is_available() -> bool:
    """Whether other processes can be called: no.

    >>> is_available()
    False
    """
    return False
