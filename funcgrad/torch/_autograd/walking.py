"""`backward` and `grad`: gradients accumulated in leaves, or returned. `requests` checks the arguments."""

import threading
import warnings
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from funcgrad import engine
from funcgrad.engine import (
    FreedError,
    Leaf,
    ModifiedError,
    Storage,
    Value,
    Variable,
    local,
    record,
)
from funcgrad.engine.levels import without_history
from funcgrad.engine.ops import add, remember
from funcgrad.teaching import NotedWarning, cured
from funcgrad.torch._autograd import aside
from funcgrad.torch._autograd.complaints import as_pytorch
from funcgrad.torch._autograd.edges import GradientEdge
from funcgrad.torch._autograd.hooks import accumulated
from funcgrad.torch._autograd.observing import Anomaly, metadata
from funcgrad.torch._autograd.requests import (
    as_flag,
    check_scalar,
    cotangents_of,
    edges_of,
    pairs_of,
)
from funcgrad.torch._memory.inference import enabled as inferring
from funcgrad.torch._ops.conversions import copy_, copy_of, to
from funcgrad.torch._sparse.tensor import SparseTensor
from funcgrad.torch._tensor.in_place import writable
from funcgrad.torch._tensor.operands import check_broadcast, laid_out
from funcgrad.torch._tensor.tensor import AccumulateGrad, Tensor, place, tensor_of

Tensors = Tensor | GradientEdge | Sequence[Tensor | GradientEdge]


# Several threads may reach one leaf at once, each with a part of its gradient.
_adding = threading.RLock()


def accumulate(leaf: Leaf, value: Value | None, node: Any, nr: int) -> None:
    """Add a gradient, if there is one, to a leaf's `.grad`. As in PyTorch, the sum is in place if no graph is made."""
    variable: Any = leaf.reference()
    if variable is None:
        variable = leaf.variable
        if variable is None:
            return
    node_now = variable._current_node()
    if node_now is not leaf:
        if node_now is None:
            return  # `requires_grad` was switched off since
        if isinstance(leaf, AccumulateGrad) and not isinstance(node_now, Leaf):
            raise RuntimeError("leaf variable has been moved into the graph interior")
    if value is not None:
        with _adding:
            if Anomaly.enabled:
                _check_cleared(leaf, variable)
            _add(variable, value, node, nr)
            if getattr(leaf, "aside", None) is not None:
                aside.waiting.setdefault(leaf, {})[None] = variable._grad  # type: ignore[arg-type]
            if Anomaly.enabled:
                metadata(leaf)[_HELD] = _held(variable)
    if variable._post_accumulate:
        accumulated(variable)


def _check_cleared(leaf: Leaf, variable: Any) -> None:
    """Warn of a gradient that is added to an earlier step's: untouched since, although its leaf was updated.

    PyTorch says nothing. It is told in anomaly mode only, whose users look for a fault.
    """
    before = metadata(leaf).get(_HELD)
    if before is not None and variable._grad is not None:
        (elements, gradient), (elements_then, gradient_then) = _held(variable), before
        if gradient is gradient_then and elements is not elements_then:
            told = (
                "This backward() adds to the gradient of an earlier step. Is zero_grad() missing?"
            )
            warnings.warn(cured(NotedWarning(told), "gradients add up"), stacklevel=4)


_HELD = "held_"


def _held(variable: Any) -> tuple[Value, Value]:
    """The elements of a leaf and of its gradient, to know them again."""
    return variable._storage.read(), variable._grad._storage.read()


def _add(variable: Any, value: Value, node: Any, nr: int) -> None:
    held = variable._grad
    if isinstance(held, SparseTensor):  # of an embedding
        held = variable._grad = held.to_dense()
    if local.recorder.grad_enabled:
        gradient = tensor_of(value, node, nr)
        variable._grad = copy_of(gradient) if held is None else held + gradient
    elif held is None:
        gradient = tensor_of(without_history(value))
        if variable._storage.is_part:
            if gradient.shape == variable.shape:
                laid_out(gradient, variable)
            else:  # the leaf's shape was changed in place since
                empty = np.zeros(variable.shape, variable.dtype.numpy_dtype)
                gradient = copy_(tensor_of(place(empty)), gradient)
        variable._grad = gradient
    else:
        value = without_history(value)
        storage = held._storage
        if not storage.is_plain or storage.value.aval is not value.aval:
            value = _addable(held, value)
        storage.write(record(add, (held, Variable(Storage(value))))[0])
        storage.version += 1


def _addable(held: Tensor, value: Value) -> Value:
    """Cast a gradient so that it can be added in place to the one that a leaf holds.

    Raises:
        RuntimeError: the shapes differ, since the leaf or its gradient was changed; or the held one may not be written.
    """
    aval = held._storage.aval
    check_broadcast(aval, value.aval)
    writable(held)
    return to(tensor_of(value), held.dtype)._storage.read() if aval is not value.aval else value


def gradients(
    roots: Sequence[Any],
    wanted: Sequence[Any],
    grad_outputs: Any,
    *,
    retain_graph: bool,
    create_graph: bool,
    allow_unused: bool,
) -> tuple[Tensor | None, ...]:
    """`grad`, without running the pending ops at its end."""
    pairs = None
    # The usual case is one scalar: the engine makes its cotangent.
    if grad_outputs is None and len(roots) == 1 and _has_graph(roots[0]):
        _check_scalar(roots[0])
    else:
        pairs = pairs_of(roots, cotangents_of(roots, grad_outputs), as_flag(create_graph))
    retain_graph, allow_unused = as_flag(retain_graph), as_flag(allow_unused)
    create_graph = as_flag(create_graph) and not inferring()
    edges = edges_of(wanted)
    rows = {edge: aside.edges_of(edge) for edge in edges}
    if local.recorder.levels and any(rows.values()):
        raise NotImplementedError(
            "sparse gradients: not inside transformations, nor with is_grads_batched. Leave out sparse=True"
        )
    captures = list(dict.fromkeys([*edges, *chain.from_iterable(rows.values())]))
    found: dict[Any, Any] = {}
    try:
        gathered = None
        leaves = [node for node, _ in captures if isinstance(node, Leaf)]
        if pairs is None and len(leaves) == len(captures):
            gathered = engine.pull(
                roots[0], retain_graph=retain_graph, create_graph=create_graph, wanted=leaves
            )
        if gathered is None:
            engine.walk(
                pairs or pairs_of(roots, cotangents_of(roots, None), create_graph),
                found.__setitem__,
                retain_graph=retain_graph,
                create_graph=create_graph,
                captures=captures,
            )
        else:
            found = {(leaf, 0): Variable(Storage(v), node, nr) for leaf, v, node, nr in gathered}
    except (FreedError, ModifiedError) as error:
        raise as_pytorch(error) from None
    made = {edge: tensor_of(each._storage.read(), *each._edge()) for edge, each in found.items()}
    for edge, each in zip(edges, wanted, strict=True):
        if rows[edge]:
            of_rows = {node: made[node, 0] for node, _ in rows[edge] if (node, 0) in made}
            dense = made.get(edge)
            sparse = aside.together(edge[0], each, of_rows, dense)
            if sparse is not None:
                made[edge] = sparse if dense is None else dense + sparse
    if not allow_unused:
        for position, edge in enumerate(edges):
            if edge not in made:
                raise RuntimeError(
                    f"The differentiated Tensor at index {position} appears to not have been used in the graph. Set "
                    "allow_unused=True if this is the desired behavior."
                )
    return tuple(map(made.get, edges))


def _has_graph(root: Any) -> bool:
    return isinstance(root, Tensor) and root._current_node() is not None


def _check_scalar(root: Tensor) -> None:
    aval = root._storage.aval
    if aval not in _SCALARS:
        check_scalar(root)
        remember(_SCALARS, aval, None)


_SCALARS: dict[Any, None] = {}  # types known to be real scalars
