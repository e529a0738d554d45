"""Regressions that outliers do not move: Huber's, and regression of a quantile.

Both work on NumPy arrays in float64 and end at the optimum itself; nothing here is traced or differentiated.
"""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Num
from scipy import optimize

from funcgrad.regression.exact import rows_and_targets
from funcgrad.regression.model import Linear, Params
from funcgrad.regression.precision import by_values, check_indices, own_work
from funcgrad.regression.weights import row_weights

_MOST_STEPS = 1000
# A step that moves each scaled weight by less than this, relative to the largest, is the last.
_SMALL = 1e-13
# A step below this that is no smaller than the one before is rounding.
_STUCK, _SHRINKS = 1e-7, 0.9
_SOLVED = 1e-6
_ROUNDING = 8 * np.finfo(float).eps
# Rows whose residual is within this share of the largest target lie on the quantile.
_ON_IT = 1e-6


class Huber(NamedTuple):
    """The answer of `huber`.

    Attributes:
        params: the weights, shape (features,), or `Linear(weights, bias)`. Ready for `predict`.
        scale: the size of the residuals that are not outliers, estimated with the weights, shape ().
        loss: the mean of what is minimised, without the penalty, shape ().
        converged: whether the last step was as small as rounding.
        steps: how many were taken.
    """

    params: Params
    scale: Float[Array, ""]
    loss: Float[Array, ""]
    converged: bool
    steps: int


class Quantile(NamedTuple):
    """The answer of `quantile`.

    Attributes:
        params: the weights, shape (features,), or `Linear(weights, bias)`. Ready for `predict`.
        loss: the mean pinball loss, shape ().
        level: which quantile of the targets is predicted.
    """

    params: Params
    loss: Float[Array, ""]
    level: float


class _Rows(NamedTuple):
    """The data as NumPy's; the intercept's column comes first. `dtype` is the one that it had."""

    x: np.ndarray
    y: np.ndarray
    counts: np.ndarray
    intercept: bool
    dtype: Any

    @property
    def penalised(self) -> np.ndarray:
        """Return 1 for each weight, 0 for the bias."""
        return (np.arange(self.x.shape[1]) >= self.intercept).astype(float)

    def params(self, flat: np.ndarray) -> Params:
        leaves = jnp.asarray(flat, self.dtype)
        return Linear(leaves[1:], leaves[0]) if self.intercept else leaves


def _rows(x: Any, y: Any, weights: Any, penalty: float, *, intercept: bool) -> _Rows:
    check_indices(x=x, y=y, weights=weights)
    if not 0 <= penalty < np.inf:
        raise ValueError(f"the penalty must be 0 or more, got {penalty}")
    design, targets, dtype = rows_and_targets(x, y)
    counts = row_weights(weights, len(targets))
    if targets.ndim != 1:
        raise ValueError(f"y must have shape ({len(targets)},), got {targets.shape}")
    matrix, y = np.asarray(design.high + design.low), np.asarray(targets)
    for name, values in (("x", matrix), ("y", y)):
        if not np.isfinite(values).all():
            raise ValueError(f"{name} holds values that are not finite")
    if intercept:
        matrix = np.column_stack([np.ones(len(y)), matrix])
    kept = np.ones(len(y)) if counts is None else np.asarray(counts)
    return _Rows(matrix, y, kept, intercept, dtype)


def huber(
    x: Num[ArrayLike, "rows features"],
    y: Num[ArrayLike, " rows"],
    *,
    epsilon: float = 1.35,
    penalty: float = 0.0,
    intercept: bool = False,
    weights: Num[ArrayLike, " rows"] | None = None,
) -> Huber:
    """Return the regression whose residuals count by their square up to epsilon times their scale, by their size beyond.

    It minimises Σ weight · (scale + scale · h(residual / scale)) + penalty · Σ weights² over the params and the scale,
    where h(z) is z² up to epsilon and 2 · epsilon · |z| - epsilon² beyond. That is scikit-learn's `HuberRegressor`.
    Newton's steps; where one does not lower the objective, least squares with smaller weights for outliers.

    Args:
        x: the design matrix, shape (rows, features).
        y: the targets, shape (rows,).
        epsilon: where outliers begin, greater than 1.
        penalty: 0 or more; the bias is not penalised.
        intercept: whether to add a bias to the model.
        weights: how much each row counts, shape (rows,), 0 or more.

    Raises:
        ValueError: if the shapes do not fit, a number is out of range, or a value is not finite.
        TypeError: if an array is complex, or traced by JAX.

    Warns:
        RuntimeWarning: if the steps did not converge.

    Source: P. J. Huber, E. M. Ronchetti, "Robust Statistics", 2nd edition, 2009, 7.7 and 7.8.

    >>> import numpy as np
    >>> from funcgrad import regression
    >>> x, y = np.arange(6.0)[:, None], np.array([1.0, 3.0, 5.0, 7.0, 9.0, 1000.0])
    >>> answer = regression.huber(x, y, intercept=True)
    >>> np.asarray(regression.predict(answer, x[:2])).round(6)
    array([1., 3.])
    """
    if not 1 < epsilon < np.inf:
        raise ValueError(f"epsilon must be greater than 1, got {epsilon}")
    return by_values("huber", _huber, x, y, weights, epsilon, penalty, intercept)


def _huber(x: Any, y: Any, weights: Any, epsilon: float, penalty: float, intercept: bool) -> Huber:
    with own_work():
        rows = _rows(x, y, weights, penalty, intercept=intercept)
        problem, size = _scaled(rows, epsilon, penalty)
        at, converged, steps = _descend(problem)
        if not converged:
            warnings.warn(
                f"the regression has not converged after {steps} steps: columns may depend on one another",
                RuntimeWarning,
                stacklevel=4,
            )
        value = problem.objective(at) - float(problem.pull @ np.square(at[:-1]))
        return Huber(
            rows.params(at[:-1] / size),
            jnp.asarray(at[-1], rows.dtype),
            jnp.asarray(value / rows.counts.sum(), rows.dtype),
            converged,
            steps,
        )


class _HuberProblem(NamedTuple):
    """Huber's objective as a function of the weights and, last, the scale; `least` is the smallest scale."""

    x: np.ndarray
    y: np.ndarray
    counts: np.ndarray
    epsilon: float
    pull: np.ndarray
    least: float

    def objective(self, at: np.ndarray) -> float:
        if not at[-1] >= self.least:
            return np.inf
        z = np.abs(self.x @ at[:-1] - self.y) / at[-1]
        rest = 2 * self.epsilon * z - self.epsilon**2
        errors = at[-1] * (1 + np.where(z <= self.epsilon, np.square(z), rest))
        return float(self.counts @ errors + self.pull @ np.square(at[:-1]))

    def newton(self, at: np.ndarray) -> np.ndarray:
        """Return where Newton's step leads, NaN where there is none.

        For a row that is no outlier the second derivative is that of a square, (x·w - y - z·scale)², in which z is
        its residual now; for an outlier it is zero.
        """
        z = (self.x @ at[:-1] - self.y) / at[-1]
        near = np.abs(z) <= self.epsilon
        slopes = 2 * np.clip(z, -self.epsilon, self.epsilon)
        gradient = np.append(
            self.x.T @ (self.counts * slopes) + 2 * self.pull * at[:-1],
            self.counts @ (1 - np.square(slopes / 2)),
        )
        inner = np.column_stack([self.x, -z])[near]
        hessian = 2 / at[-1] * (inner.T @ (self.counts[near, None] * inner))
        hessian += np.diag(np.append(2 * self.pull, 0))
        step = np.linalg.lstsq(hessian, gradient, rcond=None)[0]
        # Where the second derivative is zero along the gradient, there is no such step.
        solved = np.abs(hessian @ step - gradient).max() <= _SOLVED * np.abs(gradient).max()
        return at - step if solved else np.full_like(at, np.nan)

    def majorised(self, at: np.ndarray) -> np.ndarray:
        """Return the best weights if outliers counted by their squares, but less, and then the best scale."""
        z = np.abs(self.x @ at[:-1] - self.y) / at[-1]
        root = np.sqrt(self.counts / np.maximum(z / self.epsilon, 1) / at[-1])
        design = np.vstack([root[:, None] * self.x, np.diag(np.sqrt(self.pull))])
        targets = np.append(root * self.y, np.zeros(len(self.pull)))
        w = np.linalg.lstsq(design, targets, rcond=None)[0]
        return np.append(w, self.best_scale(w))

    def best_scale(self, w: np.ndarray) -> float:
        """Return the scale at which the derivative by it, Σ weight · (1 - min(z², epsilon²)), is zero."""
        size = np.abs(self.x @ w - self.y)
        order = np.argsort(size)
        size, counts = size[order], self.counts[order]
        squares, beyond = np.cumsum(counts * np.square(size)), counts.sum() - np.cumsum(counts)
        # The derivative where each row in turn is the largest that is no outlier; it grows with the scale.
        share = self.epsilon**2
        bound = np.where(size > 0, size, 1)
        slope = np.where(size > 0, counts.sum() - share * (squares / bound**2 + beyond), -np.inf)
        inside = int(np.searchsorted(np.maximum.accumulate(slope), 0)) - 1
        left = counts.sum() - share * beyond[inside] if inside >= 0 else 0.0
        square = squares[inside] / left if left > 0 else 0.0
        return max(self.least, float(np.sqrt(square)))


def _scaled(rows: _Rows, epsilon: float, penalty: float) -> tuple[_HuberProblem, np.ndarray]:
    """Return the problem for columns of one size, and their sizes."""
    size = np.sqrt(np.square(rows.x).mean(axis=0))
    size[size == 0] = 1
    least = 10 * np.finfo(float).eps * max(float(np.abs(rows.y).max()), np.finfo(float).tiny)
    pull = penalty * rows.penalised / size**2
    return _HuberProblem(rows.x / size, rows.y, rows.counts, epsilon, pull, least), size


def _descend(problem: _HuberProblem) -> tuple[np.ndarray, bool, int]:
    """Return the weights and the scale of the least objective, whether they are sure, and the steps taken."""
    unknowns = problem.x.shape[1]
    root = np.sqrt(problem.counts)
    first = np.linalg.lstsq(root[:, None] * problem.x, root * problem.y, rcond=None)[0]
    at = np.append(first, problem.best_scale(first))
    value, before = problem.objective(at), np.inf
    for step in range(1, _MOST_STEPS + 1):
        # Rounding may lift the objective by so much at its minimum.
        allowed = value + _ROUNDING * abs(value)
        tried = problem.newton(at)
        reached = problem.objective(tried)
        if not reached <= allowed:
            tried = problem.majorised(at)
            reached = problem.objective(tried)
        moved = _moved(at, tried, unknowns)
        if not reached <= allowed:
            return at, moved <= _STUCK, step
        at, value = tried, min(value, reached)
        if moved <= _SMALL or (moved <= _STUCK and moved > _SHRINKS * before):
            return at, True, step
        before = moved
    return at, False, _MOST_STEPS


def _moved(before: np.ndarray, after: np.ndarray, unknowns: int) -> float:
    size = max(float(np.abs(after[:unknowns]).max()), np.finfo(float).tiny)
    return float(np.abs(after - before)[:unknowns].max()) / size


def quantile(
    x: Num[ArrayLike, "rows features"],
    y: Num[ArrayLike, " rows"],
    level: float = 0.5,
    *,
    penalty: float = 0.0,
    intercept: bool = False,
    weights: Num[ArrayLike, " rows"] | None = None,
) -> Quantile:
    """Return the regression below which a share `level` of the targets lies; 0.5 is that of the least absolute error.

    It minimises Σ weight · pinball + penalty · Σ |weights|, where pinball is level · residual for targets above the
    prediction, (1 - level) · |residual| for those below. A linear program, solved by SciPy's HiGHS in its dual form;
    the rows that lie on the answer then give its last digits. Where several answers are best, one of them.

    Args:
        x: the design matrix, shape (rows, features).
        y: the targets, shape (rows,).
        level: greater than 0, less than 1.
        penalty: 0 or more; the bias is not penalised.
        intercept: whether to add a bias to the model.
        weights: how much each row counts, shape (rows,), 0 or more.

    Raises:
        ValueError: if the shapes do not fit, a number is out of range, or a value is not finite.
        TypeError: if an array is complex, or traced by JAX.

    Source: R. Koenker, "Quantile Regression", 2005, 6.2.

    >>> import numpy as np
    >>> from funcgrad import regression
    >>> x, y = np.ones((5, 1)), np.array([1.0, 2.0, 3.0, 4.0, 1000.0])
    >>> float(regression.quantile(x, y).params[0]), float(regression.quantile(x, y, 0.9).params[0])
    (3.0, 1000.0)
    """
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}")
    return by_values("quantile", _quantile, x, y, weights, level, penalty, intercept)


def _quantile(
    x: Any, y: Any, weights: Any, level: float, penalty: float, intercept: bool
) -> Quantile:
    with own_work():
        rows = _rows(x, y, weights, penalty, intercept=intercept)
        flat = _vertex(rows, level, penalty)
        residuals = rows.y - rows.x @ flat
        pinball = np.where(residuals >= 0, level, level - 1) * residuals
        loss = np.average(pinball, weights=rows.counts)
        return Quantile(rows.params(flat), jnp.asarray(loss, rows.dtype), level)


def _vertex(rows: _Rows, level: float, penalty: float) -> np.ndarray:
    """Return the params of least pinball loss.

    The dual program: maximise y·z, with weight · (level - 1) <= z <= weight · level and Xᵀz = s, |s| <= penalty. The
    multipliers of its equations are the params.
    """
    size = np.abs(rows.x).max(axis=0)
    size[size == 0] = 1
    high = max(float(np.abs(rows.y).max()), np.finfo(float).tiny)
    x, y = rows.x / size, rows.y / high
    unknowns = x.shape[1]
    bound = penalty * rows.penalised / size
    bounds = np.column_stack([
        np.concatenate([rows.counts * (level - 1), -bound]),
        np.concatenate([rows.counts * level, bound]),
    ])  # fmt: skip
    found = optimize.linprog(
        -np.append(y, np.zeros(unknowns)),
        A_eq=np.hstack([x.T, -np.eye(unknowns)]),
        b_eq=np.zeros(unknowns),
        bounds=bounds,
        method="highs",
    )
    if found.status != 0:
        raise ValueError(f"no answer was found: {found.message}")
    flat = -np.asarray(found.eqlin.marginals)
    kept = (np.abs(flat) > _ON_IT * np.abs(flat).max()) | (bound == 0)
    on_it = (np.abs(y - x @ flat) <= _ON_IT) & (rows.counts > 0)
    if on_it.sum() >= kept.sum() > 0:
        polished = np.zeros(unknowns)
        polished[kept] = np.linalg.lstsq(x[on_it][:, kept], y[on_it], rcond=None)[0]
        if np.abs(polished - flat).max() <= _ON_IT * max(np.abs(flat).max(), 1):
            flat = polished
    return flat * high / size
