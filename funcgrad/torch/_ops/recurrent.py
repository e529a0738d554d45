"""Recurrent layers: one op for each layer and direction, a `jax.lax.scan` over the steps; and their single steps.

Sequences of several lengths are computed side by side as if all were as long as the longest. A mask says which steps there
are: at the others the state stays as it is.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcgrad.torch._ops.creation import tensor
from funcgrad.torch._ops.joining import cat, stack
from funcgrad.torch._ops.row import Array, Operand, Row, named, op
from funcgrad.torch._tensor.registry import FUNCTIONS, publish
from funcgrad.torch._tensor.tensor import Tensor

# ------------------------------------------------------------------------------------------- the steps


def _affine(x: Any, weight: Any, bias: Any) -> Any:
    made = jnp.matmul(x, weight.T, precision=jax.lax.Precision.HIGHEST)
    return made if bias is None else made + bias


def _lstm_step(gates: Any, state: Any, weight: Any, bias: Any, projection: Any) -> Any:
    hidden, cell = state
    i, f, g, o = jnp.split(gates + _affine(hidden, weight, bias), 4, -1)
    cell = jax.nn.sigmoid(f) * cell + jax.nn.sigmoid(i) * jnp.tanh(g)
    hidden = jax.nn.sigmoid(o) * jnp.tanh(cell)
    return (hidden if projection is None else _affine(hidden, projection, None)), cell


def _gru_step(gates: Any, state: Any, weight: Any, bias: Any, projection: Any) -> Any:
    (hidden,) = state
    r, z, n = jnp.split(gates, 3, -1)
    hr, hz, hn = jnp.split(_affine(hidden, weight, bias), 3, -1)
    new = jnp.tanh(n + jax.nn.sigmoid(r + hr) * hn)
    return (new + jax.nn.sigmoid(z + hz) * (hidden - new),)


def _simple_step(activation: Callable[[Any], Any]) -> Callable[..., Any]:
    def step(gates: Any, state: Any, weight: Any, bias: Any, projection: Any) -> Any:
        return (activation(gates + _affine(state[0], weight, bias)),)

    return step


_STEPS = {
    "lstm": _lstm_step,
    "gru": _gru_step,
    "rnn_tanh": _simple_step(jnp.tanh),
    "rnn_relu": _simple_step(jax.nn.relu),
}
# PyTorch's nodes of a layer's result, and of a cell's.
_NODES = {
    "lstm": ("MkldnnRnnLayerBackward0", "MulBackward0"),
    "gru": ("StackBackward0", "AddBackward0"),
    "rnn_tanh": ("StackBackward0", "TanhBackward0"),
    "rnn_relu": ("StackBackward0", "ReluBackward0"),
}

# ------------------------------------------------------------------------------------------- the ops


def _layer(kind: str) -> Row:
    step = _STEPS[kind]

    @op(f"{kind}.layer", _NODES[kind][0], returns=("output", "hidden", "cell")[: 3 if kind == "lstm" else 2])  # fmt: skip
    def layer(
        input: Array,
        hidden: Array,
        cell: Operand,
        w_ih: Array,
        w_hh: Array,
        b_ih: Operand,
        b_hh: Operand,
        w_hr: Operand,
        mask: Operand,
        reverse: bool,
    ) -> Any:
        state = (hidden,) if cell is None else (hidden, cell)

        def one(state: Any, at: Any) -> Any:
            gates, there = at
            new = step(gates, state, w_hh, b_hh, w_hr)
            if there is not None:
                new = jax.tree.map(lambda a, b: jnp.where(there[:, None], a, b), new, state)
            return new, new[0]

        gates = _affine(input, w_ih, b_ih)
        state, output = jax.lax.scan(one, state, (gates, mask), reverse=reverse)
        return (output, *state)

    return layer


def _cell(kind: str) -> Row:
    step, lstm = _STEPS[kind], kind == "lstm"
    facts: Any = {"returns": ("hidden", "cell")} if lstm else {}

    @op(f"{kind}_cell.of_state", _NODES[kind][1], **facts)
    def cell(
        input: Array,
        hidden: Array,
        cell: Operand,
        w_ih: Array,
        w_hh: Array,
        b_ih: Operand,
        b_hh: Operand,
    ) -> Any:
        state = (hidden,) if cell is None else (hidden, cell)
        made = step(_affine(input, w_ih, b_ih), state, w_hh, b_hh, None)
        return made if lstm else made[0]

    return cell


_LAYERS = {kind: _layer(kind) for kind in _STEPS}
_CELLS = {kind: _cell(kind) for kind in _STEPS}

# ------------------------------------------------------------------------------------------- layers on layers


def _run(
    kind: str,
    x: Any,
    state: Sequence[Any],
    parameters: Sequence[Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    mask: Tensor | None = None,
    packing: tuple[Callable[..., Any], Callable[..., Any]] | None = None,
) -> tuple[Tensor, ...]:
    """All layers, on sequences of one length: the last layer's result, and the last states.

    Args:
        kind: "lstm", "gru", "rnn_tanh" or "rnn_relu".
        x: (steps, batches, features).
        state: the first hidden states, (layers * directions, batches, features), and for "lstm" the first cells.
        parameters: for each layer and direction the two weights, the two biases, and the projection if there is one.
        has_biases: whether the parameters have biases.
        num_layers: the number of layers.
        dropout: the part of the elements between layers that training drops.
        train: whether it is training.
        bidirectional: whether each layer runs in both directions.
        mask: (steps, batches), True where a step is there.
        packing: for packed sequences, how to pack and to pad: dropout draws numbers for packed elements alone.
    """
    directions = 2 if bidirectional else 1
    each = len(parameters) // (num_layers * directions)
    last: list[list[Tensor]] = [[] for _ in state]
    for number in range(num_layers):
        outputs = []
        for direction in range(directions):
            k = number * directions + direction
            weights = list(parameters[k * each : (k + 1) * each])
            biases = weights[2:4] if has_biases else [None, None]
            projection = weights[-1] if each % 2 else None
            first = [one[k] for one in state]
            hidden, cell = first if len(first) == 2 else (first[0], None)
            found = _LAYERS[kind](
                x, hidden, cell, *weights[:2], *biases, projection, mask, bool(direction)
            )
            outputs.append(found[0])
            for kept, one in zip(last, found[1:], strict=True):
                kept.append(one)
        x = outputs[0] if directions == 1 else cat(outputs, -1)
        if dropout and train and number < num_layers - 1:
            pack, pad = packing or (_same, _same)
            x = pad(FUNCTIONS["dropout"](pack(x), dropout, True))
    return (x, *[stack(kept) for kept in last])


def _run_packed(kind: str, data: Any, batch_sizes: Any, state: Sequence[Any], more: Sequence[Any]) -> tuple[Tensor, ...]:  # fmt: skip
    """All layers on a packed sequence: the steps one after another, each with the sequences that are that long."""
    sizes = np.asarray(batch_sizes.tolist())
    steps, widest = len(sizes), int(sizes[0])
    there = np.arange(widest)[None, :] < sizes[:, None]
    start = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    at = np.where(there, start[:, None] + np.arange(widest)[None, :], 0)
    to_padded, to_packed = tensor(at.ravel()), tensor(np.flatnonzero(there.ravel()))

    def pad(packed: Any) -> Any:
        return packed.index_select(0, to_padded).view(steps, widest, -1)

    def pack(padded: Any) -> Any:
        return padded.flatten(0, 1).index_select(0, to_packed)

    output, *last = _run(kind, pad(data), state, *[*more, tensor(there), (pack, pad)])
    return (pack(output), *last)


def _same(x: Any) -> Any:
    return x


_FACTS = ("hx", "params", "has_biases", "num_layers", "dropout", "train", "bidirectional")
_OF_PADDED = ("input", *_FACTS, "batch_first")
_OF_PACKED = ("data", "batch_sizes", *_FACTS)


def _named(name: str, names: Sequence[str], args: Sequence[Any], kwargs: dict[str, Any]) -> dict[str, Any]:  # fmt: skip
    """The arguments by name, in their order.

    Raises:
        TypeError: one is missing, unknown or given twice.
    """
    given = dict(zip(names, args, strict=False))
    if len(args) > len(names) or set(kwargs) & set(given) or set(kwargs) - set(names):
        raise TypeError(f"{name}() takes the arguments ({', '.join(names)})")
    given |= kwargs
    missing = [each for each in names if each not in given]
    if missing:
        listed = ", ".join(f'"{each}"' for each in missing)
        raise TypeError(f"{name}() missing {len(missing)} required positional arguments: {listed}")
    return {each: given[each] for each in names}


def _public(kind: str) -> None:
    def function(*args: Any, **kwargs: Any) -> tuple[Tensor, ...]:
        # Fourth comes `has_biases`, or the parameters of a packed sequence.
        packed = "batch_sizes" in kwargs or not isinstance((*args, *[False] * 4)[3], (bool, int))
        given = _named(kind, _OF_PACKED if packed else _OF_PADDED, args, kwargs)
        hx = given.pop("hx")
        state = tuple(hx) if kind == "lstm" else (hx,)
        if packed:
            data, sizes, *more = given.values()
            return _run_packed(kind, data, sizes, state, more)
        input, *more, batch_first = given.values()
        if not batch_first:
            return _run(kind, input, state, *more)
        output, *last = _run(kind, input.transpose(0, 1), state, *more)
        return (output.transpose(0, 1), *last)

    doc = (
        f"The recurrent layers of `torch.{kind}`: (input, hx, params, has_biases, num_layers, dropout, train, "
        "bidirectional, batch_first), or (data, batch_sizes, hx, ...) for a packed sequence."
    )
    publish(named(function, kind, doc), method=False)

    def cell(input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Any:
        hidden, state = hx if kind == "lstm" else (hx, None)
        found = _CELLS[kind](input, hidden, state, w_ih, w_hh, b_ih, b_hh)
        return tuple(found) if kind == "lstm" else found

    publish(named(cell, f"{kind}_cell", f"One step of `torch.{kind}`."), method=False)


for _kind in _STEPS:
    _public(_kind)
