"""The data of a recording: its states and traces, and each thread's recorder with who watches it.

All recordings that were ever made share one tree. A `State` is a place in it, reached by exactly one sequence of events.
Types, the flow of gradients and the compiled program follow from the sequence alone. They are worked out once, and one
dictionary look-up an event finds them again.

A trace is append-only and an append is one atomic step. So an interrupt cannot leave it half written, and another thread
may compute what it needs from a snapshot of it without a lock.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Protocol
from weakref import WeakSet, ref

from funcgrad.engine.derivatives import Rule
from funcgrad.engine.nodes import GraphNode, Variable
from funcgrad.engine.ops import Op
from funcgrad.engine.settings import settings
from funcgrad.engine.threads import PerThread
from funcgrad.engine.values import Aval, Value

# A turn of a loop that has more calls is not looked at as one.
LONGEST_TURN = 4096
# Keys of the events that are not ops; the key of an input is its aval.
LEAF = "leaf"  # a node that gathers a gradient is first used
NODE = "node"  # a node that an earlier trace made is first used
MORE = "more"  # the next output of an op that has several


class State:
    """A place in the tree of recordings: one event after its parent.

    Attributes:
        position: how many events lead here; within a trace, also the name of the value or node that the event made.
        op, args, avals: the op called, the positions of its arguments and their types; None and ()
            for the other events.
        aval: the type of the value at this position; None for a node.
        is_more: whether this is a further output of the op before it.
        outputs: the types of all the op's outputs where it has several; else None.
        rule: where a gradient flows through the op, how its node is made; else None.
        children: the states one event further, by the event's key.
        programs: how to compute this recording, by the positions wanted.
        pullbacks: the entries that a whole `backward()` from here appends, by its root; see `remembered`.
    """

    __slots__ = (
        "args",
        "aval",
        "avals",
        "children",
        "is_more",
        "op",
        "outputs",
        "parent",
        "position",
        "programs",
        "pullbacks",
        "rule",
    )

    def __init__(
        self,
        parent: "State | None",
        aval: Aval | None = None,
        op: Op | None = None,
        args: tuple[int, ...] = (),
        avals: tuple[Aval, ...] = (),
        outputs: tuple[Aval, ...] | None = None,
        rule: Rule | None = None,
        is_more: bool = False,
    ) -> None:
        self.parent = parent
        self.position: int = 0 if parent is None else parent.position + 1
        self.aval: Any = aval
        self.op: Any = op
        self.args = args
        self.avals = avals
        self.outputs: Any = outputs
        self.rule = rule
        self.is_more = is_more
        self.children: dict[Any, State] = {}
        # Most states have neither; see `add_to`.
        self.programs: Any = _NOTHING
        self.pullbacks: Any = _NOTHING

    def lineage(self) -> "list[State]":
        """All states from the root to this one; each stands at the index of its position."""
        states: list[State] = []
        state: State | None = self
        while state is not None:
            states.append(state)
            state = state.parent
        return states[::-1]

    def child(self, key: Any, made: "State") -> "State":
        """The state that the event `key` leads to: `made`, unless another thread was first."""
        tree.size += 1
        return self.children.setdefault(key, made)


# Shared by all states without entries. Where every graph differs there are many states, and the garbage collector looks at
# every dict.
_NOTHING: Any = MappingProxyType({})


def add_to(entries: Any) -> dict[Any, Any]:
    """A state's programs or pullbacks, to be added to and stored again."""
    return {} if entries is _NOTHING else entries


class Tree:
    """All recordings made so far. Its size is bounded: see `prune`."""

    def __init__(self) -> None:
        self.root = State(None)
        self.size = 1

    def prune(self, keep: Iterable[State]) -> None:
        """Forget every state that is not on the way to one of `keep`. Traces being recorded are not disturbed."""
        kept = {id(self.root)}
        for end in keep:
            state: State | None = end
            while state is not None and id(state) not in kept:
                kept.add(id(state))
                state = state.parent
        pending = [self.root]
        size = 0
        while pending:
            state = pending.pop()
            # Copied first, in one step, since other threads go on recording.
            children, programs = state.children.copy(), state.programs.copy()
            pending.extend(children.values())
            if id(state) in kept:
                size += 1
                state.children = {k: child for k, child in children.items() if id(child) in kept}
                state.programs = {k: p for k, p in programs.items() if p.compiled is not None}
            else:
                # Taken apart, so that it is gone at once: as cycles, the garbage collector would have to find them.
                state.children = {}
                state.programs = _NOTHING
            state.pullbacks = _NOTHING
        self.size = size


tree = Tree()


class Trace:
    """The ops that one thread recorded since the last run.

    Attributes:
        log: at each position the state, and the array where it is an input.
        held: at the positions of ops' outputs, weak references to the pending values; a position without one
            was never held by anybody.
        nodes: positions of graph nodes made elsewhere, by identity. Their own slots are not reliable:
            another thread may have brought the same node into its trace since.
        token: names the trace in the slots of values and nodes without keeping it alive.
        failed: whether its run failed.
        eager: whether ops run at once, in the core, and nothing is recorded.
        trail: the calls of the core since the loop last turned; see `tiers`.
        chain: the state at the end of the last walk whose gradients have a graph, and a number below that of
            every graph node made since; see `remembered.chain_ended`.
    """

    __slots__ = ("chain", "eager", "failed", "held", "log", "nodes", "token", "trail")

    def __init__(self, eager: bool = False) -> None:
        self.eager = eager
        self.trail: deque[Any] = deque(maxlen=LONGEST_TURN)
        self.token = object()
        self.held: dict[int, ref[Value]] = {}
        self.nodes: dict[int, tuple[ref[GraphNode], int]] = {}
        self.log: list[tuple[State, Any]] = [(tree.root, None)]
        self.failed = False
        self.chain: tuple[State, int] | None = None


class Watch:
    """Told of everything that a piece of code reads from outside it; see `Recorder.watch`."""

    def reads(self, variable: Variable) -> None:
        """A variable's value comes into the recording, or into an op applied at once."""

    def meets(self, node: GraphNode) -> None:
        """A graph node comes into the recording."""

    def creates(self, value: Value) -> None:
        """A value is made of numbers that Python has: it is not read from outside, and always the same."""

    def ran(self, state: State, made: list[Value], reason: str) -> None:
        """The recording that ends in `state` was run, and these values of it are held."""

    def applied(self, made: Sequence[Value]) -> None:
        """An op was applied at once, and gave these."""

    def writes(self, variable: Variable, by: str = "") -> None:
        """A variable is about to be changed in place, or its gradient; `by` names the cause if it is no op."""

    def escapes(self, variable: Variable) -> None:
        """A variable's array is handed to code that keeps no graph."""

    def depends(self, read: Callable[[], Any]) -> None:
        """The rest of the recording holds for the present result of `read`, which is hashable."""


class Observer(Protocol):
    """Told of every graph node; see `Recorder.observer`."""

    def made(self, node: GraphNode, arguments: Sequence[Variable]) -> None:
        """An op of these arguments left this node behind."""

    def visits(self, node: GraphNode) -> None:
        """A walk backward has come to this node."""

    def failed(self, node: GraphNode) -> None:
        """The visit failed: pulling cotangents back, or a hook."""

    def gave(self, node: GraphNode, gradients: Sequence[Variable | None]) -> None:
        """The visit gave these gradients."""


class Recorder:
    """A thread's own recording and grad mode, and who watches it, if anybody does.

    Attributes:
        trace: the pending ops.
        grad_enabled: whether ops leave graph nodes behind.
        forward_enabled: whether ops on dual values carry their tangents on.
        watch: told of everything that a piece of code reads from outside it; None if nobody asks.
        observer: told of graph nodes; a new thread starts with the one that `observing` gives.
        levels: the transformations of functions under way, outermost first; see `levels`.
        walking: the nodes that the walk under way in this thread visits; None outside walks.
        loop: how this thread's loop turns; see `tiers`.
    """

    __slots__ = (
        "__weakref__",
        "forward_enabled",
        "grad_enabled",
        "levels",
        "loop",
        "observer",
        "trace",
        "walking",
        "watch",
    )

    observing: ClassVar[Callable[[], "Observer | None"]] = staticmethod(lambda: None)

    def __init__(self) -> None:
        self.trace = Trace(settings.starts_eager)
        self.grad_enabled = True
        self.forward_enabled = True
        self.watch: Watch | None = None
        self.observer = Recorder.observing()
        self.levels: tuple[Any, ...] = ()
        self.walking: Any = None
        self.loop: Any = None


class _Local(PerThread):
    def __init__(self) -> None:
        with _all_lock:
            self.recorder = Recorder()
            _all.add(self.recorder)


_all: WeakSet[Recorder] = WeakSet()
_all_lock = threading.Lock()


def recorders() -> list[Recorder]:
    """The recorders of all threads."""
    with _all_lock:
        return list(_all)


local = _Local()
