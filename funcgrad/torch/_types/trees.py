"""Flattening and rebuilding nested tuples, lists and dictionaries, by the rules of PyTorch's pytrees.

JAX's pytrees have other rules: they sort the keys of a dictionary, and None is a node.
"""

from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from typing import Any, NamedTuple


class Spec(NamedTuple):
    """The structure of a tree: its type (None for a leaf), the data needed to rebuild it, and its children."""

    kind: Any
    context: Any
    children: tuple["Spec", ...]

    @property
    def leaves(self) -> int:
        """The number of leaves."""
        return 1 if self.kind is None else sum(child.leaves for child in self.children)

    def up_to(self, tree: Any) -> list[Any]:
        """The parts of another tree that stand where this one has its leaves.

        Raises:
            ValueError: the other tree has another structure above them.
        """
        if self.kind is None:
            return [tree]
        parts = parts_of(tree)
        if parts is None or parts[0] is not self.kind:
            name = getattr(self.kind, "__name__", self.kind)
            raise ValueError(f"Node type mismatch; expected {name}, but got {type(tree).__name__}.")
        _, context, children = parts
        if len(children) != len(self.children):
            raise ValueError(
                f"Node arity mismatch; expected {len(self.children)}, but got {len(children)}."
            )
        if isinstance(tree, dict):
            keys = list(tree) if set(tree) != set(self.keys) else self.keys
            if keys is not self.keys:
                raise ValueError(f"Node keys mismatch; expected {self.keys}, but got {keys}.")
            children = [tree[key] for key in keys]
        elif context != self.context:
            raise ValueError(
                f"Node context mismatch for custom node type {self.kind!r}; expected {self.context!r}, but got {context!r}."
            )
        return [
            part
            for spec, child in zip(self.children, children, strict=True)
            for part in spec.up_to(child)
        ]

    @property
    def keys(self) -> list[Any]:
        """The keys of a dictionary."""
        return self.context[1] if self.kind is defaultdict else self.context

    def __repr__(self) -> str:
        """The text in PyTorch's messages."""
        return self.lines(0)

    def lines(self, indent: int) -> str:
        """The printed form, with an indent from the second line on."""
        if self.kind is None:
            return "*"
        name = "namedtuple" if is_namedtuple(self.kind) else self.kind.__name__
        indent += 2
        body = f",\n{' ' * indent}".join(child.lines(indent) for child in self.children)
        return f"TreeSpec({name}, {self.context}, [{body}])"

    def pretty(self) -> str:
        """The tree itself with a `*` for each leaf."""

        class Star:
            def __repr__(self) -> str:
                return "*"

        return repr(unflatten([Star()] * self.leaves, self))


LEAF = Spec(None, None, ())


def is_namedtuple(kind: type) -> bool:
    """Whether a type is one that `namedtuple` made."""
    return issubclass(kind, tuple) and hasattr(kind, "_fields")


# For a user's own type of node: the functions node -> (children, context) and (children, context) -> node.
OWN: dict[type, tuple[Callable[..., Any], Callable[..., Any]]] = {}


def flatten(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> tuple[list[Any], Spec]:
    """The leaves in order, and the structure of the tree; a node for which `is_leaf` holds is a leaf too."""
    parts = None if is_leaf is not None and is_leaf(tree) else parts_of(tree)
    if parts is None:
        return [tree], LEAF
    kind, context, children = parts
    leaves: list[Any] = []
    specs = []
    for child in children:
        found, spec = flatten(child, is_leaf)
        leaves += found
        specs.append(spec)
    return leaves, Spec(kind, context, tuple(specs))


def parts_of(tree: Any) -> tuple[Any, Any, list[Any]] | None:
    """The type of a container, the data that rebuild it, and its children; None for a leaf."""
    kind = type(tree)
    if kind in (tuple, list):
        return kind, None, list(tree)
    if kind in (dict, OrderedDict):
        return kind, list(tree), list(tree.values())
    if kind is defaultdict:
        return kind, [tree.default_factory, list(tree)], list(tree.values())
    if kind is deque:
        return kind, tree.maxlen, list(tree)
    if kind in OWN:
        children, context = OWN[kind][0](tree)
        return kind, context, list(children)
    if is_namedtuple(kind):
        return kind, kind, list(tree)
    return None


def unflatten(leaves: list[Any] | tuple[Any, ...], spec: Spec) -> Any:
    """The tree with this structure and these leaves."""
    if spec.kind is None:
        return leaves[0]
    children = []
    start = 0
    for child in spec.children:
        children.append(unflatten(leaves[start : start + child.leaves], child))
        start += child.leaves
    if spec.kind in (dict, OrderedDict):
        return spec.kind(zip(spec.context, children, strict=True))
    if spec.kind is defaultdict:
        return defaultdict(spec.context[0], zip(spec.context[1], children, strict=True))
    if spec.kind is deque:
        return deque(children, maxlen=spec.context)
    if spec.kind in OWN:
        return OWN[spec.kind][1](children, spec.context)
    return spec.kind(*children) if is_namedtuple(spec.kind) else spec.kind(children)


def leaves_of(tree: Any) -> list[Any]:
    """The leaves in order."""
    return flatten(tree)[0]


def tree_map(function: Callable[[Any], Any], tree: Any) -> Any:
    """The tree with a function applied to each leaf."""
    leaves, spec = flatten(tree)
    return unflatten([function(leaf) for leaf in leaves], spec)


def broadcast(prefix: Any, spec: Spec) -> list[Any] | None:
    """For each leaf of a tree with this structure, the leaf of `prefix` above it; None if the two do not fit."""
    parts = parts_of(prefix)
    if parts is None:
        return [prefix] * spec.leaves
    kind, context, children = parts
    if spec.kind is not kind or context != spec.context or len(children) != len(spec.children):
        return None
    found: list[Any] = []
    for child, below in zip(children, spec.children, strict=True):
        some = broadcast(child, below)
        if some is None:
            return None
        found += some
    return found
