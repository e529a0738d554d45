"""Storages that share their elements with another: what views, `.data` and `detach()` of views hold.

The elements are in one plain storage, the memory. A view reads them from there when it is looked at, and writes them
there. Who shares a version counter with whom is apart from that: views do with their base, `.data` does with nobody.
"""

import threading
from enum import Enum
from functools import lru_cache
from math import prod
from typing import Any, TypeGuard

import numpy as np

from funcgrad.engine import Aval, Op, Storage, Value, Variable
from funcgrad.engine.levels import where
from funcgrad.engine.recording import local
from funcgrad.engine.trace import record
from funcgrad.engine.unrolled import record_one, record_two
from funcgrad.torch._memory.bits import PUT_BACK, seen_op
from funcgrad.torch._memory.constants import place
from funcgrad.torch._memory.geometry import Geometry, Sizes, contiguous
from funcgrad.torch._memory.layouts import Layout, layout, reader, writer

# A write replaces the whole memory, also where it is of some elements only. So whoever writes holds this while putting the
# new one in place, and looks whether the memory is still the one that was read: else the write of another thread is lost.
writing = threading.RLock()


class DataStorage(Storage):
    """All of another storage with a version counter of its own: what `.data` gives.

    Writing through it changes what the other storage holds, and no check of saved tensors notices, as in PyTorch.
    """

    __slots__ = ("source",)

    def __init__(self, source: Storage) -> None:
        self.source: Storage = source.memory
        self.version = 0

    @property
    def memory(self) -> Storage:
        """The shared cell."""
        return self.source

    viewed = memory

    @property
    def value(self) -> Value:
        """What the shared cell holds."""
        return self.source.value

    @value.setter
    def value(self, value: Value) -> None:
        self.source.value = value


class OrderedStorage(Storage):
    """The memory of a result whose elements PyTorch lays out in another order than that of their indices.

    Attributes:
        logical: the elements in the order of their indices, as the op gave them; None once the memory was written to.
        held: the elements in the memory's order, once somebody needed them.
        order: the result's dimensions from the slowest in memory to the fastest.
        geometry: of the result.
    """

    __slots__ = ("geometry", "held", "logical", "order")

    def __init__(self, value: Value, geometry: Geometry, order: tuple[int, ...]) -> None:
        self.logical: Value | None = value
        self.held: Value | None = None
        self.geometry, self.order = geometry, order
        self.version = 0

    @property
    def aval(self) -> Aval:
        """The type of the memory, without computing its elements in order."""
        if self.logical is None:
            return self.value.aval
        aval = self.logical.aval
        return Aval(tuple([aval.shape[k] for k in self.order]), aval.dtype, aval.device)

    @property
    def value(self) -> Value:
        """The elements in the memory's order."""
        held = self.held
        if held is None:
            logical: Any = self.logical
            held = self.held = record_one(_in_order(self.order), Variable(Storage(logical)))[0]
        return held

    @value.setter
    def value(self, value: Value) -> None:
        self.held, self.logical = value, None


@lru_cache(maxsize=256)
def _in_order(order: tuple[int, ...]) -> Op:
    return Op("transpose", lambda x: x.transpose(order))


class Reinterpreted(Storage):
    """A memory as one of elements of another dtype: the same bits.

    Attributes:
        of: the memory.
        dtype: of what its elements are seen as.
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
        """The type of the elements as they are seen, without computing them."""
        aval = self.of.aval
        count = prod(aval.shape) * aval.dtype.itemsize // self.dtype.itemsize
        return Aval((count,), self.dtype, aval.device)

    @property
    def value(self) -> Value:
        """The elements as they are seen, in one dimension."""
        held = self.of.value
        if self.cached is None or self.cached[0] is not held:
            self.cached = held, record_one(seen_op(self.dtype), self.whole)[0]
        return self.cached[1]

    @value.setter
    def value(self, value: Value) -> None:
        new = Variable(Storage(value))
        self.of.value = record_two(PUT_BACK, self.whole, new)[0]


class Creation(Enum):
    """How a view was made, where that forbids writing to it; the value is what PyTorch says then."""

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


class ViewStorage(Storage):
    """Some of the elements of a memory, in some order.

    Attributes:
        held: the memory that the elements are in, as an argument of ops.
        counter: the storage whose version this one shares.
        geometry: which of the elements these are; `layout` and `offset` are the same for ops.
        aval: the type of the elements, known without reading them.
        cached: what the memory held when it was last read, and what was read.
        creation: how the view was made; None where the tensor is none, but sees its memory in another order, say.
        remade_by: the name of the node that the view gets after its base was written in place.
    """

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
        self.layout: Layout = layout(shape, geometry)
        self.offset = place(geometry.offset)
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

    @property
    def value(self) -> Value:
        """The elements, as the memory has them now."""
        cached, source = self.cached, self.held._storage
        if type(source) is OrderedStorage and source.logical is not None:
            held = source.logical
            if self.geometry is source.geometry:
                return held
        else:
            held = source.value
        if cached is not None and cached[0] is held:
            return cached[1]
        if local.recorder.levels:
            with where(held):
                value = record_two(read_op(self.layout), self.held, self.offset)[0]
        else:
            value = record_two(read_op(self.layout), self.held, self.offset)[0]
        self.cached = held, value
        return value

    @value.setter
    def value(self, value: Value) -> None:
        source = self.held._storage
        if type(source) is OrderedStorage and self.geometry is source.geometry:
            source.logical, source.held = value, None
            return
        new = Variable(Storage(value))
        with writing:
            held = record(write_op(self.layout), (self.held, new, self.offset))[0]
            self.held._storage.value = held
        self.cached = held, value

    @property
    def version(self) -> int:
        """How many times the base or a view of it was written in place."""
        return self.counter.version

    @version.setter
    def version(self, version: int) -> None:
        self.counter.version = version


@lru_cache(maxsize=4096)
def read_op(of: Layout) -> Op:
    """The op (memory, offset) -> elements of a view."""
    return Op("read view", reader(of), label="AsStridedBackward0")


@lru_cache(maxsize=4096)
def write_op(of: Layout) -> Op:
    """The op (memory, new elements of a view, offset) -> new memory."""
    write = writer(of)
    return Op("write view", lambda array, new, offset: write(array, offset, new))


def aval_of(storage: Storage) -> Aval:
    """The type of a storage's elements: `storage.aval`, with an exact test of the type, since each call of an op asks."""
    return storage.aval if type(storage) is ViewStorage else storage.value.aval


def is_view(storage: Storage) -> TypeGuard[ViewStorage]:
    """Whether a storage is that of a view, as far as it tells: a detached view shares it."""
    return type(storage) is ViewStorage and storage.creation is not None


def geometry_of(storage: Storage) -> Geometry:
    """Where a storage's elements lie in its memory."""
    geometry = storage.geometry
    return contiguous(storage.memory.aval.shape) if geometry is None else geometry


def view_of(storage: Storage, geometry: Geometry) -> ViewStorage:
    """Other elements of the same memory, with the same version counter."""
    return ViewStorage(storage.viewed, storage.counter, geometry)


def shared(storage: Storage, other: Storage) -> ViewStorage:
    """The elements of another storage in its memory, with this one's version counter."""
    return ViewStorage(other.viewed, storage.counter, geometry_of(other))


def reinterpreted(storage: Storage, geometry: Geometry, dtype: np.dtype) -> ViewStorage:
    """The same memory with its elements seen as of another dtype."""
    memory = storage.memory
    source = memory if memory.aval.dtype == dtype else Reinterpreted(memory, dtype)
    return ViewStorage(source, storage.counter, geometry)


def data_of(storage: Storage) -> Storage:
    """The same elements with a version counter of their own."""
    if type(storage) is not ViewStorage:
        return DataStorage(storage)
    return ViewStorage(storage.viewed, DataStorage(storage), storage.geometry)


def data_pointer(storage: Storage, itemsize: int) -> int:
    """A number that tells where in which memory the elements begin; 0 where there are none."""
    geometry: Any = geometry_of(storage)
    if 0 in geometry.size:
        return 0
    return (id(storage.memory) << 32) + geometry.offset * itemsize
