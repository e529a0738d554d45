"""Tensors inside transformed functions: what their storages do, and PyTorch's words for what cannot be done to them.

How ops on them work is the engine's business (`engine.levels`); which transformations there are, `func`'s.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.engine import Leaf, Storage, Value, Variable, local, record
from funcgrad.engine.levels import BatchLevel, DualLevel, NoElementsError, detached, lift, modes
from funcgrad.engine.ops import zeros_like
from funcgrad.engine.values import Wrapped
from funcgrad.torch.view_storage import memory_of

ITEM = (
    "vmap: It looks like you're calling .item() on a Tensor. We don't support vmap over calling .item() on a Tensor, "
    "please try to rewrite what you're doing with other operations. If error is occurring somewhere inside PyTorch "
    "internals, please file a bug report."
)
CONTROL_FLOW = (
    "vmap: It looks like you're attempting to use a Tensor in some data-dependent control flow. We don't support that "
    "yet, please file an issue at https://github.com/pytorch/pytorch/issues ."
)
NESTED = (
    "vmap: It looks like you're either (1) calling .item() on a Tensor or (2) attempting to use a Tensor in some "
    "data-dependent control flow or (3) encountering this error in PyTorch internals. For (1): we don't support vmap "
    "over calling .item() on a Tensor, please try to rewrite what you're doing with other operations. For (2): we don't "
    "support data-dependent control flow in vmap yet, please file an issue at "
    "https://github.com/pytorch/pytorch/issues . For (3): please file an issue."
)
DYNAMIC_SHAPE = (
    "vmap: We do not support batching operators that can output dynamic shape. Attempted to vmap over aten::{0}. Please "
    "file an issue at https://github.com/pytorch/pytorch/issues if you need this feature."
)
MASK = (
    "vmap: We do not support batching operators that can support dynamic shape. Attempting to batch over indexing with a "
    "boolean mask."
)
MASK_SELECTED = (
    "vmap: Attempted to vmap over `mask` in torch.masked_select(self, mask) We cannot support this because for each "
    "batch this would return a differently shaped Tensor. Please file an issue at "
    "https://github.com/pytorch/pytorch/issues if you need this feature."
)
NO_STORAGE = "Cannot access data pointer of Tensor that doesn't have storage"
REQUIRES_GRAD = (
    "You are attempting to call Tensor.requires_grad_() (or perhaps using torch.autograd.functional.* APIs) inside of a "
    "function being transformed by a functorch transform. This is unsupported, please attempt to use the functorch "
    "transforms (e.g. grad, vjp, jacrev, jacfwd, hessian) or call requires_grad_() outside of a function being "
    "transformed instead."
)
BACKWARD = (
    "backward() called inside a functorch transform. This is not supported, please use functorch.grad or functorch.vjp "
    "instead or call backward() outside of functorch transforms."
)
RETAIN = (
    "You are attempting to call Tensor.retain_grad() inside of a function being transformed by a functorch transform. "
    "This is unsupported, please attempt to use the functorch transforms (e.g. grad, vjp, jacrev, jacfwd, hessian) or "
    "call retain_grad() outside of a function being transformed instead."
)
CAPTURED = (
    "During a grad (vjp, jvp, grad, etc) transform, the function provided attempted to call in-place operation that "
    "would mutate a captured Tensor. This is not supported; please rewrite the function being transformed to explicitly "
    "accept the mutated Tensor(s) as inputs."
)


class DetachedStorage(Storage):
    """Another storage's value without its history at any level; written through."""

    __slots__ = ("cached", "seen", "source")

    def __init__(self, source: Storage) -> None:
        self.source = source
        self.seen: Any = None
        self.cached: Any = None

    @property
    def value(self) -> Value:
        """What the shared cell holds, detached."""
        value = self.source.value
        if value is not self.seen:
            self.seen, self.cached = value, detached(value)
        return self.cached

    @value.setter
    def value(self, value: Value) -> None:
        self.source.value = rewritten(self.source.value, value, tangents=True)

    @property
    def version(self) -> int:
        """The shared cell's."""
        return self.source.version

    @version.setter
    def version(self, version: int) -> None:
        self.source.version = version


def rewritten(held: Value, value: Value, *, tangents: bool) -> Value:
    """Other elements in a value, behind autograd's back: with the edges that it has further out, and its tangents if wanted."""
    if not isinstance(held, Wrapped):
        return value
    level: Any = held.level
    if is_dual(held):
        if is_dual(value) or not tangents:
            return value
        inner = rewritten(held.inner.storage.value, value, tangents=True)
        return level.wrap_dual(inner, held.tangent)
    if not (isinstance(value, Wrapped) and value.level is level):
        return value
    new = _along(level, value, held.axis)
    inner = rewritten(held.inner.storage.value, new.storage.value, tangents=tangents)
    kept = Variable(Storage(inner), held.inner.node, held.inner.nr)
    return Wrapped(
        level, kept, held.aval, axis=held.axis, tangent=held.tangent if tangents else value.tangent
    )


def _along(level: Any, value: Wrapped, axis: int | None) -> Any:
    """What a value is wrapped around, with the batch along an axis."""
    from funcgrad.torch.rearranging import expand, move_axis

    inner: Any = value.inner
    if value.axis == axis:
        return inner
    with level.below():
        if value.axis is None:
            return expand(inner, level.size, axis)  # type: ignore[arg-type]
        return move_axis(inner, value.axis, axis)  # type: ignore[arg-type]


class InputStorage(Storage):
    """The storage of a transformed function's argument: what is written to it is written to the tensor that was given."""

    __slots__ = ("cached", "level", "seen", "tensor", "wrap")

    def __init__(self, level: Any, tensor: Any, wrap: Any) -> None:
        self.level, self.tensor, self.wrap = level, tensor, wrap
        self.seen: Any = None
        self.cached: Any = None
        self.version = 0

    @property
    def value(self) -> Value:
        """The given tensor's value at this level."""
        value = self.tensor.storage.value
        if value is not self.seen:
            self.seen, self.cached = value, self.wrap(self.tensor)
        return self.cached

    @value.setter
    def value(self, value: Any) -> None:
        from funcgrad.torch.calling import writable, write

        target = self.tensor
        if not (isinstance(value, Wrapped) and value.level is self.level):
            write(target, (value, None, 0))
            return
        inner = _along(self.level, value, self.value.axis)  # type: ignore[attr-defined]
        with self.level.below():
            writable(target)
            write(target, (inner.storage.value, inner.node, inner.nr))
        self.seen, self.cached = target.storage.value, value


class DualStorage(Storage):
    """A tensor's storage and a tangent: what is written to either shows in both."""

    __slots__ = ("cached", "level", "of_leaf", "seen", "source", "tangent")

    def __init__(self, level: DualLevel, tensor: Variable, tangent: Variable) -> None:
        self.level, self.source, self.tangent = level, tensor.storage, tangent
        self.of_leaf = isinstance(tensor.node, Leaf)
        self.seen: Any = None
        self.cached: Any = None

    @property
    def value(self) -> Value:
        """What the source holds, with the tangent."""
        value = self.source.value
        if not self.level.alive:
            return value
        if value is not self.seen:
            self.seen, self.cached = value, self.level.wrap_dual(value, self.tangent)
        return self.cached

    @value.setter
    def value(self, value: Any) -> None:
        if is_dual(value):
            carried, held = value.tangent, self.tangent
            held.storage.value = carried.storage.value
            held.storage.version += 1
            if carried.node is not None:
                held.node, held.nr = carried.node, carried.nr
            value = value.inner.storage.value
        self.source.value, self.seen = value, None

    @property
    def version(self) -> int:
        """The source's."""
        return self.source.version

    @version.setter
    def version(self, version: int) -> None:
        self.source.version = version


def dual_of(variable: Variable) -> Wrapped | None:
    """A variable's value where it carries a tangent of `forward_ad` now."""
    value = variable.storage.value
    return value if is_dual(value) and value.level.alive else None  # type: ignore[return-value, attr-defined]


def still_dual(held: Value, value: Value) -> Value:
    """What overwrites a dual value, with a tangent of zeros where it has none; the same one where none are carried on."""
    if not is_dual(held) or is_dual(value) or not value.aval.inexact:
        return value
    level: Any = held.level  # type: ignore[attr-defined]
    if level.alive and not modes.forward_enabled:
        return level.wrap_dual(value, held.tangent)  # type: ignore[attr-defined]
    made = record(zeros_like, (Variable(Storage(value)),))
    return level.wrap_dual(value, Variable(Storage(made[0]))) if level.alive else value


def elements_of(value: Wrapped, complaint: str) -> np.ndarray:
    """The elements of a wrapped value.

    Raises:
        RuntimeError: it is one of a batch; in the words given.
    """
    try:
        return value.concrete()
    except NoElementsError:
        nested = value.axis is None and complaint in (ITEM, CONTROL_FLOW)
        raise RuntimeError(NESTED if nested else complaint) from None


def refuse_data(value: Value, *, reading: bool) -> None:
    """Refuse `.data` where PyTorch does: of one of a batch, and to assign to it in a transformed function.

    Raises:
        RuntimeError: it is refused.
    """
    if not is_transformed(value):
        return
    batched = value.axis is not None  # type: ignore[attr-defined]
    if batched and reading:
        raise RuntimeError("accessing `data` under vmap transform is not allowed")
    if not reading:
        where = "under vmap" if batched else "inside functorch"
        raise RuntimeError(f"mutating directly with `.data` {where} transform is not allowed.")


def check_storage(value: Value) -> None:
    """Refuse to tell where a value lies in memory where PyTorch cannot.

    Raises:
        NotImplementedError: it is one of a function that is transformed.
    """
    if is_transformed(value):
        kind = "TensorWrapper" if value.axis is None else "BatchedTensorImpl"  # type: ignore[attr-defined]
        raise NotImplementedError(f"Cannot access storage of {kind}")


def refuse_inside(complaint: str) -> None:
    """Refuse what no transformed function may do.

    Raises:
        RuntimeError: one is running, in the words given.
    """
    if local.recorder.levels:
        raise RuntimeError(complaint)


def check_transformed(target: Variable, others: Sequence[Variable] = (), name: str = "") -> None:
    """Check that what is transformed now lets a tensor be changed in place, by the method of that name.

    Raises:
        RuntimeError: it is captured by a function that is transformed, or a dual tensor made of a leaf, or no batch
            where one of the others is.
    """
    storage = memory_of(target.storage)
    if isinstance(storage, DualStorage) and storage.of_leaf and local.recorder.grad_enabled:
        raise RuntimeError(
            "a view of a leaf Variable that requires grad is being used in an in-place operation."
        )
    if local.recorder.levels:
        check_captured(target)
        for other in others:
            check_not_batched(target, other.storage.value, name)


def check_captured(target: Variable) -> None:
    """Check that a transformed function may change a tensor in place: that it made it, or was given it.

    Raises:
        RuntimeError: it is from outside, and a gradient or a tangent is asked for.
    """
    value = target.storage.value
    for level in reversed(local.recorder.levels):
        held = isinstance(value, Wrapped) and value.level is level
        if not isinstance(level, BatchLevel):
            if not held:
                raise RuntimeError(CAPTURED)
            return
        if held:
            value = value.inner.storage.value  # type: ignore[attr-defined]


# PyTorch's names, in complaints, of the in-place ops that its `vmap` has a rule for; of others it says the level as well.
_RULES = {
    **dict.fromkeys(("sub_", "mul_", "div_", "copy_"), "inplace arithmetic"),
    **{name: name for name in ("fill_", "index_add_", "index_fill_", "index_put_")},
}


def check_not_batched(target: Variable, value: Value, name: str = "") -> None:
    """Check that what is one of a batch is not written to a tensor that is none, by the method of that name.

    Raises:
        RuntimeError: it is.
    """
    batches = _batches_of(value)
    if batches:
        held = _batches_of(target.storage.value)
        missing = [level for level in reversed(batches) if level not in held]
        if missing and name in ("", "add_"):
            shape = list(value.aval.shape)
            raise RuntimeError(
                f"output with shape {shape} doesn't match the broadcast shape "
                f"{[*[level.size for level in missing], *shape]}"
            )
        if missing:
            called = _RULES.get(name, f"aten::{name}")
            where = "in a vmap" if name in _RULES else f"at level {missing[0].depth}"
            raise RuntimeError(
                f"vmap: {called}(self, *extra_args) is not possible because there exists a Tensor `other` in "
                "extra_args that has more elements than `self`. This happened due to `other` being vmapped over but "
                f"`self` not being vmapped over {where}. Please try to use out-of-place operators instead of {called}. "
                "If said operator is being called inside the PyTorch framework, please file a bug report instead."
            )


def describe(value: Wrapped, inner: str) -> str:
    """PyTorch's printed form of a wrapped tensor, around that of what is inside."""
    body = "\n".join(f"    {line}" if line else line for line in inner.split("\n"))
    level = value.level.depth
    if value.axis is not None:
        return f"BatchedTensor(lvl={level}, bdim={value.axis}, value=\n{body}\n)"
    return f"GradTrackingTensor(lvl={level}, value=\n{body}\n)"


def is_dual(value: Any) -> bool:
    """Whether a value carries a tangent of `forward_ad`."""
    return isinstance(value, Wrapped) and isinstance(value.level, DualLevel)


def is_transformed(value: Any) -> bool:
    """Whether a value, or what was computed of it, is one of a function that is transformed."""
    return isinstance(value, Wrapped) and not is_dual(value)


def lifted(value: Value) -> Value:
    """A value made just now, as one that the function being transformed may change."""
    return lift(Variable(Storage(value))).storage.value if local.recorder.levels else value


RANDOM = (
    "vmap: called random operation while in randomness error mode. Please either use the 'same' or 'different' "
    "randomness flags on vmap or perform the randomness operation out of vmap"
)


def drawn_for_batches() -> tuple[int, ...] | None:
    """For random numbers drawn inside `vmap`: the sizes of the batches that want numbers of their own; None outside any.

    Raises:
        RuntimeError: one wants none drawn.
    """
    batches = [level for level in local.recorder.levels if isinstance(level, BatchLevel)]
    if any(level.randomness == "error" for level in batches):
        raise RuntimeError(RANDOM)
    if not batches:
        return None
    return tuple([level.size for level in batches if level.randomness == "different"])


def _batches_of(value: Value) -> list[BatchLevel]:
    """The batches that a value is one of, innermost first."""
    found = []
    while isinstance(value, Wrapped):
        if value.axis is not None:
            found.append(value.level)
        value = value.inner.storage.value
    return found


def is_batched(value: Value) -> bool:
    """Whether a value is one of a batch, at any level."""
    return isinstance(value, Wrapped) and bool(_batches_of(value))


def as_batched(value: Value, like: Value) -> Value:
    """A value made just now, the same for all, as one of the batches that another is of."""
    from funcgrad.torch.rearranging import expand

    batches = _batches_of(like)
    if not batches:
        return value
    while isinstance(value, Wrapped):
        value = value.inner.storage.value
    made: Any = Variable(Storage(value))
    with local.recorder.levels[0].below():
        for level in batches:
            made = expand(made, level.size, 0)
    return _through_levels(made, batches)


def check_drawn_in_place(target: Variable) -> tuple[int, ...]:
    """For random numbers drawn into a tensor: the sizes of the batches that want numbers of their own.

    Raises:
        RuntimeError: a batch wants none drawn, or the tensor is not one of a batch that wants its own.
    """
    batches = drawn_for_batches()
    wanting = [
        level
        for level in local.recorder.levels
        if isinstance(level, BatchLevel) and level.randomness == "different"
    ]
    held = _batches_of(target.storage.value)
    if not all(level in held for level in wanting):
        raise RuntimeError(
            "vmap: Cannot ask for different inplace randomness on an unbatched tensor. This will appear like same "
            "randomness. If this is necessary for your usage, please file an issue with functorch."
        )
    return batches or ()


def of_batches(value: Value) -> Value:
    """Numbers drawn for `drawn_for_batches`, as a value of the function being transformed."""
    levels = local.recorder.levels
    wanting = [each for each in levels if getattr(each, "randomness", None) == "different"]
    return _through_levels(Variable(Storage(value)), wanting)


def _through_levels(variable: Variable, batches: Sequence[Any]) -> Value:
    """A variable whose first axes are these batches, outermost first, as a value of the function being transformed."""
    for level in local.recorder.levels:
        if not isinstance(level, BatchLevel):
            variable = Variable(Storage(level.wrap(variable)))
        elif level in batches:
            variable = Variable(Storage(level.wrap_batch(variable, 0)))
    return variable.storage.value
