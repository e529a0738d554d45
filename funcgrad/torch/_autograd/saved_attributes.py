"""The saved tensors of a node by PyTorch's names: `_saved_self` and so on, and `_raw_saved_self`, which takes hooks.

Only arguments and results saved both here and in PyTorch have an attribute.
"""

import gc
from collections.abc import Callable
from typing import Any

from funcgrad.engine import FreedError, GraphNode, Leaf, ModifiedError, Storage, Variable
from funcgrad.engine.nodes import Packed
from funcgrad.torch._autograd.complaints import as_pytorch
from funcgrad.torch._autograd.observing import packed
from funcgrad.torch._ops.row import SAVED
from funcgrad.torch._tensor.in_place import Watched
from funcgrad.torch._tensor.tensor import Tensor, tensor_of, without_history

_RESULT = -1
_SAVED, _RAW = "_saved_", "_raw_saved_"


class SavedTensor:
    """One saved tensor of a node; takes hooks by `register_hooks`.

    Args:
        entries: returns the node's saved entries, in the form of `GraphNode.saved`; None once freed.
        put: stores another entry in place of this one.
        number: the position among the entries; None if nothing was saved.
        tensor: returns the tensor.
    """

    def __init__(
        self,
        entries: Callable[[], Any],
        put: Callable[[Any], None],
        number: int | None,
        tensor: Callable[[], Tensor | None],
    ) -> None:
        self._entries, self._put, self._number, self._tensor = entries, put, number, tensor

    def register_hooks(
        self, pack_hook: Callable[[Tensor], Any], unpack_hook: Callable[[Any], Tensor]
    ) -> None:
        """Pass the saved tensor to `pack_hook`; `unpack_hook` gives it back when backward needs it.

        Raises:
            TypeError: the hooks are not functions.
            RuntimeError: nothing was saved, the saved tensor was freed, or it has hooks already.

        Behaviour: https://pytorch.org/docs/stable/notes/autograd.html#hooks-for-saved-tensors
        """
        if not (callable(pack_hook) and callable(unpack_hook)):
            raise TypeError(
                "register_hooks(): incompatible function arguments. The following argument types are supported:\n"
                "    1. (self: torch._C._autograd.SavedTensor, arg0: collections.abc.Callable, arg1: "
                f"collections.abc.Callable) -> None\n\nInvoked with: {self!r}, {pack_hook!r}, {unpack_hook!r}"
            )
        entries = self._entries()
        if entries is None:
            raise RuntimeError(
                "Calling register_hooks on a saved tensor after it has been freed. Saved intermediate values of the graph "
                "are freed when you call .backward() or autograd.grad(). Specify retain_graph=True if you need to backward "
                "through the graph a second time or if you need to access saved variables after calling backward."
            )
        if self._number is None or entries[self._number] is None:
            raise RuntimeError(
                "Calling register_hooks on a saved tensor with value None is forbidden"
            )
        if isinstance(entries[self._number][0], Packed):
            raise RuntimeError(
                "Calling register_hooks on a saved tensor whose hooks have already been set. Hint: only one pair of hooks "
                "is allowed at a time."
            )
        tensor: Any = self._tensor()
        self._put(packed(without_history(tensor._storage), pack_hook, unpack_hook).saved)


def saved_attribute(node: Any, name: str) -> Any:
    """`__getattr__` fallback: resolves `_saved_*` and `_raw_saved_*`.

    Raises:
        AttributeError: the name is neither.
        RuntimeError: an earlier backward freed the saved tensor, or it was changed in place since.
    """
    place = _places(node).get(name)
    if place is None:
        raise AttributeError(f"'{type(node).__name__}' object has no attribute '{name}'")
    number = _number(node, place)
    if name.startswith(_SAVED):
        return _tensor(node, place, number)

    def put(entry: Any) -> None:
        saved = node.saved
        node.saved = tuple([entry if k == number else each for k, each in enumerate(saved)])

    return SavedTensor(lambda: node.saved, put, number, lambda: _tensor(node, place, number))


def attributes_of(node: Any) -> list[str]:
    """The names of a node's attributes, including its saved tensors."""
    return [*object.__dir__(node), *_places(node)]


def _places(node: Any) -> dict[str, int]:
    """Map each attribute's name to the position of the op's argument, or to the mark of the result."""
    places: dict[str, int] = {}
    for name, place in SAVED.get(type(node).__name__, {}).items():
        if place != _RESULT:
            places[_SAVED + name] = places[_RAW + name] = place
        elif _watches(node):
            # The argument is saved in place of the result; only the result's version is checked. So it takes no hooks.
            places[_SAVED + name] = place
    return places


def _watches(node: Any) -> bool:
    return node.saved is None or any(
        held is not value and not isinstance(value, Packed) for value, _, _, held in node.saved
    )


def _number(node: Any, place: int) -> int | None:
    saves = node.rule.saves
    return 0 if place == _RESULT else saves.index(place) if place in saves else None


def _tensor_of(storage: Storage, source: GraphNode | None, nr: int) -> Tensor | None:
    """Find the live tensor with this storage and this edge, or None. Nodes hold no tensors, so the gc is searched."""
    for each in gc.get_referrers(storage):
        is_of_storage = isinstance(each, Tensor) and each._storage is storage
        if is_of_storage and each._known_edge() == (source, nr):
            return each
    return None


def _tensor(node: Any, place: int, number: int | None) -> Tensor | None:
    if number is None:
        return None
    if node.saved is None:
        raise as_pytorch(FreedError())
    value, storage, version, held = node.saved[number]
    edges = dict(zip(node.rule.wants, node.edges, strict=True))
    source: tuple[GraphNode | None, int] = (
        (node, 0) if place == _RESULT else edges.get(place, (None, 0))
    )
    if isinstance(value, Packed):
        value = value.unpack()
        storage = Storage(value)
    elif storage.version != version:
        changed, expected, output = storage.changed(version)
        own = output is not None or place == _RESULT
        raise as_pytorch(
            ModifiedError(changed, expected, (node, output or 0) if own else source, of_result=own)
        )
    elif isinstance(storage, Watched):
        storage = storage.parts[0]
    if isinstance(source[0], Leaf):
        variable: Variable | None = source[0].variable
        if isinstance(variable, Tensor) and variable._storage is storage:
            return variable
    # For a result PyTorch makes a new tensor.
    held_by = None if place == _RESULT else _tensor_of(storage, *source)
    if held_by is not None:
        return held_by
    tensor = tensor_of(held if place == _RESULT else value, *source)
    tensor._storage = storage
    return tensor
