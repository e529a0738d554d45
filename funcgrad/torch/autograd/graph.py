"""PyTorch's `torch.autograd.graph`: gradient edges, multi-grad hooks, and hooks on saved tensors."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from funcgrad.engine import GraphNode, local
from funcgrad.engine.threads import PerThread
from funcgrad.engine.values import settled
from funcgrad.torch._autograd import hooks
from funcgrad.torch._autograd.edges import GradientEdge, Node, NodeFace
from funcgrad.torch._autograd.hooks import RemovableHandle
from funcgrad.torch._autograd.observing import (
    disable_saved_tensors_hooks,
    disabled,
    pop_hooks,
    push_hooks,
)
from funcgrad.torch._tensor.tensor import Tensor, tensor_of

__all__ = [
    "GradientEdge",
    "Node",
    "allow_mutation_on_saved_tensors",
    "disable_saved_tensors_hooks",
    "get_gradient_edge",
    "increment_version",
    "register_multi_grad_hook",
    "save_on_cpu",
    "saved_tensors_hooks",
]


def __dir__() -> list[str]:
    return __all__


Node.register(GraphNode)
Node.register(NodeFace)


def get_gradient_edge(tensor: Tensor) -> GradientEdge:
    """The edge of a tensor's gradient.

    Raises:
        RuntimeError: the tensor does not require grad.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.autograd.graph.get_gradient_edge.html
    """
    if not tensor.requires_grad:
        raise RuntimeError(
            "It is not possible to get the gradient edge for a Tensor that does not require gradients"
        )
    node, number = tensor._edge()
    return GradientEdge(node.face, number)


def increment_version(tensor: Tensor | Iterable[Tensor]) -> None:
    """Count one in-place write, which autograd could not see, for a tensor or for each of several.

    Raises:
        RuntimeError: one of them is not a tensor.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.autograd.graph.increment_version.html
    """
    try:
        given: list[Any] = [tensor] if isinstance(tensor, Tensor) else list(tensor)
    except TypeError:
        raise RuntimeError("increment_version expect a Iterable[Tensor] as input") from None
    for each in given:
        if not isinstance(each, Tensor):
            raise RuntimeError(
                "increment_version expects each element of the iterable to be a tensor"
            )
    for each in given:
        if not each.is_inference():
            each._storage.version += 1


class saved_tensors_hooks:
    """A block in which each saved tensor goes to `pack_hook`; `unpack_hook` gives it back when backward needs it.

    Args:
        pack_hook: takes a tensor, which it must not change, and returns anything.
        unpack_hook: takes the result of `pack_hook`, and returns a tensor of the same elements.

    The derivatives decide which tensors are saved. They may differ from PyTorch's: for `exp` PyTorch saves the result,
    and this package the argument.

    >>> import funcgrad.torch as torch
    >>> w = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> kept = []
    >>> with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or len(kept) - 1, lambda k: kept[k]):
    ...     loss = (w * w).sum()
    >>> loss.backward()
    >>> len(kept), w.grad
    (2, tensor([2., 4.]))

    Behaviour: https://pytorch.org/docs/stable/autograd.html#torch.autograd.graph.saved_tensors_hooks
    """

    def __init__(
        self, pack_hook: Callable[[Tensor], Any], unpack_hook: Callable[[Any], Tensor]
    ) -> None:
        self.pack_hook = pack_hook
        self.unpack_hook = unpack_hook

    def __enter__(self) -> None:
        if disabled.reason is not None:
            raise RuntimeError(disabled.reason)
        hooks = self.pack_hook, self.unpack_hook
        if not all(map(callable, hooks)):
            raise TypeError(
                "_push_saved_tensors_default_hooks(): incompatible function arguments. The following argument types are "
                "supported:\n    1. (arg0: collections.abc.Callable, arg1: collections.abc.Callable) -> None\n\n"
                f"Invoked with: {hooks[0]!r}, {hooks[1]!r}"
            )
        push_hooks(*hooks)

    def __exit__(self, *_: Any) -> None:
        pop_hooks()


class save_on_cpu(saved_tensors_hooks):
    """A block in which saved tensors are moved to the host's memory until backward.

    Args:
        pin_memory: accepted for PyTorch's sake; JAX decides how it copies.
        device_type: likewise.

    Behaviour: https://pytorch.org/docs/stable/autograd.html#torch.autograd.graph.save_on_cpu
    """

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        def pack(tensor: Any) -> Any:
            return tensor.device, tensor.detach().to("cpu")

        def unpack(packed: Any) -> Any:
            device, tensor = packed
            return tensor.to(device)

        super().__init__(pack, unpack)


class _Mutable:
    """The value of an `allow_mutation_on_saved_tensors` block; knows whether the block is still on."""

    def __init__(self) -> None:
        self.on = True

    def clear(self) -> None:
        """Release the saved tensors."""
        self.on = False


class _Allowed(PerThread):
    on = False


_allowed = _Allowed()


@contextmanager
def allow_mutation_on_saved_tensors() -> Iterator[_Mutable]:
    """A block in which saved tensors may be changed in place. Backward uses the elements as they were saved.

    Raises:
        RuntimeError: the block is inside another one.

    >>> import funcgrad.torch as torch
    >>> w = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> with torch.autograd.graph.allow_mutation_on_saved_tensors():
    ...     y = w * 1
    ...     loss = (y * y).sum()
    ...     _ = y.mul_(5)
    ...     loss.backward()
    >>> w.grad
    tensor([2., 4.])

    Behaviour: https://pytorch.org/docs/stable/autograd.html#torch.autograd.graph.allow_mutation_on_saved_tensors
    """
    if _allowed.on:
        raise RuntimeError("allow_mutation_on_saved_tensors contexts cannot be nested")
    block = _Mutable()

    def unpack(kept: Tensor) -> Tensor:
        if not block.on:
            raise AssertionError(
                "Trying to backward outside of the 'allow_mutation_on_saved_tensors' context"
                "in which the graph was originally recorded."
            )
        return kept

    # Values never change: a tensor of the value keeps the saved elements, even after writes to the memory.
    with saved_tensors_hooks(lambda tensor: tensor_of(settled(tensor._storage.read())), unpack):
        _allowed.on = True
        try:
            yield block
        finally:
            block.clear()
            _allowed.on = False


class _MultiHandle(RemovableHandle):
    """Removes several hooks at once."""

    def __init__(self, handles: Sequence[RemovableHandle]) -> None:
        self.handles = handles

    def remove(self) -> None:
        """Take all of them away."""
        for handle in self.handles:
            handle.remove()

    def __getstate__(self) -> Any:
        return self.handles

    def __setstate__(self, state: Any) -> None:
        self.handles = state


def register_multi_grad_hook(
    tensors: Sequence[Tensor], fn: Callable[..., None], *, mode: str = "all"
) -> RemovableHandle:
    """Call `fn` once in each backward: with all the gradients of `tensors`, or with the first one.

    Args:
        tensors: tensors that require grad.
        fn: takes, in mode "all", a list with a gradient for each tensor, None if backward does not
            reach it; in mode "any", the first gradient computed.
        mode: "all" or "any".

    Raises:
        ValueError: there is no such mode.

    Behaviour: https://pytorch.org/docs/stable/autograd.html#torch.autograd.graph.register_multi_grad_hook
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    lock = threading.Lock()
    given = [
        (tensor, tensor._current_node() if tensor.requires_grad else None) for tensor in tensors
    ]
    if mode == "any":
        given = [(tensor, node) for tensor, node in given if node is not None]
    nodes = [node for _, node in given]
    if any(node is None for node in nodes):
        raise AssertionError("Expected gradient function to be set")
    # The present walk, and the gradients seen in it.
    walks: dict[int, list[Any]] = {}

    def seen(number: int, gradient: Tensor) -> None:
        walking = local.recorder.walking
        with lock:
            if id(walking) not in walks or walks[id(walking)][0] is not walking:
                walks.clear()
                reached = sum(node in (walking or ()) for node in nodes)
                walks[id(walking)] = [walking, reached, [None] * len(nodes), True]
            record = walks[id(walking)]
            first, record[3] = record[3], False
            record[2][number] = gradient
            record[1] -= 1
            ended = record[1] == 0
            if ended:
                del walks[id(walking)]
        if mode == "any":
            if first:
                fn(gradient)
        elif ended:
            fn(record[2])

    def on(number: int) -> Callable[[Tensor], None]:
        return lambda gradient: seen(number, gradient)

    return _MultiHandle([hooks.register_hook(each, on(k)) for k, (each, _) in enumerate(given)])
