"""Short ways for walks backward through ops' nodes alone, without hooks; nodes are visited in reverse order of creation.

A walk whose whole graph was recorded in the current trace follows from the recording alone. So what it appends is
remembered on the state it started from (a `Pullback`), and the next walk from there appends it without going op by op.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from operator import attrgetter
from typing import Any, NamedTuple
from weakref import ref

from funcgrad.engine import eager
from funcgrad.engine.derivatives import Node
from funcgrad.engine.graph import Accumulate, Gathered, into, made, pull_back, walk
from funcgrad.engine.nodes import GraphNode, Leaf, Variable, cut_off, hooked, next_sequence
from funcgrad.engine.ops import add, ones_like
from funcgrad.engine.recording import State, Trace, add_to, local
from funcgrad.engine.settings import settings
from funcgrad.engine.trace import end_of_walk, record, record_values, variables_of
from funcgrad.engine.values import Storage, Value

_sequence = attrgetter("sequence")
_NO_EDGE = (None, 0)
_LAST = "last"  # among a state's pullbacks: no walk goes on from the one that ends there


class Pullback(NamedTuple):
    """The entries that one walk appends to the trace, and for each leaf met, in order, the position of its gradient."""

    entries: list[tuple[Any, None]]
    gradients: list[int | None]


class GraphPullback(NamedTuple):
    """The entries that a walk with `create_graph` appends to the trace, and how its graph is made.

    Attributes:
        entries: as in `Pullback`.
        steps: the state of each op; the number of the node that it pulls back, in the order met, None for a sum;
            and which of the variables made so far are its cotangents. The first variable is the root's cotangent.
        gradients: for each leaf met, in order, which of the variables is its gradient.
    """

    entries: list[tuple[Any, None]]
    steps: list[tuple[Any, int | None, list[int]]]
    gradients: list[int | None]


def backward(root: Variable, accumulate: Accumulate, *, retain_graph: bool = False) -> None:
    """Hand the gradient of a scalar to `accumulate`, once for each leaf; then run what is pending.

    Args:
        root: one element, with a graph.
        accumulate: called with each leaf that the scalar depends on and with its gradient, None where none arrives.
        retain_graph: keep the saved values, so that the same graph can be walked again.

    Raises:
        FreedError, ModifiedError: a saved value is not there any more.
    """
    recorder = local.recorder
    before, recorder.grad_enabled = recorder.grad_enabled, False
    try:
        gathered = pull(root, retain_graph=retain_graph)
        if gathered is None:
            first = made(record(ones_like, (root,)))
            walk([(root, first)], into(accumulate), retain_graph=retain_graph)
        else:
            for each in gathered:
                accumulate(*each)
    finally:
        recorder.grad_enabled = before
    del gathered
    if recorder.walking is None:  # else it runs together with the rest of the walk around this one
        end_of_walk()


def pull(
    root: Variable,
    cotangent: Variable | None = None,
    *,
    retain_graph: bool = False,
    create_graph: bool = False,
    wanted: Sequence[Leaf] | None = None,
) -> Gathered | None:
    """The gradients of leaves, as (leaf, value, node, output number); None where `graph.walk` has to look closer.

    Args:
        root: a variable with a graph.
        cotangent: that of the root; ones if None.
        retain_graph, create_graph: as for `graph.walk`.
        wanted: the leaves whose gradients are wanted; all that the root depends on if None.
    """
    recorder = local.recorder
    if recorder.observer is not None:
        return None
    leaves: list[Leaf] = []
    nodes = _plain_graph(root._current_node(), leaves)
    if nodes is None:
        return None
    leading = None
    if wanted is not None and not set(leaves).issubset(wanted):
        leading = _leading(nodes, wanted)
        nodes = [node for node in nodes if node in leading]
        leaves = [leaf for leaf in leaves if leaf in leading]
        if not leaves:
            return []
    trace = recorder.trace
    if create_graph and trace.chain is not None and trace.chain[1] < _first_made(nodes):
        # This walk does not go on from the last one. Note there that its chain ends, for the next time.
        _keep(trace.chain[0], _LAST, True)
    beginning = None
    if cotangent is None and not trace.eager:
        beginning = _beginning(trace.token, root, leaves if leading else None, create_graph)
        if beginning is not None:
            known = trace.log[-1][0].pullbacks.get(beginning)
            if known is not None:
                replay = _replay_graph if create_graph else _replay
                return replay(trace, known, leaves, nodes, retain_graph)
    state, start = trace.log[-1][0], len(trace.log)
    before, recorder.grad_enabled = recorder.grad_enabled, create_graph
    # Where every graph differs, remembering would cost more than it gives: a walk has to come back first.
    noting = (
        beginning is not None and beginning in state.pullbacks and _stands_as_recorded(trace, nodes)
    )
    notes = _Notes(nodes) if noting and create_graph else None
    try:
        found = _straight(root, cotangent, nodes, leading, retain_graph, create_graph, notes)
    finally:
        recorder.grad_enabled = before
    gathered = [(leaf, *found[leaf]) for leaf in leaves if leaf in found]
    if beginning is not None:
        _keep(
            state,
            beginning,
            _remembered(trace, start, leaves, nodes, gathered, notes) if noting else None,
        )
    return gathered


def _keep(state: State, key: Any, entry: Any) -> None:
    state.pullbacks = add_to(state.pullbacks)
    state.pullbacks[key] = entry


def chain_ended() -> bool:
    """Whether what is pending should run, after a walk whose gradients have a graph.

    Such gradients are likely to be differentiated in turn, in one run with the ops that follow. So run now only where no
    walk went on from here before, or where much is pending.
    """
    trace = local.recorder.trace
    if trace.eager:
        return True  # nothing is pending
    state = trace.log[-1][0]
    trace.chain = state, next_sequence()
    return _LAST in state.pullbacks or state.position > settings.buffer_size // 2


def _first_made(nodes: list[Node]) -> float:
    return min(map(_sequence, nodes), default=0)


def _plain_graph(root: GraphNode, leaves: list[Any]) -> list[Any] | None:
    """The nodes from `root` on, with the leaves put in `leaves` in the order met.

    None where the walk has to look closer: a node is hooked or a Python function, or a value it saved was freed or changed.
    """
    nodes: list[GraphNode] = []
    seen = {root}
    stack = [root]
    while stack:
        node = stack.pop()
        if node.is_function:
            return None
        saved = node.saved
        if saved:
            for _, storage, version, held in saved:
                if storage.version != version or (storage.value or storage.read()) is not held:
                    return None
        elif saved is None:
            return None
        edges = node.edges
        if not edges:
            leaves.append(node)
            continue
        nodes.append(node)
        for source, _ in edges:
            if source not in seen:
                seen.add(source)
                stack.append(source)
    # A hook may do anything, and has to be called every time.
    if hooked and any(node in hooked for node in seen):
        return None
    return None if cut_off and any(node in cut_off for node in seen) else nodes


def _beginning(token: object, root: Variable, leaves: list[Leaf] | None, create_graph: bool) -> Any:
    """Where a walk begins in the trace of this token, and which leaves it is to reach if not all; None where it is elsewhere."""
    slot, value_slot = root._current_node().slot, root._storage.read().slot
    if slot[0] is not token or value_slot[0] is not token:
        return None
    if leaves is None:
        return slot[1] + root._nr, value_slot[1], create_graph
    slots = [leaf.slot for leaf in leaves]
    if any(slot[0] is not token for slot in slots):
        return None
    return slot[1] + root._nr, value_slot[1], create_graph, tuple([slot[1] for slot in slots])


def _replay(
    trace: Trace, pullback: Pullback, leaves: list[Leaf], nodes: list[Node], retain_graph: bool
) -> Gathered:
    """The leaves' gradients by a remembered walk."""
    if not retain_graph:
        for node in nodes:
            if node.saved:
                node.saved = None
    token, log = trace.token, trace.log
    log.extend(pullback.entries)
    gradients: Gathered = []
    for leaf, position in zip(leaves, pullback.gradients, strict=True):
        if position is not None:
            value = Value(None, log[position][0].aval, (token, position), trace)
            trace.held[position] = ref(value)
            gradients.append((leaf, value, None, 0))
    return gradients


def _replay_graph(
    trace: Trace, pullback: GraphPullback, leaves: list[Leaf], nodes: list[Node], retain_graph: bool
) -> Gathered:
    """The leaves' gradients and their graph by a remembered walk."""
    token, held = trace.token, trace.held
    trace.log.extend(pullback.entries)
    variables: list[Variable] = []

    def made_at(position: int, aval: Any, node: GraphNode | None, nr: int) -> None:
        value = Value(None, aval, (token, position), trace)
        held[position] = ref(value)
        variables.append(Variable(Storage(value), node, nr))

    first = pullback.entries[0][0]
    made_at(first.position, first.aval, None, 0)
    for state, number, taken in pullback.steps:
        arguments = [variables[k] for k in taken]
        if number is not None:
            arguments = _saved_arguments(nodes[number]) + arguments
        position, rule = state.position, state.rule
        node = None
        if rule is not None:
            values, sources = [a._storage.value for a in arguments], [a._node for a in arguments]
            node = rule.make(arguments, values, sources, (token, position))
        for nr, aval in enumerate(state.outputs or (state.aval,)):
            made_at(position + nr, aval, node if aval.inexact else None, nr)
    if not retain_graph:
        for each in nodes:
            if each.saved:
                each.saved = None
    return [
        (leaf, variables[k]._storage.value, *variables[k]._edge())
        for leaf, k in zip(leaves, pullback.gradients, strict=True)
        if k is not None
    ]


class _Notes:
    """The steps of a walk with `create_graph`, noted so that they can be repeated."""

    def __init__(self, nodes: list[Node]) -> None:
        self.numbers = {node: number for number, node in enumerate(nodes)}
        self.variables: list[Variable] = []
        self.steps: list[tuple[int | None, list[int]]] = []
        self.usual = True

    def pull(self, node: Node, cotangents: list[Variable | None]) -> Sequence[Variable]:
        """`_pull_variables`, noted."""
        self.usual &= all(each is not None for each in cotangents)
        gradients = _pull_variables(node, cotangents)
        self.steps.append((self.numbers[node], self.found(cotangents)))
        self.variables += gradients
        return gradients

    def plus(self, a: Variable, b: Variable) -> Variable:
        """`_plus`, noted."""
        total = _plus(a, b)
        self.steps.append((None, self.found([a, b])))
        self.variables.append(total)
        return total

    def found(self, variables: Sequence[Any]) -> list[int]:
        """Which of the variables made so far these are."""
        numbers = {id(each): number for number, each in enumerate(self.variables)}
        return [numbers[id(each)] for each in variables if each is not None]


def _remembered(
    trace: Trace,
    start: int,
    leaves: list[Leaf],
    nodes: list[Node],
    gathered: Gathered,
    notes: _Notes | None,
) -> Pullback | GraphPullback | None:
    """The entries that a walk has appended, if everything that it walked was recorded in this trace; else None."""
    token = trace.token
    appended = trace.log[start:]
    entries = [(state, None) for state, _ in appended]
    slots = {leaf: value.slot for leaf, value, _, _ in gathered}
    if (
        trace is not local.recorder.trace
        or any(slot[0] is not token or slot[1] < start for slot in slots.values())
        or any(state.op is None and not state.is_more for state, _ in entries)
    ):
        return None
    if notes is None:
        return Pullback(entries, [slots[leaf][1] if leaf in slots else None for leaf in leaves])
    ops = [state for state, _ in entries if state.op is not None]
    if not notes.usual or len(ops) != 1 + len(notes.steps):
        return None
    standing = {each._storage.read().slot[1]: k for k, each in enumerate(notes.variables)}
    return GraphPullback(
        entries,
        [(state, *step) for state, step in zip(ops[1:], notes.steps, strict=True)],
        [standing[slots[leaf][1]] if leaf in slots else None for leaf in leaves],
    )


def _stands_as_recorded(trace: Trace, nodes: list[Node]) -> bool:
    """Whether ops of this trace made the nodes, none is freed, and each saved value stands where its op took it from.

    A node of an earlier trace is only a name in this one. And a number in the program is one value for all threads: where
    another one used it meanwhile, it stands in this trace a second time.
    """
    token, log = trace.token, trace.log
    for node in nodes:
        if node.slot[0] is not token or log[node.slot[1]][0].op is None:
            return False
        args = log[node.slot[1]][0].args
        for k, (value, *_) in zip(node.rule.saves, node.saved or (), strict=True):
            if value.slot != (token, args[k]):
                return False
    return True


def _leading(nodes: list[Node], wanted: Iterable[Leaf]) -> set[GraphNode]:
    """The wanted leaves and the nodes on the way to one."""
    leading: set[GraphNode] = set(wanted)
    for node in sorted(nodes, key=_sequence):
        for source, _ in node.edges:
            if source in leading:
                leading.add(node)
                break
    return leading


def _straight(
    root: Variable,
    cotangent: Variable | None,
    nodes: list[Node],
    leading: set[GraphNode] | None,
    retain_graph: bool,
    create_graph: bool,
    notes: _Notes | None,
) -> dict[Any, tuple[Value, GraphNode | None, int]]:
    """The walk itself: on variables where the gradients are to have a graph of their own, on values where not."""
    pull: Any = _pull_variables if create_graph else _pull_values
    plus: Any = _plus if create_graph else _plus_values
    recorder = local.recorder
    if not create_graph and recorder.trace.eager and recorder.watch is None:
        pull = partial(eager.pull_back, recorder.trace.trail)
    if notes is not None:
        pull, plus = notes.pull, notes.plus
    first: Any = _ones_like(root) if cotangent is None else cotangent._storage.read()
    if create_graph:
        first = Variable(Storage(first)) if cotangent is None else cotangent
    if notes is not None:
        notes.variables.append(first)
    start, number = root._edge()
    arrived: dict[GraphNode, list[Any]] = {start: [None] * start.outputs}
    arrived[start][number] = first
    # A node's inputs were made before it.
    for node in sorted(nodes, key=_sequence, reverse=True):
        cotangents: Any = arrived.pop(node, None)
        if cotangents is None:
            continue
        try:
            gradients: Any = pull(node, cotangents)
        except eager.NotHereError:
            gradients = _pull_values(node, cotangents)
        if node.saved and not retain_graph:
            node.saved = None
        for (source, nr), gradient in zip(node.edges, gradients, strict=True):
            if gradient is not None and (leading is None or source in leading):
                slots = arrived.get(source)
                if slots is None:
                    slots = arrived[source] = [None] * source.outputs
                held = slots[nr]
                slots[nr] = gradient if held is None else plus(held, gradient)
    if create_graph:
        return {leaf: (v._storage.read(), *v._edge()) for leaf, (v,) in arrived.items()}
    return {leaf: (value, None, 0) for leaf, (value,) in arrived.items()}


def _pull_values(node: Node, cotangents: list[Value | None]) -> list[Value | None]:
    """`pull_back` from values to values, of a node that saved what it needs."""
    rule = node.rule
    values = [saved[0] for saved in node.saved or ()]
    if None not in cotangents:
        return record_values(rule.full, values + cotangents)  # type: ignore[return-value]
    vjp = rule.vjp(tuple([each is not None for each in cotangents]))
    if True not in vjp.gives:
        return vjp.spread(())
    values = [value for k, value in zip(rule.saves, values, strict=True) if k in vjp.uses]
    values += [each for each in cotangents if each is not None]
    return vjp.spread(record_values(vjp, values))


def _pull_variables(node: Node, cotangents: list[Variable | None]) -> list[Variable]:
    """`pull_back` of a node that saved what it needs, recorded as a graph."""
    if any(each is None for each in cotangents):
        return pull_back(node, cotangents)  # type: ignore[return-value]
    return variables_of(record(node.rule.full, _saved_arguments(node) + cotangents))


def _saved_arguments(node: Node) -> list[Any]:
    """The saved values of a node as arguments of its derivative, with the edges that they came by."""
    edges = node.edges
    # In the storage itself, so that the derivative's node notices a change in place too.
    return [
        Variable(storage if value is held else Storage(value), *(edges[k] if k >= 0 else _NO_EDGE))
        for (value, storage, _, held), k in zip(
            node.saved or (), node.rule.saved_edges, strict=True
        )
    ]


def _plus_values(a: Value, b: Value) -> Value:
    return record_values(add, (a, b))[0]


def _plus(a: Variable, b: Variable) -> Variable:
    return made(record(add, (a, b)))


def _ones_like(root: Variable) -> Value:
    return record_values(ones_like, [root._storage.read()])[0]
