"""Storages that share their elements with another: what views, `.data` and `detach()` of views hold.

The elements are in one plain storage, the memory. A view reads them from there when it is looked at, and writes them
there. Who shares a version counter with whom is apart from that: views do with their base, `.data` does with nobody.
"""

from enum import Enum
from functools import lru_cache
from math import prod
from typing import Any, TypeGuard

import jax
import jax.numpy as jnp
import numpy as np

from funcgrad.engine import Aval, Constant, Op, Storage, Value, Variable
from funcgrad.engine.levels import where
from funcgrad.engine.trace import local, record, record_one, record_two
from funcgrad.torch._memory.bits import PUT_BACK, seen_op
from funcgrad.torch._memory.geometry import Geometry, Sizes, contiguous
from funcgrad.torch._memory.layouts import Layout, layout, reader, writer


class DataStorage(Storage):
    """All of another storage with a version counter of its own: what `.data` gives.

    Writing through it changes what the other storage holds, and no check of saved tensors notices, as in PyTorch.
    """

    __slots__ = ("source",)

    def __init__(self, source: Storage) -> None:
        self.source: Storage = memory_of(source)
        self.version = 0

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

    __slots__ = ("cached", "dtype", "memory", "of")

    def __init__(self, of: Storage, dtype: np.dtype) -> None:
        self.of, self.dtype = of, dtype
        self.memory = Memory(of)
        self.cached: tuple[Value, Value] | None = None
        self.version = 0

    @property
    def value(self) -> Value:
        """The elements as they are seen, in one dimension."""
        held = self.of.value
        if self.cached is None or self.cached[0] is not held:
            self.cached = held, record_one(seen_op(self.dtype), self.memory)[0]
        return self.cached[1]

    @value.setter
    def value(self, value: Value) -> None:
        new = Variable(Storage(value))
        self.of.value = record_two(PUT_BACK, self.memory, new)[0]


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
        memory: holds all of the elements.
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
        "layout",
        "memory",
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
        self.memory = Memory(source)
        self.counter = counter
        self.geometry = geometry
        if shape is None or aval is None:
            held = memory_aval(source)
            aval, shape = Aval(geometry.size, held.dtype, held.device), held.shape
        self.aval = aval
        self.layout: Layout = layout(shape, geometry)
        self.offset = place(geometry.offset)
        self.cached: tuple[Value, Value] | None = None
        self.creation: Creation | None = None
        self.remade_by = "AsStridedBackward0"

    @property
    def source(self) -> Storage:
        """The plain storage of the memory."""
        return self.memory._storage

    @property
    def value(self) -> Value:
        """The elements, as the memory has them now."""
        cached, source = self.cached, self.memory._storage
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
                value = record_two(read_op(self.layout), self.memory, self.offset)[0]
        else:
            value = record_two(read_op(self.layout), self.memory, self.offset)[0]
        self.cached = held, value
        return value

    @value.setter
    def value(self, value: Value) -> None:
        source = self.memory._storage
        if type(source) is OrderedStorage and self.geometry is source.geometry:
            source.logical, source.held = value, None
            return
        new = Variable(Storage(value))
        held = record(write_op(self.layout), (self.memory, new, self.offset))[0]
        self.memory._storage.value = held
        self.cached = held, value

    @property
    def version(self) -> int:
        """How many times the base or a view of it was written in place."""
        return self.counter.version

    @version.setter
    def version(self, version: int) -> None:
        self.counter.version = version


_places: dict[int, Variable] = {}
_WIDEST = np.iinfo(np.int32).max


def place(number: int) -> Variable:
    """An index or an offset as an argument of ops, so that all values of it share a program."""
    known = _places.get(number)
    if known is not None:
        value = known._storage.value
        if not isinstance(value.array, jax.Array):
            # Met again, so likely to be met often: on the device it costs less with every call.
            with jax.enable_x64(True), jax.ensure_compile_time_eval():
                value.array = jnp.asarray(value.array)
        return known
    array = np.int32(number) if number <= _WIDEST else np.int64(number)
    made = Variable(Constant(Value(array, Aval((), array.dtype))))
    if len(_places) >= 4096:
        _places.clear()
    _places[number] = made
    return made


@lru_cache(maxsize=4096)
def read_op(of: Layout) -> Op:
    """The op (memory, offset) -> elements of a view."""
    return Op("read view", reader(of), label="AsStridedBackward0")


@lru_cache(maxsize=4096)
def write_op(of: Layout) -> Op:
    """The op (memory, new elements of a view, offset) -> new memory."""
    write = writer(of)
    return Op("write view", lambda array, new, offset: write(array, offset, new))


def memory_of(storage: Storage) -> Storage:
    """The plain storage that holds a storage's elements."""
    kind = type(storage)
    if kind is ViewStorage:
        memory = storage.memory._storage  # type: ignore[attr-defined]
        return memory.of if type(memory) is Reinterpreted else memory
    return storage.source if kind is DataStorage else storage  # type: ignore[attr-defined]


def memory_aval(memory: Storage) -> Aval:
    """The type of a memory, without computing its elements in order."""
    if type(memory) is OrderedStorage and memory.logical is not None:
        aval = memory.logical.aval
        return Aval(tuple([aval.shape[k] for k in memory.order]), aval.dtype, aval.device)
    if type(memory) is Reinterpreted:
        aval = memory_aval(memory.of)
        count = prod(aval.shape) * aval.dtype.itemsize // memory.dtype.itemsize
        return Aval((count,), memory.dtype, aval.device)
    return memory.value.aval


def aval_of(storage: Storage) -> Aval:
    """The type of a storage's elements."""
    return storage.aval if type(storage) is ViewStorage else storage.value.aval


def is_view(storage: Storage) -> TypeGuard[ViewStorage]:
    """Whether a storage is that of a view, as far as it tells: a detached view shares it."""
    return type(storage) is ViewStorage and storage.creation is not None


def geometry_of(storage: Storage) -> Geometry:
    """Where a storage's elements lie in its memory."""
    if type(storage) is ViewStorage:
        return storage.geometry
    return contiguous(memory_aval(memory_of(storage)).shape)


def counter_of(storage: Storage) -> Storage:
    """The storage whose version counts: the base's, of a view."""
    return storage.counter if type(storage) is ViewStorage else storage


def view_of(storage: Storage, geometry: Geometry) -> ViewStorage:
    """Other elements of the same memory, with the same version counter."""
    source = storage.source if type(storage) is ViewStorage else memory_of(storage)
    return ViewStorage(source, counter_of(storage), geometry)


def shared(storage: Storage, other: Storage) -> ViewStorage:
    """The elements of another storage in its memory, with this one's version counter."""
    source: Storage = other.source if type(other) is ViewStorage else memory_of(other)
    return ViewStorage(source, counter_of(storage), geometry_of(other))


def reinterpreted(storage: Storage, geometry: Geometry, dtype: np.dtype) -> ViewStorage:
    """The same memory with its elements seen as of another dtype."""
    source: Storage = storage.source if type(storage) is ViewStorage else memory_of(storage)
    source = source.of if type(source) is Reinterpreted else source
    if memory_aval(source).dtype != dtype:
        source = Reinterpreted(source, dtype)
    return ViewStorage(source, counter_of(storage), geometry)


def data_of(storage: Storage) -> Storage:
    """The same elements with a version counter of their own."""
    if type(storage) is not ViewStorage:
        return DataStorage(storage)
    return ViewStorage(storage.source, DataStorage(storage), storage.geometry)


def data_pointer(storage: Storage, itemsize: int) -> int:
    """A number that tells where in which memory the elements begin; 0 where there are none."""
    geometry: Any = geometry_of(storage)
    if 0 in geometry.size:
        return 0
    return (id(memory_of(storage)) << 32) + geometry.offset * itemsize
