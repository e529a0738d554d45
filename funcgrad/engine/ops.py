"""What an op is: a named pure JAX function of arrays. Its type rule, kernel and derivative all follow from the function.

No derivative is written by hand: the backward of op `f` is another op, `jax.vjp` of `f`, so gradients of gradients need
nothing more. Which ops there are is the business of whoever defines them; the engine has only the few it needs itself.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from itertools import compress
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.interpreters import partial_eval

from funcgrad.engine.nodes import KeepingNode, maker, node_type
from funcgrad.engine.values import Aval, with_wide_types

_UNKNOWN = object()

# Whether tangents are taken of what is traced now. PyTorch's gradient of some ops is not the transpose of their tangent.
pushing = ContextVar("pushing", default=False)


@contextmanager
def _tracing(mode: bool) -> Iterator[None]:
    token = pushing.set(mode)
    try:
        yield
    finally:
        pushing.reset(token)


class DeviceMismatchError(RuntimeError):
    """Raised where one op is given arrays bound to different devices."""


class Op:
    """A pure function of arrays, with every static argument already bound.

    Args:
        name: what `engine.explain()` and error messages call it.
        function: arrays in, one array or a tuple of arrays out; traceable by JAX.
        label: the name of the graph node that the op leaves behind where a gradient is wanted.
        check: called with the avals of the arguments before the function is first traced with them; raises where
            they do not fit, so that the caller's own words reach the user.
        constants_from: arguments from this position on, which may be counted from the end, are constants: where a way
            back needs nothing else, a walk frees nothing.
        saves: arguments whose values the node keeps where they want a gradient, although the derivative may not need them:
            they must not be changed in place before the way back. One counted from the end is kept in any case: then there
            is something for a walk to free.
        flat: whether a gradient of its gradient leads back to its arguments also where it is zero whatever they are, since the
            op is made of straight pieces. If not, there is none.
        counted: arguments before this position are inputs of the graph node, as far as `next_functions` tells; all if None.
        named_first: of several arguments that were changed since they were saved, which ones a complaint names first;
            after them comes the last one.
    """

    __slots__ = (
        "__weakref__",
        "_derived",
        "_rules",
        "_types",
        "check",
        "constants_from",
        "counted",
        "flat",
        "function",
        "kernel",
        "label",
        "name",
        "named_first",
        "node_type",
        "saves",
        "warm",
    )

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        *,
        label: str | None = None,
        check: Callable[..., None] | None = None,
        counted: int | None = None,
        constants_from: int | None = None,
        saves: tuple[int, ...] = (),
        named_first: tuple[int, ...] = (),
        flat: bool = False,
    ) -> None:
        self.flat = flat
        self.name = name
        self.function = function
        self.label = label or name
        self.check = check
        self.counted = counted
        self.constants_from = constants_from
        self.saves = saves
        self.named_first = named_first
        self.kernel = jax.jit(function)
        self.node_type = node_type(self.label)
        self.warm: set[tuple[Aval, ...]] = set()
        self._types: dict[tuple[Aval, ...], tuple[Aval, ...]] = {}
        self._rules: dict[tuple, Any] = {}
        self._derived: dict[tuple, Any] = {}

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    def types(self, avals: tuple[Aval, ...]) -> tuple[Aval, ...]:
        """The types of the outputs, found by tracing the function once for each choice of input types."""
        known = self._types.get(avals)
        if known is None:
            if self.check is not None:
                self.check(*avals)
            device = common_device(self.name, avals)
            structs = [aval.struct for aval in avals]
            out = with_wide_types(jax.eval_shape, self.kernel, *structs)
            known = tuple(Aval(leaf.shape, leaf.dtype, device) for leaf in as_tuple(out))
            _remember(self._types, avals, known)
        return known

    def rule(self, avals: tuple[Aval, ...], needed: tuple[bool, ...]) -> "Rule | None":
        """How a gradient flows back through this op, for these input types and inputs differentiated; None: it flows not."""
        if True not in needed:
            return None
        key = (avals, needed)
        known = self._rules.get(key, _UNKNOWN)
        if known is _UNKNOWN:
            flows = any(aval.inexact for aval in self.types(avals))
            known = self._flowing(Rule(self, avals, needed)) if flows else None
            _remember(self._rules, key, known)
        return known

    def _flowing(self, rule: "Rule") -> "Rule | None":
        """A rule without the inputs that no gradient can flow to; None where it flows nowhere."""
        return rule

    def batched(self, axes: tuple[int | None, ...]) -> "Op":
        """The op for batches: `jax.vmap` of it over these axes of its arguments; results are batches along axis 0."""
        known = self._derived.get(axes)
        if known is None:
            known = Op(f"{self.name}_vmap", jax.vmap(self.function, axes), label=self.label)
            _remember(self._derived, axes, known)
        return known

    def jvp(self, avals: tuple[Aval, ...], given: tuple[bool, ...]) -> "JvpOp | None":
        """The op that gives the tangents of the floating and complex outputs; None where there are none.

        Args:
            avals: the types of the arguments.
            given: for each argument, whether it has a tangent; the others' count as zero.
        """
        if not any(aval.inexact for aval in self.types(avals)):
            return None
        known = self._derived.get((avals, given))
        if known is None:
            known = JvpOp(self, avals, given)
            _remember(self._derived, (avals, given), known)
        return known


class Rule:
    """How a gradient flows back through an op, for one choice of input types and inputs differentiated.

    Attributes:
        outputs, count: the types of the op's outputs, and how many they are.
        wants: which inputs a gradient flows to.
        full: the way back where a cotangent of every output is given.
        saves: which inputs it needs the values of.
        saved_edges: for each of these, which of the node's edges it came by; -1 for an input without.
        make: makes the graph node of one call of the op, from its arguments and its place.
    """

    __slots__ = (
        "_vjps",
        "avals",
        "count",
        "full",
        "make",
        "needed",
        "node_type",
        "op",
        "outputs",
        "saved_edges",
        "saves",
        "wants",
    )

    def __init__(self, op: Op, avals: tuple[Aval, ...], needed: tuple[bool, ...]) -> None:
        self.op = op
        self.avals = avals
        self.needed = needed
        self.node_type = op.node_type
        self.outputs = op.types(avals)
        self.wants = tuple(k for k, need in enumerate(needed) if need)
        self.count = len(self.outputs)
        self._vjps: dict[tuple[bool, ...], VjpOp] = {}
        self.full = self.vjp(tuple(t.inexact for t in self.outputs))
        self.saves: tuple[int, ...] = self.full.uses
        if op.constants_from is not None and self.saves:
            constants = range(len(avals))[op.constants_from :]
            if all(k in constants for k in self.saves):
                self.node_type = node_type(op.label, KeepingNode)
        self.saved_edges = tuple(self.wants.index(k) if k in self.wants else -1 for k in self.saves)
        self.make = maker(self)

    def vjp(self, given: tuple[bool, ...]) -> "VjpOp":
        """The op `(*inputs it uses, *cotangents given) -> cotangents of the inputs that want one`.

        Args:
            given: for each output, whether a cotangent of it is given; the others count as zero.
        """
        known = self._vjps.get(given)
        if known is None:
            known = self._vjps[given] = VjpOp(self, given)
        return known


class VjpOp(Op):
    """The backward of an op.

    Attributes:
        uses: which of the op's inputs it takes, before the cotangents.
        gives: for each input that wants a gradient, whether it gives one; of the others it is zero, whatever arrives.
    """

    __slots__ = ("gives", "uses")

    def __init__(self, rule: Rule, given: tuple[bool, ...]) -> None:
        cotangents = [t for t, g in zip(rule.outputs, given, strict=True) if g]
        kept = [k % len(rule.avals) for k in rule.op.saves if k < 0 or rule.needed[k]]
        pull = partial(_pull_back, rule, given)
        self.gives = (True,) * len(rule.wants)
        if isinstance(rule.op, VjpOp) and not rule.op.flat:
            self.gives = _depending(pull, rule.avals, cotangents)
        if False in self.gives:
            pull = partial(_only, self.gives, pull)
        self.uses, function = _of_used(pull, rule.avals, cotangents, kept)
        super().__init__(
            f"{rule.op.name}_vjp",
            function,
            label=f"{rule.op.label}Backward",
            check=partial(_check_cotangents, rule.op.label, cotangents),
            flat=rule.op.flat,
        )

    def _flowing(self, rule: Rule) -> Rule | None:
        gives = rule.full.gives
        if False not in gives:
            return rule
        flowing = [k for k, gives_one in zip(rule.wants, gives, strict=True) if gives_one]
        needed = tuple([k in flowing for k in range(len(rule.avals))])
        return Rule(self, rule.avals, needed) if flowing else None

    def spread(self, gradients: Sequence[Any]) -> list[Any]:
        """What it gave, with None for the inputs that it gives nothing for."""
        rest = iter(gradients)
        return [next(rest) if gives_one else None for gives_one in self.gives]


def _depending(
    pull: Callable[..., Any], avals: Sequence[Aval], cotangents: Sequence[Aval]
) -> tuple[bool, ...]:
    """Which gradients depend on a cotangent. They are linear in the cotangents, so all others are zero."""
    structs = [aval.struct for aval in (*avals, *cotangents)]
    jaxpr = with_wide_types(jax.make_jaxpr(pull), *structs).jaxpr
    count = len(jaxpr.outvars)
    return tuple(
        any(partial_eval.dce_jaxpr(jaxpr, [j == k for j in range(count)])[1][len(avals) :])
        for k in range(count)
    )


def _only(wanted: tuple[bool, ...], function: Callable[..., Any], *args: Any) -> tuple:
    return tuple(compress(function(*args), wanted))


def _check_cotangents(label: str, wanted: Sequence[Aval], *avals: Aval) -> None:
    """Check that cotangents are of the types of the outputs, which somebody may have changed behind the graph's back.

    Raises:
        RuntimeError: one has another shape or dtype.
    """
    for position, (aval, given) in enumerate(zip(reversed(wanted), reversed(avals), strict=False)):
        if (aval.shape, aval.dtype) != (given.shape, given.dtype):
            what = f"got {list(given.shape)} but expected shape compatible with {list(aval.shape)}"
            if given.shape == aval.shape:
                what = f"expected dtype {aval.dtype} but got dtype {given.dtype}"
            raise RuntimeError(
                f"Function {label} was given an invalid gradient at index {len(wanted) - 1 - position} - {what}"
            )


class JvpOp(Op):
    """The forward derivative of an op; `uses` tells which of the op's inputs it takes, before the tangents."""

    __slots__ = ("uses",)

    def __init__(self, op: Op, avals: tuple[Aval, ...], given: tuple[bool, ...]) -> None:
        outputs = op.types(avals)
        wants = [k for k, have in enumerate(given) if have]

        def full(*args: Any) -> Any:
            inputs, tangents = args[: len(avals)], args[len(avals) :]

            def of_wanted(*wanted: Any) -> tuple:
                merged = list(inputs)
                for k, array in zip(wants, wanted, strict=True):
                    merged[k] = array
                return as_tuple(op.function(*merged))

            with _tracing(True):
                _, carried = jax.jvp(of_wanted, tuple(inputs[k] for k in wants), tangents)
            kept = tuple(t for t, aval in zip(carried, outputs, strict=True) if aval.inexact)
            return kept if len(kept) > 1 else kept[0]

        uses, function = _of_used(full, avals, [avals[k] for k in wants])
        self.uses = uses
        super().__init__(f"{op.name}_jvp", function, label=op.label)


def _of_used(
    full: Callable[..., Any], avals: Sequence[Aval], others: Sequence[Any], kept: Sequence[int] = ()
) -> tuple[tuple[int, ...], Callable[..., Any]]:
    """Which of the first arguments a function reads or is to have, and the function of these and of the others."""
    structs = [aval.struct for aval in (*avals, *others)]
    jaxpr = with_wide_types(jax.make_jaxpr(full), *structs).jaxpr
    # Most derivatives read few of the op's inputs; what they do not read need not be kept.
    _, used = partial_eval.dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars))
    uses = tuple(k for k in range(len(avals)) if used[k] or k in kept)

    def function(*args: Any) -> Any:
        inputs: list[Any] = [jnp.zeros(aval.shape, aval.dtype) for aval in avals]
        for k, array in zip(uses, args, strict=False):
            inputs[k] = array
        return full(*inputs, *args[len(uses) :])

    return uses, function


def _pull_back(rule: Rule, given: tuple[bool, ...], *args: Any) -> tuple:
    inputs, cotangents = args[: len(rule.avals)], iter(args[len(rule.avals) :])

    def of_wanted(*wanted: Any) -> tuple:
        merged = list(inputs)
        for k, array in zip(rule.wants, wanted, strict=True):
            merged[k] = array
        return as_tuple(rule.op.function(*merged))

    with _tracing(False):
        _, pullback = jax.vjp(of_wanted, *(inputs[k] for k in rule.wants))
    gradients = pullback(
        tuple(
            _conjugate(next(cotangents))
            if have
            else np.zeros(t.shape, t.dtype if t.inexact else jax.dtypes.float0)
            for have, t in zip(given, rule.outputs, strict=True)
        )
    )
    return tuple(_conjugate(gradient) for gradient in gradients)


def _conjugate(array: Any) -> Any:
    """The complex conjugate: JAX's complex gradients are the conjugates of those that descend. A zero stays above."""
    return jax.lax.complex(array.real, 0 - array.imag) if array.dtype.kind == "c" else array


def as_tuple(outputs: Any) -> tuple:
    """What a function returned, as a tuple also where it is one array."""
    return tuple(outputs) if isinstance(outputs, (tuple, list)) else (outputs,)


def _remember(cache: dict, key: Any, entry: Any, limit: int = 1024) -> None:
    """Put `entry` in a cache that starts anew rather than grow past `limit`."""
    if len(cache) >= limit:
        cache.clear()
    cache[key] = entry


def common_device(name: str, avals: Sequence[Aval]) -> Any:
    """The one device that the arguments are bound to, None where they are bound to none.

    Raises:
        DeviceMismatchError: they are bound to different ones.
    """
    devices = {aval.device for aval in avals if aval.device is not None}
    if len(devices) > 1:
        where = ", ".join(sorted(map(str, devices)))
        raise DeviceMismatchError(f"{name}: expected all arrays on the same device, found {where}")
    return next(iter(devices), None)


# The ops that differentiation itself needs.
add = Op("add", jnp.add, label="AddBackward0")
ones_like = Op("ones_like", jnp.ones_like)
zeros_like = Op("zeros_like", jnp.zeros_like)
