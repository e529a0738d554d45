"""Recording: every op a thread calls is appended to that thread's trace, and nothing is computed yet.

Where an argument carries a tracer, the op is applied at once instead. `recording` has the data that is written here.
"""

from collections.abc import Callable, Sequence
from typing import Any
from weakref import ref

import numpy as np

from funcgrad.engine import eager, programs, tiers
from funcgrad.engine.compiling import placed
from funcgrad.engine.derivatives import rule_of
from funcgrad.engine.nodes import GraphNode, Leaf, Variable
from funcgrad.engine.ops import Op
from funcgrad.engine.platforms import on_cpu
from funcgrad.engine.recording import LEAF, MORE, NODE, Observer, Recorder, State, Trace, local
from funcgrad.engine.settings import settings
from funcgrad.engine.tracing import as_tuple
from funcgrad.engine.values import (
    META,
    NOWHERE,
    Live,
    Storage,
    Value,
    Wrapped,
    is_tracer,
    with_wide_types,
)


class TracerFoundError(Exception):
    """An argument is a JAX tracer or has no elements, so the op has to be applied at once."""


Result = tuple[Value, GraphNode | None, int]


def record(op: Op, arguments: Sequence[Variable]) -> Any:
    """Record `op` on `arguments`.

    Returns:
        The pending value and the edge it came from, as (value, node, output number); a list of such where the op has
        several outputs.

    Raises:
        Exception: whatever tracing the op with arguments of these types raises; nothing is recorded then.
    """
    recorder = local.recorder
    grad = recorder.grad_enabled
    # Read before the trace: reading the value of a view may record an op itself.
    values = [variable._storage.read() for variable in arguments]
    nodes = [variable._current_node() if grad else None for variable in arguments]
    trace = recorder.trace
    if trace.eager and recorder.watch is None:
        try:
            results = eager.call(trace.trail, op, arguments, values, nodes)
        except eager.NotHereError:
            results = again(eager.call, values, trace, op, arguments, values, nodes)
        if results is not None:
            if recorder.observer is not None:
                tell(recorder.observer, results, arguments)
            return results
    token = trace.token
    event: list[Any] = [op]
    try:
        for variable, value, node in zip(arguments, values, nodes, strict=True):
            slot = value.slot
            event.append(slot[1] if slot[0] is token else enter(recorder, variable, value))
            if node is not None:
                slot = node.slot
                event.append(
                    (slot[1] if slot[0] is token else enter_node(recorder, node)) + variable._nr
                )
            else:
                event.append(-1)
    except TracerFoundError:
        return apply_at_once(op, arguments)
    key = tuple(event)
    log = trace.log
    state = log[-1][0]
    state = state.children.get(key) or new_state(state, key, values)
    position = state.position
    slot = (token, position)
    value = Value(None, state.aval, slot, trace)
    rule = state.rule
    made = None if rule is None else rule.make(arguments, values, nodes, slot)
    log.append((state, None))
    trace.held[position] = ref(value)
    if state.outputs is not None:
        return _record_more(recorder, state, value, made, arguments)
    if position >= settings.buffer_size:
        flush("the buffer was full")
    if made is not None and recorder.observer is not None:
        recorder.observer.made(made, arguments)
    return value, made, 0


def record_values(op: Op, values: Sequence[Value]) -> list[Value]:
    """`record` from values to values, for ops that want no gradient: most of a walk backward."""
    recorder = local.recorder
    trace = recorder.trace
    if trace.eager and recorder.watch is None:
        try:
            made = eager.call_values(trace.trail, op, values)
        except eager.NotHereError:
            made = again(eager.call_values, values, trace, op, values)
        if made is not None:
            return made
    token = trace.token
    event: list[Any] = [op]
    try:
        for value in values:
            slot = value.slot
            event.append(
                slot[1] if slot[0] is token else enter(recorder, Variable(Storage(value)), value)
            )
            event.append(-1)
    except TracerFoundError:
        results = apply_at_once(op, [Variable(Storage(value)) for value in values])
        return [results[0]] if isinstance(results, tuple) else [result[0] for result in results]
    key = tuple(event)
    log = trace.log
    state = log[-1][0]
    state = state.children.get(key) or new_state(state, key, values)
    position = state.position
    value = Value(None, state.aval, (token, position), trace)
    log.append((state, None))
    trace.held[position] = ref(value)
    made = [value] if state.outputs is None else _append_more(trace, state, value)
    if log[-1][0].position >= settings.buffer_size:
        flush("the buffer was full")
    return made


def again(call: Callable[..., Any], values: Sequence[Value], trace: Trace, *arguments: Any) -> Any:
    """A call that was not for the core, made again once its values are there. None where it has to be recorded."""
    if not on_cpu():
        tiers.leave_core(local.recorder)
        return None
    if any(isinstance(value, Wrapped) or is_tracer(compute(value)) for value in values):
        return None
    return call(trace.trail, *arguments)


def tell(observer: Observer, results: Any, arguments: Sequence[Variable]) -> None:
    """Tell an observer of the node that a call by the core has left behind."""
    nodes = [result[1] for result in (results if isinstance(results, list) else [results])]
    made = next((node for node in nodes if node is not None), None)
    if made is not None:
        observer.made(made, arguments)


def _record_more(
    recorder: Recorder,
    state: State,
    value: Value,
    made: GraphNode | None,
    arguments: Sequence[Variable],
) -> list[Result]:
    """The results of an op with several outputs."""
    trace = recorder.trace
    results = with_edges(_append_more(trace, state, value), made)
    if trace.log[-1][0].position >= settings.buffer_size:
        flush("the buffer was full")
    if made is not None and recorder.observer is not None:
        recorder.observer.made(made, arguments)
    return results


def _append_more(trace: Trace, state: State, value: Value) -> list[Value]:
    """The outputs of an op after its first, each an event of its own; returns them all."""
    values = [value]
    for aval in state.outputs[1:]:
        state = state.children.get(MORE) or state.child(MORE, State(state, aval, is_more=True))
        values.append(Value(None, aval, (trace.token, state.position), trace))
        trace.log.append((state, None))
        trace.held[state.position] = ref(values[-1])
    return values


def with_edges(values: Sequence[Value], node: GraphNode | None) -> list[Result]:
    """Values with the edges to the node that made them."""
    return [
        (value, node if value.aval.inexact else None, number) for number, value in enumerate(values)
    ]


def variables_of(results: Any) -> list[Variable]:
    """The results of `record` as variables."""
    if isinstance(results, tuple):
        results = [results]
    return [Variable(Storage(value), node, nr) for value, node, nr in results]


def new_state(state: State, key: tuple, values: Sequence[Value]) -> State:
    """The state after an op that is called for the first time in this place. Types are worked out here."""
    op = key[0]
    avals = tuple([value.aval for value in values])
    types = op.types(avals)
    edges = key[2::2]
    # In a walk backward no argument has an edge.
    rule = (
        rule_of(op, avals, tuple([edge >= 0 for edge in edges]))
        if max(edges, default=-1) >= 0
        else None
    )
    several = types if len(types) > 1 else None
    return state.child(key, State(state, types[0], op, key[1::2], avals, several, rule))


def enter(recorder: Recorder, variable: Variable, value: Value) -> int:
    """The position of a variable's value that the recorder's trace did not make, brought in as an input."""
    if recorder.levels or isinstance(value, Wrapped):
        raise TracerFoundError
    array = value.array
    if array is None or type(array) is np.ndarray:
        array = device_array(value)
    if recorder.watch is not None:
        recorder.watch.reads(variable)
    if is_tracer(array) or value.aval.device is META:
        raise TracerFoundError
    trace = recorder.trace
    log = trace.log
    state = log[-1][0]
    state = state.children.get(value.aval) or state.child(value.aval, State(state, value.aval))
    position = state.position
    log.append((state, array))
    if not isinstance(value, Live):  # which the next op finds changed
        value.slot = (trace.token, position)
    return position


def enter_node(recorder: Recorder, node: GraphNode) -> int:
    """The position of a graph node that the recorder's trace did not make; one for each output."""
    if recorder.watch is not None:
        recorder.watch.meets(node)
    trace = recorder.trace
    log = trace.log
    known = trace.nodes.get(id(node))
    if known is not None and known[0]() is node:
        node.slot = (trace.token, known[1])
        return known[1]
    first = log[-1][0].position + 1
    key = LEAF if isinstance(node, Leaf) else NODE
    for _ in range(node.outputs):
        state = log[-1][0]
        log.append((state.children.get(key) or state.child(key, State(state)), None))
        key = MORE
    node.slot = (trace.token, first)
    trace.nodes[id(node)] = (ref(node), first)
    return first


def apply_at_once(op: Op, arguments: Sequence[Variable]) -> Any:
    """Apply `op` at once, for arguments that carry tracers or have no elements. Takes and returns the same as `record`."""
    recorder = local.recorder
    level = recorder.levels[-1] if recorder.levels else _level_of(arguments)
    if level is not None:
        return level.call(op, arguments)
    if recorder.watch is not None:
        for variable in arguments:
            recorder.watch.reads(variable)
            node = variable._current_node() if recorder.grad_enabled else None
            if node is not None:
                recorder.watch.meets(node)
    values = [variable._storage.read() for variable in arguments]
    nodes = [variable._current_node() if recorder.grad_enabled else None for variable in arguments]
    avals = tuple(value.aval for value in values)
    if any(aval.device is META for aval in avals):
        return eager.call([], op, arguments, values, nodes)
    op.types(avals)
    rule = rule_of(op, avals, tuple(node is not None for node in nodes))
    made = None if rule is None else rule.make(arguments, values, nodes, NOWHERE)
    arrays = [compute(value) for value in values]
    outputs = as_tuple(with_wide_types(op.traceable(avals), *arrays))
    results = with_edges([Value.of(array) for array in outputs], made)
    if recorder.watch is not None:
        recorder.watch.applied([result[0] for result in results])
    if made is not None and recorder.observer is not None:
        recorder.observer.made(made, arguments)
    return results if len(results) > 1 else results[0]


def _level_of(arguments: Sequence[Variable]) -> Any:
    """A level that an argument belongs to; None where they are plain."""
    for argument in arguments:
        value = argument._storage.read()
        if isinstance(value, Wrapped):
            return value.level
    return None


def flush(reason: str) -> None:
    """Run what this thread has recorded, if anything; `reason` is for `engine.explain()`."""
    recorder = local.recorder
    if recorder.levels:
        with recorder.levels[0].below():
            flush(reason)
        return
    trace = recorder.trace
    log = trace.log
    if len(log) > 1:
        recorder.trace = Trace(trace.eager)
        try:
            made, program = programs.run(log, trace.held, reason, _when(trace))
        except BaseException:
            trace.failed = True
            raise
        tiers.ran(recorder, program, made)
        if recorder.watch is not None:
            recorder.watch.ran(log[-1][0], made, reason)


def _when(trace: Trace) -> str:
    """When programs are compiled: at once, but for those of code that could also run in the core."""
    if settings.mode != "auto" or not settings.core:
        return "now"
    return "never" if trace.eager else "later"


def device_array(value: Value) -> Any:
    """The array of a value as JAX's, computed if it was pending; or a tracer.

    It stays so where the core made it: a program is likely to take it again, and takes JAX's in less time.
    """
    array = compute(value)
    if isinstance(array, (np.ndarray, np.generic)):
        made = placed(array, value.aval.device, copy=False)
        if not isinstance(value, Live):
            value.host, value.array = array, made
        return made
    return array


def end_of_walk(runs: bool = True) -> None:
    """A walk backward has ended, one that was begun by nobody's walk: run what is pending, if `runs`. Here loops turn."""
    if runs:
        flush("backward ended")
    tiers.turned(local.recorder)


def compute(value: Value) -> Any:
    """The array of a value, computed now if it was pending; it is not waited for.

    Raises:
        Exception: whatever computing it raised. The value stays pending, and can be asked for again.
    """
    # Read in this order: a run sets the array before anything else of the value may change.
    slot, trace = value.slot, value.trace
    array = value.array
    if array is None:
        recorder = local.recorder
        if trace is (recorder.levels[0].outside[0] if recorder.levels else recorder.trace):
            flush("a value was looked at")
        else:
            programs.evaluate(trace, slot[1], value)
        array = value.array
    return array.copy() if isinstance(value, Live) else array
