"""Loops over the steps of a sequence: `lax.scan` as a loop of Python around the kernel of one step."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jax.extend.core import ClosedJaxpr

from funcgrad.engine.kernels.source import Written
from funcgrad.engine.kernels.table import NoRuleError, rule

# A step in Python takes some microseconds. For a loop of more steps it pays to compile.
MOST_STEPS = 1000


@rule("scan")
def _(source: Any, equation: Any) -> None:
    params = equation.params
    body, length = params["jaxpr"], params["length"]
    constants, carried = counts(params)
    closed = ClosedJaxpr(getattr(body, "jaxpr", body), getattr(body, "consts", ()))
    if any(each.primitive.name == "scan" for each in closed.jaxpr.eqns):
        raise NoRuleError
    written = Written.of(closed)
    if written is None:
        raise NoRuleError

    step = f"{source.function(step_of)}({source.constant(written)}, {length}, lengths)"
    called = source.once(step)
    given = source.arrays(equation.invars)
    state = constants + carried
    kinds = [(each.aval.shape, each.aval.dtype) for each in equation.outvars[carried:]]
    stacked = ", ".join(
        f"{source.function(np.empty)}({shape}, {source.constant(dtype)})" for shape, dtype in kinds
    )
    made = source.line(
        f"{source.function(scanned)}({called}, {length}, {params['reverse']}, [{', '.join(given[:constants])}], "
        f"[{', '.join(given[constants:state])}], [{', '.join(given[state:])}], [{stacked}])"
    )
    for k, variable in enumerate(equation.outvars):
        source.assign_one(variable, f"{made}[{k}]")


def step_of(written: Written, length: int, lengths: Sequence[int]) -> Any:
    """The kernel of one step.

    Raises:
        NoRuleError: there are too many steps, or they are not for NumPy.
    """
    kernel = written.kernel(lengths)
    if kernel is None or length > MOST_STEPS:
        raise NoRuleError
    return kernel


def counts(params: dict[str, Any]) -> tuple[int, int]:
    """How many of a loop's arguments are constants, and how many are its state."""
    if "num_consts" in params:
        return params["num_consts"], params["num_carry"]
    constants, state, _ = params["ft_in"].unpack()  # since JAX 0.11
    return len(constants), len(state)


def scanned(
    step: Callable[..., Any],
    length: int,
    reverse: bool,
    constants: Sequence[Any],
    state: list[Any],
    sequences: Sequence[Any],
    stacked: list[Any],
) -> list[Any]:
    """`lax.scan`: the last state, and what each step gives, written into the arrays of `stacked`."""
    carried = len(state)
    for k in reversed(range(length)) if reverse else range(length):
        made = step(*constants, *state, *[each[k] for each in sequences])
        if carried + len(stacked) == 1:
            made = (made,)
        state = made[:carried]
        for whole, part in zip(stacked, made[carried:], strict=True):
            whole[k] = part
    return [*state, *stacked]
