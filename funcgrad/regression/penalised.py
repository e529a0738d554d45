"""Ridge, lasso and elastic net: the answers of penalised least squares, from the rows of the data or their sums."""

from __future__ import annotations

import math
import warnings
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int, Num

from funcgrad.regression.exact import Problem, rows_and_targets, solve
from funcgrad.regression.model import Linear, Params
from funcgrad.regression.precision import check_indices, numbers, on_device, own_work
from funcgrad.regression.products import dot
from funcgrad.regression.sharding import replicating
from funcgrad.regression.sums import Moments, about_zero, moments
from funcgrad.regression.weights import row_weights

# Sweeps between two looks at the duality gap and at the signs, which cost as much as several.
_SWEEPS_A_LOOK = 10
# With fewer digits than these the sums are not enough, and ridge says so.
_DIGITS_WANTED = 6


def ridge(
    data: Moments | tuple[Any, Any],
    penalty: float | Float[Array, ""],
    *,
    intercept: bool = False,
    weights: Num[ArrayLike, " rows"] | None = None,
) -> Params:
    """Return the params that minimise Σ (y - prediction)² + penalty · Σ weights², in float64.

    The penalty has the scale of scikit-learn's `Ridge`; the bias is not penalised. From rows the answer equals
    exact arithmetic, rounded, as in `least_squares`. From sums it solves the normal equations, which square
    the condition of the data and lose digits. It can be differentiated by the data and the penalty, as
    `least_squares` can.

    Args:
        data: the `moments` of the data; or its rows, a pair (x, y) as for `least_squares`.
        penalty: 0 or more. With 0, columns that depend on one another have no answer by their sums: NaN.
        intercept: whether to add a bias to the model.
        weights: how much each row counts, shape (rows,), 0 or more; those of sums are given to `moments`.

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

    A path of penalties is one `jax.vmap` over them:

    >>> import jax
    >>> sums = regression.moments(x, y)
    >>> jax.vmap(lambda penalty: regression.ridge(sums, penalty))(jnp.array([0.0, 14.0])).round(6)
    Array([[2.],
           [1.]], dtype=float64)
    """
    _refuse_several("ridge", penalty)
    if _is_known(penalty) and not 0 <= penalty < math.inf:
        raise ValueError(f"the penalty must be one number, 0 or more, got {penalty}")
    _check_data("ridge", data, weights)
    if not isinstance(data, Moments):
        return _ridge_of_rows(*data, penalty, weights, intercept=intercept)
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


def _check_data(name: str, data: Any, weights: Any) -> None:
    """Refuse data that is neither sums nor a pair of rows, and weights for sums."""
    if isinstance(data, Moments):
        if weights is not None:
            raise ValueError("weights are for rows: sums take theirs in moments(x, y, weights)")
        if _is_known(data.rows) and not float(data.rows) > 0:
            raise ValueError(f"the sums are of {float(data.rows):g} rows: some must count")
    elif not isinstance(data, tuple | list) or len(data) != 2:
        raise TypeError(
            f"the data is a pair of rows, {name}((x, y), penalty), or their sums, "
            f"{name}(moments(x, y), penalty), and this is {type(data).__name__}"
        )
    else:
        check_indices(x=data[0], y=data[1], weights=weights)


def _ridge_of_rows(x: Any, y: Any, penalty: Any, weights: Any, *, intercept: bool) -> Params:
    with own_work():
        design, y, _ = rows_and_targets(x, y)
        ones = on_device(np.ones(len(y))) if intercept else None
        weights, penalty = row_weights(weights, len(y)), jnp.asarray(penalty, jnp.float64)
        answer, finite = replicating(solve)(Problem(design, y, ones, weights, penalty))
        if all(map(_is_known, finite)) and not all(finite):
            warnings.warn(
                "the rows hold values that are not finite: the answer is NaN",
                RuntimeWarning,
                stacklevel=3,
            )
        return answer.params


def lasso(
    data: Moments | tuple[Any, Any],
    penalty: float | Float[Array, ""],
    *,
    intercept: bool = False,
    weights: Num[ArrayLike, " rows"] | None = None,
    tolerance: float = 1e-12,
    steps: int = 100_000,
) -> Params:
    """Return the params that minimise Σ (y - prediction)² / (2 rows) + penalty · Σ |weights|, in float64.

    The penalty has the scale of scikit-learn's `Lasso`; the bias is not penalised. It is the `elastic_net`
    without squares; arguments, errors and warnings are the same.

    >>> import jax.numpy as jnp
    >>> from funcgrad import regression
    >>> x, y = jnp.array([[1.0, 1.0], [1.0, -1.0]]), jnp.array([4.0, 2.0])
    >>> regression.lasso((x, y), 1.0)
    Array([2., 0.], dtype=float64)
    >>> regression.lasso(regression.moments(x, y), 1.0)
    Array([2., 0.], dtype=float64)
    """
    sums = _sums("lasso", data, weights)
    return sparse(sums, penalty, 1.0, intercept=intercept, tolerance=tolerance, steps=steps)[0]


def _sums(name: str, data: Any, weights: Any) -> Moments:
    """Return the sums of data that is sums or rows."""
    _check_data(name, data, weights)
    if isinstance(data, Moments):
        return data
    x, y = (numbers(each, leaf) for each, leaf in zip(("x", "y"), data, strict=True))
    with own_work():
        weights = row_weights(weights, len(y))
    return moments(x, y, weights)


def elastic_net(
    data: Moments | tuple[Any, Any],
    penalty: float | Float[Array, ""],
    l1_ratio: float | Float[Array, ""] = 0.5,
    *,
    intercept: bool = False,
    weights: Num[ArrayLike, " rows"] | None = None,
    tolerance: float = 1e-12,
    steps: int = 100_000,
) -> Params:
    """Return the params that minimise the squared error with a penalty on sizes and squares, in float64.

    That is Σ (y - prediction)² / (2 rows) + penalty · (l1_ratio Σ |weights| + (1 - l1_ratio) / 2 · Σ weights²). The
    penalty has the scale of scikit-learn's `ElasticNet`; the bias is not penalised. Coordinate descent, which the
    units of the columns do not slow down, with the exact answer for the signs found so far. It stops when the
    duality gap, a bound on the distance to the minimum, is within the tolerance. It can be differentiated by the
    sums and the penalties: weights that are zero stay so, the others keep their signs.

    Args:
        data: the rows, a pair (x, y) as for `least_squares`; or their `moments`, which several penalties can share.
        penalty: greater than 0. `jax.vmap` over penalties makes a path.
        l1_ratio: the share of the sizes, greater than 0, at most 1.
        intercept: whether to add a bias to the model.
        weights: how much each row counts, shape (rows,), 0 or more; those of sums are given to `moments`.
        tolerance: the largest gap of the objective to its minimum, as a share of its value at weights of
            zero; rounding allows about 1e-14.
        steps: the most sweeps over all weights, rounded up to tens.

    Raises:
        ValueError: if the penalty is not greater than 0, the ratio is out of range, or the rows' shapes do not fit.
        TypeError: if data is neither sums nor rows, or an array is complex.

    Warns:
        RuntimeWarning: if the sweeps ended before the gap closed. Inside `jax.jit` or `jax.vmap`, where
            nothing can be said, the weights are NaN then.

    Sources: J. Friedman, T. Hastie, R. Tibshirani, "Regularization paths for generalized linear models via
    coordinate descent", J. Statistical Software 33 (2010); H. Lee et al., "Efficient sparse coding
    algorithms", NIPS 19 (2006), for the search over signs.

    >>> import jax.numpy as jnp
    >>> from funcgrad import regression
    >>> x, y = jnp.array([[1.0, 1.0], [1.0, -1.0]]), jnp.array([4.0, 2.0])
    >>> regression.elastic_net((x, y), 2.0, 0.5)
    Array([1., 0.], dtype=float64)
    """
    if jnp.shape(l1_ratio) != () or (_is_known(l1_ratio) and not 0 < l1_ratio <= 1):
        raise ValueError(
            f"l1_ratio must be one number greater than 0, at most 1, got {l1_ratio}; squares alone are "
            "ridge(data, penalty * rows)"
        )
    sums = _sums("elastic_net", data, weights)
    return sparse(sums, penalty, l1_ratio, intercept=intercept, tolerance=tolerance, steps=steps)[0]


def _refuse_several(name: str, penalty: Any) -> None:
    """Refuse several penalties in place of one, with how a path of them is had."""
    if jnp.shape(penalty) != ():
        raise ValueError(
            f"the penalty must be one number, got shape {jnp.shape(penalty)}. A path of penalties is one jax.vmap "
            f"over them: jax.vmap(lambda penalty: {name}(sums, penalty))(penalties)"
        )


def sparse(
    sums: Moments, penalty: Any, l1_ratio: Any, *, intercept: bool, tolerance: float, steps: int
) -> tuple[Params, Array]:
    """Return the params of `elastic_net`, and how many sweeps were taken."""
    _refuse_several("lasso", penalty)
    if _is_known(penalty) and not 0 < penalty < math.inf:
        raise ValueError(f"the penalty must be one number greater than 0, got {penalty}")
    with own_work():
        penalty = jnp.asarray(penalty, jnp.float64)
        of_sizes = penalty * jnp.asarray(l1_ratio, jnp.float64)
        of_squares = penalty - of_sizes
        params, gap, taken = _lasso(
            sums, of_sizes, of_squares, tolerance, steps, intercept=intercept
        )
        if not _is_known(gap):
            kept = jax.tree.map(lambda leaf: jnp.where(gap <= tolerance, leaf, jnp.nan), params)
            return kept, taken
        if not gap <= tolerance:
            warnings.warn(
                f"the weights have not converged after {steps} sweeps: the objective is above its minimum by "
                f"up to {float(gap):.2g} of what it is at weights of zero, and {tolerance:.2g} was asked for",
                RuntimeWarning,
                stacklevel=3,
            )
        return params, taken


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
    shift = dot(sums.x_mean[None], weights)[0].reshape(sums.y_mean.shape)
    weights = weights.reshape(sums.xy.shape)
    return Linear(weights, sums.y_mean - shift) if intercept else weights


@partial(jax.jit, static_argnames="intercept")
def _ridge(sums: Moments, penalty: Array, *, intercept: bool) -> tuple[Params, Array]:
    """Return the params, and the share of them that rounding may be."""
    gram, right, _ = _quadratic(sums, intercept=intercept)
    gram = gram + penalty * jnp.eye(len(gram))
    diagonal = jnp.diagonal(jax.lax.stop_gradient(gram))
    # Columns of one size, so that neither the digits nor the warning about them depend on units.
    scale = jax.lax.rsqrt(jnp.where(diagonal > 0, diagonal, 1))
    scaled = gram * jnp.multiply.outer(scale, scale)
    eigenvalues = jnp.linalg.eigvalsh(jax.lax.stop_gradient(scaled))
    rounding = len(gram) * jnp.finfo(gram.dtype).eps * eigenvalues[-1]
    ratio = jnp.where(eigenvalues[0] > 0, rounding / eigenvalues[0], jnp.inf)
    factor = jax.scipy.linalg.cho_factor(jax.lax.stop_gradient(scaled))
    weights = scale[:, None] * jax.lax.custom_linear_solve(
        partial(dot, scaled),
        right * scale[:, None],
        lambda _, right: jax.scipy.linalg.cho_solve(factor, right),
        symmetric=True,
    )
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
    sums: Moments,
    of_sizes: Array,
    of_squares: Array,
    tolerance: Array,
    steps: Array,
    *,
    intercept: bool,
) -> tuple[Params, Float[Array, ""], Int[Array, ""]]:
    """Return the params, the gap as a share of the objective at weights of zero, and the sweeps taken."""
    # Half the squared errors' sum and rows times the penalty: the same minimum.
    whole, pull = _quadratic(sums, intercept=intercept), of_sizes * sums.rows
    # A penalty on squares is as many rows more, one for each weight, with targets of zero.
    squared = of_squares * sums.rows * jnp.eye(len(whole.gram))
    whole = whole._replace(gram=whole.gram + squared)
    problem, threshold = jax.lax.stop_gradient((whole, pull))
    gram, right, squares = problem
    features = len(gram)
    largest = jnp.where(squares > 0, squares, 1)

    def coordinate(index: Array, state: _Descent) -> _Descent:
        column = gram[:, index]
        size, before = column[index], state.weights[index]
        slope = state.towards[index] + size * before
        # The l1 norm's proximal operator: the value less its projection on the dual norm's ball.
        pulled = slope - jnp.clip(slope, -threshold, threshold)
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
    weights = jax.vmap(_with_derivatives, (None, 1, 1, None), 1)(
        whole.gram, whole.right, end.weights, pull
    )
    params = _as_params(weights, sums, intercept=intercept)
    return params, (end.gap / largest).max(), end.steps


def _with_derivatives(gram: Array, right: Array, weights: Array, threshold: Array) -> Array:
    """Return the lasso's weights with their derivatives: those of the weights that are not zero, of their signs."""
    signs = jnp.sign(weights)
    active = signs != 0

    def slope(weights: Array) -> Array:
        moved = jnp.where(active, weights, 0)
        return jnp.where(
            active, dot(gram, moved[:, None])[:, 0] + threshold * signs - right, weights
        )

    def solved(_: Any, slope: Array) -> Array:
        return jax.scipy.linalg.cho_solve(_factor_of_active(gram, active), slope)

    return jax.lax.custom_root(slope, weights, lambda _, weights: weights, solved)


def _factor_of_active(gram: Array, active: Array) -> Any:
    matrix = jnp.where(active[:, None] & active, gram, jnp.diag(jnp.where(active, 0.0, 1.0)))
    return jax.scipy.linalg.cho_factor(matrix)


def _best_of_signs(gram: Array, right: Array, weights: Array, threshold: Array) -> Array:
    """Return weights nearer to the best of the same signs: there, or where the first changes its sign."""
    signs = jnp.sign(weights)
    active = signs != 0
    factor = _factor_of_active(gram, active)
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
