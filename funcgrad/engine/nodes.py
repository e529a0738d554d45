"""The autograd graph: its nodes, and the variables whose edges lead to them.

`derivatives` has the nodes that ops leave behind, and `graph` walks them.
"""

from collections.abc import Callable, Sequence
from itertools import count
from math import inf
from typing import Any, ClassVar, NamedTuple
from weakref import WeakKeyDictionary, ref

from funcgrad.engine.values import NOWHERE, Aval, Slot, Storage, Value, Wrapped

sequence = count()


def next_sequence() -> int:
    """A number below that of every node made from now on."""
    return next(sequence)


Edge = tuple["GraphNode", int]
# A value that the way back needs; then the storage to check, with the version and the value it must still have. Mostly the
# two values are one; an op whose derivative PyTorch takes from its result has the result's storage checked.
Saved = tuple[tuple[Any, Storage, int, Any], ...]


class Packed:
    """Stands in a node's saved values for one that was handed away; `unpack` brings it back, the lowest rank first."""

    __slots__ = ("rank", "unpack")

    def __init__(self, unpack: Callable[[], Value]) -> None:
        self.unpack, self.rank = unpack, 0

    @property
    def saved(self) -> tuple[Any, Storage, int, Any]:
        """The entry of `GraphNode.saved` that stands for it: no storage has to stay as it was."""
        return self, Storage(self), 0, None  # type: ignore[arg-type]


def fixed(entry: Any, modified: bool) -> Any:
    """A saved value in a storage of its own; with `modified` only where it was written since."""
    value, storage, version, _ = entry
    if isinstance(value, Packed) or (modified and storage.version == version):
        return entry
    return value, Storage(value), 0, value


class GraphNode:
    """Base of all graph nodes.

    Attributes:
        edges: for each input a gradient flows to, the node it came from and which of that node's
            outputs it was.
        saved: the values the way back needs, each with the storage that must not change until then;
            None once freed.
        sequence: a number that grows with creation; a node's inputs always have a smaller one.
        slot: where the node stands: (the token of a trace, its position there).
        is_function: whether its way back is a Python function.
        begins: whether it is the beginning of a graph that is differentiated from outside, and no op's.
    """

    __slots__ = ("__weakref__", "edges", "saved", "sequence", "slot")

    is_function: ClassVar[bool] = False
    begins: ClassVar[bool] = False

    edges: tuple[Edge, ...]
    saved: Saved | None
    sequence: float
    slot: Slot

    @property
    def face(self) -> Any:
        """The object that users see in place of the node."""
        return self

    def fix(self, modified: bool = False) -> None:
        """Go on with the very values that were saved, whatever is written in place from now on.

        Args:
            modified: only with those that were written since, so that a walk would refuse to go on.
        """

    def __repr__(self) -> str:
        return f"<{type(self).__name__} object at {id(self):#x}>"

    @property
    def outputs(self) -> int:
        """How many outputs the op had that left this node behind."""
        return 1

    @property
    def types(self) -> tuple[Aval | None, ...]:
        """The types of these outputs; None where one is unknown."""
        return (None,) * self.outputs


class Variable:
    """An op's argument or result: a storage, and the edge (node, output number) that its value came from.

    `node` is None where no gradient is wanted, a `Leaf` for a variable that gathers its own gradient.
    """

    __slots__ = ("__weakref__", "_node", "_nr", "_storage")

    def __init__(self, storage: Storage, node: GraphNode | None = None, nr: int = 0) -> None:
        self._storage = storage
        self._node: Any = node
        self._nr = nr

    def _current_node(self) -> Any:
        """The node that its value comes from. A view may have to make it anew, because its base was written."""
        return self._node

    def _edge(self) -> tuple[Any, int]:
        """Its node, and which of the node's outputs it is."""
        return self._current_node(), self._nr

    def _set_edge(self, node: GraphNode | None, nr: int = 0) -> None:
        """Let it come from another node."""
        self._node, self._nr = node, nr


class Moved(NamedTuple):
    """Where writes in place have taken a variable in the graph, from where it was; in sequence numbers of nodes.

    Attributes:
        starts: of the nodes it came from before the first write, and where it led nowhere in between, infinity.
        first, last: of those after the first write and after the last.
        node_type, nr: the kind of the last node, and which of its outputs the variable is; None once it was detached.
    """

    starts: tuple[float, ...]
    first: float
    last: float
    node_type: type | None
    nr: int


class FunctionNode(GraphNode):
    """A node whose way back is a Python function, `pull_back`. Walks that meet it are never remembered."""

    __slots__ = ("_types",)

    is_function: ClassVar[bool] = True

    def __init__(self, edges: tuple[Edge, ...], types: tuple[Aval | None, ...]) -> None:
        self.edges = edges
        self.saved = ()
        self.sequence = next(sequence)
        self.slot = NOWHERE
        self._types = types

    @property
    def outputs(self) -> int:
        """How many outputs the function had that left this node behind."""
        return len(self._types)

    @property
    def types(self) -> tuple[Aval | None, ...]:
        """The types of these outputs; None for one that is no tensor."""
        return self._types

    def pull_back(self, cotangents: Sequence[Variable | None]) -> Sequence[Variable | None]:
        """The cotangent of each edge from the cotangents of the outputs; None stands for zero in both."""
        raise NotImplementedError


class Leaf(GraphNode):
    """Where the gradient of a variable gathers; it knows the variable only weakly."""

    __slots__ = ("reference",)

    def __init__(self, variable: Variable) -> None:
        self.reference = ref(variable)
        self.saved = ()
        self.edges = ()
        self.sequence = inf
        self.slot = NOWHERE

    @property
    def variable(self) -> Variable | None:
        """The variable; None once nobody holds it."""
        return self.reference()

    @property
    def types(self) -> tuple[Aval | None, ...]:
        """The type of the variable, while there is one."""
        variable = self.variable
        return (None if variable is None else variable._storage.aval,)


class HookTable(dict[Any, Callable[..., Any]]):
    """Hooks by key, in the order they are called; unlike a plain dict it can be referred to weakly."""

    def __repr__(self) -> str:
        """As PyTorch prints its tables, which users look at."""
        return f"OrderedDict({list(self.items())})" if self else "OrderedDict()"


class Hooks:
    """The hooks of a node, called when a walk comes to it; they change the lists they are given.

    Attributes:
        arriving: of the cotangents, None where there is none; called also where they are only captured.
        retaining: likewise, after these.
        before: of the cotangents, when the node is about to pull them back.
        after: of the gradients, one an edge, and of the cotangents they were made from.
    """

    __slots__ = ("after", "arriving", "before", "retaining")

    def __init__(self) -> None:
        self.arriving = HookTable()
        self.retaining = HookTable()
        self.before = HookTable()
        self.after = HookTable()

    def arrive(self, cotangents: Any) -> None:
        """Call the hooks for cotangents that arrive."""
        for table in (self.arriving, self.retaining):
            for hook in list(table.values()):
                hook(cotangents)


# Apart from the nodes, so that those without hooks, nearly all, pay nothing for them.
hooked: WeakKeyDictionary[GraphNode, Hooks] = WeakKeyDictionary()


# Numbers of outputs whose variables were cut off from their node: a node that saved such a variable refuses to go back.
cut_off: WeakKeyDictionary[GraphNode, set[int]] = WeakKeyDictionary()


def hooks_of(node: GraphNode) -> Hooks:
    """The hooks of a node, to be added to."""
    hooks = hooked.get(node)
    return hooked.setdefault(node, Hooks()) if hooks is None else hooks


def behind(value: Value) -> Value:
    """The plain value that a value is wrapped around."""
    while isinstance(value, Wrapped):
        value = value.inner._storage.read()
    return value
