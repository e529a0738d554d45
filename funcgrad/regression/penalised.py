"""Ridge and lasso from the sums of the data: the answers of penalised least squares."""

import warnings
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from funcgrad.regression.model import Linear, Params
from funcgrad.regression.precision import own_work
from funcgrad.regression.sums import Moments, about_zero

# Proximal steps between two looks at the duality gap, which costs as much as a step.
_STEPS_A_LOOK = 10


def ridge(sums: Moments, penalty: float | Float[Array, ""], *, intercept: bool = False) -> Params:
    """Return the params that minimise Σ (y - prediction)² + penalty · Σ weights², in float64.

    The penalty's scale is that of scikit-learn's `Ridge`; the bias is not penalised. The answer is of
    the normal equations, which lose twice the digits that `least_squares` does without a penalty.

    Args:
        sums: the `moments` of the data.
        penalty: 0 or more. With 0, columns that depend on one another have no answer: NaN.
        intercept: whether to add a bias to the model.

    Raises:
        ValueError: if the penalty is negative.

    >>> import jax.numpy as jnp
    >>> from funcgrad import regression
    >>> sums = regression.moments(jnp.array([[1.0], [2.0], [3.0]]), jnp.array([2.0, 4.0, 6.0]))
    >>> regression.ridge(sums, 14.0)
    Array([1.], dtype=float64)
    """
    if jnp.shape(penalty) != () or (_is_known(penalty) and not penalty >= 0):
        raise ValueError(f"the penalty must be one number, 0 or more, got {penalty}")
    with own_work():
        return _ridge(sums, jnp.asarray(penalty, jnp.float64), intercept=intercept)


def lasso(
    sums: Moments,
    penalty: float | Float[Array, ""],
    *,
    intercept: bool = False,
    tolerance: float = 1e-12,
    steps: int = 100_000,
) -> Params:
    """Return the params that minimise Σ (y - prediction)² / (2 rows) + penalty · Σ |weights|, in float64.

    The penalty's scale is that of scikit-learn's `Lasso`; the bias is not penalised. Accelerated
    proximal gradient steps, restarted where they overshoot, until the duality gap tells how far the
    answer is at most.

    Args:
        sums: the `moments` of the data.
        penalty: greater than 0.
        intercept: whether to add a bias to the model.
        tolerance: the largest gap of the objective to its minimum, as a share of its value at weights of
            zero; rounding allows about 1e-14.
        steps: the most to take, rounded up to tens.

    Raises:
        ValueError: if the penalty is not greater than 0.

    Warns:
        RuntimeWarning: if the steps ended before the gap closed. Not inside `jax.jit` or `jax.vmap`.

    Sources: A. Beck, M. Teboulle, "A fast iterative shrinkage-thresholding algorithm for linear inverse
    problems", SIAM J. Imaging Sciences 2 (2009); B. O'Donoghue, E. Candès, "Adaptive restart for
    accelerated gradient schemes", Found. Comput. Math. 15 (2015).

    >>> import jax.numpy as jnp
    >>> from funcgrad import regression
    >>> sums = regression.moments(jnp.array([[1.0, 1.0], [1.0, -1.0]]), jnp.array([4.0, 2.0]))
    >>> regression.lasso(sums, 1.0)
    Array([2., 0.], dtype=float64)
    """
    if jnp.shape(penalty) != () or (_is_known(penalty) and not penalty > 0):
        raise ValueError(f"the penalty must be one number greater than 0, got {penalty}")
    with own_work():
        params, closed = _lasso(
            sums, jnp.asarray(penalty, jnp.float64), tolerance, steps, intercept=intercept
        )
        if _is_known(closed) and not closed:
            warnings.warn(
                f"the lasso's duality gap is not within {tolerance:g} after {steps} steps",
                RuntimeWarning,
                stacklevel=2,
            )
        return params


def _is_known(value: float | Array) -> bool:
    return not isinstance(value, jax.core.Tracer)


class _Quadratic(NamedTuple):
    """The squared errors' sum as a function of the weights: squares - 2 right·w + w·gram·w."""

    gram: Float[Array, "features features"]
    right: Float[Array, "features outputs"]
    squares: Float[Array, " outputs"]


def _quadratic(sums: Moments, *, intercept: bool) -> _Quadratic:
    gram, right, squares = (sums.xx, sums.xy, sums.yy) if intercept else about_zero(sums)
    return _Quadratic(gram, right.reshape(len(gram), -1), squares.reshape(-1))


def _as_params(weights: Array, sums: Moments, *, intercept: bool) -> Params:
    weights = weights.reshape(sums.xy.shape)
    return Linear(weights, sums.y_mean - sums.x_mean @ weights) if intercept else weights


@partial(jax.jit, static_argnames="intercept")
def _ridge(sums: Moments, penalty: Array, *, intercept: bool) -> Params:
    gram, right, _ = _quadratic(sums, intercept=intercept)
    factor = jax.scipy.linalg.cho_factor(gram + penalty * jnp.eye(len(gram)))
    return _as_params(jax.scipy.linalg.cho_solve(factor, right), sums, intercept=intercept)


class _Descent(NamedTuple):
    """Where the lasso's steps are; `ahead` is where momentum carries the weights."""

    weights: Float[Array, "features outputs"]
    ahead: Float[Array, "features outputs"]
    momentum: Float[Array, " outputs"]
    gap: Float[Array, " outputs"]
    steps: Int[Array, ""]


@partial(jax.jit, static_argnames="intercept")
def _lasso(
    sums: Moments, penalty: Array, tolerance: Array, steps: Array, *, intercept: bool
) -> tuple[Params, Bool[Array, ""]]:
    # Half the squared errors' sum and rows times the penalty: the same minimum.
    problem, threshold = _quadratic(sums, intercept=intercept), penalty * sums.rows
    largest = jnp.linalg.eigvalsh(problem.gram)[-1]
    length = 1 / jnp.where(largest > 0, largest, 1)

    def step(_: Array, state: _Descent) -> _Descent:
        moved = state.ahead + length * (problem.right - problem.gram @ state.ahead)
        # What is left beside the projection on the dual norm's ball is the l1 norm's proximal operator.
        bound = length * threshold
        weights = moved - optax.projections.projection_box(moved, -bound, bound)
        forward = weights - state.weights
        overshoots = ((state.ahead - weights) * forward).sum(axis=0) > 0
        before = jnp.where(overshoots, 1, state.momentum)
        momentum = (1 + jnp.sqrt(1 + 4 * before**2)) / 2
        ahead = weights + (before - 1) / momentum * forward
        return state._replace(weights=weights, ahead=ahead, momentum=momentum)

    def look(state: _Descent) -> _Descent:
        state = jax.lax.fori_loop(0, _STEPS_A_LOOK, step, state)
        gap = _duality_gap(problem, state.weights, threshold)
        return state._replace(gap=gap, steps=state.steps + _STEPS_A_LOOK)

    def is_open(state: _Descent) -> Array:
        return (state.gap > tolerance * problem.squares).any()

    start = jnp.zeros_like(problem.right)
    none = jnp.ones_like(problem.squares)
    end = jax.lax.while_loop(
        lambda state: is_open(state) & (state.steps < steps),
        look,
        _Descent(start, start, none, none * jnp.inf, jnp.zeros((), jnp.int32)),
    )
    return _as_params(end.weights, sums, intercept=intercept), ~is_open(end)


def _duality_gap(problem: _Quadratic, weights: Array, threshold: Array) -> Float[Array, " outputs"]:
    """Return how far half the squared errors' sum + threshold · Σ |weights| is above its minimum at most.

    By the dual point that the residuals become once scaled to be feasible. (S.-J. Kim et al., "An
    interior-point method for large-scale l1-regularized least squares", 2007, III.B.)
    """
    towards = problem.right - problem.gram @ weights
    with_targets = problem.squares - (weights * problem.right).sum(axis=0)
    residual = with_targets - (weights * towards).sum(axis=0)
    largest = jnp.abs(towards).max(axis=0)
    scale = jnp.minimum(1, threshold / jnp.where(largest > 0, largest, threshold))
    size = threshold * jnp.abs(weights).sum(axis=0)
    return residual * (1 + scale**2) / 2 + size - scale * with_targets
