"""A function transformed by JAX keeps all its graphs, so that its own derivative finds them.

PyTorch frees a graph after backward, and gives a gradient a graph only on request. Inside
`funcgrad.pure` the derivative is taken from outside, after all walks of the function itself. So a walk
there frees nothing, and derivatives that PyTorch would refuse are exact.
"""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from funcgrad.engine import GraphNode


class _State(threading.local):
    """State of each thread.

    Attributes:
        keeps: whether walks free nothing.
        every_graph: whether gradients get a graph even if nobody asked for one.
        walked: whether a walk did not ask for a graph of its gradients.
        leading: the nodes whose gradients JAX has asked for; empty if none yet.
    """

    def __init__(self) -> None:
        self.leading: frozenset[GraphNode] = frozenset()
        self.keeps = self.every_graph = self.walked = False


state = _State()


@contextmanager
def kept(keeps: bool, every_graph: bool) -> Iterator[None]:
    """A block that sets whether walks free nothing, and whether every gradient gets a graph."""
    before = vars(state).copy()
    state.keeps, state.every_graph, state.walked = keeps, every_graph, False
    try:
        yield
    finally:
        vars(state).update(before)


@contextmanager
def leading(nodes: Iterable[GraphNode]) -> Iterator[None]:
    """A block in which JAX asks for the gradients that arrive at these nodes."""
    before, state.leading = state.leading, state.leading.union(nodes)
    try:
        yield
    finally:
        state.leading = before


def differentiated(node: GraphNode | None) -> bool:
    """Whether JAX has asked for a gradient that flows through a node."""
    return bool(state.leading) and not state.leading.isdisjoint(graph_of([node]))


def graph_of(roots: Iterable[GraphNode | None]) -> Iterator[GraphNode]:
    """All nodes that a walk from these roots reaches."""
    stack = [root for root in roots if root is not None]
    seen = set(stack)
    while stack:
        node = stack.pop()
        yield node
        for source, _ in node.edges:
            if source not in seen:
                seen.add(source)
                stack.append(source)


def walk_options(
    roots: Iterable[Any], retain_graph: bool, create_graph: bool
) -> tuple[bool, bool, list[GraphNode]]:
    """Returns `retain_graph` and `create_graph` for the walk, and the roots from which to `fix` the graph afterwards."""
    state.walked |= not create_graph
    if not state.keeps:
        return retain_graph, create_graph, []
    freed = (
        []
        if retain_graph
        else [root[0] if isinstance(root, tuple) else root._current_node() for root in roots]
    )
    return True, create_graph or state.every_graph, freed


def fix(roots: Iterable[GraphNode | None], modified: bool = False) -> None:
    """Nodes hold the saved values themselves from now on, so that later writes in place do not matter.

    Args:
        roots: the nodes from which the graph is searched.
        modified: fix only saved tensors written since they were saved, which PyTorch would refuse.
    """
    for node in graph_of(roots):
        node.fix(modified)
