"""Walking the autograd graph backward. The gradients are ops like any other: recorded, compiled, differentiated.

A walk whose whole graph was recorded in the current trace follows from the recording alone. So what it appends is
remembered on the state it started from (a `Pullback`), and the next walk from there appends it without going op by op.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from heapq import heappop, heappush
from itertools import count
from math import inf
from typing import Any, NamedTuple
from weakref import ref

from funcgrad.engine.nodes import Edge, GraphNode, Leaf, Node
from funcgrad.engine.ops import add, ones_like
from funcgrad.engine.trace import flush, local, record
from funcgrad.engine.values import Storage, Value, Variable

Accumulate = Callable[[Leaf, Variable], None]


class FreedError(RuntimeError):
    """A value that the way back needs was freed by an earlier walk."""


class ModifiedError(RuntimeError):
    """A value that the way back needs was changed in place since it was saved.

    Attributes:
        node: the node that saved it.
        value: the value as it was saved.
        expected, version: its storage's version then and now.
    """

    def __init__(self, node: Node, value: Value, expected: int, version: int) -> None:
        super().__init__(
            f"{type(node).__name__} needs a {value.aval!r} for its gradient that has been modified by an inplace "
            f"operation: it is at version {version}; expected version {expected} instead"
        )
        self.node, self.value, self.expected, self.version = node, value, expected, version


class Pullback(NamedTuple):
    """What one walk appends to the trace: entries, and for each leaf met, in order, where its gradient stands."""

    entries: list[tuple[Any, None]]
    gradients: list[int | None]


@contextmanager
def grad_mode(enabled: bool) -> Iterator[None]:
    """Whether ops called in this thread inside the block leave graph nodes behind."""
    before, local.grad_enabled = local.grad_enabled, enabled
    try:
        yield
    finally:
        local.grad_enabled = before


def backward(root: Variable, accumulate: Accumulate, *, retain_graph: bool = False) -> None:
    """Hand the gradient of a scalar to `accumulate`, once for each leaf it depends on; then run what is pending.

    Args:
        root: one element, with a graph.
        accumulate: called with each leaf and its gradient, in the order in which the gradients become ready.
        retain_graph: keep the saved values, so that the same graph can be walked again.

    Raises:
        FreedError, ModifiedError: before any gradient is handed over.
    """
    before, local.grad_enabled = local.grad_enabled, False
    try:
        cotangent = made(record(ones_like, (root,)))
        known = _known(root, cotangent, retain_graph)
        if known is None:
            known = _walk_and_remember(root, cotangent, retain_graph)
        for leaf, gradient in known:
            accumulate(leaf, gradient)
    finally:
        local.grad_enabled = before
    flush("backward ended")


def made(result: tuple[Value, Any, int]) -> Variable:
    """The plain variable of an op's result."""
    value, node, nr = result
    return Variable(Storage(value), node, nr)


def _known(
    root: Variable, cotangent: Variable, retain_graph: bool
) -> list[tuple[Leaf, Variable]] | None:
    """The leaves' gradients by a remembered walk; None where there is none, or where this graph needs to be looked at."""
    trace = local.trace
    token, log = trace.token, trace.log
    pullback: Pullback | None = log[-1][0].pullbacks.get(_place(root, cotangent))
    if pullback is None:
        return None
    leaves: list[Leaf] = []
    nodes = _reachable(root.node, leaves)
    if nodes is None:
        return None
    if not retain_graph:
        for node in nodes:
            if node.saved:
                node.saved = None
    log.extend(pullback.entries)
    gradients = []
    for leaf, position in zip(leaves, pullback.gradients, strict=True):
        if position is not None:
            state = log[position][0]
            value = Value(None, state.aval, (token, position), trace)
            log[position] = (state, ref(value))
            gradients.append((leaf, Variable(Storage(value))))
    return gradients


def _place(root: Variable, cotangent: Variable) -> tuple[int, int] | None:
    """Where root and cotangent stand in this thread's trace; None where one stands elsewhere."""
    token, node, value = local.trace.token, root.node, cotangent.storage.value
    if node is None or node.slot[0] is not token or value.slot[0] is not token:
        return None
    return node.slot[1] + root.nr, value.slot[1]


def _reachable(root: GraphNode, leaves: list[Any]) -> list[GraphNode] | None:
    """The nodes from `root` on, leaves put in `leaves` in the order met; None where one is hooked, freed or modified."""
    nodes: list[GraphNode] = []
    seen = {root}
    stack = [root]
    while stack:
        node = stack.pop()
        saved = node.saved
        if node.extra is not None or saved is None:
            return None
        for _, storage, version in saved:
            if storage.version != version:
                return None
        if node.sequence == inf:
            leaves.append(node)
            continue
        nodes.append(node)
        for source, _ in node.edges:
            if source not in seen:
                seen.add(source)
                stack.append(source)
    return nodes


def _walk_and_remember(
    root: Variable, cotangent: Variable, retain_graph: bool
) -> list[tuple[Leaf, Variable]]:
    """Walk op by op; where everything walked was recorded in this trace, remember what the walk appended."""
    trace = local.trace
    state, start = trace.log[-1][0], len(trace.log)
    key = _place(root, cotangent)
    leaves: list[Leaf] = []
    nodes = _reachable(root.node, leaves)
    found = list(walk([(root, cotangent)], retain_graph=retain_graph))
    if (
        nodes is not None
        and key is not None
        and trace is local.trace
        and all(node.slot[0] is trace.token for node in (*nodes, *leaves))
        and not any(entry.is_input for entry, _ in trace.log[start:])
    ):
        stands = {leaf: gradient.storage.value for leaf, gradient in found}
        if all(value.slot[0] is trace.token for value in stands.values()):
            positions = [stands[leaf].slot[1] if leaf in stands else None for leaf in leaves]
            state.pullbacks[key] = Pullback(
                [(entry, None) for entry, _ in trace.log[start:]], positions
            )
    return found


def walk(
    roots: Sequence[tuple[Variable, Variable]],
    *,
    retain_graph: bool = False,
    create_graph: bool = False,
    captures: Sequence[Edge] | None = None,
) -> Iterator[tuple[Any, Variable]]:
    """Walk from the roots backward, each with its cotangent, yielding (leaf, gradient) as gradients become ready.

    Args:
        roots: variables with a graph, and the cotangent of each.
        retain_graph: keep the saved values.
        create_graph: record the walk itself as a graph, so that the gradients can be differentiated.
        captures: yield the cotangents arriving at these edges, as (edge, gradient), in place of the leaves'.

    Raises:
        FreedError, ModifiedError: a saved value is not there any more; found before anything is pulled back.
    """
    waiting = _dependencies([root.node for root, _ in roots], captures)
    arrived: dict[GraphNode, list[Variable | None]] = {}
    ready: list[tuple[float, int, Any]] = []
    order = count()

    def arrive(edge: Edge, cotangent: Variable) -> None:
        node, nr = edge
        slots = arrived.setdefault(node, [None] * node.outputs)
        held = slots[nr]
        slots[nr] = cotangent if held is None else made(record(add, (held, cotangent)))

    for root, cotangent in roots:
        if root.node in waiting:
            arrive((root.node, root.nr), cotangent)
    for node in {root.node for root, _ in roots}:
        if waiting.get(node) == 0:
            heappush(ready, (-node.sequence, next(order), node))
    with grad_mode(create_graph):
        while ready:
            _, _, node = heappop(ready)
            cotangents = arrived.pop(node, [None] * node.outputs)
            if captures is not None:
                for edge in captures:
                    if edge[0] is node and (captured := cotangents[edge[1]]) is not None:
                        yield edge, captured
            if isinstance(node, Leaf):
                if captures is None and cotangents[0] is not None:
                    yield node, cotangents[0]
                continue
            assert isinstance(node, Node)
            gradients = (
                pull_back(node, cotangents) if any(c is not None for c in cotangents) else ()
            )
            if not retain_graph and node.saved:
                node.saved = None
            for edge, gradient in zip(node.edges, gradients, strict=False):
                if edge[0] in waiting:
                    arrive(edge, gradient)
            for source, _ in node.edges:
                if source in waiting:
                    waiting[source] -= 1
                    if waiting[source] == 0:
                        heappush(ready, (-source.sequence, next(order), source))


def _dependencies(
    roots: Iterable[GraphNode], captures: Sequence[Edge] | None
) -> dict[GraphNode, int]:
    """How many cotangents each node to be visited waits for; with `captures`, only nodes on the way to one are visited."""
    waiting: dict[GraphNode, int] = dict.fromkeys(roots, 0)
    stack = list(waiting)
    while stack:
        for source, _ in stack.pop().edges:
            if source not in waiting:
                waiting[source] = 0
                stack.append(source)
    if captures is not None:
        leading: set[GraphNode] = {node for node, _ in captures}
        for node in sorted(waiting, key=lambda node: node.sequence):
            if any(source in leading for source, _ in node.edges):
                leading.add(node)
        waiting = {node: 0 for node in waiting if node in leading}
    for node in waiting:
        for source, _ in node.edges:
            if source in waiting:
                waiting[source] += 1
    return waiting


def pull_back(node: Node, cotangents: Sequence[Variable | None]) -> list[Variable]:
    """The cotangents of a node's inputs that want one, given those of its outputs (None counts as zero)."""
    rule, saved = node.rule, node.saved
    if saved is None:
        raise FreedError(
            "Trying to backward through the graph a second time (or directly access saved tensors after they have "
            "already been freed). Saved intermediate values of the graph are freed when you call .backward() or "
            "autograd.grad(). Specify retain_graph=True if you need to backward through the graph a second time or "
            "if you need to access saved tensors after calling backward."
        )
    vjp = rule.vjp(tuple([cotangent is not None for cotangent in cotangents]))
    edges = dict(zip(rule.wants, node.edges, strict=True))
    arguments: list[Variable] = []
    for k, (value, storage, version) in zip(rule.saves, saved, strict=True):
        if storage.version != version:
            raise ModifiedError(node, value, version, storage.version)
        if k in vjp.uses:
            arguments.append(Variable(Storage(value), *edges.get(k, (None, 0))))
    arguments.extend([cotangent for cotangent in cotangents if cotangent is not None])
    results = record(vjp, arguments)
    return [made(result) for result in results] if isinstance(results, list) else [made(results)]
