"""Tensors to and from other libraries through DLPack."""

from typing import Any

from funcgrad.torch._tensor.registry import FUNCTIONS as _FUNCTIONS
from funcgrad.torch._tensor.tensor import Tensor as _Tensor

__all__ = ["from_dlpack", "to_dlpack"]


def __dir__() -> list[str]:
    return __all__


class _Held:
    """A capsule of the CPU's memory, as an object that libraries ask for it."""

    def __init__(self, capsule: Any) -> None:
        self._capsule = capsule

    def __dlpack__(self, **_: Any) -> Any:
        return self._capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0


def to_dlpack(tensor: _Tensor) -> Any:
    """A capsule of the tensor's elements.

    Behaviour: https://docs.pytorch.org/docs/stable/dlpack.html
    """
    return tensor.__dlpack__()


def from_dlpack(ext_tensor: Any) -> _Tensor:
    """A tensor of the elements that another library's array, or a capsule, holds.

    >>> import funcgrad.torch as torch
    >>> from_dlpack(to_dlpack(torch.arange(3)))
    tensor([0, 1, 2])
    """
    held = ext_tensor if hasattr(ext_tensor, "__dlpack__") else _Held(ext_tensor)
    return _FUNCTIONS["from_dlpack"](held)
