"""Storages that share their elements with another storage, for views, for `.data` and for `detach()` of views.

The elements are in one plain storage, the memory. A view reads them from there on demand, and writes them there. The
version counter is separate: a view shares its base's counter, and `.data` has its own.
"""

import threading
from enum import Enum
from functools import lru_cache
from math import prod
from typing import Any, TypeGuard

import numpy as np

from funcgrad.engine import Aval, Op, Storage, Value, Variable
from funcgrad.engine.kernels import CALL_SECONDS, ELEMENT_SECONDS, Kernel, supported
from funcgrad.engine.levels import where
from funcgrad.engine.ops import common_device
from funcgrad.engine.recording import local
from funcgrad.engine.trace import record
from funcgrad.engine.unrolled import record_one, record_two
from funcgrad.engine.values import Indirect, Live, in_memory
from funcgrad.torch._memory.bits import PUT_BACK, seen_op
from funcgrad.torch._memory.constants import index_variable
from funcgrad.torch._memory.geometry import Geometry, Sizes, contiguous
from funcgrad.torch._memory.layouts import Layout, layout_of, numpy_reader, reader, writer

# A write replaces the whole memory, even if it changes only some elements. So a writer holds this lock while it stores the
# new memory, and checks that the memory is still the one it read. Otherwise another thread's write would be lost.
writing = threading.RLock()


class DataStorage(Indirect):
    """All elements of another storage, with a version counter of its own; `.data` has this storage.

    A write through it changes the other storage. As in PyTorch, no check of saved tensors notices.
    """

    __slots__ = ("source",)
    is_apart = True

    def __init__(self, source: Storage) -> None:
        self.source: Storage = source.memory
        self.version = 0

    @property
    def memory(self) -> Storage:
        """The shared storage."""
        return self.source

    viewed = memory

    @property
    def aval(self) -> Aval:
        """The type of the shared storage's elements."""
        source = self.source
        return (source.value or source).aval

    def read(self) -> Value:
        """The shared storage's value."""
        source = self.source
        return source.value or source.read()

    def write(self, value: Value) -> None:
        """Change the shared storage's value."""
        self.source.write(value)


class OrderedStorage(Indirect):
    """The memory of a result that PyTorch lays out in another order than its indices.

    Attributes:
        logical: the op's result, in the order of its indices; None after the memory was written.
        held: the elements in the memory's order; None until they are needed.
        order: the result's dimensions from the slowest in memory to the fastest.
        geometry: the result's geometry.
    """

    __slots__ = ("geometry", "held", "logical", "order")

    def __init__(self, value: Value, geometry: Geometry, order: tuple[int, ...]) -> None:
        self.logical: Value | None = value
        self.held: Value | None = None
        self.geometry, self.order = geometry, order
        self.version = 0

    @property
    def aval(self) -> Aval:
        """The type of the memory; it needs no elements."""
        if self.logical is None:
            return self.read().aval
        aval = self.logical.aval
        return Aval(tuple([aval.shape[k] for k in self.order]), aval.dtype, aval.device)

    def read(self) -> Value:
        """The elements in the memory's order."""
        held = self.held
        if held is None:
            logical: Any = self.logical
            held = self.held = record_one(_in_order(self.order), Variable(Storage(logical)))[0]
        return held

    def write(self, value: Value) -> None:
        """Hold new elements, given in the memory's order."""
        self.held, self.logical = value, None


@lru_cache(maxsize=256)
def _in_order(order: tuple[int, ...]) -> Op:
    return Op("transpose", lambda x: x.transpose(order))


class Reinterpreted(Indirect):
    """A memory's bits as elements of another dtype.

    Attributes:
        of: the memory.
        dtype: the other dtype.
    """

    __slots__ = ("cached", "dtype", "of", "whole")

    def __init__(self, of: Storage, dtype: np.dtype) -> None:
        self.of, self.dtype = of, dtype
        self.whole = Memory(of)
        self.cached: tuple[Value, Value] | None = None
        self.version = 0

    @property
    def memory(self) -> Storage:
        """The memory itself."""
        return self.of

    @property
    def aval(self) -> Aval:
        """The type of the reinterpreted elements; it needs no elements."""
        aval = self.of.aval
        count = prod(aval.shape) * aval.dtype.itemsize // self.dtype.itemsize
        return Aval((count,), self.dtype, aval.device)

    def read(self) -> Value:
        """The reinterpreted elements, in one dimension."""
        held = self.of.read()
        if self.cached is None or self.cached[0] is not held or isinstance(held, Live):
            self.cached = held, record_one(seen_op(self.dtype), self.whole)[0]
        return self.cached[1]

    def write(self, value: Value) -> None:
        """Change the memory's bits to those of the new elements."""
        new = Variable(Storage(value))
        self.of.write(record_two(PUT_BACK, self.whole, new)[0])


class Creation(Enum):
    """How a view was made. The value is the end of PyTorch's error for a write; empty if writes are allowed."""

    PLAIN = ""
    NO_GRAD = (
        "Given that this use case is ambiguous and error-prone, it is forbidden. You can clarify your code by moving "
        "both the view and the inplace either both inside the no_grad block (if you don't want the inplace to be "
        "tracked) or both outside (if you want the inplace to be tracked)."
    )
    INFERENCE = (
        "Given that this use case is ambiguous and error-prone, it is forbidden. You can clarify your code by moving "
        "both the view and the inplace either both inside the inference_mode block (if you don't want the inplace to "
        "be tracked) or both outside (if you want the inplace to be tracked)."
    )
    SEVERAL = (
        "This view is the output of a function that returns multiple views. Such functions do not allow the output "
        "views to be modified inplace. You should replace the inplace operation by an out-of-place one."
    )
    FUNCTION = (
        "This view was created inside a custom Function (or because an input was returned as-is) and the autograd "
        "logic to handle view+inplace would override the custom backward associated with the custom Function, leading "
        "to incorrect gradients. This behavior is forbidden. You can fix this by cloning the output of the custom "
        "Function."
    )


class Memory(Variable):
    """A memory as an argument of an op, without a gradient."""

    __slots__ = ()


class ViewStorage(Indirect):
    """Some of the elements of a memory, in some order.

    Attributes:
        held: the memory, as an argument of ops.
        counter: the storage whose version this one shares.
        geometry: the places of the elements; ops take it as `layout` and `offset`.
        aval: the type of the elements, known without reading them.
        cached: the memory's value at the last read, and the elements read from it.
        creation: how the view was made; None for a tensor that is not a view, such as a result in another order.
        remade_by: the name of the node that the view gets after its base was written in place.
    """

    is_part = True
    __slots__ = (
        "aval",
        "cached",
        "counter",
        "creation",
        "geometry",
        "held",
        "layout",
        "offset",
        "remade_by",
    )

    def __init__(
        self,
        source: Storage,
        counter: Storage,
        geometry: Geometry,
        aval: Aval | None = None,
        shape: Sizes | None = None,
    ) -> None:
        self.held = Memory(source)
        self.counter = counter  # type: ignore[misc]
        self.geometry = geometry
        if shape is None or aval is None:
            held = source.aval
            aval, shape = Aval(geometry.size, held.dtype, held.device), held.shape
        self.aval = aval  # type: ignore[misc]
        self.layout: Layout = layout_of(shape, geometry)
        self.offset = index_variable(geometry.offset)
        self.cached: tuple[Value, Value] | None = None
        self.creation: Creation | None = None
        self.remade_by = "AsStridedBackward0"

    @property
    def viewed(self) -> Storage:
        """The storage of the memory, as elements of this dtype."""
        return self.held._storage

    @property
    def memory(self) -> Storage:
        """The plain storage that holds the elements."""
        return self.held._storage.memory

    def read(self) -> Value:
        """The elements, read from the present memory."""
        cached, source = self.cached, self.held._storage
        if isinstance(source, OrderedStorage) and source.logical is not None:
            held = source.logical
            if self.geometry is source.geometry:
                return held
        else:
            held = source.value or source.read()
        if cached is not None and cached[0] is held and not isinstance(held, Live):
            return cached[1]
        if local.recorder.levels:
            with where(held):
                value = record_two(read_op(self.layout), self.held, self.offset)[0]
        else:
            value = record_two(read_op(self.layout), self.held, self.offset)[0]
        self.cached = held, value
        return value

    def write(self, value: Value) -> None:
        """Put the new elements into the memory."""
        source = self.held._storage
        if isinstance(source, OrderedStorage) and self.geometry is source.geometry:
            source.logical, source.held = value, None
            return
        new = Variable(Storage(value))
        with writing:
            held = record(write_op(self.layout), (self.held, new, self.offset))[0]
            self.held._storage.write(held)
        self.cached = held, value

    @property
    def version(self) -> int:
        """The number of writes in place to the base or to a view of it."""
        return self.counter.version

    @version.setter
    def version(self, version: int) -> None:
        self.counter.version = version


class _ReadOp(Op):
    """The op (memory, offset) -> elements of a view.

    It tells its types and its kernel by itself: code that runs once meets many layouts, and would trace each.
    """

    __slots__ = ("layout",)

    def __init__(self, of: Layout) -> None:
        super().__init__("read view", reader(of), label="AsStridedBackward0")
        self.layout = of

    def types(self, avals: tuple[Aval, ...]) -> tuple[Aval, ...]:
        """The type of the view's elements."""
        return (Aval(self.layout.size, avals[0].dtype, common_device(self.name, avals)),)

    def fit(self, avals: tuple[Aval, ...]) -> tuple[tuple[Aval, ...], Kernel | None]:
        """Both."""
        return self.types(avals), self.numpy_kernel(avals)

    def numpy_kernel(self, avals: tuple[Aval, ...]) -> Kernel | None:
        """NumPy's view of the memory, copied."""
        if not (in_memory(avals[0].device) and supported(avals[0].dtype)):
            return None

        def traced(array: Any, offset: Any) -> Any:
            kernel = Op.numpy_kernel(self, avals)
            if kernel is None:
                return read(np.ascontiguousarray(array), offset)
            return kernel(array, offset)

        read: Any = numpy_reader(self.layout, traced)
        read.gain = CALL_SECONDS + 2 * ELEMENT_SECONDS * prod(self.layout.size)
        read.size = 1
        return read


@lru_cache(maxsize=4096)
def read_op(of: Layout) -> Op:
    """The op (memory, offset) -> elements of a view."""
    return _ReadOp(of)


@lru_cache(maxsize=4096)
def write_op(of: Layout) -> Op:
    """The op (memory, new elements of a view, offset) -> new memory."""
    write = writer(of)
    return Op("write view", lambda array, new, offset: write(array, offset, new))


def is_view(storage: Storage) -> TypeGuard[ViewStorage]:
    """Whether a storage belongs to a view. A detached view shares the storage, and so counts as a view too."""
    return isinstance(storage, ViewStorage) and storage.creation is not None


def geometry_of(storage: Storage) -> Geometry:
    """The places of a storage's elements in its memory."""
    geometry = storage.geometry
    return contiguous(storage.memory.aval.shape) if geometry is None else geometry


def view_of(storage: Storage, geometry: Geometry) -> ViewStorage:
    """Other elements of the same memory, with the same version counter."""
    return ViewStorage(storage.viewed, storage.counter, geometry)


def shared(storage: Storage, other: Storage) -> ViewStorage:
    """The elements of another storage in its memory, with this one's version counter."""
    return ViewStorage(other.viewed, storage.counter, geometry_of(other))


def reinterpreted(storage: Storage, geometry: Geometry, dtype: np.dtype) -> ViewStorage:
    """The same memory as elements of another dtype."""
    memory = storage.memory
    source = memory if memory.aval.dtype == dtype else Reinterpreted(memory, dtype)
    return ViewStorage(source, storage.counter, geometry)


def data_of(storage: Storage) -> Storage:
    """The same elements with a version counter of their own."""
    if not storage.is_part:
        return DataStorage(storage)
    return ViewStorage(storage.viewed, DataStorage(storage), storage.geometry)
