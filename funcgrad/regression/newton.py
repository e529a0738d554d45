"""Newton's steps to the minimum of a function that tells its value, gradient and Hessian, for JAX's arrays and NumPy's."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from funcgrad.regression.namespaces import cond, is_numpys, namespace, while_loop

_MOST_STEPS, _MOST_HALVINGS = 200, 40
# A step that moves each weight by less than this, relative to the largest, is the last.
_SMALL = 1e-13
# A step below this that is no smaller than the one before is rounding.
_STUCK, _SHRINKS = 1e-7, 0.9
# A step below this tells the function's value after it by its derivatives before it: the error is a cube.
_TELLS_VALUE = 1e-5


class Value(NamedTuple):
    """The function to minimise and its derivatives, at some weights.

    Attributes:
        objective: shape ().
        gradient: of the weights' shape.
        hessian: shape (parameters, parameters), in the order of the weights' elements.
    """

    objective: Any
    gradient: Any
    hessian: Any


class State(NamedTuple):
    """Where the steps are.

    Attributes:
        weights, value: those reached.
        converged, failed: whether the steps end there.
        moved: the largest change of a weight by the last step, relative to the largest weight.
        steps: how many were taken.
    """

    weights: Any
    value: Value
    converged: Any
    failed: Any
    moved: Any
    steps: Any


def minimised(valued: Callable[[Any], Value], start: Any, *, exact: bool) -> State:
    """Take Newton's steps, each halved until it lowers the objective.

    Args:
        valued: the function.
        start: the weights to begin with, in units that make them of one size.
        exact: whether its Hessian is exact, not expected only. Then each step is about the square of the one before,
            and tells how far the next would go.
    """
    xp = namespace(start)

    def improve(state: State) -> State:
        step = -_solved(state.value.hessian, state.value.gradient)
        size = xp.maximum(xp.abs(state.weights + step).max(), 1e-3)
        whole = xp.abs(step).max() / size
        next_one = whole**3 / xp.square(state.moved)
        told = (whole <= _TELLS_VALUE) & (next_one <= _SMALL) & exact
        return cond(
            told, lambda: _told(state, step, whole), lambda: _tried(valued, state, step, xp)
        )

    no = xp.asarray(False)
    first = State(start, valued(start), no, no, xp.asarray(xp.inf), xp.asarray(0, xp.int32))
    return while_loop(
        lambda state: ~state.converged & ~state.failed & (state.steps < _MOST_STEPS), improve, first
    )


def _told(state: State, step: Any, moved: Any) -> State:
    """Take the last step: its length tells that the next would be rounding."""
    gain = (state.value.gradient * step).sum() / 2
    value = state.value._replace(objective=state.value.objective + gain)
    reached = state.weights + step
    return State(reached, value, state.converged | True, state.failed, moved, state.steps + 1)


def _tried(valued: Callable[[Any], Value], state: State, step: Any, xp: Any) -> State:
    # Rounding may lift the objective by so much at its minimum.
    allowed = state.value.objective + 1e-14 * (xp.abs(state.value.objective) + 1)

    def worse(tried: tuple[Any, Any, Value]) -> Any:
        _, halvings, value = tried
        return ~(value.objective <= allowed) & (halvings < _MOST_HALVINGS)

    def half(tried: tuple[Any, Any, Value]) -> tuple[Any, Any, Value]:
        share, halvings, _ = tried
        return share / 2, halvings + 1, valued(state.weights + share / 2 * step)

    # The first share tried is one, and so the function is compiled once.
    unknown = state.value._replace(objective=xp.asarray(xp.inf))
    share, halvings, value = while_loop(
        worse, half, (xp.asarray(2.0), xp.asarray(-1, xp.int32), unknown)
    )
    reached = state.weights + share * step
    moved = xp.abs(share * step).max() / xp.maximum(xp.abs(reached).max(), 1e-3)
    stuck = (moved <= _STUCK) & (moved > _SHRINKS * state.moved)
    failed = ~xp.isfinite(step).all() | (halvings == _MOST_HALVINGS)
    better = State(
        weights=reached,
        value=value,
        converged=(moved <= _SMALL) | stuck,
        failed=failed,
        moved=moved,
        steps=state.steps + 1,
    )
    # Where no share of the step is better, the weights are the best as far as rounding tells.
    ended = state._replace(
        failed=failed, converged=xp.abs(step).max() <= _STUCK, steps=state.steps + 1
    )
    return jax.tree.map(partial(xp.where, failed), ended, better)


def _solved(hessian: Any, gradient: Any) -> Any:
    """Return the inverse of a positive definite matrix times the gradient; NaN where it is none."""
    right = gradient.reshape(-1)
    if is_numpys(hessian):
        try:
            np.linalg.cholesky(hessian)
            return np.linalg.solve(hessian, right).reshape(gradient.shape)
        except np.linalg.LinAlgError:
            return np.full(gradient.shape, np.nan)
    factor = jax.scipy.linalg.cho_factor(hessian)
    return jnp.reshape(jax.scipy.linalg.cho_solve(factor, right), gradient.shape)
