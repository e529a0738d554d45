"""PyTorch's `torch.utils._pytree`: nested containers taken apart into leaves, and put together again.

The rules are in `funcgrad.torch._types.trees`. JAX's own, `jax.tree`, sort the keys of a dictionary, and None is no leaf there.
"""

from collections import OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from funcgrad.torch._types.missing import no_attribute as _no_attribute
from funcgrad.torch._types.tree_paths import (
    WITH_KEYS,
    GetAttrKey,
    KeyPath,
    MappingKey,
    SequenceKey,
    paths,
)
from funcgrad.torch._types.trees import LEAF, OWN, Spec, flatten, parts_of, unflatten
from funcgrad.torch._types.trees import is_namedtuple as _is_named

__all__ = [
    "Context",
    "GetAttrKey",
    "KeyPath",
    "LeafSpec",
    "MappingKey",
    "PyTree",
    "SequenceKey",
    "TreeSpec",
    "arg_tree_leaves",
    "is_namedtuple",
    "is_namedtuple_class",
    "is_namedtuple_instance",
    "key_get",
    "keystr",
    "register_pytree_node",
    "tree_all",
    "tree_all_only",
    "tree_any",
    "tree_any_only",
    "tree_flatten",
    "tree_flatten_with_path",
    "tree_is_leaf",
    "tree_iter",
    "tree_leaves",
    "tree_leaves_with_path",
    "tree_map",
    "tree_map_",
    "tree_map_only",
    "tree_map_only_",
    "tree_map_with_path",
    "tree_structure",
    "tree_unflatten",
    "treespec_pprint",
]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    raise _no_attribute(__name__, name)


PyTree = Any
Context = Any
_IsLeaf = Callable[[Any], bool] | None


class TreeSpec:
    """The structure of a tree.

    Attributes:
        type, context: the type of the outermost container, and the data that rebuild it; None for a leaf.
        num_leaves, num_nodes, num_children: how many leaves there are, nodes with leaves, and parts of the outermost container.
    """

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self.type, self.context = spec.kind, spec.context
        self.num_leaves, self.num_children = spec.leaves, len(spec.children)
        self.num_nodes: int = 1 + sum(TreeSpec(child).num_nodes for child in spec.children)

    def __repr__(self) -> str:
        """The containers, with a `*` for each leaf."""
        return repr(self._spec)

    def __eq__(self, other: object) -> bool:
        """Same containers in the same order."""
        return self._spec == other._spec if isinstance(other, TreeSpec) else NotImplemented

    def __hash__(self) -> int:
        """Consistent with equality."""
        return hash(repr(self._spec))

    def is_leaf(self) -> bool:
        """Whether the tree is a leaf."""
        return self.type is None

    def children(self) -> list["TreeSpec"]:
        """The structures of the parts."""
        return [TreeSpec(child) for child in self._spec.children]

    def child(self, index: int) -> "TreeSpec":
        """The structure of one part."""
        return TreeSpec(self._spec.children[index])

    def flatten_up_to(self, tree: PyTree) -> list[Any]:
        """The parts of another tree that stand where this structure has its leaves.

        Raises:
            ValueError: the other tree has another structure above them.
        """
        return self._spec.up_to(tree)

    def unflatten(self, leaves: Iterable[Any]) -> PyTree:
        """The tree with these leaves.

        Raises:
            ValueError: there are too many leaves or too few.
        """
        return tree_unflatten(leaves, self)


def LeafSpec() -> TreeSpec:
    """The structure of a leaf."""
    return TreeSpec(LEAF)


def register_pytree_node(
    cls: type,
    flatten_fn: Callable[[Any], tuple[Iterable[Any], Any]],
    unflatten_fn: Callable[[Any, Any], Any],
    *,
    flatten_with_keys_fn: Callable[[Any], tuple[list[tuple[Any, Any]], Any]] | None = None,
    **more: Any,
) -> None:
    """Make a type a container of trees.

    Args:
        cls: the type.
        flatten_fn: gives the parts of an instance, and the data that rebuild it.
        unflatten_fn: makes an instance of both.
        flatten_with_keys_fn: gives the parts with their keys, and the data; functions that name `path` need it.
        more: accepted: names and functions for files.

    Raises:
        ValueError: the type is a container already.
    """
    if cls in OWN:
        raise ValueError(f"{cls} is already registered as pytree node.")
    OWN[cls] = flatten_fn, unflatten_fn
    if flatten_with_keys_fn is not None:
        WITH_KEYS[cls] = flatten_with_keys_fn


_register_pytree_node = register_pytree_node


# A dictionary's own three functions, for types that are made like one.
def _dict_flatten(d: dict[Any, Any]) -> tuple[list[Any], Context]:
    return list(d.values()), list(d)


def _dict_flatten_with_keys(d: dict[Any, Any]) -> tuple[list[tuple[Any, Any]], Context]:
    return [(MappingKey(key), value) for key, value in d.items()], list(d)


def _dict_unflatten(values: Iterable[Any], context: Context) -> dict[Any, Any]:
    return dict(zip(context, values, strict=True))


def tree_flatten(tree: PyTree, is_leaf: _IsLeaf = None) -> tuple[list[Any], TreeSpec]:
    """The leaves in order, and the structure.

    >>> tree_flatten({"b": 1, "a": (2, None)})
    ([1, 2, None], TreeSpec(dict, ['b', 'a'], [*,
      TreeSpec(tuple, None, [*,
        *])]))
    """
    leaves, spec = flatten(tree, is_leaf)
    return leaves, TreeSpec(spec)


def tree_unflatten(leaves: Iterable[Any], treespec: TreeSpec) -> PyTree:
    """The tree with this structure and these leaves.

    Raises:
        TypeError: `treespec` is no structure.
        ValueError: there are too many leaves or too few.
    """
    if not isinstance(treespec, TreeSpec):
        raise TypeError(
            f"Expected `treespec` to be an instance of PyTreeSpec but got item of type {type(treespec)}."
        )
    given = list(leaves)
    if len(given) != treespec.num_leaves:
        raise ValueError(
            f"treespec.unflatten(leaves): `leaves` has length {len(given)} but the spec refers to a pytree that holds "
            f"{treespec.num_leaves} items ({treespec})."
        )
    return unflatten(given, treespec._spec)


def tree_leaves(tree: PyTree, is_leaf: _IsLeaf = None) -> list[Any]:
    """The leaves in order."""
    return flatten(tree, is_leaf)[0]


def tree_iter(tree: PyTree, is_leaf: _IsLeaf = None) -> Iterator[Any]:
    """The leaves, one by one."""
    return iter(tree_leaves(tree, is_leaf))


def tree_structure(tree: PyTree, is_leaf: _IsLeaf = None) -> TreeSpec:
    """The structure."""
    return tree_flatten(tree, is_leaf)[1]


def tree_map(
    func: Callable[..., Any], tree: PyTree, *rests: PyTree, is_leaf: _IsLeaf = None
) -> PyTree:
    """The tree of `func`'s results, called with the leaves of all trees that stand in one place.

    Raises:
        ValueError: another tree has not the structure of the first.

    >>> tree_map(lambda x, y: x + y, [1, (2, 3)], [10, (20, 30)])
    [11, (22, 33)]
    """
    leaves, spec = flatten(tree, is_leaf)
    columns = [leaves, *[spec.up_to(each) for each in rests]]
    return unflatten([func(*each) for each in zip(*columns, strict=True)], spec)


def tree_map_(
    func: Callable[..., Any], tree: PyTree, *rests: PyTree, is_leaf: _IsLeaf = None
) -> PyTree:
    """`tree`, after `func` was called as in `tree_map`."""
    tree_map(func, tree, *rests, is_leaf=is_leaf)
    return tree


def _only(kinds: Any, func: Callable[[Any], Any], other: Callable[[Any], Any]) -> Any:
    """`func` for leaves of a type, of one of several types, or for which a function holds; `other` for the rest."""
    chosen = (lambda x: isinstance(x, kinds)) if isinstance(kinds, (type, tuple)) else kinds
    return lambda x: func(x) if chosen(x) else other(x)


def _itself(leaf: Any) -> Any:
    return leaf


def tree_map_only(
    type_or_types_or_pred: Any, func: Callable[[Any], Any], tree: PyTree, is_leaf: _IsLeaf = None
) -> PyTree:
    """The tree with `func` applied to leaves of a type, of one of several types, or for which a function holds."""
    return tree_map(_only(type_or_types_or_pred, func, _itself), tree, is_leaf=is_leaf)


def tree_map_only_(
    type_or_types_or_pred: Any, func: Callable[[Any], Any], tree: PyTree, is_leaf: _IsLeaf = None
) -> PyTree:
    """`tree`, after `func` was called as in `tree_map_only`."""
    return tree_map_(_only(type_or_types_or_pred, func, _itself), tree, is_leaf=is_leaf)


def tree_all(pred: Callable[[Any], bool], tree: PyTree, is_leaf: _IsLeaf = None) -> bool:
    """Whether `pred` holds for all leaves."""
    return all(map(pred, tree_leaves(tree, is_leaf)))


def tree_any(pred: Callable[[Any], bool], tree: PyTree, is_leaf: _IsLeaf = None) -> bool:
    """Whether `pred` holds for a leaf."""
    return any(map(pred, tree_leaves(tree, is_leaf)))


def _each_only(kinds: Any, pred: Callable[[Any], bool], other: bool) -> Callable[[Any], bool]:
    return _only(kinds, pred, lambda leaf: other)


def tree_all_only(
    type_or_types: Any, pred: Callable[[Any], bool], tree: PyTree, is_leaf: _IsLeaf = None
) -> bool:
    """Whether `pred` holds for all leaves of a type, or of one of several."""
    return tree_all(_each_only(type_or_types, pred, True), tree, is_leaf)


def tree_any_only(
    type_or_types: Any, pred: Callable[[Any], bool], tree: PyTree, is_leaf: _IsLeaf = None
) -> bool:
    """Whether `pred` holds for a leaf of a type, or of one of several."""
    return tree_any(_each_only(type_or_types, pred, False), tree, is_leaf)


def tree_is_leaf(tree: PyTree, is_leaf: _IsLeaf = None) -> bool:
    """Whether a tree is a leaf."""
    return (is_leaf is not None and is_leaf(tree)) or parts_of(tree) is None


def arg_tree_leaves(*args: PyTree, **kwargs: PyTree) -> list[Any]:
    """The leaves of all arguments."""
    return tree_leaves((args, kwargs))


def tree_leaves_with_path(tree: PyTree, is_leaf: _IsLeaf = None) -> list[tuple[KeyPath, Any]]:
    """Each leaf, after the keys that lead to it.

    >>> [(keystr(path), leaf) for path, leaf in tree_leaves_with_path({"a": [1, 2]})]
    [("['a'][0]", 1), ("['a'][1]", 2)]
    """
    return list(paths(tree, is_leaf))


def tree_flatten_with_path(
    tree: PyTree, is_leaf: _IsLeaf = None
) -> tuple[list[tuple[KeyPath, Any]], TreeSpec]:
    """Each leaf after the keys that lead to it, and the structure."""
    return tree_leaves_with_path(tree, is_leaf), tree_structure(tree, is_leaf)


def tree_map_with_path(
    func: Callable[..., Any], tree: PyTree, *rests: PyTree, is_leaf: _IsLeaf = None
) -> PyTree:
    """The tree of `func`'s results, called with the keys to a leaf, and the leaves of all trees in that place."""
    spec = flatten(tree, is_leaf)[1]
    columns = [spec.up_to(each) for each in rests]
    found = [
        func(path, leaf, *more)
        for (path, leaf), *more in zip(paths(tree, is_leaf), *columns, strict=True)
    ]
    return unflatten(found, spec)


def keystr(kp: KeyPath) -> str:
    """Keys as text, such as `['a'][0]`."""
    return "".join(map(str, kp))


def key_get(obj: Any, kp: KeyPath) -> Any:
    """The part of a tree to which keys lead."""
    for key in kp:
        obj = key.get(obj)
    return obj


def treespec_pprint(treespec: TreeSpec) -> str:
    """The tree itself, with a `*` for each leaf."""
    return treespec._spec.pretty()


def is_namedtuple_class(cls: type) -> bool:
    """Whether a type is one that `namedtuple` made."""
    return isinstance(cls, type) and _is_named(cls)


def is_namedtuple_instance(obj: object) -> bool:
    """Whether an object's type is one that `namedtuple` made."""
    return _is_named(type(obj))


def is_namedtuple(obj: object) -> bool:
    """Whether an object, or its type, is one that `namedtuple` made."""
    return _is_named(obj if isinstance(obj, type) else type(obj))


def _get_node_type(tree: PyTree) -> Any:
    """The type by which a tree is taken apart: `namedtuple` for all such types."""
    return namedtuple if is_namedtuple_instance(tree) else type(tree)


class _Supported:
    """The types of containers: `kind in SUPPORTED_NODES`."""

    def __contains__(self, kind: Any) -> bool:
        return (
            kind in (tuple, list, dict, OrderedDict, defaultdict, deque, namedtuple) or kind in OWN
        )


SUPPORTED_NODES = _Supported()
