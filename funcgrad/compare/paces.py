"""How long both sides of a comparison take: each as it is written, and a side in JAX under `jax.jit` too."""

import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any

import jax

from funcgrad.compare.inputs import make_inputs
from funcgrad.compare.libraries import make_sides
from funcgrad.compare.referring import JAX
from funcgrad.compare.sides import Derivatives, Side
from funcgrad.compare.timings import Speed, speed

ROUNDS = 10


def time_both(
    reference: Callable[..., Any],
    candidate: Callable[..., Any],
    args: tuple[Any, ...],
    device: str | None = None,
) -> Speed | None:
    """Time two functions, given the same arrays, each with its own library.

    A call that is timed gets tensors of its own, so that a step may change them in place. A function in JAX is timed as it is
    written, and compiled.

    Args:
        reference, candidate: the functions.
        args: pytrees of arrays.
        device: as for `parity`.

    Returns:
        None where a side cannot be called: a report says why.

    >>> import jax.numpy as jnp, numpy as np
    >>> import funcgrad.torch as torch
    >>> times = time_both(lambda x: torch.exp(x), lambda x: jnp.exp(x), (np.ones(3),))
    >>> [each.name for each in times.timings]
    ['<lambda> (the shim)', '<lambda> (JAX)', 'jax.jit(<lambda>)']
    """
    inputs = make_inputs(reference, args)
    cases: dict[str, Callable[[], Any]] = {}

    def add(name: str, call: Callable[[], Any]) -> None:
        role = "reference" if not cases else "candidate"
        cases[name if name not in cases else f"{name}, {role}"] = call

    try:
        for side in make_sides(
            reference, candidate, inputs, Derivatives(order=0), device, may_change=True
        ):
            add(side.name, side.call(inputs))
            if side.kind != JAX:
                continue
            compiled = Side(side.role, JAX, jax.jit(partial(side.function)), side.device, [])
            with contextlib.suppress(Exception):  # its control flow may depend on values
                call = compiled.call(inputs)
                call()
                add(f"jax.jit({side.name.removesuffix(' (JAX)')})", call)
        return speed(cases, rounds=ROUNDS)
    except Exception:  # whatever a function raises, the report has it already
        return None
