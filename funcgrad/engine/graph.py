"""Walking the autograd graph backward. The gradients are ops like any other: recorded, compiled, differentiated.

This is the general walk: it serves hooks, nodes that are Python functions, and edges to capture. `remembered` has short
ways for graphs without them.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from heapq import heappop, heappush
from itertools import compress, count
from math import inf
from typing import Any

import jax

from funcgrad.engine.nodes import (
    Edge,
    FunctionNode,
    GraphNode,
    Leaf,
    Packed,
    Variable,
    behind,
    cut_off,
    hooked,
)
from funcgrad.engine.ops import add
from funcgrad.engine.recording import Observer, local
from funcgrad.engine.threads import in_new_thread
from funcgrad.engine.trace import record, record_values, variables_of
from funcgrad.engine.values import Storage, Value, is_tracer

Accumulate = Callable[[Leaf, Value | None, GraphNode | None, int], None]
Take = Callable[[Any, Variable | None], None]
Gathered = list[tuple[Leaf, Value, GraphNode | None, int]]


class FreedError(RuntimeError):
    """A value that the way back needs was freed by an earlier walk."""

    def __init__(self) -> None:
        super().__init__(
            "Trying to backward through the graph a second time (or directly access saved tensors after they have "
            "already been freed). Saved intermediate values of the graph are freed when you call .backward() or "
            "autograd.grad(). Specify retain_graph=True if you need to backward through the graph a second time or "
            "if you need to access saved tensors after calling backward."
        )


DETACHED = (
    "Trying to use a saved tensor that has been detached in-place, i.e. with .detach_().This is not supported, please use "
    "out-of-place `.detach()` instead"
)


class ModifiedError(RuntimeError):
    """A value that the way back needs was changed in place since it was saved.

    Attributes:
        storage: the storage that was changed.
        expected: its version when it was saved.
        source: the node it came from then, and which of that node's outputs it was; (None, 0) for a leaf.
        of_result: whether it was the result of the node that saved it.
    """

    def __init__(
        self,
        storage: Storage,
        expected: int,
        source: tuple[GraphNode | None, int],
        of_result: bool = False,
    ) -> None:
        super().__init__(
            f"a {storage.aval!r} needed for a gradient has been modified by an inplace operation: it is at version "
            f"{storage.version}; expected version {expected} instead"
        )
        self.storage, self.expected, self.source = storage, expected, source
        self.of_result = of_result


def made(result: tuple[Value, Any, int]) -> Variable:
    """The plain variable of an op's result."""
    value, node, nr = result
    return Variable(Storage(value), node, nr)


def into(accumulate: Accumulate) -> Take:
    """A function for `walk` that hands each gradient to `accumulate`."""

    def take(leaf: Leaf, gradient: Variable | None) -> None:
        if gradient is None:
            accumulate(leaf, None, None, 0)
        else:
            accumulate(leaf, gradient._storage.read(), *gradient._edge())

    return take


def walk(
    roots: Sequence[tuple[Variable, Variable]],
    take: Take,
    *,
    retain_graph: bool = False,
    create_graph: bool = False,
    captures: Sequence[Edge] | None = None,
    towards: Iterable[GraphNode] | None = None,
) -> None:
    """Walk from the roots backward, each with its cotangent, and hand over gradients as they become ready.

    Args:
        roots: variables with a graph, and the cotangent of each.
        take: called with each leaf and its gradient, None where none arrives there.
        retain_graph: keep the saved values.
        create_graph: record the walk itself as a graph, so that the gradients can be differentiated.
        captures: `take` is called with these edges and the cotangents that arrive there, in place of the leaves.
        towards: visit only these nodes and those on the way to one of them.

    Raises:
        FreedError, ModifiedError: a saved value is not there any more.
    """
    if captures is not None:
        towards = [node for node, _ in captures]
    waiting = _dependencies([root._current_node() for root, _ in roots], towards)
    recorder = local.recorder
    around, recorder.walking = recorder.walking, waiting
    before, recorder.grad_enabled = recorder.grad_enabled, create_graph
    waiting.depth = 0 if around is None else around.depth + 1
    go = partial(_walk, roots, take, waiting, retain_graph, captures)
    try:
        if waiting.depth % NESTED == NESTED - 1 and not _traced(roots):
            in_new_thread(go)
        else:
            go()
    finally:
        recorder.walking, recorder.grad_enabled = around, before


# So many walks inside one another, begun by hooks and functions, are done by one thread. Each takes some frames of the stack.
NESTED = 20


def _traced(roots: Sequence[tuple[Variable, Variable]]) -> bool:
    """Whether JAX traces these variables, or anything else: it does so in one thread."""
    arrays = [behind(each._storage.read()).array for root in roots for each in root]
    return any(map(is_tracer, [*arrays, jax.lax.full((), 0.0)]))


def _walk(
    roots: Sequence[tuple[Variable, Variable]],
    take: Take,
    waiting: dict[GraphNode, int],
    retain_graph: bool,
    captures: Sequence[Edge] | None,
) -> None:
    arrived: dict[GraphNode, list[Variable | None]] = {}
    ready: list[tuple[float, int, Any]] = []
    order = count()
    recorder = local.recorder
    observer, grad_enabled = recorder.observer, recorder.grad_enabled
    wanted: dict[GraphNode, list[Edge]] = {}
    for edge in captures or ():
        wanted.setdefault(edge[0], []).append(edge)

    def arrive(node: GraphNode, nr: int, cotangent: Variable) -> None:
        slots = arrived.get(node)
        if slots is None:
            slots = arrived[node] = [None] * node.outputs
        held = slots[nr]
        slots[nr] = cotangent if held is None else made(record(add, (held, cotangent)))

    def capture(node: GraphNode, cotangents: Sequence[Variable | None] | None) -> None:
        for edge in wanted.get(node, ()):
            if cotangents is not None and cotangents[edge[1]] is not None:
                take(edge, cotangents[edge[1]])

    def visit(node: Any) -> Sequence[Variable | None]:
        """The cotangents of a node's inputs."""
        cotangents = arrived.pop(node, None)
        hooks = hooked.get(node) if hooked else None
        if cotangents is None and (hooks is not None or isinstance(node, FunctionNode)):
            cotangents = [None] * node.outputs
        passed = captures is None or any(source in waiting for source, _ in node.edges)
        # As in PyTorch: where the walk goes on, cotangents are captured as they arrive, before any hook.
        if passed:
            capture(node, cotangents)
        if hooks is not None:
            hooks.arrive(cotangents)
        if not passed:
            capture(node, cotangents)
            return ()
        if hooks is not None:
            for hook in list(hooks.before.values()):
                hook(cotangents)
        gradients: Sequence[Variable | None] = ()
        if node.sequence == inf:
            take(node, None if cotangents is None else cotangents[0])
        elif cotangents is not None:
            gradients = pull_back(node, cotangents)
        if hooks is not None and hooks.after:
            gradients = list(gradients)
            for after in list(hooks.after.values()):
                after(gradients, cotangents)
        if not retain_graph and node.saved:
            node.saved = None
        return gradients

    for root, cotangent in roots:
        node, nr = root._edge()
        if node in waiting:
            arrive(node, nr, cotangent)
    for node in {root._current_node() for root, _ in roots}:
        if waiting.get(node) == 0:
            heappush(ready, (-node.sequence, next(order), node))
    while ready:
        _, _, node = heappop(ready)
        # A hook or a function may have changed it.
        recorder.grad_enabled = grad_enabled
        gradients = visit(node) if observer is None else _observed(observer, node, visit)
        for (source, nr), gradient in zip(node.edges, gradients, strict=False):
            if gradient is not None and source in waiting:
                arrive(source, nr, gradient)
        for source, _ in node.edges:
            left = waiting.get(source)
            if left is not None:
                waiting[source] = left - 1
                if left == 1:
                    heappush(ready, (-source.sequence, next(order), source))


def _observed(
    observer: Observer, node: Any, visit: Callable[[Any], Sequence[Variable | None]]
) -> Sequence[Variable | None]:
    """A visit, with an observer told of it."""
    observer.visits(node)
    try:
        gradients = visit(node)
    except BaseException:
        observer.failed(node)
        raise
    observer.gave(node, gradients)
    return gradients


class Walk(dict[GraphNode, int]):
    """The nodes that one walk visits, with how many cotangents each waits for. It compares and hashes by identity.

    Attributes:
        partial: whether it leaves nodes out, since only some gradients are wanted.
        depth: how many walks it is inside of.
    """

    __slots__ = ("__weakref__", "depth", "partial")

    partial: bool
    depth: int
    __hash__ = object.__hash__  # type: ignore[assignment]
    __eq__ = object.__eq__


def _dependencies(roots: Iterable[GraphNode], towards: Iterable[GraphNode] | None) -> Walk:
    """How many cotangents each node to be visited waits for: all of them, or those in `towards` and on the way there."""
    waiting = Walk((root, 0) for root in roots)
    stack = list(waiting)
    while stack:
        for source, _ in stack.pop().edges:
            if source not in waiting:
                waiting[source] = 0
                stack.append(source)
    if towards is not None:
        leading = set(towards)
        for node in sorted(waiting, key=lambda node: node.sequence):
            if any(source in leading for source, _ in node.edges):
                leading.add(node)
        waiting = Walk((node, 0) for node in waiting if node in leading)
    waiting.partial = towards is not None
    for node in waiting:
        for source, _ in node.edges:
            if source in waiting:
                waiting[source] += 1
    return waiting


def pull_back(node: Any, cotangents: Sequence[Variable | None]) -> Sequence[Variable | None]:
    """The cotangents of a node's inputs that want one, given those of its outputs (None counts as zero)."""
    if isinstance(node, FunctionNode):
        return node.pull_back(cotangents)
    if all(cotangent is None for cotangent in cotangents):
        return [None] * len(node.edges)
    rule, saved = node.rule, node.saved
    if saved is None:
        raise FreedError
    # Not `None not in`: that would ask the tensors whether they equal None.
    all_given = all(cotangent is not None for cotangent in cotangents)
    vjp = rule.full if all_given else rule.vjp(tuple([c is not None for c in cotangents]))
    if cut_off:
        _check_saved(node)
    if True not in vjp.gives:
        return vjp.spread(())
    # A saved value that `.data` replaced without a new version is used as it is now, as in PyTorch.
    values, storages = [], []
    unpacked: dict[Packed, Value] | None = None
    for value, storage, version, held in saved:
        if storage.version != version:
            _check_saved(node)
        if isinstance(value, Packed):
            unpacked = unpacked or _unpacked(saved)
            values.append(unpacked[value])
        else:
            values.append(storage.read() if held is value else value)
        storages.append(storage if values[-1] is storage.read() else Storage(values[-1]))
    positions = rule.saves
    if not all_given:
        kept = [k in vjp.uses for k in positions]
        values, storages = list(compress(values, kept)), list(compress(storages, kept))
        positions = vjp.uses
    if not local.recorder.grad_enabled:
        values += [cotangent._storage.read() for cotangent in cotangents if cotangent is not None]
        return vjp.spread([Variable(Storage(value)) for value in record_values(vjp, values)])
    edges = dict(zip(rule.wants, node.edges, strict=True))
    arguments = [
        Variable(storage, *edges.get(k, (None, 0)))
        for k, storage in zip(positions, storages, strict=True)
    ]
    arguments += [cotangent for cotangent in cotangents if cotangent is not None]
    return vjp.spread(variables_of(record(vjp, arguments)))


def _unpacked(saved: Iterable[Any]) -> dict[Packed, Value]:
    """The saved values that were handed away, brought back in the order of their ranks."""
    packed = [value for value, *_ in saved if isinstance(value, Packed)]
    return {each: each.unpack() for each in sorted(packed, key=lambda each: each.rank)}


def _check_saved(node: Any) -> None:
    """Check the saved values of a node, one after the other.

    Raises:
        ModifiedError: one was changed in place since.
        RuntimeError: one is a variable that was cut off from the graph since, and otherwise left as it is.
    """
    rule = node.rule
    saved = dict(zip(rule.saves, zip(rule.saved_edges, node.saved, strict=True), strict=True))
    named_first = [k for k in rule.op.named_first if k in saved]
    for k in dict.fromkeys([*named_first, *sorted(saved, reverse=True)]):
        edge, (value, storage, version, held) = saved[k]
        source, nr = node.edges[edge] if edge >= 0 else (None, 0)
        # An op that watches its result saved the result, not the variable.
        of_result = held is not value
        cut = source is not None and not of_result and nr in cut_off.get(source, ())
        if storage.version != version:
            storage, expected, output = storage.changed(version)
            watched = output is not None
            if not (cut and watched):
                of_result |= watched
                if of_result:
                    source, nr = node if storage.aval.inexact else None, output or 0
                raise ModifiedError(storage, expected, (source, nr), of_result)
        if cut:
            raise RuntimeError(DETACHED)
