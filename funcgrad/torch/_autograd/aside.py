"""Gradients that come to a leaf aside of the graph: the sparse ones of an embedding's table.

The rows that an embedding takes are a leaf of their own. The table's node knows them (`Rows`). At the end of a walk their
gradients, together, are the table's sparse gradient.
"""

from functools import partial
from typing import Any, NamedTuple
from weakref import ref

from funcgrad.engine import local
from funcgrad.torch._autograd.hooks import accumulated
from funcgrad.torch._ops.joining import cat
from funcgrad.torch._sparse.tensor import TAKEN, SparseTensor
from funcgrad.torch._tensor.tensor import AccumulateGrad, Tensor

Edge = tuple[Any, int]


class Rows(NamedTuple):
    """Rows that were taken of a table.

    Attributes:
        node: the rows' own node, referred to weakly: the graph holds it.
        numbers: the rows' places in the table.
        padding: the place of a row that gets no gradient.
    """

    node: Any
    numbers: Any
    padding: int | None


# The tables that a walk has come to, with the gradients of their rows by node; None for a gradient of the table itself.
waiting: dict[AccumulateGrad, dict[Any, Any]] = {}


def follow(table: Any, rows: Any, numbers: Tensor, padding: int | None) -> None:
    """Let the gradient of rows, a leaf, be a sparse gradient of their table, a leaf too."""
    of, node = table._edge()[0], rows._edge()[0]
    of.aside = [each for each in of.aside or () if each.node() is not None]
    of.aside.append(Rows(ref(node), numbers, padding))
    rows.register_post_accumulate_grad_hook(partial(_arrived, table))


def _arrived(table: Any, rows: Any) -> None:
    gradient, rows.grad = rows.grad, None
    waiting.setdefault(table._edge()[0], {})[rows._edge()[0]] = gradient


def forget() -> None:
    """Drop the gradients of a walk that failed."""
    waiting.clear()


def give() -> None:
    """Add to each table's `.grad` the gradients that a walk has found for its rows.

    Raises:
        NotImplementedError: hooks of a table would have to see the sum of a dense gradient and a sparse one.
    """
    found = dict(waiting)
    waiting.clear()
    for node, gradients in found.items():
        table: Any = node.variable
        made = together(node, table, gradients, gradients.pop(None, None))
        if made is None:
            continue
        if local.recorder.grad_enabled:
            made = made.clone()
        table.grad = made if table.grad is None else table.grad + made
        accumulated(table)


def edges_of(edge: Edge) -> list[Edge]:
    """The edges of the rows that were taken of a table, in their order."""
    rows = getattr(edge[0], "aside", None) or ()
    return [(node, 0) for each in rows if (node := each.node()) is not None]


def together(node: Any, table: Any, gradients: dict[Any, Any], dense: Any) -> Any:
    """The sparse gradient of a table, after its hooks; None if no rows have any.

    Args:
        node: the table's.
        table: the table.
        gradients: of its rows, by their nodes.
        dense: whether a dense gradient came to the table, or the gradient.

    Raises:
        NotImplementedError: hooks would have to see the sum of a dense gradient and a sparse one.
        RuntimeError: a hook returned a gradient of another kind.
    """
    numbers, values = [], []
    for each in node.aside:
        gradient = gradients.get(each.node())
        if gradient is not None:
            places = each.numbers.long()
            if each.padding is not None:
                kept = places != each.padding
                places, gradient = places[kept], gradient[kept]
            numbers.append(places)
            values.append(gradient)
    if not values:
        return None
    entries: Any = values[0] if len(values) == 1 else cat(values)
    places = numbers[0] if len(numbers) == 1 else cat(numbers)
    if entries.requires_grad:
        entries = TAKEN(entries)
    made = SparseTensor(places[None], entries, tuple(table.shape), False)
    hooks = list((table._backward_hooks or {}).values())
    if hooks and dense is not None:
        raise NotImplementedError(
            "sparse gradients: a hook of a table with a sparse gradient and a dense one. Leave out sparse=True"
        )
    for hook in hooks:
        result = hook(made)
        if result is not None:
            if result.type() != made.type():
                name = getattr(hook, "__name__", type(hook).__name__)
                raise RuntimeError(
                    f"hook '{name}' has changed the type of value (was {made.type()} got {result.type()})"
                )
            made = result
    return made
