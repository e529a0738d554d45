"""Padding.

Behaviour: https://pytorch.org/docs/stable/nn.html#padding-layers
"""

from typing import Any, ClassVar

from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.nn import functional
from funcgrad.torch.nn.modules._sizes import times
from funcgrad.torch.nn.modules.module import Module

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]


def __dir__() -> list[str]:
    return __all__


class _Pad(Module):
    """A padding; its subclasses say of which mode, and of how many dimensions.

    Args:
        padding: a number of elements for all ends; or two numbers for each padded dimension, before and after, from the last
            dimension on. A negative number takes elements away.
    """

    __constants__: ClassVar[tuple[str, ...]] = ("padding",)
    _dims: ClassVar[int]
    _mode: ClassVar[str]

    def __init__(self, padding: Any) -> None:
        super().__init__()
        self.padding = times(2 * self._dims)(padding)

    def forward(self, input: Tensor) -> Tensor:
        """The input with elements added around it."""
        return functional.pad(input, self.padding, self._mode)

    def extra_repr(self) -> str:
        """The numbers of elements."""
        return f"{self.padding}"


class _ConstantPadNd(_Pad):
    """A padding by a constant.

    Args:
        padding: as for `_Pad`.
        value: the constant.
    """

    __constants__: ClassVar[tuple[str, ...]] = ("padding", "value")

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        """The input with a constant around it."""
        return functional.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        """The numbers of elements, and the constant."""
        return f"padding={self.padding}, value={self.value}"


class _CircularPadNd(_Pad):
    """A padding by the elements of the other end."""

    _mode = "circular"

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() not in (self._dims + 1, self._dims + 2):
            raise ValueError(
                f"expected {self._dims + 1}D or {self._dims + 2}D input (got {input.dim()}D input)"
            )

    def forward(self, input: Tensor) -> Tensor:
        """The input, and around it the elements of the other end."""
        self._check_input_dim(input)
        return super().forward(input)


class _ReflectionPadNd(_Pad):
    """A padding by the elements reflected at the ends."""

    _mode = "reflect"


class _ReplicationPadNd(_Pad):
    """A padding by the last elements."""

    _mode = "replicate"


class CircularPad1d(_CircularPadNd):
    """Pad one dimension by the elements of the other end; see `_CircularPadNd`."""

    _dims = 1


class CircularPad2d(_CircularPadNd):
    """Pad two dimensions by the elements of the other end; see `_CircularPadNd`."""

    _dims = 2


class CircularPad3d(_CircularPadNd):
    """Pad three dimensions by the elements of the other end; see `_CircularPadNd`."""

    _dims = 3


class ConstantPad1d(_ConstantPadNd):
    """Pad one dimension by a constant; see `_ConstantPadNd`."""

    _dims = 1


class ConstantPad2d(_ConstantPadNd):
    """Pad two dimensions by a constant; see `_ConstantPadNd`."""

    _dims = 2


class ConstantPad3d(_ConstantPadNd):
    """Pad three dimensions by a constant; see `_ConstantPadNd`."""

    _dims = 3


class ReflectionPad1d(_ReflectionPadNd):
    """Pad one dimension by the elements reflected at the ends; see `_ReflectionPadNd`."""

    _dims = 1


class ReflectionPad2d(_ReflectionPadNd):
    """Pad two dimensions by the elements reflected at the ends; see `_ReflectionPadNd`."""

    _dims = 2


class ReflectionPad3d(_ReflectionPadNd):
    """Pad three dimensions by the elements reflected at the ends; see `_ReflectionPadNd`."""

    _dims = 3


class ReplicationPad1d(_ReplicationPadNd):
    """Pad one dimension by the elements at the ends; see `_ReplicationPadNd`."""

    _dims = 1


class ReplicationPad2d(_ReplicationPadNd):
    """Pad two dimensions by the elements at the ends; see `_ReplicationPadNd`."""

    _dims = 2


class ReplicationPad3d(_ReplicationPadNd):
    """Pad three dimensions by the elements at the ends; see `_ReplicationPadNd`."""

    _dims = 3


class _ZeroPadNd(_ConstantPadNd):
    """A padding by zeros."""

    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        """The numbers of elements."""
        return f"{self.padding}"


class ZeroPad1d(_ZeroPadNd, ConstantPad1d):
    """Pad one dimension by zeros; see `_ZeroPadNd`."""


class ZeroPad2d(_ZeroPadNd, ConstantPad2d):
    """Pad two dimensions by zeros; see `_ZeroPadNd`."""


class ZeroPad3d(_ZeroPadNd, ConstantPad3d):
    """Pad three dimensions by zeros; see `_ZeroPadNd`."""
