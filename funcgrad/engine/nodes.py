"""The autograd graph's nodes: what an op leaves behind for the way back, and where gradients gather.

How the graph is walked is `graph`'s business.
"""

from collections.abc import Callable, Sequence
from itertools import count
from math import inf
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakKeyDictionary, ref

from funcgrad.engine.values import NOWHERE, Aval, Slot, Storage, Value, Variable

if TYPE_CHECKING:
    from funcgrad.engine.ops import Rule

_sequence = count()


def next_sequence() -> int:
    """A number that all nodes made from now on are above."""
    return next(_sequence)


Edge = tuple["GraphNode", int]
# A value that the way back needs, then the storage that has to be unchanged for it: the version and the value it has to
# have. Mostly the two values are one; an op whose derivative PyTorch takes from its result watches the result.
Saved = tuple[tuple[Any, Storage, int, Any], ...]


class Packed:
    """Stands in a node's saved values for one that was handed away; `unpack` brings it back."""

    __slots__ = ("unpack",)

    def __init__(self, unpack: Callable[[], Value]) -> None:
        self.unpack = unpack

    @property
    def saved(self) -> tuple[Any, Storage, int, Any]:
        """The entry of `GraphNode.saved` that stands for it: no storage has to stay as it was."""
        return self, Storage(self), 0, None  # type: ignore[arg-type]


class GraphNode:
    """What every node has.

    Attributes:
        edges: for each input a gradient flows to, the node it came from and which of that node's
            outputs it was.
        saved: the values the way back needs, each with the storage that must not change until then;
            None once freed.
        sequence: a number that grows with creation; a node's inputs always have a smaller one.
        slot: where the node stands: (the token of a trace, its position there).
        is_function: whether its way back is a Python function.
    """

    __slots__ = ("__weakref__", "edges", "saved", "sequence", "slot")

    is_function: ClassVar[bool] = False

    edges: tuple[Edge, ...]
    saved: Saved | None
    sequence: float
    slot: Slot

    @property
    def face(self) -> Any:
        """What stands for the node where people see it."""
        return self

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


class Node(GraphNode):
    """The node an op leaves behind. Each op has a subclass of its own, named as its label says."""

    __slots__ = ("rule",)

    rule: "Rule"

    @property
    def outputs(self) -> int:
        """How many outputs the op had that left this node behind."""
        return self.rule.count

    @property
    def types(self) -> tuple[Aval | None, ...]:
        """The types of these outputs."""
        return self.rule.outputs


class FunctionNode(GraphNode):
    """A node whose way back is a Python function, `pull_back`. Walks that meet it are never remembered."""

    __slots__ = ("_types",)

    is_function: ClassVar[bool] = True

    def __init__(self, edges: tuple[Edge, ...], types: tuple[Aval | None, ...]) -> None:
        self.edges = edges
        self.saved = ()
        self.sequence = next(_sequence)
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
        """The cotangent for each edge, or None for a zero, given those of the outputs, or None for a zero."""
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
        return (None if variable is None else variable._storage.value.aval,)


class HookTable(dict[Any, Callable[..., Any]]):
    """Hooks by key, in the order they are called; unlike a plain dict it can be referred to weakly."""


class Hooks:
    """What is called when a walk comes to a node; hooks change the lists they are given.

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
        """Call what is called when cotangents arrive."""
        for table in (self.arriving, self.retaining):
            for hook in list(table.values()):
                hook(cotangents)


# Apart from the nodes, so that those without hooks, nearly all, pay nothing for them.
hooked: WeakKeyDictionary[GraphNode, Hooks] = WeakKeyDictionary()


# Outputs of nodes, by number, whose variables were cut off from them: what saved such a variable refuses to go back.
detached: WeakKeyDictionary[GraphNode, set[int]] = WeakKeyDictionary()


def hooks_of(node: GraphNode) -> Hooks:
    """The hooks of a node, to be added to."""
    hooks = hooked.get(node)
    return hooked.setdefault(node, Hooks()) if hooks is None else hooks


class KeepingNode(Node):
    """The node of an op whose way back needs constants only, such as an offset: a walk has nothing to free."""

    __slots__ = ("kept",)

    kept: Saved

    @property
    def saved(self) -> Saved:
        """The constants."""
        return self.kept

    @saved.setter
    def saved(self, saved: Saved | None) -> None:
        if saved is not None:
            self.kept = saved


def node_type(label: str, base: type[Node] = Node) -> type[Node]:
    """A class of nodes named `label`."""
    return type(label, (base,), {"__slots__": (), "__module__": "builtins"})


Make = Callable[[Sequence[Variable], Sequence[Value], Sequence["GraphNode | None"], Slot], Node]


def maker(rule: "Rule") -> Make:
    """The function that makes an op's node from its arguments, their values and nodes, and its place in the trace.

    Values and nodes are those that were recorded: another thread may write to an argument meanwhile.

    Making nodes is a good part of what recording costs, so there is one function for each pattern
    of arguments saved and arguments that want a gradient: `exec` unrolls the loops over both.
    """
    saved = ", ".join(f"(v{k} := values[{k}], s{k}, s{k}.version, v{k})" for k in rule.saves)
    edges = ", ".join(f"(nodes[{k}], arguments[{k}]._nr)" for k in rule.wants)
    storages = "".join(f"    s{k} = arguments[{k}]._storage\n" for k in rule.saves)
    source = (
        "def make(arguments, values, nodes, slot):\n"
        "    node = new(kind)\n"
        f"{storages}"
        "    node.rule = rule\n"
        f"    node.saved = ({saved}{',' if saved else ''})\n"
        f"    node.edges = ({edges}{',' if edges else ''})\n"
        "    node.sequence = next(sequence)\n"
        "    node.slot = slot\n"
        "    return node\n"
    )
    scope = {"new": object.__new__, "kind": rule.node_type, "rule": rule, "sequence": _sequence}
    exec(source, scope)
    return scope["make"]  # type: ignore[return-value]
