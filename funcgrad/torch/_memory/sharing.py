"""Memory that a tensor shares with NumPy, as after `torch.from_numpy(array)` and `tensor.numpy()`.

JAX's arrays cannot change. So while anybody else holds the array, a storage keeps its elements in NumPy's memory: ops read
what is there now, and writes in place go there. Once nobody holds it, the storage is a plain one again.
"""

import sys
import threading
from typing import Any

import numpy as np

from funcgrad.engine import Aval, Storage, Value
from funcgrad.engine.platforms import on_cpu
from funcgrad.engine.recording import local
from funcgrad.engine.trace import compute
from funcgrad.engine.values import Indirect, Live, Wrapped, is_tracer
from funcgrad.torch._memory.geometry import Geometry
from funcgrad.torch._memory.inference import InferenceStorage
from funcgrad.torch._memory.storages import ViewStorage

# `Indirect` hides the place where a plain storage has its value. A shared storage uses it, and so turns plain in place.
_value: Any = Storage.__dict__["value"]
# Held while a storage is read, written or turned, since another thread may turn it meanwhile.
_turning = threading.RLock()


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
                held = Value(held.array, held.aval)
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
            value = _value.__get__(_let_share(memory, np.array(array, order="C")))
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
