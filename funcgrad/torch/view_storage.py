"""Storages that share their elements with another: what views, `.data` and `detach()` of views hold.

The elements are in one plain storage, the memory. A view reads them from there when it is looked at, and writes them
there. Who shares a version counter with whom is apart from that: views do with their base, `.data` does with nobody.
"""

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcgrad.engine import Aval, Constant, Op, Storage, Value, Variable
from funcgrad.engine.levels import where
from funcgrad.engine.trace import record, record_two
from funcgrad.torch.geometry import Geometry, contiguous
from funcgrad.torch.strided import Layout, layout, reader, writer


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
    """

    __slots__ = ("aval", "cached", "counter", "geometry", "layout", "memory", "offset")

    def __init__(self, source: Storage, counter: Storage, geometry: Geometry) -> None:
        self.memory = Memory(source)
        self.counter = counter
        self.geometry = geometry
        held = source.value.aval
        self.aval = Aval(geometry.size, held.dtype, held.device)
        self.layout: Layout = layout(held.shape, geometry)
        self.offset = place(geometry.offset)
        self.cached: tuple[Value, Value] | None = None

    @property
    def source(self) -> Storage:
        """The plain storage of the memory."""
        return self.memory.storage

    @property
    def value(self) -> Value:
        """The elements, as the memory has them now."""
        cached, held = self.cached, self.memory.storage.value
        if cached is not None and cached[0] is held:
            return cached[1]
        with where(held):
            value = record_two(read_op(self.layout), self.memory, self.offset)[0]
        self.cached = held, value
        return value

    @value.setter
    def value(self, value: Value) -> None:
        new = Variable(Storage(value))
        held = record(write_op(self.layout), (self.memory, new, self.offset))[0]
        self.memory.storage.value = held
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
        value = known.storage.value
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
        return storage.memory.storage  # type: ignore[attr-defined]
    return storage.source if kind is DataStorage else storage  # type: ignore[attr-defined]


def aval_of(storage: Storage) -> Aval:
    """The type of a storage's elements."""
    return storage.aval if type(storage) is ViewStorage else storage.value.aval


def geometry_of(storage: Storage) -> Geometry:
    """Where a storage's elements lie in its memory."""
    if type(storage) is ViewStorage:
        return storage.geometry
    return contiguous(memory_of(storage).value.aval.shape)


def view_of(storage: Storage, geometry: Geometry) -> ViewStorage:
    """Other elements of the same memory, with the same version counter."""
    counter = storage.counter if type(storage) is ViewStorage else storage
    return ViewStorage(memory_of(storage), counter, geometry)


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
