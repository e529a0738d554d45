"""Tracing a function of arrays to a jaxpr, in the least time: code that runs once waits for little else.

`jax.make_jaxpr` looks at signatures and trees and caches, which takes longer than tracing an op. And most of JAX's functions
are compiled ones, so each is a call in the jaxpr, which costs the derivative a trace of its own; here such calls are written
out.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.core
from jax.extend.core import ClosedJaxpr, DebugInfo, Literal, gensym
from jax.extend.linear_util import wrap_init
from jax.interpreters import partial_eval

from funcgrad.engine.values import with_wide_types

_INFO = DebugInfo("op", "op", None, None)


def jaxpr_of(function: Callable[..., Any], types: Sequence[Any]) -> ClosedJaxpr:
    """The jaxpr of a function that returns one array or a tuple of arrays, with 64-bit types as they are.

    Args:
        function: the function.
        types: whatever has the shape and the dtype of each argument; lengths may be symbols.
    """
    avals = [jax.core.ShapedArray(each.shape, each.dtype) for each in types]
    wrapped = wrap_init(lambda *args: as_tuple(function(*args)), debug_info=_INFO)
    jaxpr, _, consts = with_wide_types(partial_eval.trace_to_jaxpr_dynamic, wrapped, avals)
    return _inlined(ClosedJaxpr(jaxpr, consts))


def without_dead(closed: ClosedJaxpr) -> ClosedJaxpr:
    """The same jaxpr without the equations that no output depends on."""
    jaxpr, _ = partial_eval.dce_jaxpr(
        closed.jaxpr, [True] * len(closed.jaxpr.outvars), instantiate=True
    )
    return closed.replace(jaxpr=jaxpr)


def as_tuple(outputs: Any) -> tuple:
    """The outputs of a function as a tuple, also where it returned one array."""
    return tuple(outputs) if isinstance(outputs, (tuple, list)) else (outputs,)


def _inlined(closed: ClosedJaxpr) -> ClosedJaxpr:
    """The same jaxpr with the calls of compiled functions written out."""
    jaxpr = closed.jaxpr
    if not any(equation.primitive.name == "jit" for equation in jaxpr.eqns):
        return closed
    new, equations, constvars, consts = gensym(), [], [*jaxpr.constvars], [*closed.consts]

    def write_out(inner: Any, named: dict[Any, Any]) -> None:
        def name(atom: Any) -> Any:
            return atom if isinstance(atom, Literal) else named.get(atom, atom)

        for equation in inner.eqns:
            given = [name(atom) for atom in equation.invars]
            if equation.primitive.name != "jit":
                if inner is not jaxpr:
                    # One jaxpr may be called several times.
                    named.update((each, new(each.aval)) for each in equation.outvars)
                made = [name(each) for each in equation.outvars]
                equations.append(equation.replace(invars=given, outvars=made))
                continue
            called = equation.params["jaxpr"]
            within = dict(zip(called.jaxpr.invars, given, strict=True))
            for variable, array in zip(called.jaxpr.constvars, called.consts, strict=True):
                within[variable] = new(variable.aval)
                constvars.append(within[variable])
                consts.append(array)
            write_out(called.jaxpr, within)
            for outer, atom in zip(equation.outvars, called.jaxpr.outvars, strict=True):
                named[outer] = atom if isinstance(atom, Literal) else within[atom]

    named: dict[Any, Any] = {}
    write_out(jaxpr, named)
    outvars = [
        each if isinstance(each, Literal) else named.get(each, each) for each in jaxpr.outvars
    ]
    return ClosedJaxpr(jaxpr.replace(constvars=constvars, outvars=outvars, eqns=equations), consts)
