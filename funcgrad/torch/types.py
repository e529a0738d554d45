"""PyTorch's `torch.types`: names for annotations."""

import builtins
import os
from collections.abc import Sequence
from typing import IO, Any, TypeAlias

from funcgrad.torch._memory.formats import layout as _layout  # noqa: F401
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.devices import device as _device
from funcgrad.torch._types.dtypes import dtype as _dtype
from funcgrad.torch._types.size import Size

__all__ = ["Device", "FileLike", "Number", "Storage"]

_int, _float, _bool = builtins.int, builtins.float, builtins.bool
_bytes, _complex, _str = builtins.bytes, builtins.complex, builtins.str

_TensorOrTensors: TypeAlias = Tensor | Sequence[Tensor]
_TensorOrOptionalTensors: TypeAlias = Tensor | Sequence[Tensor | None]
_size: TypeAlias = Size | list[int] | tuple[int, ...]
_symsize: TypeAlias = Size | Sequence[int]

Number: TypeAlias = int | float | bool
_Number = (int, float, bool)
Device: TypeAlias = _device | str | int | None
FileLike: TypeAlias = str | os.PathLike[str] | IO[bytes]


class Storage:
    """The attributes of storages, for annotations.

    Attributes:
        device, dtype: of the elements.
    """

    device: _device
    dtype: _dtype

    def element_size(self) -> int:
        """The bytes of an element."""
        raise NotImplementedError

    def nbytes(self) -> int:
        """The bytes of all."""
        raise NotImplementedError

    def size(self) -> int:
        """The number of elements."""
        raise NotImplementedError

    def __len__(self) -> int:
        """The number of elements."""
        return self.size()

    def __getitem__(self, index: Any) -> Any:
        """The element at a place."""
        raise NotImplementedError


def __dir__() -> list[str]:
    return [*__all__, *(name for name in globals() if name.startswith("_") and name[1] != "_")]
