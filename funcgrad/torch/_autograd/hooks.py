"""Hooks: functions called with gradients when backward reaches a tensor or a node."""

from collections.abc import Callable
from itertools import count
from typing import Any
from weakref import ref

from funcgrad.engine import GraphNode, Leaf, Node, Variable
from funcgrad.engine.nodes import HookTable, hooked, hooks_of
from funcgrad.torch._levels.refusals import RETAIN, refuse_inside
from funcgrad.torch._tensor.rebasing import _retain_at
from funcgrad.torch._tensor.registry import publish_all
from funcgrad.torch._tensor.tensor import Tensor, tensor_of_variable
from funcgrad.torch._tensor.view import UNTRACKED
from funcgrad.torch._types.dtypes import from_numpy_dtype

_ids = count()


class RemovableHandle:
    """Returned when a hook is registered. `remove` removes the hook; so does the end of a `with` block of the handle."""

    def __init__(self, table: HookTable) -> None:
        self.id = next(_ids)
        self._table = ref(table)

    def remove(self) -> None:
        """Remove the hook; no effect if it is gone already."""
        table = self._table()
        if table is not None:
            table.pop(self.id, None)

    def __getstate__(self) -> Any:
        """A copy, or what is unpickled, removes the hook of the table that was copied with it."""
        return self._table(), self.id

    def __setstate__(self, state: Any) -> None:
        global _ids
        table, self.id = state
        self._table = ref(HookTable() if table is None else table)
        _ids = count(max(next(_ids), self.id + 1))

    def __enter__(self) -> "RemovableHandle":
        return self

    def __exit__(self, *_: Any) -> None:
        self.remove()


def added(table: HookTable, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
    """Add a hook to a table, at its end or its beginning."""
    handle = RemovableHandle(table)
    later = dict(table) if prepend else {}
    for key in later:
        del table[key]
    table[handle.id] = hook
    table.update(later)
    return handle


def _name(hook: Any) -> str:
    return getattr(hook, "__name__", type(hook).__name__)


def _replacement(hook: Any, result: Any, given: Variable | None) -> Variable:
    """Check a hook's result for one gradient, and return it.

    Raises:
        TypeError: the result is not a tensor.
        RuntimeError: the hook was given no gradient, or one of another shape or dtype.
    """
    if not isinstance(result, Tensor):
        raise TypeError(f"expected Variable, but hook returned '{type(result).__name__}'")
    if given is None:
        raise RuntimeError("can't replace a None gradient with a non-None value")
    before, after = given._storage.aval, result._storage.aval
    if before.dtype != after.dtype:
        was, got = (from_numpy_dtype(aval.dtype).legacy_name for aval in (before, after))
        raise RuntimeError(
            f"hook '{_name(hook)}' has changed the type of value (was {was} got {got})"
        )
    if before.shape != after.shape:
        raise RuntimeError(f"hook '{_name(hook)}' has changed the size of value")
    return result


def _replacements(hook: Any, result: Any, given: list[Variable | None]) -> list[Variable | None]:
    """Check a hook's result for several gradients, and return it.

    Raises:
        TypeError: the result is not a tuple, or holds something other than tensors.
        RuntimeError: it has too few or too many tensors, or one of another shape or dtype.
    """
    if not isinstance(result, tuple):
        raise TypeError(f"expected tuple, but hook returned '{type(result).__name__}'")
    if len(result) != len(given):
        raise RuntimeError(
            f"hook '{_name(hook)}' has returned an incorrect number of values (got {len(result)}, but expected "
            f"{len(given)})"
        )
    return [
        None if each is None else _replacement(hook, each, before)
        for each, before in zip(result, given, strict=True)
    ]


def _shown(variables: list[Variable | None]) -> tuple[Tensor | None, ...]:
    """Gradients as tensors for a hook. They replace the list's items, so that the hook's in-place changes count."""
    variables[:] = [None if each is None else tensor_of_variable(each) for each in variables]
    return tuple(variables)  # type: ignore[arg-type]


# -- on tensors -------------------------------------------------------------------------------------------------------


class _TensorHooks:
    """The hooks of one tensor, called with the cotangent that arrives at its output of a node."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.table = HookTable()

    def __call__(self, cotangents: list[Variable | None]) -> None:
        for hook in list(self.table.values()):
            given: Any = cotangents[self.number]
            if given is not None:
                # The hook's in-place changes count.
                cotangents[self.number] = given = tensor_of_variable(given)
            result = hook(given)
            if result is not None:
                cotangents[self.number] = _replacement(hook, result, given)


def hooks_on(tensor: Tensor) -> HookTable:
    """The table of hooks of a tensor that requires grad; new hooks go into it."""
    # No gradient ever arrives at a view that requires grad only because its base does.
    node, number = tensor._edge()
    if node is UNTRACKED:
        return HookTable()
    arriving: Any = hooks_of(node).arriving
    return arriving.setdefault(number, arriving.get(number) or _TensorHooks(number)).table


def register_hook(self: Tensor, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
    """Call `hook` with the gradient of this tensor whenever it is computed. A tensor it returns replaces the gradient.

    Args:
        hook: takes the gradient; returns a new one of the same shape and dtype, or None to keep it.

    Raises:
        RuntimeError: the tensor does not require grad.

    >>> import funcgrad.torch as torch
    >>> w = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> handle = w.register_hook(lambda gradient: gradient * 10)
    >>> (w * 2).sum().backward()
    >>> w.grad
    tensor([20., 20.])

    Behaviour: https://pytorch.org/docs/stable/generated/torch.Tensor.register_hook.html
    """
    if self._current_node() is None:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    table = hooks_on(self)
    handle = RemovableHandle(table)
    table[handle.id] = hook
    return handle


def retain_grad(self: Tensor) -> None:
    """Let this non-leaf tensor accumulate its gradient in `.grad`, as leaves do.

    Raises:
        RuntimeError: it does not require grad.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.Tensor.retain_grad.html
    """
    node, number = self._edge()
    if node is None:
        raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
    refuse_inside(RETAIN)
    # No gradient ever arrives at a view that requires grad only because its base does.
    if self.is_leaf or node is UNTRACKED or retains_grad(self):
        return
    self._retained = (ref(node), number)
    _retain_at(self)


def retains_grad(self: Tensor) -> bool:
    """Whether this tensor is a non-leaf that accumulates its gradient in `.grad`; see `retain_grad`."""
    return self._retained is not None


def register_post_accumulate_grad_hook(
    self: Tensor, hook: Callable[[Tensor], None]
) -> RemovableHandle:
    """Call `hook` with this leaf each time a gradient has been added to its `.grad`.

    Raises:
        RuntimeError: the tensor does not require grad, or is not a leaf.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.Tensor.register_post_accumulate_grad_hook.html
    """
    if self._current_node() is None:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    if not self.is_leaf:
        raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
    if self._post_accumulate is None:
        self._post_accumulate = HookTable()
    handle = RemovableHandle(self._post_accumulate)
    self._post_accumulate[handle.id] = hook
    # A hooked node takes the walk that reaches leaves in PyTorch's order: a hook that raises leaves the later ones out.
    hooks_of(self._current_node())
    return handle


def accumulated(leaf: Tensor) -> None:
    """Call the post-accumulate hooks of a leaf.

    Raises:
        TypeError, RuntimeError: a hook returned something other than None or the leaf.
    """
    for hook in list((leaf._post_accumulate or {}).values()):
        result = hook(leaf)
        if result is not None and _replacement(hook, result, leaf) is not leaf:
            raise RuntimeError("Tensor post accumulate grad hooks should return None.")


# -- on nodes ---------------------------------------------------------------------------------------------------------


def places_of(node: GraphNode) -> tuple[int, list[int]]:
    """The number of a node's next functions, and the positions of its edges among them."""
    if isinstance(node, Node):
        needed = node.rule.needed[: node.rule.op.counted]
        return len(needed), [k for k, need in enumerate(needed) if need]
    inputs = getattr(node, "inputs", None)
    if inputs is not None:
        return len(inputs), [k for k, need in enumerate(inputs) if need]
    return len(node.edges), list(range(len(node.edges)))


def next_functions(self: GraphNode) -> tuple[tuple[GraphNode | None, int], ...]:
    """For each input of the op, the node that made it and the number of that node's output; (None, 0): no gradient."""
    total, places = places_of(self)
    functions: list[tuple[GraphNode | None, int]] = [(None, 0)] * total
    for place, edge in zip(places, self.edges, strict=True):
        functions[place] = (edge[0].face, edge[1]) if edge[0] is not UNTRACKED else (None, 0)
    return tuple(functions)


def register_node_hook(self: GraphNode, hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(grad_inputs, grad_outputs)` after this node ran backward; a tuple it returns replaces `grad_inputs`.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.autograd.graph.Node.register_hook.html
    """
    hooks = hooks_of(self).after
    # Not the node itself: the hook's table must not keep the node alive.
    total, places = (0, []) if isinstance(self, Leaf) else places_of(self)

    def after(gradients: list[Variable | None], cotangents: list[Variable | None]) -> None:
        whole: list[Variable | None] = [None] * total
        for place, gradient in zip(places, gradients, strict=True):
            whole[place] = gradient
        result = hook(_shown(whole), _shown(cotangents))
        if result is not None:
            whole = _replacements(hook, result, whole)
        gradients[:] = [whole[place] for place in places]

    handle = RemovableHandle(hooks)
    hooks[handle.id] = after
    return handle


def register_prehook(self: GraphNode, hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(grad_outputs)` before this node runs backward; a tuple it returns replaces `grad_outputs`.

    Behaviour: https://pytorch.org/docs/stable/generated/torch.autograd.graph.Node.register_prehook.html
    """
    hooks = hooks_of(self).before

    def before(cotangents: list[Variable | None]) -> None:
        result = hook(_shown(cotangents))
        if result is not None:
            cotangents[:] = _replacements(hook, result, cotangents)

    handle = RemovableHandle(hooks)
    hooks[handle.id] = before
    return handle


def _backward_hooks(self: Tensor) -> HookTable | None:
    """The hooks of a tensor, by number; None if it has none."""
    node, number = self._edge()
    if node is None or node is UNTRACKED or node not in hooked:
        return None
    held: Any = hooked[node].arriving.get(number)
    return None if held is None else held.table or None


def _set_backward_hooks(self: Tensor, hooks: dict[Any, Any] | None) -> None:
    """Replace the hooks of a tensor."""
    if self._current_node() is not None:
        table = hooks_on(self)
        table.clear()
        table.update(hooks or {})


def _refuse_to_delete_hooks(self: Tensor) -> None:
    raise RuntimeError("Deletion of _backwards_hooks not allowed!")


publish_all(
    {},
    {
        "register_hook": register_hook,
        "retain_grad": retain_grad,
        "retains_grad": property(retains_grad),
        "_backward_hooks": property(_backward_hooks, _set_backward_hooks, _refuse_to_delete_hooks),
        "register_post_accumulate_grad_hook": register_post_accumulate_grad_hook,
    },
)
