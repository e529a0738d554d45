"""Recording: every op a thread calls is appended to that thread's trace, and nothing is computed yet.

All recordings that were ever made share one tree. A `State` is a place in it, reached by exactly one sequence of events,
so whatever follows from the sequence alone (types, where gradients flow, the compiled program) is worked out once and
found again by one dictionary look-up an event.

A trace is append-only and an append is one atomic step. So an interrupt cannot leave it half written, and another thread
may compute what it needs from a snapshot of it without a lock.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Protocol
from weakref import WeakSet, ref

from funcgrad.engine.nodes import GraphNode, Leaf
from funcgrad.engine.ops import Op, Rule, as_tuple
from funcgrad.engine.settings import settings
from funcgrad.engine.threads import PerThread
from funcgrad.engine.values import (
    NOWHERE,
    Aval,
    Storage,
    Value,
    Variable,
    Wrapped,
    is_tracer,
    with_wide_types,
)

# Keys of the events that are not ops; the key of an input is its aval.
LEAF = "leaf"  # a node that gathers a gradient is first used
NODE = "node"  # a node that an earlier trace made is first used
MORE = "more"  # the next output of an op that has several


class State:
    """A place in the tree of recordings: one event after its parent.

    Attributes:
        position: how many events lead here; also the name of what the event made, within its trace.
        op, args, avals: the op called, the positions of its arguments and their types; None and ()
            for the other events.
        aval: the type of what stands at this position; None for a node.
        is_more: whether this is a further output of the op before it.
        outputs: the types of all the op's outputs where it has several; else None.
        rule: where a gradient flows through the op, how its node is made; else None.
        children: the states one event further, by the event's key.
        programs: how to compute this recording, by the positions wanted.
        pullbacks: what a whole `backward()` from here appends, by its root; see `graph`.
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


# What is empty for now. Where every graph differs there are many states, and the garbage collector looks at every dict.
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
    """What one thread recorded since the last run.

    Attributes:
        log: at each position the state, and the array where it is an input.
        held: at the positions of ops' outputs, weak references to the pending values; nobody ever
            held what has none.
        nodes: where graph nodes made elsewhere stand, by identity. Their own slots do not tell for
            sure: another thread may have brought the same node into its trace since.
        token: names the trace in the slots of values and nodes without keeping it alive.
        failed: whether its run failed.
        chain: the state at the end of the last walk whose gradients have a graph, and a number that graph nodes made
            since are above; see `pullbacks.chain_ended`.
    """

    __slots__ = ("chain", "failed", "held", "log", "nodes", "token")

    def __init__(self) -> None:
        self.token = object()
        self.held: dict[int, ref[Value]] = {}
        self.nodes: dict[int, tuple[ref[GraphNode], int]] = {}
        self.log: list[tuple[State, Any]] = [(tree.root, None)]
        self.failed = False
        self.chain: tuple[State, int] | None = None


class Watch(Protocol):
    """Who wants to know what a piece of code reads from outside it; see `Recorder.watch`."""

    def reads(self, variable: Variable) -> None:
        """A variable's value comes into the recording, or into an op applied at once."""

    def meets(self, node: GraphNode) -> None:
        """A graph node comes into the recording."""

    def creates(self, value: Value) -> None:
        """A value is made of numbers that Python has: it is not read from outside, and always the same."""

    def ran(self, state: State, made: list[Value], reason: str) -> None:
        """The recording that ends in `state` was run, and these values of it are held."""


class Observer(Protocol):
    """Who wants to know of every graph node; see `Recorder.observer`."""

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
        trace: what is pending.
        grad_enabled: whether ops leave graph nodes behind.
        watch: who is told what a piece of code reads from outside it.
        observer: who is told of graph nodes; in a new thread, what `observing` gives.
        levels: the transformations of functions under way, outermost first; see `levels`.
        walking: the nodes that the walk under way in this thread visits; None outside walks.
    """

    __slots__ = ("__weakref__", "grad_enabled", "levels", "observer", "trace", "walking", "watch")

    observing: ClassVar[Callable[[], "Observer | None"]] = staticmethod(lambda: None)

    def __init__(self) -> None:
        self.trace = Trace()
        self.grad_enabled = True
        self.watch: Watch | None = None
        self.observer = Recorder.observing()
        self.levels: tuple[Any, ...] = ()
        self.walking: Any = None


class _Local(PerThread):
    def __init__(self) -> None:
        with _all_lock:
            self.recorder = Recorder()
            _all.add(self.recorder)


_all: WeakSet[Recorder] = WeakSet()
_all_lock = threading.Lock()


def recorders() -> list[Recorder]:
    """Those of all threads."""
    with _all_lock:
        return list(_all)


local = _Local()


class _TracerFoundError(Exception):
    """An argument is a JAX tracer, so the op has to be applied at once."""


Result = tuple[Value, "GraphNode | None", int]


def record(op: Op, arguments: Sequence[Variable]) -> Any:
    """Record `op` on `arguments`.

    Returns:
        The pending value and the edge it came from, as (value, node, output number); a list of such where the op has
        several outputs.

    Raises:
        Exception: whatever tracing the op with arguments of these types raises; nothing is recorded then.
    """
    recorder = local.recorder
    grad = recorder.grad_enabled
    # Looked at before the trace: that of a variable which is a view may record an op itself.
    values = [variable._storage.value for variable in arguments]
    nodes = [variable._node if grad else None for variable in arguments]
    trace = recorder.trace
    token = trace.token
    event: list[Any] = [op]
    try:
        for variable, value, node in zip(arguments, values, nodes, strict=True):
            slot = value.slot
            event.append(slot[1] if slot[0] is token else _enter(recorder, variable, value))
            if node is not None:
                slot = node.slot
                event.append(
                    (slot[1] if slot[0] is token else _enter_node(recorder, node)) + variable._nr
                )
            else:
                event.append(-1)
    except _TracerFoundError:
        return apply(op, arguments)
    key = tuple(event)
    log = trace.log
    state = log[-1][0]
    state = state.children.get(key) or _new_state(state, key, values)
    position = state.position
    slot = (token, position)
    value = Value(None, state.aval, slot, trace)
    rule = state.rule
    made = None if rule is None else rule.make(arguments, values, nodes, slot)
    log.append((state, None))
    trace.held[position] = ref(value)
    if state.outputs is not None:
        return _record_more(recorder, state, value, made, arguments)
    if position >= settings.buffer_size:
        flush("the buffer was full")
    if made is not None and recorder.observer is not None:
        recorder.observer.made(made, arguments)
    return value, made, 0


def record_one(op: Op, a: Variable) -> Result:
    """`record(op, (a,))` for an op with one output, unrolled as `record_two`."""
    recorder = local.recorder
    given = a._storage.value
    node = a._node if recorder.grad_enabled else None
    trace = recorder.trace
    token = trace.token
    try:
        slot = given.slot
        at = slot[1] if slot[0] is token else _enter(recorder, a, given)
        edge = -1
        if node is not None:
            slot = node.slot
            edge = (slot[1] if slot[0] is token else _enter_node(recorder, node)) + a._nr
    except _TracerFoundError:
        return apply(op, (a,))
    key = (op, at, edge)
    log = trace.log
    state = log[-1][0]
    state = state.children.get(key) or _new_state(state, key, (given,))
    position = state.position
    slot = (token, position)
    value = Value(None, state.aval, slot, trace)
    rule = state.rule
    made = None if rule is None else rule.make((a,), (given,), (node,), slot)
    log.append((state, None))
    trace.held[position] = ref(value)
    if position >= settings.buffer_size:
        flush("the buffer was full")
    if made is not None and recorder.observer is not None:
        recorder.observer.made(made, (a,))
    return value, made, 0


def record_two(op: Op, a: Variable, b: Variable) -> Result:
    """`record(op, (a, b))` for an op with one output, unrolled: the case that a training step is made of."""
    recorder = local.recorder
    first, second = a._storage.value, b._storage.value
    first_node = second_node = None
    if recorder.grad_enabled:
        first_node, second_node = a._node, b._node
    trace = recorder.trace
    token = trace.token
    try:
        slot = first.slot
        first_at = slot[1] if slot[0] is token else _enter(recorder, a, first)
        slot = second.slot
        second_at = slot[1] if slot[0] is token else _enter(recorder, b, second)
        first_edge = second_edge = -1
        if first_node is not None:
            slot = first_node.slot
            first_edge = (
                slot[1] if slot[0] is token else _enter_node(recorder, first_node)
            ) + a._nr
        if second_node is not None:
            slot = second_node.slot
            second_edge = (
                slot[1] if slot[0] is token else _enter_node(recorder, second_node)
            ) + b._nr
    except _TracerFoundError:
        return apply(op, (a, b))
    key = (op, first_at, first_edge, second_at, second_edge)
    log = trace.log
    state = log[-1][0]
    state = state.children.get(key) or _new_state(state, key, (first, second))
    position = state.position
    slot = (token, position)
    value = Value(None, state.aval, slot, trace)
    rule = state.rule
    made = (
        None
        if rule is None
        else rule.make((a, b), (first, second), (first_node, second_node), slot)
    )
    log.append((state, None))
    trace.held[position] = ref(value)
    if position >= settings.buffer_size:
        flush("the buffer was full")
    if made is not None and recorder.observer is not None:
        recorder.observer.made(made, (a, b))
    return value, made, 0


def record_values(op: Op, values: Sequence[Value]) -> list[Value]:
    """`record` where no gradient is wanted: from values to values, which the walk backward is made of."""
    recorder = local.recorder
    trace = recorder.trace
    token = trace.token
    event: list[Any] = [op]
    try:
        for value in values:
            slot = value.slot
            event.append(
                slot[1] if slot[0] is token else _enter(recorder, Variable(Storage(value)), value)
            )
            event.append(-1)
    except _TracerFoundError:
        results = apply(op, [Variable(Storage(value)) for value in values])
        return [results[0]] if type(results) is tuple else [result[0] for result in results]
    key = tuple(event)
    log = trace.log
    state = log[-1][0]
    state = state.children.get(key) or _new_state(state, key, values)
    position = state.position
    value = Value(None, state.aval, (token, position), trace)
    log.append((state, None))
    trace.held[position] = ref(value)
    made = [value] if state.outputs is None else _append_more(trace, state, value)
    if log[-1][0].position >= settings.buffer_size:
        flush("the buffer was full")
    return made


def _record_more(
    recorder: Recorder,
    state: State,
    value: Value,
    made: "GraphNode | None",
    arguments: Sequence[Variable],
) -> list[Result]:
    """The outputs of an op that has several."""
    trace = recorder.trace
    results = _with_edges(_append_more(trace, state, value), made)
    if trace.log[-1][0].position >= settings.buffer_size:
        flush("the buffer was full")
    if made is not None and recorder.observer is not None:
        recorder.observer.made(made, arguments)
    return results


def _append_more(trace: Trace, state: State, value: Value) -> list[Value]:
    """The outputs of an op after its first, each an event of its own; returns them all."""
    values = [value]
    for aval in state.outputs[1:]:
        state = state.children.get(MORE) or state.child(MORE, State(state, aval, is_more=True))
        values.append(Value(None, aval, (trace.token, state.position), trace))
        trace.log.append((state, None))
        trace.held[state.position] = ref(values[-1])
    return values


def _with_edges(values: list[Value], node: "GraphNode | None") -> list[Result]:
    return [
        (value, node if value.aval.inexact else None, number) for number, value in enumerate(values)
    ]


def _new_state(state: State, key: tuple, values: Sequence[Value]) -> State:
    """The state after an op is called for the first time in this place: where types are worked out."""
    op = key[0]
    avals = tuple([value.aval for value in values])
    types = op.types(avals)
    edges = key[2::2]
    # In a walk backward no argument has an edge.
    rule = (
        op.rule(avals, tuple([edge >= 0 for edge in edges]))
        if max(edges, default=-1) >= 0
        else None
    )
    several = types if len(types) > 1 else None
    return state.child(key, State(state, types[0], op, key[1::2], avals, several, rule))


def _enter(recorder: Recorder, variable: Variable, value: Value) -> int:
    """The position of a variable's value that the recorder's trace did not make, brought in as an input."""
    if recorder.levels or isinstance(value, Wrapped):
        raise _TracerFoundError
    array = value.array
    if array is None:
        array = compute(value)
    if recorder.watch is not None:
        recorder.watch.reads(variable)
    if is_tracer(array):
        raise _TracerFoundError
    trace = recorder.trace
    log = trace.log
    state = log[-1][0]
    state = state.children.get(value.aval) or state.child(value.aval, State(state, value.aval))
    position = state.position
    log.append((state, array))
    value.slot = (trace.token, position)
    return position


def _enter_node(recorder: Recorder, node: GraphNode) -> int:
    """The position of a graph node that the recorder's trace did not make; one for each output."""
    if recorder.watch is not None:
        recorder.watch.meets(node)
    trace = recorder.trace
    log = trace.log
    known = trace.nodes.get(id(node))
    if known is not None and known[0]() is node:
        node.slot = (trace.token, known[1])
        return known[1]
    first = log[-1][0].position + 1
    key = LEAF if isinstance(node, Leaf) else NODE
    for _ in range(node.outputs):
        state = log[-1][0]
        log.append((state.children.get(key) or state.child(key, State(state)), None))
        key = MORE
    node.slot = (trace.token, first)
    trace.nodes[id(node)] = (ref(node), first)
    return first


def apply(op: Op, arguments: Sequence[Variable]) -> Any:
    """Apply `op` at once: the way of arguments that carry tracers. Takes and returns what `record` does."""
    recorder = local.recorder
    if recorder.levels or any(isinstance(a._storage.value, Wrapped) for a in arguments):
        return levels.apply(op, arguments)
    if recorder.watch is not None:
        for variable in arguments:
            recorder.watch.reads(variable)
            if recorder.grad_enabled and variable._node is not None:
                recorder.watch.meets(variable._node)
    values = [variable._storage.value for variable in arguments]
    nodes = [variable._node if recorder.grad_enabled else None for variable in arguments]
    avals = tuple(value.aval for value in values)
    op.types(avals)
    rule = op.rule(avals, tuple(node is not None for node in nodes))
    made = None if rule is None else rule.make(arguments, values, nodes, NOWHERE)
    arrays = [compute(value) for value in values]
    outputs = as_tuple(with_wide_types(op.function, *arrays))
    results = _with_edges([Value.of(array) for array in outputs], made)
    if made is not None and recorder.observer is not None:
        recorder.observer.made(made, arguments)
    return results if len(results) > 1 else results[0]


def flush(reason: str) -> None:
    """Run what this thread has recorded, if anything; `reason` is for `engine.explain()`."""
    recorder = local.recorder
    if recorder.levels:
        levels.below_all(flush, reason)
        return
    trace = recorder.trace
    log = trace.log
    if len(log) > 1:
        recorder.trace = Trace()
        try:
            made = programs.run(log, trace.held, reason)
        except BaseException:
            trace.failed = True
            raise
        if recorder.watch is not None:
            recorder.watch.ran(log[-1][0], made, reason)


def compute(value: Value) -> Any:
    """The array of a value, computed now if it was pending; it is not waited for.

    Raises:
        Exception: whatever computing it raised. The value stays pending, and can be asked for again.
    """
    # Read in this order: a run sets the array before anything else of the value may change.
    slot, trace = value.slot, value.trace
    array = value.array
    if array is None:
        recorder = local.recorder
        if trace is (recorder.levels[0].outside[0] if recorder.levels else recorder.trace):
            flush("a value was looked at")
        else:
            programs.evaluate(trace, slot[1], value)
        array = value.array
    return array


# These read the states and traces defined above.
from funcgrad.engine import levels, programs  # noqa: E402
