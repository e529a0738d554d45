"""PyTorch's `torch.utils._pytree`: nested containers taken apart into leaves, and put together again.

The rules are in `funcgrad.torch._types.trees`. JAX's own, `jax.tree`, sort the keys of a dictionary, and None is no leaf there.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from funcgrad.torch._types.trees import LEAF, OWN, Spec, flatten, unflatten

__all__ = [
    "LeafSpec",
    "PyTree",
    "TreeSpec",
    "register_pytree_node",
    "tree_all",
    "tree_any",
    "tree_flatten",
    "tree_iter",
    "tree_leaves",
    "tree_map",
    "tree_map_",
    "tree_map_only",
    "tree_map_only_",
    "tree_structure",
    "tree_unflatten",
]

PyTree = Any
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
    **more: Any,
) -> None:
    """Make a type a container of trees.

    Args:
        cls: the type.
        flatten_fn: gives the parts of an instance, and the data that rebuild it.
        unflatten_fn: makes an instance of both.
        more: accepted: names and functions for files and for paths.

    Raises:
        ValueError: the type is a container already.
    """
    if cls in OWN:
        raise ValueError(f"{cls} is already registered as pytree node.")
    OWN[cls] = flatten_fn, unflatten_fn


_register_pytree_node = register_pytree_node


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
