"""The core: calling an op finds its kernel by the types of the arguments, runs it, and leaves a graph node behind.

Nothing is recorded and nothing waits for a compiler, so code that runs once, or that differs each time, is as fast as it can
be. Code that repeats is recorded instead (`trace`) once `tiers` finds that this pays; see `alone` for single ops.
"""

from collections.abc import Callable, Sequence
from contextvars import copy_context
from functools import partial
from itertools import count
from typing import Any, Protocol

import numpy as np

from funcgrad.engine.alone import LARGE, Contest
from funcgrad.engine.compiling import at_once
from funcgrad.engine.derivatives import Node, VjpOp, rule_of
from funcgrad.engine.nodes import GraphNode, Variable
from funcgrad.engine.ops import Op, remember
from funcgrad.engine.platforms import on_cpu
from funcgrad.engine.residuals import LEAST, OFTEN, split
from funcgrad.engine.templates import pattern_of
from funcgrad.engine.threads import PerThread
from funcgrad.engine.tracing import as_tuple
from funcgrad.engine.values import (
    META,
    NOWHERE,
    Absent,
    Aval,
    Live,
    Value,
    Wrapped,
    host_of,
    is_tracer,
    with_wide_types,
)
from funcgrad.strictness import lenient

Result = tuple[Value, GraphNode | None, int]


# About the seconds that a compiled program saves for each call, since its walk is repeated from memory, and for each kernel
# of XLA's.
CALL_SECONDS, DISPATCH_SECONDS = 3e-6, 30e-6


class Trail(Protocol):
    """Where calls are noted."""

    def append(self, call: "Call", /) -> None:
        """Note a call."""


class NotHereError(Exception):
    """This call is not for the core: an argument is pending or a tracer, or arrays are not in the CPU's memory."""


class _Quiet(PerThread):
    """Runs kernels without NumPy's warnings of overflow and division: XLA gives none.

    Attributes:
        run: `run(kernel, *arrays)`; the setting holds inside it alone.
    """

    def __init__(self) -> None:
        context = copy_context()
        context.run(np.seterr, all="ignore")
        self.run = context.run


_quiet = _Quiet()


class Call:
    """How an op is called on arguments of some types, some of which want a gradient.

    Attributes:
        kernel: computes the op on arrays of these types.
        of_numpy: whether it takes NumPy's arrays alone, and runs without NumPy's warnings.
        avals: the types of the results.
        rule: how its graph node is made; None where there is none.
        split: how the op keeps residuals for its way back, where it does.
        gain: seconds that a compiled program around it may save.
        size: how many steps the op has.
    """

    __slots__ = ("avals", "gain", "kernel", "of_numpy", "rule", "size", "split")

    rule: Any
    split: Any

    def __init__(self, op: Op, avals: tuple[Aval, ...], wants: tuple[bool, ...]) -> None:
        absent = META in pattern_of(avals)[0].devices
        if not (absent or op.follows or on_cpu()):
            raise NotHereError
        self.avals, kernel = op.fit(avals)
        self.rule = rule_of(op, avals, wants) if True in wants else None
        self.split = None if self.rule is None else self.rule.split
        if absent:
            self.kernel: Callable[..., Any] = _nothing(self.avals)
            self.of_numpy, self.gain, self.size = False, 0.0, 0
            return
        self.of_numpy = kernel is not None
        self.kernel = kernel or partial(_on_xla, op.kernel)
        self.gain = DISPATCH_SECONDS
        if kernel is not None:
            self.gain = CALL_SECONDS + kernel.gain
            op.size = kernel.size
            if kernel.gain > LARGE:
                self.kernel = Contest(op, avals, kernel, partial(setattr, self, "kernel"))
            if isinstance(op, VjpOp) and op.again and kernel.gain > LEAST:
                self.kernel = _until_often(self.kernel, op, partial(setattr, self, "kernel"))
        self.size = op.size


def _until_often(
    kernel: Callable[..., Any], way: VjpOp, settle: Callable[[Callable[..., Any]], None]
) -> Callable[..., Any]:
    """The kernel of a way back. Once it was called often, its op keeps residuals."""
    calls = count(1)

    def counting(*arrays: Any) -> Any:
        if next(calls) == OFTEN:
            settle(kernel)
            split(way)
        return kernel(*arrays)

    return counting


def _nothing(avals: tuple[Aval, ...]) -> Callable[..., Any]:
    """A kernel that computes no elements."""
    results = tuple([Absent(aval) for aval in avals])
    return lambda *_: results if len(results) > 1 else results[0]


def _on_xla(kernel: Callable[..., Any], *arrays: Any) -> Any:
    """The results of a kernel of XLA's, with 64-bit types as they are, also while JAX traces something else."""
    with lenient():
        outputs = with_wide_types(kernel, *arrays)
        return at_once(kernel, arrays) if is_tracer(as_tuple(outputs)[0]) else outputs


def array_of(value: Value, of_numpy: bool) -> Any:
    """The array of a value that has one, NumPy's if asked for.

    Raises:
        NotHereError: it is pending, or a tracer, or wrapped for a level.
    """
    array = value.array
    if array is None or is_tracer(array) or isinstance(value, Wrapped):
        raise NotHereError
    if of_numpy:
        return host_of(value)
    return array.copy() if isinstance(value, Live) else array


# Every op compares its arguments' types with these exactly: an `isinstance` that fails takes twice as long (40 ns).
_NUMPY = frozenset({np.ndarray, *(np.dtype(kind).type for kind in "?bhilqBHILQefdFD")})


def call_one(trail: Trail, op: Op, a: Variable, given: Value, node: Any) -> Result:
    """Call an op that has one argument and one result.

    Args:
        trail: where the call is noted; so in the functions below.
        op: the op.
        a: its argument.
        given: the argument's value, which another thread may change; so its node.
        node: the argument's graph node if it wants a gradient.
    """
    key = (given.aval, node is None)
    found = op.calls.get(key)
    if found is None:
        found = _made(op, key, (given.aval,), (node is not None,))
    if found.split is not None:
        return call(trail, op, (a,), (given,), (node,))
    array = given.array
    if type(array) not in _NUMPY or type(given) is not Value:
        if isinstance(given, Live):
            return call(trail, op, (a,), (given,), (node,))
        array = array_of(given, found.of_numpy)
    trail.append(found)
    made = _quiet.run(found.kernel, array) if found.of_numpy else found.kernel(array)
    value = Value(made, found.avals[0])
    rule = found.rule
    return value, None if rule is None else rule.make((a,), (given,), (node,), NOWHERE), 0


def call_two(
    trail: Trail,
    op: Op,
    a: Variable,
    b: Variable,
    first: Value,
    second: Value,
    first_node: Any,
    second_node: Any,
) -> Result:
    """Call an op that has two arguments and one result. Takes their values and nodes, as `call_one`."""
    key = (first.aval, first_node is None, second.aval, second_node is None)
    found = op.calls.get(key)
    if found is None:
        wants = (first_node is not None, second_node is not None)
        found = _made(op, key, (first.aval, second.aval), wants)
    if found.split is not None:
        return call(trail, op, (a, b), (first, second), (first_node, second_node))
    x, y = first.array, second.array
    if type(x) not in _NUMPY or type(first) is not Value:
        if isinstance(first, Live):
            return call(trail, op, (a, b), (first, second), (first_node, second_node))
        x = array_of(first, found.of_numpy)
    if type(y) not in _NUMPY or type(second) is not Value:
        if isinstance(second, Live):
            return call(trail, op, (a, b), (first, second), (first_node, second_node))
        y = array_of(second, found.of_numpy)
    trail.append(found)
    made = _quiet.run(found.kernel, x, y) if found.of_numpy else found.kernel(x, y)
    value = Value(made, found.avals[0])
    rule = found.rule
    if rule is None:
        return value, None, 0
    return value, rule.make((a, b), (first, second), (first_node, second_node), NOWHERE), 0


def call(
    trail: Trail,
    op: Op,
    arguments: Sequence[Variable],
    values: Sequence[Value],
    nodes: Any,
) -> Any:
    """Call an op. Takes the values and nodes of its arguments, which another thread may change; returns what `record` does."""
    avals = tuple([value.aval for value in values])
    wants = tuple([node is not None for node in nodes])
    found = op.calls.get((avals, wants)) or _made(op, (avals, wants), avals, wants)
    trail.append(found)
    made = None
    if found.split is None:
        outputs = _run(found, values)
        if found.rule is not None:
            made = found.rule.make(arguments, values, nodes, NOWHERE)
    else:
        outputs, residuals = _with_residuals(found, avals, values)
        made = found.rule.make(arguments, values, nodes, NOWHERE)
        made.residuals = found.split, residuals
    if len(found.avals) == 1:
        return Value(outputs, found.avals[0]), made, 0
    return [
        (Value(array, aval), made if aval.inexact else None, number)
        for number, (array, aval) in enumerate(zip(outputs, found.avals, strict=True))
    ]


def _with_residuals(
    found: Call, avals: tuple[Aval, ...], values: Sequence[Value]
) -> tuple[Any, list[Value]]:
    """The results of a call as `_run` gives them, and the residuals."""
    forward, own = found.split.forward, len(found.avals)
    all_of_it = forward.calls.get(avals) or _made(forward, avals, avals, (False,) * len(avals))
    outputs = _run(all_of_it, values)
    residuals = map(Value, outputs[own:], all_of_it.avals[own:])
    return outputs[:own] if own > 1 else outputs[0], list(residuals)


def pull_back(trail: Trail, node: Node, cotangents: Sequence[Value | None]) -> list[Value]:
    """The gradients of the inputs of a node that saved what it needs, in an order of its rule's `wants`.

    Raises:
        NotHereError: see there; also where an output has no cotangent.
    """
    saved: Any = node.saved or ()
    if node.residuals is not None:
        parts, residuals = node.residuals
        if parts.given == tuple([each is not None for each in cotangents]):
            values = [saved[k][0] for k in parts.saved]
            values += [*residuals, *[each for each in cotangents if each is not None]]
            return call_values(trail, parts.backward, values)
    if None in cotangents:
        raise NotHereError
    values = [entry[0] for entry in saved]
    values += cotangents
    return call_values(trail, node.rule.full, values)


def call_values(trail: Trail, op: Op, values: Sequence[Value]) -> list[Value]:
    """Call an op from values to values; no gradient is wanted. A walk backward is made of these calls."""
    key = tuple([value.aval for value in values])
    found = op.calls.get(key) or _made(op, key, key, (False,) * len(key))
    arrays = []
    for value in values:
        array = value.array
        if type(array) not in _NUMPY or type(value) is not Value:
            if isinstance(value, Live):
                trail.append(found)
                return _values(found, _run(found, values))
            array = array_of(value, found.of_numpy)
        arrays.append(array)
    trail.append(found)
    if found.of_numpy:
        return _values(found, _quiet.run(found.kernel, *arrays))
    return _values(found, found.kernel(*arrays))


def _values(call: Call, outputs: Any) -> list[Value]:
    avals = call.avals
    if len(avals) == 1:
        return [Value(outputs[0] if type(outputs) in (tuple, list) else outputs, avals[0])]
    return [Value(array, aval) for array, aval in zip(outputs, avals, strict=True)]


def run(op: Op, avals: tuple[Aval, ...], arrays: Sequence[Any]) -> Any:
    """The results of an op as arrays, one or a tuple of several."""
    found = op.calls.get(avals) or _made(op, avals, avals, (False,) * len(avals))
    if found.of_numpy:
        arrays = [each if type(each) in _NUMPY else np.asarray(each) for each in arrays]
    return _computed(found, arrays)


def _made(op: Op, key: Any, avals: tuple[Aval, ...], wants: tuple[bool, ...]) -> Call:
    return remember(op.calls, key, Call(op, avals, wants))


def _run(call: Call, values: Sequence[Value]) -> Any:
    arrays, live = [], False
    for value in values:
        array = value.array
        if type(array) not in _NUMPY or type(value) is not Value:
            array = array_of(value, call.of_numpy)
            live = live or isinstance(value, Live)
        arrays.append(array)
    outputs = _computed(call, arrays)
    return _apart(outputs, arrays) if live and call.of_numpy else outputs


def _apart(outputs: Any, arrays: Sequence[Any]) -> Any:
    """Results in memory of their own: as views of shared memory they would change with it."""
    if type(outputs) in (tuple, list):
        return tuple([_apart(each, arrays) for each in outputs])
    shared = any(np.may_share_memory(outputs, array) for array in arrays)
    return outputs.copy() if shared else outputs


def _computed(call: Call, arrays: Sequence[Any]) -> Any:
    outputs = _quiet.run(call.kernel, *arrays) if call.of_numpy else call.kernel(*arrays)
    if len(call.avals) > 1 or type(outputs) not in (tuple, list):
        return outputs
    return outputs[0]
