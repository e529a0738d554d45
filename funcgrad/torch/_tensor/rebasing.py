"""The move of a tensor in the graph after a write in place: it gets a new node, and its retained gradient follows."""

from math import inf
from typing import Any
from weakref import ref

import jax.numpy as jnp

from funcgrad.engine import GraphNode, Op, Storage, Variable, record
from funcgrad.engine.nodes import Moved, hooks_of
from funcgrad.torch._tensor.tensor import Tensor, tensor_of

CLONE = Op("clone", jnp.copy, label="CloneBackward0")


def note_move(storage: Storage, before: GraphNode | None, node: GraphNode | None, nr: int) -> None:
    """Note that a storage's tensor moved from the node `before` to `node`; None means that it was detached."""
    counter = storage.counter
    moved = getattr(counter, "moved", None)
    start = inf if before is None else before.sequence
    last = start if node is None else node.sequence
    starts, first = (start,), last
    if moved is not None and moved.last == start:
        starts, first = moved.starts, moved.first
    elif moved is not None and before is moved.node_type is None:
        starts, first = tuple({*moved.starts, start}), moved.first
    counter.moved = Moved(starts, first, last, None if node is None else type(node), nr)


def rebase(tensor: Tensor, node: GraphNode, nr: int) -> None:
    """Give a tensor that is not a view its new node after a write in place."""
    note_move(tensor._storage, tensor._node, node, nr)
    tensor._set_edge(node, nr)
    if tensor._retained is not None:
        move_retained(tensor)


def _retain_at(tensor: Tensor) -> None:
    reference = ref(tensor)
    node, number = tensor._edge()

    def arriving(cotangents: list[Variable | None]) -> None:
        target, given = reference(), cotangents[number]
        if target is not None and given is not None:
            held = target._grad
            gradient: Any = tensor_of(given._storage.read(), *given._edge())
            if held is not None:
                target._grad = held + gradient
            else:
                # Values never change, so only a gradient with a graph needs a copy: for its node.
                target._grad = (
                    gradient
                    if given._current_node() is None
                    else tensor_of(*record(CLONE, (gradient,)))
                )

    hooks_of(node).retaining[number, id(tensor)] = arriving


def move_retained(tensor: Tensor) -> None:
    """After a write in place, let `.grad` keep the gradient of the tensor's new value."""
    node, number = tensor._retained
    before = node()
    if before is not None:
        hooks_of(before).retaining.pop((number, id(tensor)), None)
    at, nr = tensor._edge()
    tensor._retained = (ref(at), nr)
    _retain_at(tensor)
