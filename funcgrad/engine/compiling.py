"""Calling and compiling functions of arrays with 64-bit types as they are, whatever JAX is set to or doing."""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np

from funcgrad.engine.values import is_tracer, with_wide_types
from funcgrad.strictness import lenient


def concrete(function: Callable[..., Any], arrays: list[Any]) -> list[Any]:
    """Call a function on arrays with 64-bit types as they are, and at once even while JAX traces something else."""
    outputs = with_wide_types(function, *arrays)
    return at_once(function, arrays) if outputs and is_tracer(outputs[0]) else outputs


def at_once(function: Callable[..., Any], arrays: list[Any]) -> list[Any]:
    """Call a function on arrays while JAX traces something else, without being traced."""
    with jax.core.eval_context():
        return with_wide_types(function, *arrays)


forked = False  # whether nothing can be computed in this process; see `forking`


def placed(array: Any, device: Any = None) -> Any:
    """A copy of an array or number as JAX's, on a device if one is given; a constant also where JAX traces something else."""
    if forked:
        return np.array(array)
    with jax.enable_x64(True), jax.core.eval_context(), lenient():
        made = jnp.array(array)
        return made if device is None else jax.device_put(made, device)


_WIDE = frozenset(map(np.dtype, ("int64", "uint64", "float64", "complex128")))


def compiled(
    function: Callable[..., Any], arrays: Sequence[Any], options: Any = None
) -> Callable[..., Any]:
    """`function` compiled for arrays like these, with 64-bit types as they are; to be called with arrays.

    JAX takes 64-bit types only inside `jax.enable_x64`, and entering that costs as much as half an op.
    So the function is traced inside it, once, and the compiled one enters it only if it has such types.
    """
    with jax.core.eval_context():
        jaxpr = with_wide_types(jax.make_jaxpr(function), *arrays)
    jitted = jax.jit(jax.extend.core.jaxpr_as_fun(jaxpr), compiler_options=options)
    if not _has_wide_types(jaxpr.jaxpr):
        return jitted

    return functools.partial(with_wide_types, jitted)


def equations(jaxpr: Any) -> Iterator[Any]:
    """All equations of a jaxpr and of those inside it: bodies of loops, branches, functions called."""
    for equation in jaxpr.eqns:
        yield equation
        for inner in jax.extend.core.jaxprs_in_params(equation.params):
            yield from equations(inner)


def _has_wide_types(jaxpr: Any) -> bool:
    """Whether a 64-bit type occurs anywhere in a jaxpr."""
    atoms = [*jaxpr.invars, *jaxpr.constvars]
    for equation in equations(jaxpr):
        atoms += [*equation.invars, *equation.outvars]
    return any(getattr(atom.aval, "dtype", None) in _WIDE for atom in atoms)
