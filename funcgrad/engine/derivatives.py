"""How gradients and tangents flow through an op: its rule, the ops that its derivatives are, and the nodes it leaves behind.

No derivative is written by hand. The backward of op `f` is another op, `jax.vjp` of `f`, and its tangents are a third,
`jax.jvp` of `f`. So gradients of gradients need nothing more.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, partial
from itertools import compress
from threading import RLock
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax.extend.core import Literal, jaxpr_as_fun
from jax.interpreters import partial_eval

from funcgrad.engine.fingerprints import NoFingerprintError
from funcgrad.engine.kernels import Kernel
from funcgrad.engine.meshes import inside_mesh, varied, varying
from funcgrad.engine.nodes import GraphNode, Packed, Saved, Variable, fixed, sequence
from funcgrad.engine.ops import Op, by_hand, common_device, remember
from funcgrad.engine.templates import Pattern, Template, pattern_of, structs_of
from funcgrad.engine.tracing import as_tuple, jaxpr_of
from funcgrad.engine.values import Aval, Slot, Value

_UNKNOWN = object()
# Held while an op is made complete: another thread may ask for the same part.
_completing = RLock()

# True while a function is traced for its tangents. PyTorch's gradient of some ops is not the transpose of their tangent.
pushing = ContextVar("pushing", default=False)


@contextmanager
def _tracing(mode: bool) -> Iterator[None]:
    token = pushing.set(mode)
    try:
        yield
    finally:
        pushing.reset(token)


def rule_of(op: Op, avals: tuple[Aval, ...], needed: tuple[bool, ...]) -> "Rule | None":
    """How a gradient flows back through an op, for these input types and inputs differentiated; None if no gradient flows."""
    if True not in needed:
        return None
    key = (avals, needed)
    known = op.rules.get(key, _UNKNOWN)
    if known is _UNKNOWN:
        known = _found_rule(op, avals, needed)
        remember(op.rules, key, known)
    return known


def _found_rule(op: Op, avals: tuple[Aval, ...], needed: tuple[bool, ...]) -> "Rule | None":
    pattern, _ = pattern_of(avals)
    model = op.rules.get((pattern, needed))
    if model is not None:
        return Rule(op, avals, model.needed, model)
    if not any(aval.inexact for aval in op.types(avals)):
        return None
    rule = _flowing(Rule(op, avals, needed))
    if rule is not None and rule.full.lengths:
        remember(op.rules, (pattern, needed), rule)
    return rule


def _flowing(rule: "Rule") -> "Rule | None":
    """A rule without the inputs that no gradient can flow to; None if no gradient flows."""
    gives = rule.full.gives
    if not isinstance(rule.op, VjpOp) or False not in gives:
        return rule
    flowing = [k for k, gives_one in zip(rule.wants, gives, strict=True) if gives_one]
    needed = tuple([k in flowing for k in range(len(rule.avals))])
    return Rule(rule.op, rule.avals, needed) if flowing else None


def jvp_of(op: Op, avals: tuple[Aval, ...], given: tuple[bool, ...]) -> "JvpOp | None":
    """The op that gives the tangents of the floating and complex outputs; None where there are none.

    Args:
        op: the op to differentiate.
        avals: the types of the arguments.
        given: for each argument, whether it has a tangent; the others' count as zero.
    """
    if not any(aval.inexact for aval in op.types(avals)):
        return None
    known = op.derived.get((avals, given))
    if known is None:
        known = JvpOp(op, avals, given)
        remember(op.derived, (avals, given), known)
    return known


class Node(GraphNode):
    """The node an op leaves behind. Each op has a subclass of its own, named as its label says.

    Attributes:
        rule: how gradients flow through the op.
        residuals: how the op was divided, and the residuals; None where it was not. See `residuals`.
    """

    __slots__ = ("rule",)

    rule: "Rule"
    residuals: Any = None

    def fix(self, modified: bool = False) -> None:
        """Go on with the very values that were saved."""
        if self.saved:
            self.saved = tuple([fixed(entry, modified) for entry in self.saved])

    @property
    def outputs(self) -> int:
        """How many outputs the op had that left this node behind."""
        return self.rule.count

    @property
    def types(self) -> tuple[Aval | None, ...]:
        """The types of these outputs."""
        return self.rule.outputs


class KeepingNode(Node):
    """The node of an op whose way back needs constants only, such as an offset: a walk has nothing to free."""

    __slots__ = ("kept",)

    kept: Saved

    @property
    def saved(self) -> Saved:
        """The constants."""
        return self.kept

    @saved.setter
    def saved(self, saved: Saved | None) -> None:
        if saved is not None:
            self.kept = saved


class ResidualNode(Node):
    """The node of an op that keeps residuals. They go with the saved values, and where one of these is handed away."""

    __slots__ = ("kept", "residuals")

    kept: Saved | None

    @property
    def saved(self) -> Saved | None:
        """As another node's."""
        return self.kept

    @saved.setter
    def saved(self, saved: Saved | None) -> None:
        self.kept = saved
        if saved is None or any(isinstance(value, Packed) for value, *_ in saved):
            self.residuals = None


def node_type(label: str, base: type[Node] = Node) -> type[Node]:
    """A class of nodes named `label`."""
    return type(label, (base,), {"__slots__": (), "__module__": "builtins"})


def node_type_of(op: Op) -> type[Node]:
    """The class of an op's nodes; each op has one of its own."""
    if op.node_type is None:
        op.node_type = node_type(op.label)
    return op.node_type


Make = Callable[[Sequence[Variable], Sequence[Value], Sequence[GraphNode | None], Slot], Node]


def maker(rule: "Rule") -> Make:
    """The function that makes an op's node from its arguments, their values and nodes, and its place in the trace.

    Values and nodes are those that were recorded: another thread may write to an argument meanwhile.

    Making nodes is a good part of what recording costs, so there is one function for each pattern
    of arguments saved and arguments that want a gradient: `exec` unrolls the loops over both.
    """
    keeps = issubclass(rule.node_type, ResidualNode)
    return _maker(rule.saves, rule.wants, keeps)(rule, rule.node_type)


@cache
def _maker(
    saves: tuple[int, ...], wants: tuple[int, ...], keeps: bool
) -> Callable[[Any, Any], Make]:
    saved = ", ".join(f"(v{k} := values[{k}], s{k}, s{k}.version, v{k})" for k in saves)
    edges = ", ".join(f"(nodes[{k}], arguments[{k}]._nr)" for k in wants)
    storages = "".join(f"        s{k} = arguments[{k}]._storage\n" for k in saves)
    source = (
        "def maker(rule, kind):\n"
        "    def make(arguments, values, nodes, slot):\n"
        "        node = new(kind)\n"
        f"{storages}"
        "        node.rule = rule\n"
        f"{'        node.residuals = None' if keeps else ''}\n"
        f"        node.saved = ({saved}{',' if saved else ''})\n"
        f"        node.edges = ({edges}{',' if edges else ''})\n"
        "        node.sequence = next(sequence)\n"
        "        node.slot = slot\n"
        "        return node\n"
        "    return make\n"
    )
    scope = {"new": object.__new__, "sequence": sequence}
    exec(source, scope)
    return scope["maker"]  # type: ignore[return-value]


class Rule:
    """How a gradient flows back through an op, for one choice of input types and inputs differentiated.

    Attributes:
        outputs, count: the types of the op's outputs, and how many they are.
        wants: which inputs a gradient flows to.
        full: the way back where a cotangent of every output is given.
        saves: the inputs whose values it needs.
        saved_edges: for each of these, which of the node's edges it came by; -1 for an input without.
        make: makes the graph node of one call of the op, from its arguments and its place.
        split: how the op and a way back of it are divided, where they are; see `residuals`.

    Args:
        op, avals, needed: these.
        model: the rule for other lengths of the same pattern, if there is one. All but the types is the same, and its ways back
            are made anew only when they are called.
    """

    __slots__ = (
        "_model",
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
        "split",
        "wants",
    )

    full: "VjpOp"
    node_type: type[Node]
    wants: tuple[int, ...]
    count: int
    saves: tuple[int, ...]
    saved_edges: tuple[int, ...]

    def __init__(
        self,
        op: Op,
        avals: tuple[Aval, ...],
        needed: tuple[bool, ...],
        model: "Rule | None" = None,
    ) -> None:
        self.op = op
        self.avals = avals
        self.needed = needed
        self.outputs = op.types(avals)
        self._vjps: dict[tuple[bool, ...], VjpOp] = {}
        self._model = model
        self.split: Any = None
        if model is not None:
            self.node_type, self.wants, self.count = model.node_type, model.wants, model.count
            self.saves, self.saved_edges = model.saves, model.saved_edges
            self.make = maker(self)
            return
        self.node_type = node_type_of(op)
        self.wants = tuple(k for k, need in enumerate(needed) if need)
        self.count = len(self.outputs)
        self.full = self._whole_way()
        self.saves = self.full.uses
        if op.constants_from is not None and self.saves:
            constants = range(len(avals))[op.constants_from :]
            if all(k in constants for k in self.saves):
                self.node_type = node_type(op.label, KeepingNode)
        self.saved_edges = tuple(self.wants.index(k) if k in self.wants else -1 for k in self.saves)
        self.make = maker(self)

    def __getattr__(self, name: str) -> Any:
        """The whole way back, where the rule has a model: it is made when a walk first needs it."""
        if name != "full":
            raise AttributeError(name)
        self.full = self._whole_way()
        return self.full

    def _whole_way(self) -> "VjpOp":
        return self.vjp(tuple([t.inexact for t in self.outputs]))

    def vjp(self, given: tuple[bool, ...]) -> "VjpOp":
        """The op `(*inputs it uses, *cotangents given) -> cotangents of the inputs that want one`.

        Args:
            given: for each output, whether a cotangent of it is given; the others count as zero.
        """
        known = self._vjps.get(given)
        if known is None:
            model = None if self._model is None else self._model._vjps.get(given)
            known = self._vjps[given] = VjpOp(self, given, model)
        return known


class VjpOp(Op):
    """The backward of an op.

    Attributes:
        uses: which of the op's inputs it takes, before the cotangents.
        gives: for each input that wants a gradient, whether it gives one; the others' gradient is zero, whatever arrives.
        again: whether it computes long steps of the op again.
        way, lengths: the template it is made of, and the lengths in it; none where the template is for these types alone.
        follows: it is called on what the op was given and gave.

    Args:
        rule: how gradients flow through the op.
        given: for each output of the op, whether a cotangent of it is given. Both are attributes, too.
        model: the same for other lengths.
    """

    __slots__ = ("_complete", "again", "given", "gives", "lengths", "rule", "uses", "way")
    follows: ClassVar[bool] = True
    way: Template
    lengths: tuple[int, ...]
    uses: tuple[int, ...]
    gives: tuple[bool, ...]
    again: bool

    def __init__(self, rule: Rule, given: tuple[bool, ...], model: "VjpOp | None" = None) -> None:
        self.rule, self.given, self.calls = rule, given, {}
        self._complete = False
        if model is not None and model.lengths:
            self.way, self.lengths = model.way, pattern_of(rule.avals)[1]
            self.uses, self.gives, self.again = model.uses, model.gives, model.again
            return
        self.way, self.lengths = self._found(rule, given, partial(self._of, rule, given))
        self.uses, self.gives, self.again = self.way.notes
        self._make_complete()

    def __getattr__(self, name: str) -> Any:
        """Whatever an op has besides: for other lengths than its model's it is made when it is first asked for."""
        self._make_complete()
        return object.__getattribute__(self, name)

    def _make_complete(self) -> None:
        with _completing:
            if not self._complete:
                self._make_rest()
                self._complete = True

    def _make_rest(self) -> None:
        of, way, calls = self.rule.op, self.way, self.calls
        cotangents = list(compress(self.rule.outputs, self.given))
        whole = way.closed is not None and not self.lengths
        traced = partial(_of_uses, way.notes, self.rule, self.given)
        super().__init__(
            f"{of.name}_vjp",
            _calling(way.closed, traced) if whole else traced,
            label=f"{of.label}Backward",
            check=partial(_check_cotangents, of.label, cotangents),
            flat=of.flat,
        )
        self.calls = calls
        avals = self._taken()
        self.learn(avals, way, self.lengths, common_device(self.name, avals))

    def _taken(self) -> tuple[Aval, ...]:
        avals = self.rule.avals
        return (*[avals[k] for k in self.uses], *compress(self.rule.outputs, self.given))

    def fit(self, avals: tuple[Aval, ...]) -> tuple[tuple[Aval, ...], Kernel | None]:
        """See `Op.fit`. It is made for one choice of types."""
        pattern = pattern_of(self.rule.avals)[0]
        if not self.lengths or pattern.devices or avals != self._taken():
            return self.types(avals), self.numpy_kernel(avals)
        return self.way.types(self.lengths, None), self.way.kernel(self.lengths)

    @staticmethod
    def _of(rule: Rule, given: tuple[bool, ...], of: Any) -> str | None:
        return rule.op.key("vjp", rule.needed, given, of)

    @staticmethod
    def _found(
        rule: Rule, given: tuple[bool, ...], key: Callable[..., str | None]
    ) -> tuple[Template, tuple[int, ...]]:
        """The template of the way back, and the lengths in it."""
        pattern, lengths = pattern_of(rule.avals)
        way = rule.op.templates.find(
            pattern,
            lengths,
            lambda: Template.kept(key(pattern), partial(_template, rule, given, pattern, lengths)),
            (rule.needed, given),
        )
        if way is None:
            way, lengths = Template.kept(key(rule.avals), partial(_of_one, rule, given)), ()
            assert way is not None
        return way, lengths

    def fingerprint(self) -> str:
        """That of the op, and which gradients it gives."""
        found = self._of(self.rule, self.given, self.rule.avals)
        if found is None:
            raise NoFingerprintError
        return found

    def spread(self, gradients: Sequence[Any]) -> list[Any]:
        """The gradients that it gave, with None for the inputs that it gives none for."""
        rest = iter(gradients)
        return [next(rest) if gives_one else None for gives_one in self.gives]


def _way_back(
    rule: Any,
    given: tuple[bool, ...],
    forward: Any,
    avals: Sequence[Any],
    cotangents: Sequence[Any],
    symbols: int = 0,
) -> Template:
    """The way back of an op, whose jaxpr is `forward`, for types that may have symbols for lengths.

    Its jaxpr is from the inputs used and the cotangents. Its notes are `uses`, `gives` and `again` of a `VjpOp`.
    """
    function = rule.op.function if by_hand(forward) else jaxpr_as_fun(forward)
    pull = partial(_pull_back, function, rule, given)
    closed = jaxpr_of(pull, (*avals, *cotangents))
    gives = (True,) * len(rule.wants)
    if isinstance(rule.op, VjpOp) and not rule.op.flat:
        gives = _depending(closed.jaxpr, len(avals))
    kept = [k % len(avals) for k in rule.op.saves if k < 0 or rule.needed[k]]
    uses, closed = _of_used(closed, len(avals), gives, kept)
    again = not isinstance(rule.op, VjpOp) and _long_again(closed.jaxpr, len(uses))
    return Template(closed, symbols, (uses, gives, again))


def _of_one(rule: "Rule", given: tuple[bool, ...]) -> Template:
    """The way back for one choice of types."""
    cotangents = list(compress(rule.outputs, given))
    return _way_back(rule, given, rule.op.jaxpr(rule.avals), rule.avals, cotangents)


def _template(
    rule: "Rule", given: tuple[bool, ...], pattern: Pattern, lengths: tuple[int, ...]
) -> Template | None:
    """The way back with symbols for lengths; None where the op asks too much of a length."""
    template = rule.op.template(pattern, lengths)
    if template is None or not all(given):
        return None
    avals = structs_of(pattern)
    try:
        forward = template.closed or jaxpr_of(rule.op.function, avals)
        return _way_back(rule, given, forward, avals, forward.out_avals, len(pattern.symbols))
    except Exception:  # whatever it is: traced with numbers, it raises again or does not
        return None


def _of_uses(
    notes: tuple[tuple[int, ...], tuple[bool, ...], bool],
    rule: "Rule",
    given: tuple[bool, ...],
    *args: Any,
) -> Any:
    """The way back as a function that JAX traces, where its jaxpr is not there."""
    uses, gives, _ = notes
    inputs = _with_unused(rule.avals, uses, args)
    gradients = _pull_back(rule.op.function, rule, given, *inputs, *args[len(uses) :])
    return tuple(compress(gradients, gives))


def _with_unused(avals: Sequence[Aval], uses: Sequence[int], args: Sequence[Any]) -> list[Any]:
    """An op's inputs, of which the first arguments of a derivative are those that it uses, with zeros for the others."""
    axes, used = varying(*args), dict(zip(uses, args, strict=False))
    return [
        used[k] if k in used else varied(jnp.zeros(aval.shape, aval.dtype), axes)
        for k, aval in enumerate(avals)
    ]


def _depending(jaxpr: Any, inputs: int) -> tuple[bool, ...]:
    """Which gradients depend on a cotangent. They are linear in the cotangents, so all others are zero."""
    count = len(jaxpr.outvars)
    return tuple(
        any(partial_eval.dce_jaxpr(jaxpr, [j == k for j in range(count)])[1][inputs:])
        for k in range(count)
    )


# Steps that take as long as reading and writing their arrays does, or no time at all.
# fmt: off
_SHORT = frozenset(
    [
        "abs", "add", "add_any", "and", "broadcast_in_dim", "ceil", "clamp", "concatenate",
        "convert_element_type", "copy", "copy_p", "div", "eq", "expand_dims", "floor", "ge", "gt",
        "integer_pow", "iota", "is_finite", "le", "lt", "max", "min", "mul", "ne", "neg", "not", "or", "pad",
        "reduce_precision", "reshape", "rev", "round", "select_n", "sign", "slice", "split", "square",
        "squeeze", "stop_gradient", "sub", "transpose", "xor",
    ]
)
# fmt: on


def is_long(equation: Any) -> bool:
    """Whether a step takes longer than reading and writing its arrays."""
    return equation.primitive.name not in _SHORT


def _long_again(jaxpr: Any, inputs: int) -> bool:
    """Whether there are long steps that need none of the cotangents."""
    following = set(jaxpr.invars[inputs:])
    for equation in jaxpr.eqns:
        if any(each in following for each in equation.invars if not isinstance(each, Literal)):
            following.update(equation.outvars)
        elif is_long(equation):
            return True
    return False


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
            return tuple(t for t, aval in zip(carried, outputs, strict=True) if aval.inexact)

        tangents = [avals[k] for k in wants]
        closed = jaxpr_of(full, (*avals, *tangents))
        self.uses, closed = _of_used(closed, len(avals), [True] * len(closed.out_avals))
        uses = self.uses

        def traced(*args: Any) -> tuple:
            return full(*_with_unused(avals, uses, args), *args[len(uses) :])

        super().__init__(f"{op.name}_jvp", _calling(closed, traced), label=op.label)
        types = (*[avals[k] for k in self.uses], *tangents)
        self.learn(types, Template(closed), (), common_device(self.name, types))


def _of_used(
    closed: Any, inputs: int, wanted: Sequence[bool], kept: Sequence[int] = ()
) -> tuple[tuple[int, ...], Any]:
    """Which of a jaxpr's first arguments it reads or is to have, and the jaxpr of these and of the others for some outputs."""
    # Most derivatives read few of the op's inputs; the others need not be kept.
    jaxpr = closed.jaxpr
    needed, used = partial_eval.dce_jaxpr(jaxpr, list(wanted))
    uses = tuple(k for k in range(inputs) if used[k] or k in kept)
    invars = [jaxpr.invars[k] for k in uses] + jaxpr.invars[inputs:]
    debug_info = jaxpr.debug_info._replace(arg_names=None, result_paths=None)
    return uses, closed.replace(jaxpr=needed.replace(invars=invars, debug_info=debug_info))


def calling(closed: Any) -> Callable[..., tuple]:
    """The function of a jaxpr."""
    run = jaxpr_as_fun(closed)
    return lambda *args: tuple(run(*args))


def _calling(closed: Any, traced: Callable[..., tuple]) -> Callable[..., tuple]:
    """The function of a jaxpr; for a mesh, the function that it was traced from, since a jaxpr names no axes."""
    run = calling(closed)
    return lambda *args: traced(*args) if inside_mesh() else run(*args)


def _pull_back(
    function: Callable[..., Any], rule: Rule, given: tuple[bool, ...], *args: Any
) -> tuple:
    inputs, cotangents = args[: len(rule.avals)], args[len(rule.avals) :]

    def of_wanted(*wanted: Any) -> tuple:
        # An output without a cotangent is left out: zero in its place, times an infinite slope, would be NaN.
        return tuple(compress(_of_wanted(function, rule, inputs, wanted), given))

    wanted = [inputs[k] for k in rule.wants]
    arrived = [_conjugate(each) for each in cotangents]
    with _tracing(False):
        gradients = _transposed(of_wanted, wanted, arrived)
    return tuple(_conjugate(gradient) for gradient in gradients)


def _of_wanted(
    function: Callable[..., Any], rule: Rule, inputs: Sequence[Any], wanted: Sequence[Any]
) -> tuple:
    """An op's results, of the inputs with those that want a gradient replaced."""
    merged = list(inputs)
    for k, array in zip(rule.wants, wanted, strict=True):
        merged[k] = array
    return as_tuple(function(*merged))


def forward_and_back(rule: Rule, given: tuple[bool, ...]) -> Callable[..., tuple]:
    """The function from an op's inputs and the cotangents given to its results and the gradients."""

    def both(*args: Any) -> tuple:
        inputs, cotangents = args[: len(rule.avals)], args[len(rule.avals) :]

        def of_wanted(*wanted: Any) -> tuple:
            results = _of_wanted(rule.op.function, rule, inputs, wanted)
            return tuple(compress(results, given)), results

        with _tracing(False):
            wanted = [inputs[k] for k in rule.wants]
            made: Any = jax.vjp(of_wanted, *wanted, has_aux=True)
            _, pull, results = made
            return (*results, *pull(cotangents))

    return both


def _transposed(function: Callable[..., tuple], inputs: list[Any], cotangents: list[Any]) -> Any:
    """`jax.vjp`, as the transpose of `jax.jvp`: traced in half of the time, to the same jaxpr."""

    def tangents(*given: Any) -> list[Any]:
        return list(jax.jvp(function, tuple(inputs), given)[1])

    try:
        return jax.linear_transpose(tangents, *inputs)(cotangents)
    except Exception:  # a function without tangents, such as one with a derivative of its own
        return jax.vjp(function, *inputs)[1](tuple(cotangents))


def _conjugate(array: Any) -> Any:
    """The complex conjugate: JAX's complex gradients are conjugates of PyTorch's. A real number keeps `+0` as its imaginary part."""
    return jax.lax.complex(array.real, 0 - array.imag) if array.dtype.kind == "c" else array
