"""The few operations that NumPy and JAX spell differently, so that one function serves the arrays of both.

A function of JAX's arrays is compiled once for each shape, which takes seconds; of NumPy's it runs at once. Small
data takes less time than its compilation.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np

State = TypeVar("State")


def namespace(array: Any) -> Any:
    """Return `numpy` or `jax.numpy`, whichever the array is of."""
    return array.__array_namespace__()


def is_numpys(value: Any) -> bool:
    """Return whether a value is NumPy's array or number."""
    return isinstance(value, np.ndarray | np.generic)


def cond(condition: Any, true: Callable[[], State], false: Callable[[], State]) -> State:
    """Return `true()` or `false()`."""
    if is_numpys(condition):
        return true() if condition else false()
    return jax.lax.cond(condition, true, false)


def while_loop(
    condition: Callable[[State], Any], body: Callable[[State], State], state: State
) -> State:
    """Return the state after as many calls of body as the condition holds."""
    if not is_numpys(jax.tree.leaves(state)[0]):
        return jax.lax.while_loop(condition, body, state)
    while condition(state):
        state = body(state)
    return state


def fori_loop(count: int, body: Callable[[Any, State], State], state: State) -> State:
    """Return the state after `body(index, state)` for each index below count."""
    if not is_numpys(jax.tree.leaves(state)[0]):
        return jax.lax.fori_loop(0, count, body, state)
    for index in range(count):
        state = body(index, state)
    return state


def rows_from(array: Any, start: Any, count: int) -> Any:
    """Return so many rows of an array, from a start that a loop computes."""
    if is_numpys(array):
        return array[start : start + count]
    return jax.lax.dynamic_slice_in_dim(array, start, count)


def solve_triangular(r: Any, right: Any, *, transposed: bool = False) -> Any:
    """Return r⁻¹ right, or r⁻ᵀ right, of an upper triangle r."""
    if is_numpys(r):
        return _dtrsm(1.0, r, right, trans_a=int(transposed))
    return jax.scipy.linalg.solve_triangular(r, right, trans=int(transposed))


def divided_by_triangle(left: Any, r: Any) -> Any:
    """Return left r⁻¹ of an upper triangle r."""
    if is_numpys(r):
        return _dtrsm(1.0, r, left, side=1)
    return jax.lax.linalg.triangular_solve(r, left, left_side=False, lower=False)


def _dtrsm(*args: Any, **options: Any) -> Any:
    # Not `scipy.linalg.solve_triangular`, whose LAPACK routine wakes threads for the smallest triangle. Imported
    # here, because it takes a quarter of a second and most programs need none of it.
    from scipy.linalg.blas import dtrsm

    return dtrsm(*args, **options)


def reduced(
    combine: Callable[[tuple[Any, ...], tuple[Any, ...]], tuple[Any, ...]],
    terms: tuple[Any, ...],
    axis: int,
) -> tuple[Any, ...]:
    """Return pairs combined along an axis; combine is associative, and (0, 0) its neutral element."""
    if not is_numpys(terms[0]):
        zero = namespace(terms[0]).zeros((), terms[0].dtype)
        return tuple(jax.lax.reduce(terms, (zero, zero), combine, (axis,)))
    terms = tuple(np.moveaxis(part, axis, 0) for part in terms)
    while (count := len(terms[0])) > 1:
        half = count // 2
        pairs = combine(
            tuple(part[:half] for part in terms), tuple(part[half : 2 * half] for part in terms)
        )
        # An odd one out waits for the next turn.
        terms = tuple(
            np.concatenate([new, part[2 * half :]]) if count % 2 else new
            for new, part in zip(pairs, terms, strict=True)
        )
    return tuple(part[0] for part in terms)
