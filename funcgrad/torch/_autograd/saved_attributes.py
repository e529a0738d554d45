"""What a node saved, by PyTorch's names: `_saved_self` and the like, and `_raw_saved_self`, which takes hooks.

Given are the arguments and results that are saved here as they are in PyTorch; of the others there is no attribute.
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
    """One thing that a node saved, for `register_hooks`.

    Args:
        entries: gives what the node saved, as `GraphNode.saved`; None once freed.
        put: stores another entry in place of this one.
        number: which of the entries it is; None where nothing was saved.
        tensor: gives the tensor.
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
        """Hand what was saved to `pack_hook`, and ask `unpack_hook` for it when it is needed.

        Raises:
            TypeError: the hooks are no functions.
            RuntimeError: nothing was saved, it was freed, or it has hooks already.

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
        if type(entries[self._number][0]) is Packed:
            raise RuntimeError(
                "Calling register_hooks on a saved tensor whose hooks have already been set. Hint: only one pair of hooks "
                "is allowed at a time."
            )
        tensor: Any = self._tensor()
        self._put(packed(without_history(tensor._storage), pack_hook, unpack_hook).saved)


def saved_attribute(node: Any, name: str) -> Any:
    """An attribute of an op's node that it does not have: what it saved, if that is what the name says.

    Raises:
        AttributeError: it is something else.
        RuntimeError: it was freed by an earlier walk, or changed in place since.
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
    """The names of all that a node has, what it saved included."""
    return [*object.__dir__(node), *_places(node)]


def _places(node: Any) -> dict[str, int]:
    """By the name of the attribute, which argument of the op it is, or that it is the result."""
    places: dict[str, int] = {}
    for name, place in SAVED.get(type(node).__name__, {}).items():
        if place != _RESULT:
            places[_SAVED + name] = places[_RAW + name] = place
        elif _watches(node):
            # It is watched, but the argument is saved in its place. So it takes no hooks.
            places[_SAVED + name] = place
    return places


def _watches(node: Any) -> bool:
    return node.saved is None or any(
        held is not value and type(value) is not Packed for value, _, _, held in node.saved
    )


def _number(node: Any, place: int) -> int | None:
    saves = node.rule.saves
    return 0 if place == _RESULT else saves.index(place) if place in saves else None


def _tensor_of(storage: Storage, source: GraphNode | None, nr: int) -> Tensor | None:
    """The tensor of a storage that comes from there, if somebody holds it: nodes do not know, so it is looked for."""
    for each in gc.get_referrers(storage):
        if isinstance(each, Tensor) and each._storage is storage:
            own = getattr(each, "_own_node", each._node)
            if own is source and each._nr == nr:
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
    if type(value) is Packed:
        value = value.unpack()
        storage = Storage(value)
    elif storage.version != version:
        changed, expected, of_result = storage.changed(version)
        own = of_result or place == _RESULT
        raise as_pytorch(
            ModifiedError(changed, expected, (node, 0) if own else source, of_result=own)
        )
    elif isinstance(storage, Watched):
        storage = storage.parts[0]
    if isinstance(source[0], Leaf):
        variable: Variable | None = source[0].variable
        if isinstance(variable, Tensor) and variable._storage is storage:
            return variable
    # PyTorch makes a new tensor of a result.
    held_by = None if place == _RESULT else _tensor_of(storage, *source)
    if held_by is not None:
        return held_by
    tensor = tensor_of(held if place == _RESULT else value, *source)
    tensor._storage = storage
    return tensor
