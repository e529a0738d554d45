"""Ridge and lasso: the answers of penalised least squares, from the sums of the data or, for ridge, its rows."""

import math
import warnings
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from funcgrad.regression.exact import rows_and_targets, solve
from funcgrad.regression.model import Linear, Params
from funcgrad.regression.precision import own_work
from funcgrad.regression.sharding import replicating
from funcgrad.regression.sums import Moments, about_zero, pair_of
from funcgrad.regression.two_floats import TwoFloats, two_product

# Sweeps between two looks at the duality gap and at the signs, which cost as much as several.
_SWEEPS_A_LOOK = 10
# With fewer digits than these the sums are not enough, and ridge says so.
_DIGITS_WANTED = 6


def ridge(
    data: Moments | tuple[Any, Any],
    penalty: float | Float[Array, ""],
    *,
    intercept: bool = False,
) -> Params:
    """Return the params that minimise Σ (y - prediction)² + penalty · Σ weights², in float64.

    The penalty has the scale of scikit-learn's `Ridge`; the bias is not penalised. From rows the answer equals
    exact arithmetic, rounded, as in `least_squares`. From sums it solves the normal equations, which square
    the condition of the data and lose digits.

    Args:
        data: the `moments` of the data; or its rows, a pair (x, y) as for `least_squares`.
        penalty: 0 or more. With 0, columns that depend on one another have no answer by their sums: NaN.
        intercept: whether to add a bias to the model.

    Raises:
        ValueError: if the penalty is negative, or the rows' shapes do not fit.
        TypeError: if data is neither sums nor rows, or an array is complex.

    Warns:
        RuntimeWarning: if fewer than six digits are sure, by sums; or if rows hold values that are not
            finite. Not inside `jax.jit` or `jax.vmap`. Where no digit is sure the weights are NaN.

    >>> import jax.numpy as jnp
    >>> from funcgrad import regression
    >>> x, y = jnp.array([[1.0], [2.0], [3.0]]), jnp.array([2.0, 4.0, 6.0])
    >>> regression.ridge(regression.moments(x, y), 14.0)
    Array([1.], dtype=float64)
    >>> regression.ridge((x, y), 14.0)
    Array([1.], dtype=float64)
    """
    if jnp.shape(penalty) != () or (_is_known(penalty) and not penalty >= 0):
        raise ValueError(f"the penalty must be one number, 0 or more, got {penalty}")
    if not isinstance(data, Moments):
        return _ridge_of_rows(*pair_of(data), penalty, intercept=intercept)
    with own_work():
        params, ratio = _ridge(data, jnp.asarray(penalty, jnp.float64), intercept=intercept)
        if _is_known(ratio):
            digits = max(0, int(-math.log10(max(float(ratio), 1e-16)))) if ratio <= 1 else 0
            if digits < _DIGITS_WANTED:
                warnings.warn(
                    f"about {digits} digits of the ridge's weights are sure, since sums square the "
                    "condition of the data: give the rows, ridge((x, y), penalty)",
                    RuntimeWarning,
                    stacklevel=2,
                )
        return params


def _ridge_of_rows(x: Any, y: Any, penalty: Any, *, intercept: bool) -> Params:
    """Solve least squares with one more row for each weight, which pulls it towards zero."""
    with own_work():
        design, y, _ = rows_and_targets(x, y)
        finite = jnp.isfinite(design.high).all() & jnp.isfinite(y).all()
        if _is_known(finite) and not finite:
            warnings.warn(
                "the rows hold values that are not finite: the answer is NaN",
                RuntimeWarning,
                stacklevel=3,
            )
        penalty = jnp.asarray(penalty, jnp.float64)

        def of_rows(design: TwoFloats, y: Array) -> Params:
            features = design.high.shape[1]
            root = jnp.sqrt(penalty)
            square = two_product(root, root)
            rest = ((penalty - square.high) - square.low) / jnp.where(root > 0, 2 * root, 1)
            x = TwoFloats(
                jnp.vstack([design.high, root * jnp.eye(features)]),
                jnp.vstack([design.low, rest * jnp.eye(features)]),
            )
            targets = jnp.concatenate([y, jnp.zeros((features, *y.shape[1:]))])
            ones = jnp.concatenate([jnp.ones(len(y)), jnp.zeros(features)])[:, None]
            return solve(x, targets, ones if intercept else None)[0].params

        return replicating(of_rows)(design, y)


def lasso(
    sums: Moments,
    penalty: float | Float[Array, ""],
    *,
    intercept: bool = False,
    tolerance: float = 1e-12,
    steps: int = 100_000,
) -> Params:
    """Return the params that minimise Σ (y - prediction)² / (2 rows) + penalty · Σ |weights|, in float64.

    The penalty has the scale of scikit-learn's `Lasso`; the bias is not penalised. Coordinate descent, which
    the units of the columns do not slow down, with the exact answer for the signs found so far. It stops when the
    duality gap, a bound on the distance to the minimum, is within the tolerance.

    Args:
        sums: the `moments` of the data.
        penalty: greater than 0. `jax.vmap` over penalties makes a path.
        intercept: whether to add a bias to the model.
        tolerance: the largest gap of the objective to its minimum, as a share of its value at weights of
            zero; rounding allows about 1e-14.
        steps: the most sweeps over all weights, rounded up to tens.

    Raises:
        ValueError: if the penalty is not greater than 0.

    Warns:
        RuntimeWarning: if the sweeps ended before the gap closed. Inside `jax.jit` or `jax.vmap`, where
            nothing can be said, the weights are NaN then.

    Sources: J. Friedman, T. Hastie, R. Tibshirani, "Regularization paths for generalized linear models via
    coordinate descent", J. Statistical Software 33 (2010); H. Lee et al., "Efficient sparse coding
    algorithms", NIPS 19 (2006), for the search over signs.

    >>> import jax.numpy as jnp
    >>> from funcgrad import regression
    >>> sums = regression.moments(jnp.array([[1.0, 1.0], [1.0, -1.0]]), jnp.array([4.0, 2.0]))
    >>> regression.lasso(sums, 1.0)
    Array([2., 0.], dtype=float64)
    """
    if jnp.shape(penalty) != () or (_is_known(penalty) and not penalty > 0):
        raise ValueError(f"the penalty must be one number greater than 0, got {penalty}")
    with own_work():
        params, gap = _lasso(
            sums, jnp.asarray(penalty, jnp.float64), tolerance, steps, intercept=intercept
        )
        if not _is_known(gap):
            return jax.tree.map(lambda leaf: jnp.where(gap <= tolerance, leaf, jnp.nan), params)
        if not gap <= tolerance:
            warnings.warn(
                f"the lasso has not converged after {steps} sweeps: its objective is above the minimum by "
                f"up to {float(gap):.2g} of what it is at weights of zero, and {tolerance:.2g} was asked for",
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
def _ridge(sums: Moments, penalty: Array, *, intercept: bool) -> tuple[Params, Array]:
    """Return the params, and the share of them that rounding may be."""
    gram, right, _ = _quadratic(sums, intercept=intercept)
    gram = gram + penalty * jnp.eye(len(gram))
    diagonal = jnp.diagonal(gram)
    # Columns of one size, so that neither the digits nor the warning about them depend on units.
    scale = jax.lax.rsqrt(jnp.where(diagonal > 0, diagonal, 1))
    scaled = gram * jnp.multiply.outer(scale, scale)
    eigenvalues = jnp.linalg.eigvalsh(scaled)
    rounding = len(gram) * jnp.finfo(gram.dtype).eps * eigenvalues[-1]
    ratio = jnp.where(eigenvalues[0] > 0, rounding / eigenvalues[0], jnp.inf)
    factor = jax.scipy.linalg.cho_factor(scaled)
    weights = jax.scipy.linalg.cho_solve(factor, right * scale[:, None]) * scale[:, None]
    weights = jnp.where(ratio < 1, weights, jnp.nan)
    return _as_params(weights, sums, intercept=intercept), ratio


class _Descent(NamedTuple):
    """Where the lasso's sweeps are; `towards` is Xᵀ of the residuals."""

    weights: Float[Array, "features outputs"]
    towards: Float[Array, "features outputs"]
    gap: Float[Array, " outputs"]
    steps: Int[Array, ""]


@partial(jax.jit, static_argnames="intercept")
def _lasso(
    sums: Moments, penalty: Array, tolerance: Array, steps: Array, *, intercept: bool
) -> tuple[Params, Float[Array, ""]]:
    """Return the params, and the gap as a share of the objective at weights of zero."""
    # Half the squared errors' sum and rows times the penalty: the same minimum.
    problem, threshold = _quadratic(sums, intercept=intercept), penalty * sums.rows
    gram, right, squares = problem
    features = len(gram)
    largest = jnp.where(squares > 0, squares, 1)

    def coordinate(index: Array, state: _Descent) -> _Descent:
        column = gram[:, index]
        size, before = column[index], state.weights[index]
        slope = state.towards[index] + size * before
        # The l1 norm's proximal operator: the value less its projection on the dual norm's ball.
        pulled = slope - optax.projections.projection_box(slope, -threshold, threshold)
        after = jnp.where(size > 0, pulled / jnp.where(size > 0, size, 1), 0)
        towards = state.towards - jnp.multiply.outer(column, after - before)
        return state._replace(weights=state.weights.at[index].set(after), towards=towards)

    def look(state: _Descent) -> _Descent:
        state = jax.lax.fori_loop(
            0, _SWEEPS_A_LOOK * features, lambda i, s: coordinate(i % features, s), state
        )
        weights = jax.vmap(_best_of_signs, (None, 1, 1, None), 1)(
            gram, right, state.weights, threshold
        )
        gap = _duality_gap(problem, weights, threshold)
        return _Descent(weights, right - gram @ weights, gap, state.steps + _SWEEPS_A_LOOK)

    none = jnp.zeros_like(right)
    end = jax.lax.while_loop(
        lambda state: (state.gap > tolerance * squares).any() & (state.steps < steps),
        look,
        _Descent(none, right, jnp.full_like(squares, jnp.inf), jnp.zeros((), jnp.int32)),
    )
    return _as_params(end.weights, sums, intercept=intercept), (end.gap / largest).max()


def _best_of_signs(gram: Array, right: Array, weights: Array, threshold: Array) -> Array:
    """Return weights nearer to the best of the same signs: there, or where the first changes its sign."""
    signs = jnp.sign(weights)
    active = signs != 0
    matrix = jnp.where(active[:, None] & active, gram, jnp.diag(jnp.where(active, 0.0, 1.0)))
    factor = jax.scipy.linalg.cho_factor(matrix)
    best = jax.scipy.linalg.cho_solve(factor, jnp.where(active, right - threshold * signs, 0.0))
    turns = active & (jnp.sign(best) != signs)
    shares = jnp.where(turns, weights / jnp.where(turns, weights - best, 1), jnp.inf)
    share = jnp.minimum(shares.min(), 1)
    moved = jnp.where(shares == share, 0, weights + share * (best - weights))

    def objective(weights: Array) -> Array:
        return weights @ (gram @ weights / 2 - right) + threshold * jnp.abs(weights).sum()

    better = jnp.isfinite(moved).all() & (objective(moved) <= objective(weights))
    return jnp.where(better, moved, weights)


def _duality_gap(problem: _Quadratic, weights: Array, threshold: Array) -> Float[Array, " outputs"]:
    """Return how far half the squared errors' sum + threshold · Σ |weights| is above its minimum at most.

    By the dual point that the residuals become once scaled to be feasible. (S.-J. Kim et al., "An
    interior-point method for large-scale l1-regularized least squares", 2007, III.B.)
    """
    towards = problem.right - problem.gram @ weights
    with_targets = problem.squares - (weights * problem.right).sum(axis=0)
    residual = with_targets - (weights * towards).sum(axis=0)
    # Where the penalty is small beside the data, these differences may be no more than rounding.
    size_of_terms = jnp.abs(problem.right) + jnp.abs(problem.gram) @ jnp.abs(weights)
    rounding = 8 * jnp.finfo(towards.dtype).eps * size_of_terms
    largest = jnp.maximum(jnp.abs(towards) - rounding, 0).max(axis=0)
    scale = jnp.minimum(1, threshold / jnp.where(largest > 0, largest, threshold))
    size = threshold * jnp.abs(weights).sum(axis=0)
    return residual * (1 + scale**2) / 2 + size - scale * with_targets
