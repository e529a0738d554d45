"""Calling and compiling functions of arrays with 64-bit types as they are, whatever JAX is set to or doing."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np

from funcgrad.engine.kernels import equations
from funcgrad.engine.settings import settings
from funcgrad.engine.values import (
    META,
    Absent,
    Aval,
    Value,
    in_memory,
    is_tracer,
    wide,
    with_wide_types,
)
from funcgrad.strictness import lenient


def concrete(function: Callable[..., Any], arrays: list[Any]) -> list[Any]:
    """Call a function on arrays with 64-bit types as they are, and at once even while JAX traces something else."""
    outputs = with_wide_types(function, *arrays)
    return at_once(function, arrays) if outputs and is_tracer(outputs[0]) else outputs


def at_once(function: Callable[..., Any], arrays: Sequence[Any]) -> Any:
    """Call a function on arrays while JAX traces something else, without being traced."""
    with jax.core.eval_context():
        return with_wide_types(function, *arrays)


forked = False  # whether nothing can be computed in this process; see `forking`


def placed(array: Any, device: Any = None, *, copy: bool = True) -> Any:
    """An array or number as JAX's, on a device if one is given; a constant also where JAX traces something else.

    Args:
        array: the array or number.
        device: the device.
        copy: whether it must not share memory with `array`.
    """
    if forked:
        return np.array(array)
    with jax.enable_x64(True), jax.core.eval_context(), lenient():
        if copy:
            # NumPy copies at once; JAX compiles a program for each shape. So does `jnp.asarray`.
            array = jnp.array(array) if isinstance(array, jax.Array) else np.array(array)
        return jax.device_put(array, device)


def copied(array: Any, device: Any = None) -> Value:
    """A value with a copy of an array's or number's elements, on a device if one is given.

    In the CPU's memory it is NumPy's array: `recording` makes it JAX's where programs are to read it.
    """
    if device is META:
        aval = Aval(np.shape(array), array.dtype, META)
        return Value(Absent(aval), aval)
    if forked or (settings.core and in_memory(device) and not _elsewhere(array)):
        made = np.array(array)
        return Value(made, Aval(made.shape, made.dtype, device))
    return Value.of(placed(array, device))


def _elsewhere(array: Any) -> bool:
    return isinstance(array, jax.Array) and (
        len(array.devices()) > 1 or not all(map(in_memory, array.devices()))
    )


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

    return functools.partial(wide, jitted)


def _has_wide_types(jaxpr: Any) -> bool:
    """Whether a 64-bit type occurs anywhere in a jaxpr."""
    atoms = [*jaxpr.invars, *jaxpr.constvars]
    for equation in equations(jaxpr):
        atoms += [*equation.invars, *equation.outvars]
    return any(getattr(atom.aval, "dtype", None) in _WIDE for atom in atoms)
