"""What a function transformed by JAX keeps of its graphs: all of them, so that its own derivative finds them.

PyTorch frees a graph once it was walked, and makes none of a gradient unless it is asked to. Inside
`funcgrad.pure` a derivative is taken from outside, after all walks of the function itself: there a walk
frees nothing, and what PyTorch would refuse to differentiate again is exact.
"""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from funcgrad.engine import GraphNode


class _State(threading.local):
    """Of each thread.

    Attributes:
        keeps: whether walks free nothing.
        every_graph: whether gradients have a graph also where none was asked for.
        walked: whether gradients were made without a graph.
        leading: the nodes at which the gradients arrive that JAX has asked for; none where it has not yet.
    """

    def __init__(self) -> None:
        self.leading: frozenset[GraphNode] = frozenset()
        self.keeps = self.every_graph = self.walked = False


state = _State()


@contextmanager
def kept(keeps: bool, every_graph: bool) -> Iterator[None]:
    """Whether the walks in the block free nothing, and make a graph of every gradient."""
    before = vars(state).copy()
    state.keeps, state.every_graph, state.walked = keeps, every_graph, False
    try:
        yield
    finally:
        vars(state).update(before)


@contextmanager
def leading(nodes: Iterable[GraphNode]) -> Iterator[None]:
    """JAX has asked for the gradients that arrive at these nodes of the graph made in the block."""
    before, state.leading = state.leading, state.leading.union(nodes)
    try:
        yield
    finally:
        state.leading = before


def differentiated(node: GraphNode | None) -> bool:
    """Whether JAX has asked for a gradient that flows through a node."""
    return bool(state.leading) and not state.leading.isdisjoint(graph_of([node]))


def graph_of(roots: Iterable[GraphNode | None]) -> Iterator[GraphNode]:
    """All nodes that a walk from there would come to."""
    stack = [root for root in roots if root is not None]
    seen = set(stack)
    while stack:
        node = stack.pop()
        yield node
        for source, _ in node.edges:
            if source not in seen:
                seen.add(source)
                stack.append(source)


def asked(
    roots: Iterable[Any], retain_graph: bool, create_graph: bool
) -> tuple[bool, bool, list[GraphNode]]:
    """How to walk: whether to retain the graph, whether to make one of the gradients, and where to `fix` it after."""
    state.walked |= not create_graph
    if not state.keeps:
        return retain_graph, create_graph, []
    freed = (
        []
        if retain_graph
        else [root[0] if isinstance(root, tuple) else root._node for root in roots]
    )
    return True, create_graph or state.every_graph, freed


def fix(roots: Iterable[GraphNode | None], modified: bool = False) -> None:
    """Let the nodes of a graph go on with the very values they saved, whatever is written in place from now on.

    Args:
        roots: from where the graph is looked at.
        modified: only nodes of which something saved was written since, so that PyTorch would refuse to go on.
    """
    for node in graph_of(roots):
        node.fix(modified)
