"""Refusals for tensors inside transformed functions, in PyTorch's words.

The engine (`engine.levels`) applies ops to such tensors; `func` defines the transformations.
"""

from collections.abc import Sequence

import numpy as np

from funcgrad.engine import Value, Variable, local
from funcgrad.engine.levels import BatchLevel, NoElementsError
from funcgrad.engine.values import Wrapped
from funcgrad.torch._levels.batches import _batches_of
from funcgrad.torch._levels.storages import DualStorage, is_transformed

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


def elements_of(value: Wrapped, complaint: str) -> np.ndarray:
    """The elements of a wrapped value.

    Raises:
        RuntimeError: the value is batched; `complaint` is the message.
    """
    try:
        return value.concrete()
    except NoElementsError:
        nested = value.axis is None and complaint in (ITEM, CONTROL_FLOW)
        raise RuntimeError(NESTED if nested else complaint) from None


def refuse_data(value: Value, *, reading: bool) -> None:
    """Refuse `.data` as PyTorch does: reading it from a batched value, and assigning it in a transformed function.

    Raises:
        RuntimeError: the use is refused.
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
    """Refuse access to the storage of a wrapped value, as PyTorch does.

    Raises:
        NotImplementedError: the value belongs to a transformed function.
    """
    if is_transformed(value):
        kind = "TensorWrapper" if value.axis is None else "BatchedTensorImpl"  # type: ignore[attr-defined]
        raise NotImplementedError(f"Cannot access storage of {kind}")


def refuse_inside(complaint: str) -> None:
    """Refuse an action inside a transformed function.

    Raises:
        RuntimeError: a transformed function is running; `complaint` is the message.
    """
    if local.recorder.levels:
        raise RuntimeError(complaint)


def check_transformed(target: Variable, others: Sequence[Variable] = (), name: str = "") -> None:
    """Check that the running transformations allow the method `name` to write to a tensor in place.

    Raises:
        RuntimeError: a transformed function captured the tensor; it is a dual tensor made of a leaf; or it is not
            batched, and one of the others is.
    """
    storage = target._storage.memory
    if isinstance(storage, DualStorage) and storage.of_leaf and local.recorder.grad_enabled:
        raise RuntimeError(
            "a view of a leaf Variable that requires grad is being used in an in-place operation."
        )
    if local.recorder.levels:
        check_captured(target)
        for other in others:
            check_not_batched(target, other._storage.read(), name)


def check_captured(target: Variable) -> None:
    """Check that a transformed function may write to a tensor in place: the function made it, or it is an argument.

    Raises:
        RuntimeError: the tensor is from outside, and the transformation asks for a gradient or a tangent.
    """
    value = target._storage.read()
    for level in reversed(local.recorder.levels):
        held = isinstance(value, Wrapped) and value.level is level
        if not isinstance(level, BatchLevel):
            if not held:
                raise RuntimeError(CAPTURED)
            return
        if held:
            value = value.inner._storage.read()  # type: ignore[attr-defined]


# In-place ops with a rule in PyTorch's `vmap`, by their names in errors. For other ops the error names the level too.
_RULES = {
    **dict.fromkeys(("sub_", "mul_", "div_", "copy_"), "inplace arithmetic"),
    **{name: name for name in ("fill_", "index_add_", "index_fill_", "index_put_")},
}


def check_not_batched(target: Variable, value: Value, name: str = "") -> None:
    """Check that the method `name` does not write a batched value to an unbatched tensor.

    Raises:
        RuntimeError: it does.
    """
    batches = _batches_of(value)
    if batches:
        held = _batches_of(target._storage.read())
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
    """PyTorch's printed form of a wrapped tensor, around the printed inner tensor."""
    body = "\n".join(f"    {line}" if line else line for line in inner.split("\n"))
    level = value.level.depth
    if value.axis is not None:
        return f"BatchedTensor(lvl={level}, bdim={value.axis}, value=\n{body}\n)"
    return f"GradTrackingTensor(lvl={level}, value=\n{body}\n)"
