"""The engine's data: immutable values that may still be pending, and the mutable cells that hold them.

Nothing here records or runs an op; see `trace` and `programs` for that.
"""

import math
import threading
from collections.abc import Callable
from functools import cache
from typing import Any, ClassVar
from weakref import ref

import jax
import jax.core
import numpy as np

from funcgrad.strictness import lenient

Slot = tuple[Any, int]
NOWHERE: Slot = (None, -1)


class Aval:
    """The type of a value: shape, dtype, and the device it is bound to (None: JAX's default).

    `inexact` tells whether it is floating or complex, so that a gradient can flow through it. `kind` is the number of its
    rank, dtype and device in `kinds`.

    Interned, so that two equal types are one object and compare, hash and look up by identity.
    """

    __slots__ = ("__weakref__", "device", "dtype", "inexact", "kind", "shape")

    kinds: ClassVar[dict[tuple[int, np.dtype, Any], int]] = {}
    # Weak, and without a callback for each: `_make` now and then leaves out the ones that are gone.
    _interned: ClassVar[dict[tuple, "ref[Aval]"]] = {}
    _most: ClassVar[int] = 1024
    _making: ClassVar[threading.Lock] = threading.Lock()

    shape: tuple[int, ...]
    dtype: np.dtype
    device: Any
    inexact: bool
    kind: int

    def __new__(cls, shape: tuple[int, ...], dtype: Any, device: Any = None) -> "Aval":
        """The one object of this type."""
        found = cls._interned.get((shape, dtype, device))
        known = None if found is None else found()
        if known is not None:
            return known
        dtype = np.dtype(dtype)
        with cls._making:
            found = cls._interned.get((shape, dtype, device))
            known = None if found is None else found()
            return cls._make(shape, dtype, device) if known is None else known

    @classmethod
    def _make(cls, shape: tuple[int, ...], dtype: np.dtype, device: Any) -> "Aval":
        self = object.__new__(cls)
        self.shape, self.dtype, self.device = shape, dtype, device
        self.inexact = is_inexact(dtype)
        self.kind = cls.kinds.setdefault((len(shape), dtype, device), len(cls.kinds))
        if len(cls._interned) >= cls._most:
            cls._interned = {k: kept for k, kept in cls._interned.items() if kept() is not None}
            cls._most = max(1024, 2 * len(cls._interned))
        cls._interned[shape, dtype, device] = ref(self)
        return self

    def __repr__(self) -> str:
        where = "" if self.device is None else f"@{self.device}"
        return f"{self.dtype.name}[{','.join(map(str, self.shape))}]{where}"

    def __reduce__(self) -> tuple:
        return (Aval, (self.shape, self.dtype, self.device))

    def fingerprint(self) -> str:
        """See `fingerprints`."""
        return repr(self)

    @property
    def struct(self) -> jax.ShapeDtypeStruct:
        """The same type as JAX writes it."""
        return jax.ShapeDtypeStruct(self.shape, self.dtype)


@cache
def is_inexact(dtype: np.dtype) -> bool:
    """Whether `dtype` is floating or complex; bfloat16 and its kin, which NumPy counts as void, included.

    >>> is_inexact(np.dtype("float32")), is_inexact(np.dtype(jax.numpy.bfloat16)), is_inexact(np.dtype(int))
    (True, True, False)
    """
    return bool(jax.dtypes.issubdtype(dtype, np.inexact))


def in_memory(device: Any) -> bool:
    """Whether a device's arrays are in the CPU's memory; None is JAX's default device, which the core asks about itself."""
    return device is None or getattr(device, "platform", None) == "cpu"


class Meta:
    """The device of arrays that have a type and no elements."""

    platform = "meta"

    def __repr__(self) -> str:
        return "meta"

    def __reduce__(self) -> str:
        return "META"


META = Meta()


class _Typed:
    """The facts of an array that its type has."""

    __slots__ = ()
    aval: Aval

    @property
    def shape(self) -> tuple[int, ...]:
        """As an array's."""
        return self.aval.shape

    @property
    def dtype(self) -> np.dtype:
        """As an array's."""
        return self.aval.dtype

    @property
    def size(self) -> int:
        """As an array's."""
        return math.prod(self.aval.shape)


class Absent(_Typed):
    """Stands for the elements of an array on the device `META`: there are none.

    Attributes:
        aval: its type.
    """

    __slots__ = ("aval",)

    def __init__(self, aval: Aval) -> None:
        self.aval = aval

    @property
    def ndim(self) -> int:
        """As an array's."""
        return len(self.aval.shape)

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        """Refuse.

        Raises:
            NotImplementedError: there are no elements.
        """
        raise NotImplementedError("Cannot copy out of meta tensor; no data!")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.__array__()


class Value:
    """An immutable array that may be pending.

    Attributes:
        array: the array once computed; None while pending.
        host: NumPy's view of `array`, once the core has asked for it; not there before. See `host_of`.
        aval: its type.
        slot: where it stands: (the token of a trace, its position there). One attribute, so that a thread that brings
            the value into its own trace never leaves another thread half of each.
        trace: while pending, the trace that can compute it.
    """

    __slots__ = ("__weakref__", "array", "aval", "host", "slot", "trace")

    host: Any

    def __init__(self, array: Any, aval: Aval, slot: Slot = NOWHERE, trace: Any = None) -> None:
        self.array = array
        self.aval = aval
        self.slot = slot
        self.trace = trace

    @classmethod
    def of(cls, array: Any) -> "Value":
        """The value of an array that exists: a `jax.Array`, a tracer, or a NumPy array or scalar."""
        device = None
        if isinstance(array, jax.Array) and not is_tracer(array) and array.committed:
            devices = array.devices()
            device = next(iter(devices)) if len(devices) == 1 else array.sharding
        return cls(array, Aval(array.shape, array.dtype, device))


def host_of(value: Value) -> Any:
    """The array of a value, as NumPy's. It is not to be changed: it may be JAX's own memory."""
    try:
        return value.host
    except AttributeError:
        host = value.host = np.asarray(value.array)
        return host


class Live(Value):
    """The elements of memory that is shared with NumPy: whoever holds the array may change them.

    The core computes with what is there. Whatever keeps the elements, or looks at them later, takes a copy.
    """

    __slots__ = ()


def settled(value: Value) -> Value:
    """A value that nothing changes: itself, or a copy of what is in shared memory now."""
    return Value(value.array.copy(), value.aval) if isinstance(value, Live) else value


class Wrapped(_Typed, Value):
    """A value inside a transformation of functions; see `levels`. It has no place in a trace, and stands for its own array.

    Attributes:
        level: the level that it belongs to.
        inner: the variable of the next level out that it stands for.
        axis: for one of a batch, the axis of `inner` that the batch lies along.
        tangent: for a dual value, the tangent of `inner`, if it has one.
    """

    __slots__ = ("axis", "inner", "level", "tangent")

    def __init__(
        self,
        level: Any,
        inner: Any,
        aval: Aval,
        *,
        axis: int | None = None,
        tangent: Any = None,
    ) -> None:
        self.level, self.inner, self.axis, self.tangent = level, inner, axis, tangent
        self.aval = aval
        self.slot = NOWHERE
        self.trace = None

    @property
    def array(self) -> Any:
        """The value itself, which takes a tracer's way; once the level is left, the array inside."""
        if self.level.alive:
            return self
        return self.level.elements(self)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """The elements, for NumPy; see `concrete`."""
        return np.array(self.concrete(), dtype=dtype, copy=copy)

    def concrete(self) -> np.ndarray:
        """The elements.

        Raises:
            NoElementsError: it is one of a batch.
        """
        return np.asarray(self.level.elements(self))


class Storage:
    """A mutable cell: the value it holds now, and how many times it was written in place.

    Attributes:
        moved: once a graph node was left behind by a write in place, the `Moved` of it; not there before.
    """

    __slots__ = ("__weakref__", "moved", "value", "version")

    moved: Any
    # Where its elements lie in its memory; None: all of them, in order.
    geometry: Any = None
    # Whether its elements are a part of another storage's, by its geometry.
    is_part: bool = False
    # Whether it holds its elements itself and counts its writes, as the storage of a new tensor does.
    is_plain: bool = True
    # Whether an op may write to it with no further check: it writes all elements, and no view sees a part of them.
    is_apart: bool = True

    def __init__(self, value: Value) -> None:
        self.value = value
        self.version = 0

    def read(self) -> Value:
        """The value it holds now; a view records the op that reads its elements."""
        value = self.value
        # Another thread may have made it a storage of another kind meanwhile.
        return type(self).read(self) if value is None else value

    def write(self, value: Value) -> None:
        """Hold another value from now on; a view records the op that changes the elements it is a view of."""
        self.value = value

    @property
    def aval(self) -> Aval:
        """The type of its elements."""
        return (self.value or type(self).read(self)).aval

    @property
    def memory(self) -> "Storage":
        """The storage that holds its elements: itself, unless it is a view of another."""
        return self

    @property
    def viewed(self) -> "Storage":
        """The storage that a view of its elements reads: itself, unless it is a view of another."""
        return self

    @property
    def counter(self) -> "Storage":
        """The storage whose version counts the writes to it."""
        return self

    def changed(self, version: Any) -> tuple["Storage", int, int | None]:
        """The storage that changed since `version`, the version it had then, and its number if it is a watched result."""
        return self, version, None


class Indirect(Storage):
    """Base of the storages that find their value elsewhere, such as a view's. Only `read` and `write` reach it.

    `storage.value or storage.read()` reads any storage, a plain one without a call. `(storage.value or storage).aval` is its
    type. Every op does both, so they are worth their length where ops are called; elsewhere use `read` and `aval`.
    """

    __slots__ = ()
    value: Any = None
    is_plain = False
    is_apart = False

    def read(self) -> Value:
        """The value, from where it is held."""
        raise NotImplementedError

    def write(self, value: Value) -> None:
        """Put another value where it is held."""
        raise NotImplementedError

    @property
    def aval(self) -> Aval:
        """The type of its elements."""
        return self.read().aval


class Constant(Storage):
    """The cell of a number that is written in the program, such as the 2 of `2 * x`; nobody looks at it as a tensor."""

    __slots__ = ()


_CONCRETE: set[type] = set()


def is_tracer(array: Any) -> bool:
    """Whether `array` stands for a value inside a JAX transformation, or one of the engine's own.

    >>> is_tracer(np.float32(1))
    False
    """
    kind = type(array)
    if kind in _CONCRETE:
        return False
    if isinstance(array, (jax.core.Tracer, Wrapped)):
        return True
    _CONCRETE.add(kind)
    return False


def with_wide_types(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function with JAX's 64-bit types on and the user's strictness off, in this thread and for this call alone.

    `jax.enable_x64` does that, but for one thing: an interrupt that arrives as it is left leaves them on.
    """
    with lenient():
        return wide(function, *args, **kwargs)


def wide(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """`with_wide_types` for a function that is compiled already: no strictness stops it."""
    before = jax.config.jax_enable_x64  # type: ignore[attr-defined]
    try:
        with jax.enable_x64(True):
            return function(*args, **kwargs)
    except BaseException:
        if jax.config.jax_enable_x64 is not before:  # type: ignore[attr-defined]
            jax.enable_x64(before).__enter__()
        raise


def unknown(array: Any) -> bool:
    """Whether nobody knows the elements: `array` is a tracer, or has a type alone."""
    return isinstance(array, Absent) or is_tracer(array)
