"""`record` for one and for two arguments, unrolled: the cases that a training step is made of."""

from weakref import ref

from funcgrad.engine import eager
from funcgrad.engine.nodes import Variable
from funcgrad.engine.ops import Op
from funcgrad.engine.recording import local
from funcgrad.engine.settings import settings
from funcgrad.engine.trace import (
    Result,
    TracerFoundError,
    again,
    apply_at_once,
    enter,
    enter_node,
    flush,
    new_state,
    tell,
)
from funcgrad.engine.values import Value


def record_one(op: Op, a: Variable) -> Result:
    """`record(op, (a,))` for an op with one output, unrolled as `record_two`."""
    recorder = local.recorder
    grad = recorder.grad_enabled
    given = a._storage.value
    if given is None:  # a view
        given = a._storage.read()
        node = a._current_node() if grad else None
    else:
        node = a._node if grad else None
    # After the reading, which may record an op itself.
    trace = recorder.trace
    if trace.eager and recorder.watch is None:
        try:
            found = eager.call_one(trace.trail, op, a, given, node)
        except eager.NotHereError:
            found = again(eager.call_one, [given], trace, op, a, given, node)
        if found is not None:
            if recorder.observer is not None:
                tell(recorder.observer, found, (a,))
            return found
    token = trace.token
    try:
        slot = given.slot
        at = slot[1] if slot[0] is token else enter(recorder, a, given)
        edge = -1
        if node is not None:
            slot = node.slot
            edge = (slot[1] if slot[0] is token else enter_node(recorder, node)) + a._nr
    except TracerFoundError:
        return apply_at_once(op, (a,))
    key = (op, at, edge)
    log = trace.log
    state = log[-1][0]
    state = state.children.get(key) or new_state(state, key, (given,))
    position = state.position
    slot = (token, position)
    value = Value(None, state.aval, slot, trace)
    rule = state.rule
    made = None if rule is None else rule.make((a,), (given,), (node,), slot)
    log.append((state, None))
    trace.held[position] = ref(value)
    if position >= settings.buffer_size:
        flush("the buffer was full")
    if made is not None and recorder.observer is not None:
        recorder.observer.made(made, (a,))
    return value, made, 0


def record_two(op: Op, a: Variable, b: Variable) -> Result:
    """`record(op, (a, b))` for an op with one output, unrolled: the case that a training step is made of."""
    recorder = local.recorder
    grad = recorder.grad_enabled
    first, second = a._storage.value, b._storage.value
    first_node = second_node = None
    if first is None:  # a view
        first = a._storage.read()
        first_node = a._current_node() if grad else None
    elif grad:
        first_node = a._node
    if second is None:
        second = b._storage.read()
        second_node = b._current_node() if grad else None
    elif grad:
        second_node = b._node
    # After the reading, which may record an op itself.
    trace = recorder.trace
    if trace.eager and recorder.watch is None:
        try:
            found = eager.call_two(trace.trail, op, a, b, first, second, first_node, second_node)
        except eager.NotHereError:
            given = (first, second, first_node, second_node)
            found = again(eager.call_two, [first, second], trace, op, a, b, *given)
        if found is not None:
            if recorder.observer is not None:
                tell(recorder.observer, found, (a, b))
            return found
    token = trace.token
    try:
        slot = first.slot
        first_at = slot[1] if slot[0] is token else enter(recorder, a, first)
        slot = second.slot
        second_at = slot[1] if slot[0] is token else enter(recorder, b, second)
        first_edge = second_edge = -1
        if first_node is not None:
            slot = first_node.slot
            first_edge = (slot[1] if slot[0] is token else enter_node(recorder, first_node)) + a._nr
        if second_node is not None:
            slot = second_node.slot
            second_edge = (
                slot[1] if slot[0] is token else enter_node(recorder, second_node)
            ) + b._nr
    except TracerFoundError:
        return apply_at_once(op, (a, b))
    key = (op, first_at, first_edge, second_at, second_edge)
    log = trace.log
    state = log[-1][0]
    state = state.children.get(key) or new_state(state, key, (first, second))
    position = state.position
    slot = (token, position)
    value = Value(None, state.aval, slot, trace)
    rule = state.rule
    made = (
        None
        if rule is None
        else rule.make((a, b), (first, second), (first_node, second_node), slot)
    )
    log.append((state, None))
    trace.held[position] = ref(value)
    if position >= settings.buffer_size:
        flush("the buffer was full")
    if made is not None and recorder.observer is not None:
        recorder.observer.made(made, (a, b))
    return value, made, 0
