"""A tensor's place in memory: strides, offsets, pointers and storages."""

from typing import Any

import numpy as np

from funcgrad.engine import Aval, Value
from funcgrad.torch._levels.refusals import NO_STORAGE, check_storage
from funcgrad.torch._levels.storages import is_transformed
from funcgrad.torch._memory.geometry import wrap_dim
from funcgrad.torch._memory.mapped_files import mapped
from funcgrad.torch._memory.sharing import address, memory_of
from funcgrad.torch._tensor.registry import publish_all
from funcgrad.torch._tensor.tensor import Tensor, tensor_of, without_history
from funcgrad.torch._tensor.view import geometry
from funcgrad.torch._types import dtypes
from funcgrad.torch._types.size import Size
from funcgrad.torch._types.warning import warn


def stride(self: Tensor, dim: int | None = None) -> Any:
    """The distance in memory between neighbours along each dimension, or along `dim`; in elements."""
    strides = geometry(self).stride
    if dim is None:
        return strides
    if not strides:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    return strides[wrap_dim(dim, len(strides))]


def is_set_to(self: Tensor, tensor: Tensor) -> bool:
    """Whether both tensors have the same geometry in the same memory."""
    return self._storage.memory is tensor._storage.memory and geometry(self) == geometry(tensor)


def data_ptr(self: Tensor) -> int:
    """The address of the first element; tensors that share this place have the same.

    A library may read the elements there. Where the tensor shares no memory with NumPy it is a copy of them, made by this call.
    """
    if is_transformed(self._storage.read()):
        raise RuntimeError(NO_STORAGE)
    return address(self._storage)


class UntypedStorage:
    """The memory of a tensor as a read-only sequence of bytes."""

    # The bytes of a file that nothing is written to, if it is one's memory.
    _file: np.ndarray | None = None

    def __init__(self, of: Tensor) -> None:
        # `data` has its own version counter: a write through a storage is not counted.
        self._of: Any = of.data
        self._memory = of._storage.memory
        self.device = of.device

    @classmethod
    def from_file(cls, filename: Any, shared: bool = False, nbytes: int = 0) -> "UntypedStorage":
        """The bytes of a file, which are read when they are asked for.

        Args:
            filename: its path.
            shared: whether what is written to a tensor of this memory goes to the file, too. A shorter file grows.
            nbytes: how many bytes.

        Raises:
            RuntimeError: the file cannot be opened, or is too short and not shared.
        """
        file = mapped(filename, shared, nbytes)
        storage = cls(_of_bytes(file))
        storage._file = None if shared else file
        return storage

    def data_ptr(self) -> int:
        """The address of the memory, as `Tensor.data_ptr` tells it; storages of one memory have the same."""
        return address(self._memory)

    def untyped(self) -> "UntypedStorage":
        """Itself; a `TypedStorage` has the same method."""
        return self

    def nbytes(self) -> int:
        """The number of bytes."""
        return Size(self._memory.aval.shape).numel() * self._of.dtype.itemsize

    size = __len__ = nbytes

    def __sizeof__(self) -> int:
        """The object's own bytes and the elements', for `sys.getsizeof`."""
        return object.__sizeof__(self) + self.nbytes()

    def elements(self) -> Any:
        """All elements in the order of the memory, as a tensor that shares it."""
        return self._of.as_strided((self.nbytes() // self._of.dtype.itemsize,), (1,), 0)

    def tolist(self) -> list[int]:
        """The bytes, as numbers."""
        return self.elements().view(dtypes.uint8).tolist()

    def __getitem__(self, place: int | slice) -> Any:
        """The byte at a place. A slice of a file that is not shared is a storage of its own.

        Raises:
            TypeError: `place` is a slice of another storage; `storage.tolist()[1:3]` has its bytes.
            RuntimeError: a slice leaves bytes out.
        """
        if not isinstance(place, slice):
            return self.tolist()[place]
        if self._file is None:
            raise TypeError("a storage has no slices here: take them of storage.tolist()")
        if place.step not in (None, 1):
            raise RuntimeError(
                f"Trying to slice with a step of {place.step}, but only a step of 1 is supported"
            )
        part = self._file[place].copy()
        storage = UntypedStorage(_of_bytes(part))
        storage._file = part
        return storage

    def __repr__(self) -> str:
        return _listed(self, f"device={self.device}")


def _of_bytes(array: np.ndarray) -> Tensor:
    memory = memory_of(array)
    return (
        tensor_of(Value(array, Aval(array.shape, array.dtype)))
        if memory is None
        else without_history(memory)
    )


def _listed(storage: Any, facts: str) -> str:
    """A storage as PyTorch prints it: its elements one below the other, then what it is."""
    elements = "\n ".join(str(each) for each in storage.tolist())
    return f" {elements}\n[torch.storage.{type(storage).__name__}({facts}) of size {len(storage)}]"


_REMOVED = (
    "TypedStorage is deprecated. It will be removed in the future and UntypedStorage will be the only storage class. "
    "This should only matter to you if you are using storages directly.  To access UntypedStorage directly, use "
    "tensor.untyped_storage() instead of tensor.storage()"
)


class TypedStorage:
    """The memory of a tensor as a sequence of numbers. A write is seen in every tensor of this memory."""

    _warned = False

    def __init__(self, of: Tensor) -> None:
        self._untyped = UntypedStorage(of)
        self.dtype, self.device = of.dtype, of.device
        self.data_ptr, self.nbytes = self._untyped.data_ptr, self._untyped.nbytes

    def untyped(self) -> UntypedStorage:
        """The same memory without a dtype."""
        return self._untyped

    def element_size(self) -> int:
        """The number of bytes in one element."""
        return self.dtype.itemsize

    def size(self) -> int:
        """The number of elements."""
        return self.nbytes() // self.dtype.itemsize

    def tolist(self) -> list[Any]:
        """The elements in the order of the memory."""
        return self._untyped.elements().tolist()

    def fill_(self, value: Any) -> "TypedStorage":
        """Write one number to every place."""
        self._untyped.elements().fill_(value)
        return self

    __len__ = size

    def __sizeof__(self) -> int:
        """The object's own bytes and the elements', for `sys.getsizeof`."""
        return object.__sizeof__(self) + self.nbytes()

    def __getitem__(self, place: int) -> Any:
        """The element at a place.

        Raises:
            IndexError: it lies outside the memory.
            RuntimeError: `place` is not a number.
        """
        if isinstance(place, slice):
            raise RuntimeError("slices are only supported in UntypedStorage.__getitem__")
        self._check(place)
        if not -len(self) <= place < len(self):
            raise IndexError(f"index {place} out of range for storage of size {len(self)}")
        return self.tolist()[place]

    def __setitem__(self, place: int | slice, value: Any) -> None:
        """Write a number to a place, or to each place of a slice.

        Raises:
            IndexError: it lies outside the memory.
            RuntimeError: `place` is neither a number nor a slice.
        """
        self._check(place)
        self._untyped.elements()[place] = value

    def _check(self, place: Any) -> None:
        if not isinstance(place, (int, slice)):
            raise RuntimeError(
                f"can't index a <class 'torch.storage.TypedStorage'> with {type(place)}"
            )

    def __repr__(self) -> str:
        return _listed(self, f"dtype={self.dtype}, device={self.device}")


def _untyped_storage(self: Tensor) -> UntypedStorage:
    """The memory of the tensor's elements."""
    check_storage(self._storage.read())
    return UntypedStorage(self)


def _typed_storage(self: Tensor) -> TypedStorage:
    """The memory of the tensor's elements, with their dtype.

    Warns:
        UserWarning: once, that PyTorch will remove it.
    """
    check_storage(self._storage.read())
    if not TypedStorage._warned:
        warn(_REMOVED)
        TypedStorage._warned = True
    return TypedStorage(self)


def is_complex(input: Tensor) -> bool:
    """Whether the elements are complex numbers."""
    return input.dtype.is_complex


def is_floating_point(input: Tensor) -> bool:
    """Whether the elements are real floating-point numbers."""
    return input.dtype.is_floating_point


def is_pinned(self: Tensor, device: Any = None) -> bool:
    """Always False: JAX has no pinned memory."""
    return False


def is_tensor(obj: Any) -> bool:
    """Whether an object is a tensor."""
    return isinstance(obj, Tensor)


def numel(input: Tensor) -> int:
    """How many elements it has."""
    return input.numel()


publish_all(
    {
        "is_complex": is_complex,
        "is_floating_point": is_floating_point,
        "is_tensor": is_tensor,
        "numel": numel,
    },
    {
        "data_ptr": data_ptr,
        "element_size": lambda self: self.dtype.itemsize,
        "is_complex": is_complex,
        "is_floating_point": is_floating_point,
        "is_pinned": is_pinned,
        "is_set_to": is_set_to,
        "ndimension": lambda self: self.ndim,
        "nelement": lambda self: self.numel(),
        "storage": _typed_storage,
        "storage_offset": lambda self: geometry(self).offset,
        "stride": stride,
        "untyped_storage": _untyped_storage,
    },
)
