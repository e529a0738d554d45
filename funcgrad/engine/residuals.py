"""Long steps that an op shares with its way back are computed once, where the op is called often.

The way back takes the op's inputs, so that it is an op like any other. It computes again whatever both need: an exponential,
a product of matrices, a loop. Here both are traced as one function. Its steps that need no cotangent run with the op, and
the node keeps the results of the long ones, the residuals, until a walk frees it. A walk that is recorded, hooked or
differentiated takes the whole way back.
"""

from collections.abc import Sequence
from itertools import compress
from typing import Any

from jax.extend.core import Literal
from jax.interpreters import partial_eval

from funcgrad.engine.derivatives import (
    ResidualNode,
    Rule,
    VjpOp,
    calling,
    forward_and_back,
    is_long,
    maker,
    node_type,
)
from funcgrad.engine.ops import Op, common_device
from funcgrad.engine.templates import Template
from funcgrad.engine.tracing import jaxpr_of
from funcgrad.engine.values import Aval

# The steps of a way back for which less than this is saved by fusion, in seconds, are of small arrays: computing them again takes
# no longer than keeping them. A way back that was called so often will be called again.
LEAST, OFTEN = 50e-6, 10


class NothingSharedError(Exception):
    """An op and its way back share no long step, or the way back takes a value that the node does not save."""


class Split:
    """An op and one way back of it, divided so that no long step is computed twice.

    Attributes:
        given: for each output of the op, whether the way back takes a cotangent of it.
        forward: gives the op's results, then the residuals.
        backward: the gradients from saved values, residuals and cotangents.
        saved: which of the node's saved values it takes.

    Args:
        rule: how gradients flow through the op.
        given: as above.

    Raises:
        NothingSharedError: there is nothing to divide.
    """

    def __init__(self, rule: Rule, given: tuple[bool, ...]) -> None:
        self.given = given
        count, outputs = len(rule.avals), len(rule.outputs)
        cotangents = list(compress(rule.outputs, given))
        closed = jaxpr_of(forward_and_back(rule, given), (*rule.avals, *cotangents))
        jaxpr = closed.jaxpr
        residuals, rest = _residuals(jaxpr, jaxpr.invars[count:], jaxpr.outvars[outputs:])
        both = jaxpr.replace(
            invars=jaxpr.invars[:count], outvars=[*jaxpr.outvars[:outputs], *residuals]
        )
        back = jaxpr.replace(
            invars=[*jaxpr.invars[:count], *residuals, *jaxpr.invars[count:]],
            outvars=jaxpr.outvars[outputs:],
            eqns=rest,
        )
        _, read = partial_eval.dce_jaxpr(_plain(back), [True] * len(rule.wants))
        uses = list(compress(range(count), read))
        if not residuals or not set(uses).issubset(rule.saves):
            raise NothingSharedError
        self.saved = [rule.saves.index(k) for k in uses]
        self.forward = _op(rule.op, "forward", closed, both, rule.avals)
        taken = [rule.avals[k] for k in uses]
        taken += [*self.forward.types(rule.avals)[outputs:], *cotangents]
        kept = [jaxpr.invars[k] for k in uses] + back.invars[count:]
        self.backward = _op(rule.op, "backward", closed, back.replace(invars=kept), tuple(taken))


def split(way: VjpOp) -> None:
    """Let an op keep residuals for its way back from now on, where there are any."""
    rule = way.rule
    try:
        made = Split(rule, way.given)
    except NothingSharedError:
        return
    rule.node_type = node_type(rule.op.label, ResidualNode)
    rule.make = maker(rule)
    rule.split = made
    for call in list(rule.op.calls.values()):
        if call.rule is rule:
            call.split = made


def _residuals(
    jaxpr: Any, cotangents: Sequence[Any], gradients: Sequence[Any]
) -> tuple[list[Any], list[Any]]:
    """The results of long steps that gradients need and that need no cotangent; and the steps without these."""
    following = set(cotangents)
    for equation in jaxpr.eqns:
        if any(each in following for each in equation.invars if not isinstance(each, Literal)):
            following.update(equation.outvars)
    needed = {each for each in gradients if not isinstance(each, Literal)}
    residuals, rest = [], []
    for equation in reversed(jaxpr.eqns):
        made = [each for each in equation.outvars if each in needed]
        if made and is_long(equation) and not any(each in following for each in made):
            residuals += made
        elif made:
            rest.append(equation)
            needed.update(each for each in equation.invars if not isinstance(each, Literal))
    return residuals, rest[::-1]


def _op(of: Op, name: str, closed: Any, jaxpr: Any, avals: tuple[Aval, ...]) -> Op:
    """An op of some steps of a jaxpr."""
    needed, _ = partial_eval.dce_jaxpr(_plain(jaxpr), [True] * len(jaxpr.outvars), instantiate=True)
    part = closed.replace(jaxpr=needed)
    made = Op(f"{of.name}_{name}", calling(part), label=of.label)
    made.learn(avals, Template(part), (), common_device(made.name, avals))
    return made


def _plain(jaxpr: Any) -> Any:
    """The jaxpr without the names of its arguments, which do not fit any more."""
    return jaxpr.replace(debug_info=jaxpr.debug_info._replace(arg_names=None, result_paths=None))
