"""Storages of tensors inside transformations: detached and dual storages, and writes that keep a level's edges."""

from typing import Any

from funcgrad.engine import Leaf, Storage, Value, Variable, local, record
from funcgrad.engine.levels import DualLevel, without_history
from funcgrad.engine.ops import zeros_like
from funcgrad.engine.values import Indirect, Wrapped
from funcgrad.torch._levels.axes import expand, move_axis


class DetachedStorage(Indirect):
    """Another storage's value, without history at any level. Writes go through to that storage."""

    __slots__ = ("cached", "seen", "source")

    def __init__(self, source: Storage) -> None:
        self.source = source
        self.seen: Any = None
        self.cached: Any = None

    def read(self) -> Value:
        """The shared storage's value, detached."""
        value = self.source.read()
        if value is not self.seen:
            self.seen, self.cached = value, without_history(value)
        return self.cached

    def write(self, value: Value) -> None:
        """Change the shared storage's elements; its edges and tangents at other levels stay."""
        self.source.write(rewritten(self.source.read(), value, tangents=True))

    @property
    def version(self) -> int:
        """The shared storage's version."""
        return self.source.version

    @version.setter
    def version(self, version: int) -> None:
        self.source.version = version


def rewritten(held: Value, value: Value, *, tangents: bool) -> Value:
    """Replace a value's elements without a graph node. It keeps its edges at outer levels, and its tangents if wanted."""
    if not isinstance(held, Wrapped):
        return value
    level: Any = held.level
    if is_dual(held):
        if is_dual(value) or not tangents:
            return value
        inner = rewritten(held.inner._storage.read(), value, tangents=True)
        return level.wrap_dual(inner, held.tangent)
    if not (isinstance(value, Wrapped) and value.level is level):
        return value
    new = _along(level, value, held.axis)
    inner = rewritten(held.inner._storage.read(), new._storage.read(), tangents=tangents)
    kept = Variable(Storage(inner), *held.inner._edge())
    return Wrapped(
        level, kept, held.aval, axis=held.axis, tangent=held.tangent if tangents else value.tangent
    )


def _along(level: Any, value: Wrapped, axis: int | None) -> Any:
    """The inner variable of a value, with the batch along an axis."""
    inner: Any = value.inner
    if value.axis == axis:
        return inner
    with level.below():
        if value.axis is None:
            return expand(inner, level.size, axis)  # type: ignore[arg-type]
        return move_axis(inner, value.axis, axis)  # type: ignore[arg-type]


class DualStorage(Indirect):
    """A tensor's storage with a tangent. It shares both: writes here change them, and their writes show here."""

    __slots__ = ("cached", "level", "of_leaf", "seen", "source", "tangent")

    def __init__(self, level: DualLevel, tensor: Variable, tangent: Variable) -> None:
        self.level, self.source, self.tangent = level, tensor._storage, tangent
        self.of_leaf = isinstance(tensor._current_node(), Leaf)
        self.seen: Any = None
        self.cached: Any = None

    def read(self) -> Value:
        """The source's value, with the tangent."""
        value = self.source.read()
        if not self.level.alive:
            return value
        if value is not self.seen:
            self.seen, self.cached = value, self.level.wrap_dual(value, self.tangent)
        return self.cached

    def write(self, value: Any) -> None:
        """Change the source's elements, and the tangent's if the value has one."""
        if is_dual(value):
            carried, held = value.tangent, self.tangent
            held._storage.write(carried._storage.read())
            held._storage.version += 1
            if carried._current_node() is not None:
                held._set_edge(*carried._edge())
            value = value.inner._storage.read()
        self.source.write(value)
        self.seen = None

    @property
    def version(self) -> int:
        """The source's version."""
        return self.source.version

    @version.setter
    def version(self, version: int) -> None:
        self.source.version = version


def dual_of(variable: Variable) -> Wrapped | None:
    """A variable's value if it has a live tangent of `forward_ad`, else None."""
    value = variable._storage.read()
    return value if is_dual(value) and value.level.alive else None  # type: ignore[return-value, attr-defined]


def still_dual(held: Value, value: Value) -> Value:
    """Give the new value of a dual tensor a tangent: zeros, or the old tangent if forward mode is off."""
    if not is_dual(held) or is_dual(value) or not value.aval.inexact:
        return value
    level: Any = held.level  # type: ignore[attr-defined]
    if level.alive and not local.recorder.forward_enabled:
        return level.wrap_dual(value, held.tangent)  # type: ignore[attr-defined]
    made = record(zeros_like, (Variable(Storage(value)),))
    return level.wrap_dual(value, Variable(Storage(made[0]))) if level.alive else value


def is_dual(value: Any) -> bool:
    """Whether a value carries a tangent of `forward_ad`."""
    return isinstance(value, Wrapped) and isinstance(value.level, DualLevel)


def is_transformed(value: Any) -> bool:
    """Whether a value belongs to a transformed function."""
    return isinstance(value, Wrapped) and not is_dual(value)
