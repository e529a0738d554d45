"""`draw`: a tensor's recorded graph, or a function's, as users of PyTorch or of JAX draw it."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from funcgrad import regression
from funcgrad.compare.drawings import INPUT, OP, RESULT, Box, Drawing, Panel, arrows_of
from funcgrad.compare.errors import OptionError
from funcgrad.compare.imperative import mean_squared_error
from funcgrad.compare.inputs import make_inputs
from funcgrad.compare.libraries import on, written_with
from funcgrad.compare.referring import JAX, PYTORCH, SHIM, owner
from funcgrad.compare.sides import tensors

_FEW = 4  # elements of a gradient that are shown
LARGEST = 400
"""A graph with more boxes is refused: nobody could read it."""

_CALLS = ("jaxpr", "call_jaxpr", "fun_jaxpr")  # where primitives that call keep what they call
_LOOPS = ("scan", "while", "cond")  # these repeat or choose: they are one box


def draw(thing: Any, *args: Any, **names: Any) -> Drawing:
    """Draw a computation.

    Args:
        thing: a tensor of PyTorch or of `funcgrad.torch`, or a node (`grad_fn`): the graph that was recorded. Or a function:
            given tensors it is called, and its result's graph is drawn; given arrays its jaxpr is drawn, calls opened.
        args: the function's arguments.
        names: tensors by name, for the leaves of a recorded graph. A variable of the caller names its tensor by itself.

    Raises:
        OptionError: nothing was recorded, the graph is too large to read, or there is no such thing to draw.

    >>> import funcgrad.torch as torch
    >>> from funcgrad.compare import draw
    >>> w = torch.ones(2, requires_grad=True)
    >>> loss = (w * 3).sum()
    >>> print(draw(loss).dot())
    digraph {
      node [shape=box, style=filled, fontname=monospace]
      subgraph cluster_0 {
        label="loss"
        n0_0 [label="SumBackward0", fillcolor="#d98a7e"]
        n0_1 [label="MulBackward0\\nsaved other []", fillcolor="#e0b15a"]
        n0_2 [label="w\\n[2]", fillcolor="white", shape=ellipse]
        n0_1 -> n0_0
        n0_2 -> n0_1
      }
    }
    """
    frame = inspect.currentframe()
    around = {} if frame is None or frame.f_back is None else frame.f_back.f_locals
    known = {id(each): name for name, each in [*around.items(), *names.items()]}
    if hasattr(thing, "grad_fn") or hasattr(thing, "next_functions"):
        return Drawing((_recorded(thing, known),))
    if not callable(thing):
        raise OptionError(f"a tensor, a graph node or a function is drawn, not {thing!r:.80}")
    title = str(getattr(thing, "__name__", "function"))
    leaves = jax.tree.leaves(args, is_leaf=lambda leaf: hasattr(leaf, "requires_grad"))
    if any(owner(leaf) in (PYTORCH, SHIM) for leaf in leaves):
        parameters = make_inputs(thing, args).names
        called = {id(leaf): name for leaf, name in zip(leaves, parameters, strict=False)}
        return Drawing((_recorded(thing(*args), called | known, title),))
    return Drawing((_traced(thing, args, title, make_inputs(thing, args).names),))


def draw_with(function: Callable[..., Any], args: tuple[Any, ...]) -> Drawing:
    """Draw a function given NumPy arrays, with the library that its code is written with.

    Raises:
        OptionError: as for `draw`, or PyTorch is not installed.
    """
    inputs = make_inputs(function, args)
    leaves = tensors(written_with(function), inputs)
    return draw(function, *jax.tree.unflatten(inputs.tree, leaves))


def draw_loss(step: Callable[..., Any], args: tuple[Any, Any]) -> Drawing:
    """Draw the loss of a training's step, without what only updates the state, as `draw_with` draws a function.

    Args:
        step: `step(state, batch)`, which returns `(state, loss)`.
        args: a state and a batch, of NumPy's arrays. Tensors of the state require grad.

    Raises:
        OptionError: as for `draw`, or PyTorch is not installed.
    """
    inputs = make_inputs(step, args, wrt=0)
    library = written_with(step)
    leaves = tensors(library, inputs)
    state, batch = jax.tree.unflatten(inputs.tree, leaves)
    title = str(getattr(step, "__name__", "step"))

    def loss(state: Any, batch: Any) -> Any:
        return step(state, batch)[1]

    if library == JAX:
        return Drawing((_needed(_traced(loss, (state, batch), title, inputs.names)),))
    names = {id(leaf): name for leaf, name in zip(leaves, inputs.names, strict=True)}
    return Drawing((_recorded(loss(state, batch), names, title),))


def draw_regression(rows: int, features: int) -> Drawing:
    """Draw the loss that `compare` trains with: recorded as it runs on tensors, and as the jaxpr of the pure function."""
    linear = regression.Linear(np.zeros(features, np.float32), np.zeros((), np.float32))
    x, y = np.zeros((rows, features), np.float32), np.zeros(rows, np.float32)
    tensors_of = draw_with(on("shim", mean_squared_error), (*linear, x, y))
    return tensors_of.beside(draw(regression.loss, linear, x, y))


# -- recorded graphs --------------------------------------------------------------------------------------------------


def _recorded(thing: Any, names: dict[int, str], title: str | None = None) -> Panel:
    """The graph behind a tensor, or behind a node."""
    root = thing if hasattr(thing, "next_functions") else getattr(thing, "grad_fn", None)
    if root is None:
        raise OptionError(
            "nothing was recorded: the tensor has no grad_fn. One of its inputs needs requires_grad=True"
        )
    places: dict[Any, int] = {root: 0}
    boxes: list[Box] = []
    sources: list[list[int]] = []
    waiting = [root]
    while waiting:
        node = waiting.pop(0)
        boxes.append(_node_box(node, names, RESULT if node is root else OP))
        sources.append([])
        for before, _ in node.next_functions:
            if before is None:
                continue
            if before not in places:
                places[before] = len(places)
                waiting.append(before)
            sources[-1].append(places[before])
        _refuse_large(len(places))
    heading = title or names.get(id(thing)) or "recorded graph"
    return Panel(heading, tuple(boxes), tuple(arrows_of(sources)))


def _node_box(node: Any, names: dict[int, str], kind: str) -> Box:
    variable = getattr(node, "variable", None)
    if variable is not None:
        name = names.get(id(variable)) or "leaf"
        view = ("a view",) if getattr(variable, "_base", None) is not None else ()
        return Box(name, (_shape(variable), *view, *_gradient(variable)), INPUT)
    return Box(str(node.name()).rpartition("::")[2], tuple(_saved(node, names)), kind)


def _gradient(leaf: Any) -> list[str]:
    """The gradient that a leaf holds: its elements if they are few, else its shape."""
    gradient = leaf.grad
    if gradient is None:
        return []
    few = gradient.ndim <= 1 and gradient.numel() <= _FEW
    elements = (
        ", ".join(f"{each:.4g}" for each in gradient.detach().reshape(-1).tolist()) if few else ""
    )
    return [f".grad = [{elements}]" if few else f".grad {_shape(gradient)}"]


def _saved(node: Any, names: dict[int, str]) -> list[str]:
    """The tensors that a node saved for its derivative."""
    told = []
    for attribute in sorted(dir(node)):
        if not attribute.startswith("_saved_"):
            continue
        try:
            saved = getattr(node, attribute)
        except RuntimeError:  # PyTorch frees them with the first backward
            return ["saved tensors: freed"]
        if hasattr(saved, "requires_grad"):
            name = names.get(id(saved))
            told.append(f"saved {attribute[7:]} {_shape(saved)}{f' = {name}' if name else ''}")
    return told


def _shape(array: Any) -> str:
    return str(list(array.shape))


# -- jaxprs -----------------------------------------------------------------------------------------------------------


def _traced(
    function: Callable[..., Any], args: tuple[Any, ...], title: str, names: Sequence[str]
) -> Panel:
    """The jaxpr of a pure function, whose arguments have these names."""
    closed = jax.make_jaxpr(function)(*args)
    boxes: list[Box] = []
    sources: list[list[int]] = []

    def add(box: Box, before: list[int]) -> int:
        _refuse_large(len(boxes))
        boxes.append(box)
        sources.append(before)
        return len(boxes) - 1

    def open_up(jaxpr: Any, given: list[int | str]) -> list[int | str]:
        """Add the equations of a jaxpr; returns the places of its results, or literals as text."""
        found: dict[Any, int | str] = dict(zip(jaxpr.invars, given, strict=True))
        for const in jaxpr.constvars:
            found[const] = add(Box("constant", (str(list(const.aval.shape)),), INPUT), [])
        for equation in jaxpr.eqns:
            values = [_literal(each) if hasattr(each, "val") else found[each] for each in equation.invars]  # fmt: skip
            name = equation.primitive.name
            inner = next((equation.params[key] for key in _CALLS if key in equation.params), None)
            if inner is not None and name not in _LOOPS:
                results = open_up(getattr(inner, "jaxpr", inner), values)
            else:
                literals = [each for each in values if isinstance(each, str)]
                shape = str(list(equation.outvars[0].aval.shape))
                box = Box(" ".join([name, *literals]), (shape,))
                results = [add(box, [each for each in values if isinstance(each, int)])] * len(equation.outvars)  # fmt: skip
            found |= dict(zip(equation.outvars, results, strict=True))
        return [_literal(each) if hasattr(each, "val") else found[each] for each in jaxpr.outvars]

    shapes = [str(list(each.aval.shape)) for each in closed.jaxpr.invars]
    inputs: list[int | str] = [
        add(Box(name, (shape,), INPUT), []) for name, shape in zip(names, shapes, strict=True)
    ]
    for place in open_up(closed.jaxpr, inputs):
        if isinstance(place, int) and boxes[place].kind == OP:
            boxes[place] = Box(boxes[place].label, boxes[place].details, RESULT)
    return Panel(title, tuple(boxes), tuple(arrows_of(sources)))


def _needed(panel: Panel) -> Panel:
    """The boxes that lead to the result, and the arrows between them."""
    before: dict[int, list[int]] = {}
    for source, target in panel.arrows:
        before.setdefault(target, []).append(source)
    waiting = [k for k, box in enumerate(panel.boxes) if box.kind == RESULT]
    found = set(waiting)
    while waiting:
        new = [k for k in before.get(waiting.pop(), ()) if k not in found]
        found.update(new)
        waiting += new
    places = {k: place for place, k in enumerate(sorted(found))}
    arrows = [(places[a], places[b]) for a, b in panel.arrows if a in found and b in found]
    return Panel(panel.title, tuple(panel.boxes[k] for k in places), tuple(arrows))


def _literal(value: Any) -> str:
    return f"{value.val}"


def _refuse_large(count: int) -> None:
    if count > LARGEST:
        raise OptionError(
            f"the graph has more than {LARGEST} ops, too many to read: draw a smaller example"
        )
