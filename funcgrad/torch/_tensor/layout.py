"""How a tensor lies in memory, and whether two share it: strides, offsets, pointers."""

from typing import Any

from funcgrad.torch._levels.refusals import NO_STORAGE, check_storage
from funcgrad.torch._levels.storages import is_transformed
from funcgrad.torch._memory.geometry import wrap_dim
from funcgrad.torch._memory.storages import data_pointer
from funcgrad.torch._tensor.registry import publish_all
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._tensor.view import geometry
from funcgrad.torch._types.size import Size


def stride(self: Tensor, dim: int | None = None) -> Any:
    """How far apart in memory neighbours along each dimension are, or along one."""
    strides = geometry(self).stride
    if dim is None:
        return strides
    if not strides:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    return strides[wrap_dim(dim, len(strides))]


def is_set_to(self: Tensor, tensor: Tensor) -> bool:
    """Whether both are the very same places of the same memory."""
    return self._storage.memory is tensor._storage.memory and geometry(self) == geometry(tensor)


def data_ptr(self: Tensor) -> int:
    """A number that tells where the first element is: equal for tensors that share it."""
    if is_transformed(self._storage.value):
        raise RuntimeError(NO_STORAGE)
    return data_pointer(self._storage, self.dtype.itemsize)


class UntypedStorage:
    """The memory of a tensor, as far as identity and size go."""

    def __init__(self, of: Tensor) -> None:
        self._memory = of._storage.memory
        self._itemsize = of.dtype.itemsize

    def data_ptr(self) -> int:
        """A number that tells which memory this is."""
        return data_pointer(self._memory, self._itemsize)

    def nbytes(self) -> int:
        """How many bytes it has."""
        return Size(self._memory.value.aval.shape).numel() * self._itemsize

    size = nbytes


def _untyped_storage(self: Tensor) -> UntypedStorage:
    """The memory of the tensor's elements."""
    check_storage(self._storage.value)
    return UntypedStorage(self)


publish_all(
    {},
    {
        "data_ptr": data_ptr,
        "element_size": lambda self: self.dtype.itemsize,
        "is_complex": lambda self: self.dtype.is_complex,
        "is_contiguous": lambda self: geometry(self).is_contiguous,
        "is_floating_point": lambda self: self.dtype.is_floating_point,
        "is_set_to": is_set_to,
        "ndimension": lambda self: self.ndim,
        "nelement": lambda self: self.numel(),
        "storage_offset": lambda self: geometry(self).offset,
        "stride": stride,
        "untyped_storage": _untyped_storage,
    },
)
