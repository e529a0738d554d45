"""The autograd graph's nodes: what an op leaves behind for the way back, and where gradients gather.

How the graph is walked is `graph`'s business.
"""

from collections.abc import Callable, Sequence
from itertools import count
from math import inf
from typing import TYPE_CHECKING, Any
from weakref import ref

from funcgrad.engine.values import NOWHERE, Slot, Storage, Value, Variable

if TYPE_CHECKING:
    from funcgrad.engine.ops import Rule

_sequence = count()

Edge = tuple["GraphNode", int]
Saved = tuple[tuple[Value, Storage, int], ...]


class GraphNode:
    """What every node has.

    Attributes:
        edges: for each input a gradient flows to, the node it came from and which of that node's outputs it was.
        saved: the values the way back needs, each with the storage it was read from and the version it had; None once freed.
        sequence: a number that grows with creation; a node's inputs always have a smaller one.
        slot: where the node stands: (the token of a trace, its position there).
        extra: what was hung on it (hooks); None on nearly all.
    """

    __slots__ = ("__weakref__", "edges", "extra", "saved", "sequence", "slot")

    edges: tuple[Edge, ...]
    saved: Saved | None
    sequence: float
    slot: Slot
    extra: Any

    def __repr__(self) -> str:
        return f"<{type(self).__name__} object at {id(self):#x}>"

    @property
    def outputs(self) -> int:
        """How many outputs the op had that left this node behind."""
        return 1


class Node(GraphNode):
    """The node an op leaves behind. Each op has a subclass of its own, named as the op's label says."""

    __slots__ = ("rule",)

    def __init__(self, rule: "Rule", arguments: Sequence[Variable], slot: Slot) -> None:
        self.rule = rule
        self.saved = rule.save(arguments)
        self.edges = rule.link(arguments)
        self.sequence = next(_sequence)
        self.slot = slot
        self.extra = None

    @property
    def outputs(self) -> int:
        """How many outputs the op had that left this node behind."""
        return len(self.rule.outputs)


class Leaf(GraphNode):
    """Where the gradient of a variable gathers; it knows the variable only weakly."""

    __slots__ = ("variable",)

    def __init__(self, variable: Variable) -> None:
        self.variable = ref(variable)
        self.saved = ()
        self.edges = ()
        self.sequence = inf
        self.slot = NOWHERE
        self.extra = None


def saver(which: tuple[int, ...]) -> Callable[[Sequence[Variable]], Saved]:
    """A function that takes from an op's arguments what a node saves: value, storage and version of those in `which`.

    One and two arguments, of which nearly all graphs are made, get a function without a loop.
    """
    match which:
        case ():
            return lambda arguments: ()
        case (k,):

            def save_one(arguments: Sequence[Variable]) -> Saved:
                storage = arguments[k].storage
                return ((storage.value, storage, storage.version),)

            return save_one
        case (j, k):

            def save_two(arguments: Sequence[Variable]) -> Saved:
                first, second = arguments[j].storage, arguments[k].storage
                return ((first.value, first, first.version), (second.value, second, second.version))

            return save_two
    return lambda arguments: tuple(
        [((s := arguments[k].storage).value, s, s.version) for k in which]
    )


def linker(which: tuple[int, ...]) -> Callable[[Sequence[Variable]], Any]:
    """A function that takes from an op's arguments the edges (node, output number) of those in `which`."""
    match which:
        case (k,):
            return lambda arguments: ((arguments[k].node, arguments[k].nr),)
        case (j, k):
            return lambda arguments: (
                (arguments[j].node, arguments[j].nr),
                (arguments[k].node, arguments[k].nr),
            )
    return lambda arguments: tuple([(arguments[k].node, arguments[k].nr) for k in which])
