"""Memory that a tensor shares with NumPy, as after `torch.from_numpy(array)` and `tensor.numpy()`.

JAX's arrays cannot change. So while anybody else holds the array, a storage keeps its elements in NumPy's memory: ops read
what is there now, and writes in place go there. Once nobody holds it, the storage is a plain one again.
"""

import sys
import threading
from typing import Any
from weakref import WeakKeyDictionary, ref

import numpy as np

from funcgrad.engine import Aval, Storage, Value
from funcgrad.engine.platforms import on_cpu
from funcgrad.engine.recording import local
from funcgrad.engine.trace import compute
from funcgrad.engine.values import Absent, Indirect, Live, Wrapped, is_tracer
from funcgrad.torch._memory.geometry import Geometry
from funcgrad.torch._memory.inference import InferenceStorage
from funcgrad.torch._memory.storages import ViewStorage, geometry_of

# `Indirect` hides the place where a plain storage has its value. A shared storage uses it, and so turns plain in place.
_value: Any = Storage.__dict__["value"]
# Held while a storage is read, written or turned, since another thread may turn it meanwhile.
_turning = threading.RLock()
# By memory: the elements at the address that `address` told, and the value that they are of.
_addressed: WeakKeyDictionary[Storage, tuple[np.ndarray, ref[Value]]] = WeakKeyDictionary()


class SharedStorage(Indirect):
    """A storage whose elements are in the memory of a NumPy array that somebody else holds too."""

    __slots__ = ()
    # Set by a thread that still takes the storage for a plain one.
    value = property(lambda self: None, lambda self, value: self.write(value))

    def read(self) -> Value:
        """The elements: `Live` while somebody else holds the array; or the value that a transformation put here."""
        with _turning:
            held: Value = _value.__get__(self)
            if isinstance(held, Live) and _holders(held.array) <= _ALONE:
                array = held.array.copy() if self in _addressed else held.array
                held = Value(array, held.aval)
                _value.__set__(self, held)
                self.__class__ = _PLAIN[type(self)]  # type: ignore[assignment]
            return held

    def write(self, value: Value) -> None:
        """Change the shared memory. A transformation of JAX puts its own value here, and afterwards the old one back."""
        array = value if isinstance(value, Wrapped) else compute(value)
        with _turning:
            held: Value = _value.__get__(self)
            if isinstance(held, Live) and value.aval is held.aval and not is_tracer(array):
                np.copyto(held.array, np.asarray(array))
                value = Live(held.array, held.aval)
            _value.__set__(self, value)


class SharedInInference(SharedStorage, InferenceStorage):
    """The same for a tensor made in inference mode."""

    __slots__ = ()


_SHARED: dict[type[Storage], type[Storage]] = {
    Storage: SharedStorage,
    InferenceStorage: SharedInInference,
}
_PLAIN = {shared: plain for plain, shared in _SHARED.items()}


def share(storage: Storage) -> np.ndarray | None:
    """A NumPy array in a tensor's own memory; None where the elements are not in memory that NumPy could share."""
    memory = storage.memory
    if not _possible():
        return None
    with _turning:
        value = memory.read()
        if type(memory) in _SHARED:
            array = compute(value)
            if value.aval.device is not None or isinstance(value, Wrapped) or is_tracer(array):
                return None
            told = memory in _addressed
            array = _own(memory, value, array) if told else np.array(array, order="C")
            value = _value.__get__(_let_share(memory, array))
            if told:
                _addressed[memory] = value.array, ref(value)
    if not isinstance(value, Live):
        return None
    if storage.geometry is None:
        return value.array.view()
    (size, stride, offset), dtype = storage.geometry, storage.aval.dtype
    if 0 in size:
        return np.empty(size, dtype)
    place: Any = value.array.reshape(-1).view(np.uint8)
    strides = [step * dtype.itemsize for step in stride]
    return np.ndarray(size, dtype, place, offset * dtype.itemsize, strides)


def address(storage: Storage) -> int:
    """The address of a tensor's first element; 0 if there are no elements.

    It stays the same. In memory that NumPy shares it is the elements' own. Elsewhere a copy of the elements is there, made when
    this is called after a write. Where there are no elements in the CPU's memory it is just a number that tells memories apart.
    """
    (size, _, offset), memory = geometry_of(storage), storage.memory
    if 0 in size:
        return 0
    place = offset * storage.aval.dtype.itemsize
    if not _possible():
        return (id(memory) << 32) + place
    with _turning:
        value = memory.read()
        if isinstance(value, Live):
            _addressed[memory] = value.array, ref(value)
            return value.array.ctypes.data + place
        array = compute(value)
        if isinstance(array, Absent):
            return 0
        if value.aval.device is not None or isinstance(value, Wrapped) or is_tracer(array):
            return (id(memory) << 32) + place
        return _own(memory, value, array).ctypes.data + place


def _own(memory: Storage, value: Value, array: Any) -> np.ndarray:
    """A copy of a memory's elements that nobody else has, at the address that was told if one was."""
    own, copied = _addressed.get(memory, (None, None))
    if own is None:
        own = np.empty(value.aval.shape, value.aval.dtype).view()  # `_holders` counts views of it
    if copied is None or copied() is not value:
        np.copyto(own, np.asarray(array))
        _addressed[memory] = own, ref(value)
    return own


def memory_of(array: np.ndarray) -> Storage | None:
    """A storage in the memory of a NumPy array; None where it can only be copied."""
    if not _possible() or not array.flags.writeable or not array.dtype.isnative:
        return None
    array = array.view(np.ndarray)
    if array.flags.c_contiguous:
        return _let_share(Storage(None), array)  # type: ignore[arg-type]
    if any(step % array.itemsize for step in array.strides):
        return None
    stride = tuple([step // array.itemsize for step in array.strides])
    geometry = Geometry(array.shape, stride)
    reach = 1 + sum(step * (n - 1) for n, step in zip(array.shape, stride, strict=True))
    memory = _let_share(
        Storage(None),  # type: ignore[arg-type]
        np.lib.stride_tricks.as_strided(array, (reach,), (array.itemsize,)),
    )
    return ViewStorage(memory, memory, geometry)


def _possible() -> bool:
    """Whether tensors are in NumPy's reach, and no function is being traced, which would keep what it reads."""
    recorder = local.recorder
    return recorder.watch is None and not recorder.levels and on_cpu()


def _let_share(storage: Storage, array: np.ndarray) -> Storage:
    storage.__class__ = _SHARED[type(storage)]
    _value.__set__(storage, Live(array.view(), Aval(array.shape, array.dtype)))
    return storage


def _holders(array: np.ndarray) -> int:
    """How many hold the array that owns the memory of another."""
    owner: Any = array.base
    # Where the owner is no array of NumPy's, it does not tell.
    return sys.getrefcount(owner) if owner.flags.owndata else sys.maxsize


_ALONE = _holders(np.zeros(1).view())
