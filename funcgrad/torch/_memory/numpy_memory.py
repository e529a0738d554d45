"""Memory that tensors share with NumPy: `from_numpy` and `.numpy()`, as PyTorch's.

JAX's arrays never change and NumPy's do. So as long as somebody holds such an array, the elements are in it: a write to a
tensor goes there, and a reader looks whether the array was written since. Once nobody holds it, the storage is a plain one
again.
"""

import sys
import threading
from typing import Any

import jax
import numpy as np

from funcgrad.engine import Aval, Storage, Value, compute
from funcgrad.engine.values import host_of, is_tracer
from funcgrad.torch._memory.geometry import Geometry
from funcgrad.torch._memory.inference import InferenceStorage

_slot: Any = Storage.value  # type: ignore[misc]
_changing = threading.RLock()
# The references that the storage itself has, and the call that counts them.
_OWN_REFERENCES = 2


class _Lent:
    """What a shared storage holds in place of a value.

    Attributes:
        array: NumPy's array, which has the elements.
        value: the elements when they were last read or written.
        traced: the tracer that stands for them while a function is traced; else None.
    """

    __slots__ = ("array", "traced", "value")

    def __init__(self, array: np.ndarray, value: Value) -> None:
        self.array, self.value = array, value
        self.traced: Value | None = None

    @property
    def held(self) -> bool:
        """Whether anybody else may hold the array. A view that NumPy made keeps its base alive, not its parent."""
        return self.array.base is not None or sys.getrefcount(self.array) > _OWN_REFERENCES


class Shared(Storage):
    """A storage whose elements are in NumPy's memory. A plain storage becomes one and back, so all who have it follow."""

    __slots__ = ()
    value: Any = None  # hides the slot, as in `Indirect`

    @property
    def aval(self) -> Aval:
        """The type of the elements."""
        lent = _slot.__get__(self)
        return (lent.traced or lent.value).aval if type(lent) is _Lent else lent.aval

    def read(self) -> Value:
        """The elements as they are now."""
        with _changing:
            lent = _slot.__get__(self)
            if type(lent) is not _Lent:
                return lent  # another thread took the array back
            if lent.traced is not None:
                return lent.traced
            value = lent.value
            if not same_elements(lent.array, host_of(value)):
                value = lent.value = Value(lent.array.copy(), value.aval)
            if not lent.held:
                _take_back(self, value)
            return value

    def write(self, value: Value) -> None:
        """Put elements into NumPy's memory; memory of another shape or dtype is no longer shared."""
        array = compute(value)
        with _changing:
            lent = _slot.__get__(self)
            if type(lent) is not _Lent:
                self.value = value
            elif is_tracer(array):
                lent.traced = value
            elif value.aval is not lent.value.aval or not lent.held:
                _take_back(self, value)
            else:
                np.copyto(lent.array, host_of(value))
                lent.value, lent.traced = value, None

    def part(self, geometry: Geometry) -> np.ndarray | None:
        """Some of the elements, copied; None if that is not possible."""
        with _changing:
            lent = _slot.__get__(self)
            if type(lent) is not _Lent or lent.traced is not None or not lent.held:
                return None
            if not lent.array.flags.c_contiguous:
                return None
            return _placed(lent.array, geometry, lent.array.dtype).copy()


class _SharedInInference(Shared, InferenceStorage):
    """The same for a tensor made in inference mode."""

    __slots__ = ()


_SHARED: dict[type[Storage], type[Storage]] = {
    Storage: Shared,
    InferenceStorage: _SharedInInference,
}
_PLAIN = {shared: plain for plain, shared in _SHARED.items()}


def _lend(storage: Storage, array: np.ndarray, value: Value) -> None:
    _slot.__set__(storage, _Lent(array, value))
    storage.__class__ = _SHARED[type(storage)]


def _take_back(storage: Storage, value: Value) -> None:
    _slot.__set__(storage, value)
    storage.__class__ = _PLAIN[type(storage)]


def same_elements(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays have the same bits; a NaN is itself, and a minus zero no zero."""
    bits = f"u{a.itemsize}"
    if a.itemsize > 8:
        if not (a.flags.c_contiguous and b.flags.c_contiguous):
            return a.tobytes() == b.tobytes()
        a, b, bits = np.atleast_1d(a), np.atleast_1d(b), "u8"
    return bool((a.view(bits) == b.view(bits)).all())


def _placed(array: np.ndarray, geometry: Geometry, dtype: Any) -> np.ndarray:
    """The elements of a memory at some places, as a view."""
    if 0 in geometry.size:
        return np.empty(geometry.size, dtype)
    strides = [each * dtype.itemsize for each in geometry.stride]
    memory: Any = array.reshape(-1).view(np.uint8)
    return np.ndarray(geometry.size, dtype, memory, geometry.offset * dtype.itemsize, strides)


def share(storage: Storage, array: np.ndarray) -> None:
    """Let a storage have its elements in an array that somebody holds.

    Args:
        storage: a plain one, with a copy of the elements.
        array: may be written.
    """
    _lend(storage, array, storage.value)


def as_numpy(storage: Storage, geometry: Geometry | None) -> np.ndarray | None:
    """NumPy's view of elements, in memory that both share from now on; None if it cannot be shared.

    Args:
        storage: has the elements.
        geometry: their places in its memory; None for all, in order.
    """
    memory = storage.memory
    with _changing:
        if type(memory) in _SHARED:
            value = memory.value
            array = compute(value)
            if type(value) is not Value or not _on_host(array):
                return None
            _lend(memory, np.array(array), value)
        elif not isinstance(memory, Shared):
            return None
        lent = _slot.__get__(memory)
        if type(lent) is not _Lent or lent.traced is not None:
            return None
        if geometry is None:
            return lent.array.view()
        if not lent.array.flags.c_contiguous:
            return None
        return _placed(lent.array, geometry, storage.aval.dtype)


def _on_host(array: Any) -> bool:
    if is_tracer(array):
        return False
    return not isinstance(array, jax.Array) or all(d.platform == "cpu" for d in array.devices())
