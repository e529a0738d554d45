"""The exact least-squares answer, the yardstick for everything that descends towards it."""

import math
import warnings
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float, Int, Num

from funcgrad.regression.model import Linear, Params
from funcgrad.regression.orthogonal import triangular_factor
from funcgrad.regression.sharding import replicating
from funcgrad.regression.two_floats import TwoFloats, add, double, matmul

# Refinement gains several digits a pass or none; the passes end by themselves well before.
_MOST_PASSES = 40
# Errors of the coefficients are the coefficients of that many more problems: refined as well while the
# passes stay within a second, taken from the triangular factor above.
_MOST_REFINED_ERRORS = 1 << 23


class LeastSquares(NamedTuple):
    """The exact answer of a least-squares problem.

    Attributes:
        params: the weights, shape (features,) or (features, outputs); `Linear(weights, bias)` where an
            intercept was asked for. Ready for `predict` and `loss`.
        loss: the mean squared error, over all rows and outputs, shape ().
        rank: the numerical rank of the design matrix, intercept included, shape ().
        standard_errors: the standard deviation of each parameter's estimate, a pytree like params, where
            the errors of the rows are independent and of one variance.
        residual_standard_deviation: the estimate of that variance's root, √(Σ residual² / (rows - rank)),
            shape () or (outputs,); NaN, and the standard errors with it, where rows = rank.
        r_squared: the share of the targets' variation that the model explains, shape () or (outputs,):
            variation about the mean with an intercept, about zero without.
    """

    params: Params
    loss: Float[Array, ""]
    rank: Int[Array, ""]
    standard_errors: Params
    residual_standard_deviation: Float[Array, " *outputs"]
    r_squared: Float[Array, " *outputs"]


def least_squares(
    x: Num[ArrayLike, "rows features"] | TwoFloats,
    y: Num[ArrayLike, "rows *outputs"],
    *,
    intercept: bool = False,
) -> LeastSquares:
    """Return the parameters that minimise `loss`, the smallest ones where several do.

    QR of the scaled columns, then iterative refinement with residuals in two floats: the answer is
    that of exact arithmetic on the numbers given, rounded once to the dtype of the data, unless the scaled
    columns' condition number comes near 1e16. Computed in float64 whatever the dtype, on the device of
    the data; NumPy arrays in float64 give float64. Columns that depend on others, judged after scaling
    all to one size, leave the answer to the smallest parameters, which are not refined.

    Args:
        x: the design matrix, shape (rows, features), or `TwoFloats` of that shape (see `powers`).
        y: the targets, shape (rows,) or (rows, outputs).
        intercept: whether to add a bias to the model.

    Raises:
        ValueError: if the shapes do not fit, or there are no rows or no features.
        TypeError: if an array is complex.

    Warns:
        numpy.exceptions.RankWarning: if the columns, the intercept's among them, depend on one another, or
            are more than the rows. Not inside `jax.jit` or `jax.vmap`, where only `rank` tells.

    Sources: Å. Björck, "Iterative refinement of linear least squares solutions I", BIT 7 (1967); J. Demmel,
    Y. Hida, X. S. Li, E. J. Riedy, "Extra-precise iterative refinement for overdetermined least squares
    problems", ACM TOMS 35 (2009).

    >>> import jax.numpy as jnp
    >>> from funcgrad import regression
    >>> x = jnp.array([[0.0], [1.0], [2.0]])
    >>> answer = regression.least_squares(x, jnp.array([1.0, 3.0, 5.0]), intercept=True)
    >>> answer.params.weights.round(6), answer.params.bias.round(6), answer.rank
    (Array([2.], dtype=float32), Array(1., dtype=float32), Array(2, dtype=int32))
    """
    with jax.enable_x64(True):
        low: ArrayLike
        x, low = x if isinstance(x, TwoFloats) else (x, 0.0)
        x, y = jnp.asarray(x), jnp.asarray(y)
        if x.ndim != 2 or x.size == 0:
            raise ValueError(f"x must have shape (rows, features), none of them 0, got {x.shape}")
        if y.ndim not in (1, 2) or y.shape[0] != x.shape[0] or y.size == 0:
            raise ValueError(
                f"y must have shape ({x.shape[0]},) or ({x.shape[0]}, outputs), got {y.shape}"
            )
        for name, array in (("x", x), ("y", y)):
            if jnp.issubdtype(array.dtype, jnp.complexfloating):
                raise TypeError(f"{name} must be real, got dtype {array.dtype}")
        dtype = jnp.result_type(x, y, jnp.float32)
        wide = x.astype(jnp.float64)
        low = jnp.broadcast_to(jnp.asarray(low, jnp.float64), wide.shape)
        answer = replicating(partial(_answer, intercept=intercept))(
            TwoFloats(wide, low), y.astype(jnp.float64)
        )
        _warn_of_dependent_columns(answer, x.shape[1] + intercept)
        return jax.tree.map(
            lambda leaf: leaf.astype(dtype) if leaf.dtype == jnp.float64 else leaf, answer
        )


def _warn_of_dependent_columns(answer: LeastSquares, unknowns: int) -> None:
    if isinstance(answer.rank, jax.core.Tracer):
        return
    rank = int(answer.rank)
    # Data that is not finite has no rank to speak of: its answer is NaN.
    if rank < unknowns and math.isfinite(answer.loss):
        warnings.warn(
            f"the design matrix has rank {rank} for {unknowns} parameters: many parameters have the "
            "smallest loss, and these are the smallest of them",
            np.exceptions.RankWarning,
            stacklevel=3,
        )


@partial(jax.jit, static_argnames="intercept")
def _answer(x: TwoFloats, y: Array, *, intercept: bool) -> LeastSquares:
    if intercept:
        ones = jnp.ones((y.shape[0], 1), y.dtype)
        x = TwoFloats(jnp.hstack([x.high, ones]), jnp.hstack([x.low, jnp.zeros_like(ones)]))
    targets = y if y.ndim == 2 else y[:, None]
    rows, unknowns = x.high.shape

    # Powers of two, so that scaling rounds nothing.
    scale, target_scale = _size(x.high), _size(targets)
    design = TwoFloats(x.high / scale, x.low / scale)
    right = targets / target_scale
    factor = triangular_factor(jnp.hstack([design.high, right]))
    r, c = factor[:unknowns, :unknowns], factor[:unknowns, unknowns:]
    u, singular, vt = jnp.linalg.svd(r, full_matrices=False)
    smallest = 10 * jnp.finfo(r.dtype).eps * max(unknowns, math.sqrt(rows)) * singular[0]
    significant = singular > smallest
    rank = significant.sum()

    if rows < unknowns:
        solution = _smallest(u, singular, vt, significant, scale, design, c, right)
    else:
        solution = jax.lax.cond(
            rank == unknowns,
            lambda: _refined(r, c, design, right),
            lambda: _smallest(u, singular, vt, significant, scale, design, c, right),
        )
    squares = jnp.square(solution.residual).sum(axis=0) * target_scale**2
    deviation = jnp.sqrt(squares / (rows - rank))
    centred = targets - targets.mean(axis=0) if intercept else targets
    centred = centred - centred.mean(axis=0) if intercept else centred

    weights = solution.weights * (target_scale / scale[:, None])
    errors = solution.spread[:, None] / scale[:, None] * deviation

    def shaped(leaf: Array) -> Array:
        return leaf if y.ndim == 2 else leaf[..., 0]

    def as_params(leaf: Array) -> Params:
        leaf = shaped(leaf)
        return Linear(leaf[:-1], leaf[-1]) if intercept else leaf

    return LeastSquares(
        params=as_params(weights),
        loss=squares.sum() / targets.size,
        rank=rank.astype(jnp.int32),
        standard_errors=as_params(errors),
        residual_standard_deviation=shaped(deviation),
        r_squared=shaped(1 - squares / jnp.square(centred).sum(axis=0)),
    )


class _Solution(NamedTuple):
    """The scaled problem's answer; spread is the root of the diagonal of (XᵀX)⁻¹."""

    weights: Float[Array, "unknowns outputs"]
    residual: Float[Array, "rows outputs"]
    spread: Float[Array, " unknowns"]


def _size(columns: Float[Array, "rows columns"]) -> Float[Array, " columns"]:
    """Return the power of two below the largest size in each column; 1 where there is none."""
    largest = jnp.abs(columns).max(axis=0)
    # The exponent's bits alone: of an infinity they are one, of a subnormal number zero.
    bits = jax.lax.bitcast_convert_type(largest, jnp.int64) & jnp.int64(0x7FF << 52)
    power = jax.lax.bitcast_convert_type(bits, largest.dtype)
    return jnp.where((power > 0) & jnp.isfinite(power), power, 1)


def _smallest(
    u: Array,
    singular: Array,
    vt: Array,
    significant: Array,
    scale: Array,
    design: TwoFloats,
    c: Array,
    right: Array,
) -> _Solution:
    """Solve by the singular values that are significant, for the smallest unscaled weights."""
    inverse = jnp.where(significant, 1 / jnp.where(significant, singular, 1), 0)
    solver = (vt.T * inverse) / scale[:, None]
    # Scaling has bent the rows' space: what lies outside the one of the unscaled rows is dropped.
    rows_space, _ = jnp.linalg.qr(scale[:, None] * vt.T)
    rows_space = jnp.where(significant, rows_space, 0)
    solver = scale[:, None] * (rows_space @ (rows_space.T @ solver))
    weights = solver @ (u.T @ c)
    fitted = matmul(design, double(weights))
    residual = add(double(right), TwoFloats(-fitted.high, -fitted.low)).high
    return _Solution(weights, residual, jnp.sqrt(jnp.square(solver).sum(axis=1)))


def _refined(
    r: Float[Array, "unknowns unknowns"],
    c: Float[Array, "unknowns outputs"],
    design: TwoFloats,
    right: Float[Array, "rows outputs"],
) -> _Solution:
    """Solve [I X; Xᵀ 0] [residual; weights] = [right; 0] to the last digit.

    Columns for the unit vectors, whose weights are those of (XᵀX)⁻¹, stand beside the outputs.
    """
    rows, unknowns = design.high.shape
    outputs = right.shape[1]
    solve = partial(jax.scipy.linalg.solve_triangular, r)
    # Its columns are orthogonal only as far as X is well conditioned: all that refinement asks.
    q = jax.lax.linalg.triangular_solve(r, design.high, left_side=False, lower=False)
    inverse = solve(jnp.eye(unknowns, dtype=r.dtype))
    weights = solve(c)
    top, bottom, residual = right, jnp.zeros_like(weights), right - design.high @ weights
    spread_too = rows * unknowns**2 <= _MOST_REFINED_ERRORS
    if spread_too:
        top = jnp.pad(top, ((0, 0), (0, unknowns)))
        bottom = jnp.hstack([bottom, -jnp.eye(unknowns, dtype=r.dtype)])
        weights = jnp.hstack([weights, inverse @ inverse.T])
        residual = jnp.hstack([residual, -q @ inverse.T])

    def improve(state: _Pass) -> _Pass:
        fitted = add(matmul(design, state.weights), state.residual)
        upper = add(double(top), TwoFloats(-fitted.high, -fitted.low)).high
        moment = matmul(design, state.residual, transposed=True)
        lower = add(double(bottom), TwoFloats(-moment.high, -moment.low)).high
        step = q.T @ upper - solve(lower, trans="T")
        better = _Pass(
            weights=add(state.weights, double(solve(step))),
            residual=add(state.residual, double(upper - q @ step)),
            change=_relative_size(solve(step), state.weights.high),
            before=state.change,
            passes=state.passes + 1,
        )
        failed = state._replace(change=better.change, before=better.before, passes=better.passes)
        improves = better.change < better.before
        return jax.tree.map(lambda new, old: jnp.where(improves, new, old), better, failed)

    def improving(state: _Pass) -> Bool[Array, ""]:
        return (
            (state.change < state.before / 2) & (state.change > 0) & (state.passes < _MOST_PASSES)
        )

    start = _Pass(
        double(weights), double(residual), jnp.ones(()), jnp.full((), jnp.inf), jnp.asarray(0)
    )
    end = jax.lax.while_loop(improving, improve, start)
    if spread_too:
        variance = jnp.diagonal(end.weights.high[:, outputs:])
    else:
        variance = jnp.square(inverse).sum(axis=1)
    return _Solution(
        end.weights.high[:, :outputs], end.residual.high[:, :outputs], jnp.sqrt(variance)
    )


class _Pass(NamedTuple):
    """A pass of refinement; `change` is how much it moved the weights, `before` the pass before it."""

    weights: TwoFloats
    residual: TwoFloats
    change: Float[Array, ""]
    before: Float[Array, ""]
    passes: Int[Array, ""]


def _relative_size(change: Array, value: Array) -> Float[Array, ""]:
    size = jnp.abs(value).max(axis=0)
    return (jnp.abs(change).max(axis=0) / jnp.where(size > 0, size, 1)).max()
