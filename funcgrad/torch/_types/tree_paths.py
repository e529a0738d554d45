"""Where a leaf stands in a tree: the keys from the outermost container to it."""

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from funcgrad.torch._types.trees import OWN, is_namedtuple, parts_of


@dataclass(frozen=True, slots=True)
class SequenceKey:
    """The place in a list, a tuple or a deque."""

    idx: int

    def __str__(self) -> str:
        return f"[{self.idx!r}]"

    def get(self, sequence: Any) -> Any:
        """The part of a sequence at this place."""
        return sequence[self.idx]


@dataclass(frozen=True, slots=True)
class MappingKey:
    """The key in a dictionary."""

    key: Any

    def __str__(self) -> str:
        return f"[{self.key!r}]"

    def get(self, mapping: Any) -> Any:
        """The part of a dictionary under this key."""
        return mapping[self.key]


@dataclass(frozen=True, slots=True)
class GetAttrKey:
    """The name of an attribute."""

    name: str

    def __str__(self) -> str:
        return f".{self.name}"

    def get(self, obj: Any) -> Any:
        """The attribute of an object."""
        return getattr(obj, self.name)


KeyPath = tuple[Any, ...]
# For a user's own type of node: the function node -> ((key, child) pairs, context).
WITH_KEYS: dict[type, Callable[[Any], tuple[list[tuple[Any, Any]], Any]]] = {}


def paths(
    tree: Any, is_leaf: Callable[[Any], bool] | None = None, above: KeyPath = ()
) -> Iterator[tuple[KeyPath, Any]]:
    """Each leaf after the keys that lead to it.

    Raises:
        ValueError: a user's type of node has no function that gives keys.
    """
    parts = None if is_leaf is not None and is_leaf(tree) else parts_of(tree)
    if parts is None:
        yield above, tree
        return
    kind, _, children = parts
    for key, child in zip(_keys(tree, kind, len(children)), children, strict=True):
        yield from paths(child, is_leaf, (*above, key))


def _keys(tree: Any, kind: type, count: int) -> list[Any]:
    if kind in WITH_KEYS:
        return [key for key, _ in WITH_KEYS[kind](tree)[0]]
    if kind in OWN:
        raise ValueError(
            f"Did not find a flatten_with_keys_fn for type: {kind}. Please pass a flatten_with_keys_fn argument to "
            "register_pytree_node."
        )
    if kind in (dict, OrderedDict, defaultdict):
        return [MappingKey(key) for key in tree]
    if is_namedtuple(kind):
        return [GetAttrKey(name) for name in tree._fields]
    return [SequenceKey(k) for k in range(count)]
