"""Transformations of functions as levels: gradients, batches and tangents that nest. Each op passes one level after the other.

While a function is transformed, its values are wrapped: a `Wrapped` value knows the level it belongs to and the variable
inside it, which lives one level further out. The innermost level takes an op on wrapped values apart. It does its own part:
it leaves a graph node, carries tangents, or maps over a batch by `jax.vmap`. It records the rest one level further out. After
the last level the rest is an op like any other. So a transformed function is recorded, compiled and differentiated as plain
code is. Its Python runs once, and values stay readable wherever they have one.

A recording that is inside a level starts with an empty trace, in which no value has a place. So every op takes the slow way
(`trace.apply_at_once`), which asks the level it has in hand; plain code pays nothing. Nothing below imports this module.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache, reduce
from itertools import count
from typing import Any, Self

import jax.numpy as jnp
import numpy as np

from funcgrad.engine.derivatives import jvp_of, rule_of
from funcgrad.engine.nodes import GraphNode, Variable, behind
from funcgrad.engine.ops import Op
from funcgrad.engine.recording import Trace, local
from funcgrad.engine.trace import Result, compute, record, variables_of, with_edges
from funcgrad.engine.values import NOWHERE, Aval, Storage, Value, Wrapped

_order = count(1)


class AnyLevel:
    """Base of all levels. Modules below ask through a level they hold: the recorder's, or that of a wrapped value.

    Attributes:
        order: grows with nesting.
        depth: how many levels there are, this one included, counted as PyTorch does.
        alive: whether values still belong to it.
    """

    order: int
    depth: int
    alive: bool

    def apply(self, op: Op, arguments: Sequence[Variable]) -> list[Result]:
        """This level's own part of an op; some of the values may belong to it."""
        raise NotImplementedError

    @staticmethod
    def call(op: Op, arguments: Sequence[Variable]) -> Any:
        """Call an op inside transformations, or on values of some: the level that is furthest in applies it.

        Takes and returns the same as `record`.

        Raises:
            RuntimeError: a value has left the batch that it is one of.
        """
        arguments = [settled(each) for each in arguments]
        levels = local.recorder.levels
        level: Any = levels[-1] if levels else None
        for argument in arguments:
            value = argument._storage.read()
            if isinstance(value, Wrapped):
                belongs = value.level
                if isinstance(belongs, DualLevel):
                    if level is None or belongs.order > level.order:
                        level = belongs
                elif belongs not in levels:
                    raise RuntimeError(ESCAPED)
        if level is None:
            return record(op, arguments)
        results = level.apply(op, arguments)
        return results if len(results) > 1 else results[0]

    @staticmethod
    def elements(value: Value) -> Any:
        """The array inside a wrapped value, also where its level has ended; a batch has none.

        Raises:
            NoElementsError: it is a batch.
            RuntimeError: it is one of a batch that is no more.
        """
        inner = value = settled(Variable(Storage(value)))._storage.read()
        while isinstance(inner, Wrapped):
            if inner.axis is not None:
                raise NoElementsError(NoElementsError.__doc__)
            inner = inner.inner._storage.read()
        return all_elements(value)


class Level(AnyLevel):
    """One transformation under way in this thread.

    Attributes:
        outside: the recording of the next level out while this one is entered: (trace, grad mode, levels).
    """

    def __init__(self) -> None:
        self.order = next(_order)
        self.depth = 0
        self.alive = False
        self.outside: tuple[Any, bool, tuple[Any, ...]] = (None, True, ())

    def __enter__(self) -> Self:
        recorder = local.recorder
        self.outside = (recorder.trace, recorder.grad_enabled, recorder.levels)
        recorder.trace, recorder.levels = Trace(), (*recorder.levels, self)
        self.order, self.depth, self.alive = next(_order), len(recorder.levels), True
        return self

    def __exit__(self, *_: object) -> None:
        recorder = local.recorder
        recorder.trace, recorder.grad_enabled, recorder.levels = self.outside
        self.outside = (None, True, ())
        self.alive = False

    @contextmanager
    def below(self) -> Iterator[None]:
        """Record one level further out inside the block."""
        recorder = local.recorder
        grad_enabled = self.outside[1]
        inside = recorder.trace, recorder.grad_enabled, recorder.levels
        recorder.trace, _, recorder.levels = self.outside
        recorder.grad_enabled = self.grad_mode_below()
        try:
            yield
        finally:
            self.outside = (recorder.trace, grad_enabled, recorder.levels)
            recorder.trace, recorder.grad_enabled, recorder.levels = inside

    def grad_mode_below(self) -> bool:
        """Whether ops leave nodes one level further out, given the grad mode here."""
        return local.recorder.grad_enabled

    def record_below(self, op: Op, variables: Sequence[Variable]) -> list[Variable]:
        """Record an op one level further out."""
        with self.below():
            return variables_of(record(op, variables))

    def holds(self, variable: Variable) -> bool:
        """Whether a variable's value belongs to this level."""
        value = variable._storage.read()
        return isinstance(value, Wrapped) and value.level is self

    def wrap(self, inner: Variable) -> Value:
        """A variable of the next level out as a value of this one."""
        return Wrapped(self, inner, inner._storage.aval)


class GradLevel(Level):
    """Gradients: this level's ops leave nodes in a graph of their own, apart from the graphs further out."""

    def apply(self, op: Op, arguments: Sequence[Variable]) -> list[Result]:
        """Record the op further out, and leave a node here where a gradient is wanted here."""
        own = [self.holds(a) for a in arguments]
        inner = [
            a._storage.read().inner if held else a  # type: ignore[attr-defined]
            for a, held in zip(arguments, own, strict=True)
        ]
        made: Any = None
        if local.recorder.grad_enabled:
            here = [
                a if held else Variable(a._storage) for a, held in zip(arguments, own, strict=True)
            ]
            made = node_of(op, here)
            if made is not None and made.saved:
                made.saved = tuple(
                    [
                        entry if own[k] else self.saved_from_outside(arguments[k], entry)
                        for k, entry in zip(made.rule.saves, made.saved, strict=True)
                    ]
                )
        outputs = self.record_below(op, inner)
        return with_edges([self.wrap(each) for each in outputs], made)

    def grad_mode_below(self) -> bool:
        """As PyTorch has it: `no_grad` counts for all levels it is inside of."""
        return self.outside[1] and local.recorder.grad_enabled

    def saved_from_outside(self, variable: Variable, entry: Any) -> Any:
        """The entry that a node here saves for a variable from further out; it keeps the edge to the graph there."""
        if variable._current_node() is None:
            return entry
        value, storage, version, held = entry
        kept = Variable(Storage(value), *variable._edge())
        return self.wrap(kept), storage, version, held


class TangentLevel(Level):
    """Tangents: each value of this level is a primal and, where it depends on the inputs, its tangent."""

    def wrap_dual(self, primal: Variable, tangent: Variable | None) -> Value:
        """Primal and tangent of the next level out as one value of this one."""
        return Wrapped(self, primal, primal._storage.aval, tangent=tangent)

    def apply(self, op: Op, arguments: Sequence[Variable]) -> list[Result]:
        """Record the op and its `jax.jvp` further out."""
        primals, tangents = self.taken_apart(arguments)
        with self.below():
            outputs = variables_of(record(op, primals))
            carried = tangents_of(op, primals, tangents, len(outputs))
        return with_edges(
            [self.wrap_dual(p, t) for p, t in zip(outputs, carried, strict=True)], None
        )

    def taken_apart(
        self, arguments: Sequence[Variable]
    ) -> tuple[list[Variable], list[Variable | None]]:
        """The primals and tangents of variables."""
        held = [a._storage.read() if self.holds(a) else None for a in arguments]
        primals = [a if v is None else v.inner for a, v in zip(arguments, held, strict=True)]  # type: ignore[attr-defined]
        return primals, [None if v is None else v.tangent for v in held]  # type: ignore[attr-defined]


class BatchLevel(Level):
    """A batch: each value of this level is one of `size` along an axis of the variable inside it.

    Attributes:
        size: how many there are.
        randomness: "error", "same" or "different", as random functions behave.
    """

    def __init__(self, size: int, randomness: str = "error") -> None:
        super().__init__()
        self.size, self.randomness = size, randomness

    def wrap_batch(self, inner: Variable, axis: int) -> Value:
        """A variable of the next level out as a batch along `axis`."""
        aval = inner._storage.aval
        shape = aval.shape[:axis] + aval.shape[axis + 1 :]
        return Wrapped(self, inner, Aval(shape, aval.dtype, aval.device), axis=axis)

    def apply(self, op: Op, arguments: Sequence[Variable]) -> list[Result]:
        """Record the op's `jax.vmap` further out; an op on no batch is recorded as it is."""
        held: list[Any] = [a._storage.read() if self.holds(a) else None for a in arguments]
        if all(value is None for value in held):
            return [
                (each._storage.read(), *each._edge()) for each in self.record_below(op, arguments)
            ]
        op.types(tuple([a._storage.aval for a in arguments]))
        axes = tuple([None if value is None else value.axis for value in held])
        inner = [a if v is None else v.inner for a, v in zip(arguments, held, strict=True)]
        outputs = self.record_below(op.batched(axes), inner)
        return with_edges([self.wrap_batch(each, 0) for each in outputs], None)


class DualLevel(AnyLevel):
    """Forward mode: tangents carried by values of plain code, from `make_dual` on until the level is left.

    A dual value and its graph node are of the same level; in a `TangentLevel` they are not. So both ways of differentiating
    mix: a walk backward finds dual values saved and gives dual gradients.
    """

    def __init__(self) -> None:
        self.order = next(_order)
        self.depth = 0
        self.alive = True

    def wrap_dual(self, primal: Value, tangent: Variable) -> Value:
        """A value with a tangent."""
        return Wrapped(self, Variable(Storage(primal)), primal.aval, tangent=tangent)

    def apply(self, op: Op, arguments: Sequence[Variable]) -> list[Result]:
        """Record the op and its `jax.jvp`; both leave graph nodes where a gradient is wanted."""
        held: list[Any] = [self.of(a) for a in arguments]
        # Differentiated in turn, a tangent leads back through the primals' own edges.
        primals = [
            a if v is None else Variable(v.inner._storage, *a._edge())
            for a, v in zip(arguments, held, strict=True)
        ]
        made = node_of(op, arguments) if local.recorder.grad_enabled else None
        recorder = local.recorder
        before, recorder.grad_enabled = recorder.grad_enabled, False
        try:
            outputs = variables_of(record(op, primals))
        finally:
            recorder.grad_enabled = before
        carried: Sequence[Variable | None] = [None] * len(outputs)
        if local.recorder.forward_enabled:
            tangents = [None if v is None else v.tangent for v in held]
            carried = tangents_of(op, primals, tangents, len(outputs))
        values = [
            primal._storage.read() if t is None else self.wrap_dual(primal._storage.read(), t)
            for primal, t in zip(outputs, carried, strict=True)
        ]
        return with_edges(values, made)

    def of(self, variable: Variable) -> "Wrapped | None":
        """A variable's value where it is dual."""
        value = variable._storage.read()
        return value if isinstance(value, Wrapped) and value.level is self else None


duals: list[DualLevel] = []  # the ones entered


def _of_dtype(variable: Variable, dtype: np.dtype) -> Variable:
    """A floating or complex variable in another dtype; any other as it is."""
    aval = variable._storage.aval
    if not aval.inexact or aval.dtype == dtype:
        return variable
    return variables_of(record(_cast(dtype), (variable,)))[0]


@cache
def _cast(dtype: np.dtype) -> Op:
    return Op("cast", lambda x: x.astype(dtype))


ESCAPED = (
    "Either your tensor may have escaped from inside a function being vmapped and this is a user error (see "
    "https://pytorch.org/functorch/stable/ux_limitations.html), or it is used in another thread than the one that "
    "transforms the function"
)


def settled(variable: Variable) -> Variable:
    """A variable without the wrappings of levels that have ended.

    Raises:
        RuntimeError: it is one of a batch that is no more.
    """
    value = variable._storage.read()
    while isinstance(value, Wrapped) and not value.level.alive:
        if value.axis is not None:
            raise RuntimeError(ESCAPED)
        if isinstance(value.level, DualLevel):
            variable = Variable(value.inner._storage, *variable._edge())
        else:
            variable = value.inner
        value = variable._storage.read()
    return variable


def without_history(value: Value) -> Value:
    """A value without graphs and tangents at any level."""
    if not isinstance(value, Wrapped):
        return value
    inner = without_history(value.inner._storage.read())
    if isinstance(value.level, DualLevel):
        return inner
    return Wrapped(value.level, Variable(Storage(inner)), value.aval, axis=value.axis)


def lift(variable: Variable) -> Variable:
    """A new plain variable, wrapped for the levels under way, so that it is not taken for a captured one."""
    for level in local.recorder.levels:
        if not isinstance(level, BatchLevel):
            variable = Variable(Storage(level.wrap(variable)))
    return variable


_HERE = nullcontext()


def where(value: Value) -> AbstractContextManager[None]:
    """A block whose ops are recorded at the level that a value belongs to, and not further in."""
    levels = local.recorder.levels
    if not levels:
        return _HERE
    order = value.level.order if isinstance(value, Wrapped) and value.level.alive else 0
    further_in = [level for level in levels if level.order > order]
    return further_in[0].below() if further_in else _HERE


def node_of(op: Op, arguments: Sequence[Variable]) -> GraphNode | None:
    """The graph node that an op leaves behind; None where no argument wants a gradient."""
    nodes = [a._current_node() for a in arguments]
    values = [a._storage.read() for a in arguments]
    rule = rule_of(
        op, tuple([value.aval for value in values]), tuple([node is not None for node in nodes])
    )
    if rule is None:
        return None
    made = rule.make(arguments, values, nodes, NOWHERE)
    observer = local.recorder.observer
    if observer is not None:
        observer.made(made, arguments)
    return made


def tangents_of(
    op: Op, primals: Sequence[Variable], tangents: Sequence[Variable | None], count: int
) -> Sequence[Variable | None]:
    """The tangents of an op's outputs from its arguments' tangents; None where there is none."""
    given = tuple([t is not None for t in tangents])
    if True not in given:
        return [None] * count
    if any(_differ(p, t) for p, t in zip(primals, tangents, strict=True)):
        return _of_mixed_dtypes(op, primals, tangents, count)
    avals = tuple([p._storage.aval for p in primals])
    derivative = jvp_of(op, avals, given)
    if derivative is None:
        return [None] * count
    arguments = [primals[k] for k in derivative.uses]
    arguments += [t for t in tangents if t is not None]
    carried = iter(variables_of(record(derivative, arguments)))
    return [next(carried) if aval.inexact else None for aval in op.types(avals)]


def _differ(primal: Variable, tangent: Variable | None) -> bool:
    """Whether a tangent has another dtype than its primal."""
    return tangent is not None and tangent._storage.aval.dtype != primal._storage.aval.dtype


def _of_mixed_dtypes(
    op: Op, primals: Sequence[Variable], tangents: Sequence[Variable | None], count: int
) -> Sequence[Variable | None]:
    """The same where a tangent has another dtype than its primal: computed in the widest, given in the dtype that PyTorch has.

    Raises:
        RuntimeError: a tangent is complex and its primal is real.
    """
    for primal, tangent in zip(primals, tangents, strict=True):
        if tangent is None:
            continue
        given, dtype = tangent._storage.aval.dtype, primal._storage.aval.dtype
        if given.kind == "c" and dtype.kind != "c":
            raise RuntimeError(
                f"an op cannot carry a tangent of {given} with a primal of {dtype}: convert the primal to {given}, or the tangent"
            )
    present = [t._storage.aval for t in tangents if t is not None]
    avals = [p._storage.aval for p in primals]
    floating = [aval for aval in (*avals, *present) if aval.inexact]
    wide = _widest(floating)
    whole = [_of_dtype(p, wide) for p in primals]
    carried = tangents_of(
        op, whole, [None if t is None else _of_dtype(t, wide) for t in tangents], count
    )
    derivative = jvp_of(
        op, tuple([p._storage.aval for p in whole]), tuple([t is not None for t in tangents])
    )
    # A derivative that multiplies by an operand gives the dtype of all of them. One that only moves or adds keeps the tangents'.
    deciding = present
    if derivative is not None and any(avals[k].inexact for k in derivative.uses):
        deciding = [aval for aval in floating if aval.shape] or floating
    dtype = _widest(deciding)
    converted = [aval.dtype for aval in op.types(tuple(avals))]
    kept = {aval.dtype for aval in floating}
    return [
        None if t is None else _of_dtype(t, dtype if made in kept else made)
        for t, made in zip(carried, converted, strict=True)
    ]


def _widest(avals: Sequence[Aval]) -> np.dtype:
    """The dtype that holds these."""
    return reduce(jnp.promote_types, [aval.dtype for aval in avals])


def all_elements(value: Value) -> Any:
    """The array inside a value that may be wrapped; for one of a batch, the array of the whole batch."""
    value = behind(value)
    levels = local.recorder.levels
    if not levels:
        return compute(value)
    with levels[0].below():
        return compute(value)


class NoElementsError(RuntimeError):
    """vmap: one of a batch stands for all of them, so nothing can depend on its elements, nor the shape of a result."""
