"""The exact least-squares answer, the yardstick for everything that descends towards it."""

import math
import warnings
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float, Int, Num

from funcgrad.regression.model import Linear, Params
from funcgrad.regression.orthogonal import triangular_factor
from funcgrad.regression.precision import numbers, own_work
from funcgrad.regression.sharding import replicating
from funcgrad.regression.two_floats import TwoFloats, add, double, matmul

# Refinement gains several digits a pass or none; the passes end by themselves well before.
_MOST_PASSES = 40
# The first pass mends the residual, the second the weights.
_FEWEST_PASSES = 2
# Errors of the coefficients are the coefficients of that many more problems: refined as well while the
# passes stay within a second, taken from the triangular factor above.
_MOST_REFINED_ERRORS = 1 << 23
# Columns whose Gram matrix has eigenvalues within this ratio are independent beyond doubt.
_INDEPENDENT = 1e-6
# A column computed from the others, and rounded, is this near to them, whatever the number of rows. The answer
# would then depend on the rounding alone.
_ROUNDED = 8 * np.finfo(np.float64).eps


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
            variation about the mean with an intercept, about zero without; NaN where there is none.
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

    QR of the scaled columns, then iterative refinement with residuals in two floats: the answer equals
    exact arithmetic on the numbers given, rounded once to the dtype of the data. Computed in float64
    whatever the dtype, on the device of the data; NumPy arrays in float64 give float64. Columns count as
    dependent where the condition number of the columns, scaled to one size, is 5e14 or more: the answer
    would then depend only on how the data was rounded. So it is the smallest of the many possible weights,
    not refined; the bias need not be small.

    Args:
        x: the design matrix, shape (rows, features), or `TwoFloats` of that shape (see `powers`).
        y: the targets, shape (rows,) or (rows, outputs).
        intercept: whether to add a bias to the model.

    Raises:
        ValueError: if the shapes do not fit, or there are no rows or no features.
        TypeError: if an array is complex.

    Warns:
        RuntimeWarning: if x or y holds values that are not finite; the answer is NaN.
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
    with own_work():
        design, targets, dtype = rows_and_targets(x, y)
        ones = jnp.ones((len(targets), 1)) if intercept else None
        answer, finite = replicating(solve)(design, targets, ones)
        _warn(answer, finite, design.high.shape[1] + intercept)
        return jax.tree.map(
            lambda leaf: leaf.astype(dtype) if leaf.dtype == jnp.float64 else leaf, answer
        )


def rows_and_targets(x: Any, y: Any) -> tuple[TwoFloats, Array, Any]:
    """Return the design matrix and the targets in float64, and the dtype that both were; errors: as for `least_squares`."""
    low: Any
    x, low = x if isinstance(x, TwoFloats) else (x, 0.0)
    x, y = jnp.asarray(numbers("x", x)), jnp.asarray(numbers("y", y))
    if x.ndim != 2 or x.size == 0:
        raise ValueError(f"x must have shape (rows, features), none of them 0, got {x.shape}")
    if y.ndim not in (1, 2) or y.shape[0] != x.shape[0] or y.size == 0:
        raise ValueError(
            f"y must have shape ({x.shape[0]},) or ({x.shape[0]}, outputs), got {y.shape}"
        )
    for name, array in (("x", x), ("y", y)):
        if jnp.issubdtype(array.dtype, jnp.complexfloating):
            raise TypeError(f"{name} must be real, got dtype {array.dtype}")
    wide = x.astype(jnp.float64)
    low = jnp.broadcast_to(jnp.asarray(low, jnp.float64), wide.shape)
    dtype = jnp.result_type(x, y, jnp.float32)
    return TwoFloats(wide, low), y.astype(jnp.float64), dtype


def _warn(answer: LeastSquares, finite: tuple[Array, Array], unknowns: int) -> None:
    if isinstance(answer.rank, jax.core.Tracer):
        return
    rank = int(answer.rank)
    for name, is_finite in zip(("x", "y"), finite, strict=True):
        if not is_finite:
            warnings.warn(
                f"{name} holds values that are not finite: the answer is NaN",
                RuntimeWarning,
                stacklevel=3,
            )
            return
    if rank < unknowns:
        warnings.warn(
            f"the design matrix has rank {rank} for {unknowns} parameters: many parameters have the "
            "smallest loss, and these are the smallest of them",
            np.exceptions.RankWarning,
            stacklevel=3,
        )


@jax.jit
def solve(x: TwoFloats, y: Array, ones: Array | None) -> tuple[LeastSquares, tuple[Array, Array]]:
    """Return the answer, and whether x and y are finite.

    Args:
        x, y: as for `least_squares`, in float64.
        ones: the intercept's column, shape (rows, 1), or None.
    """
    finite = jnp.isfinite(x.high).all(), jnp.isfinite(y).all()
    intercept = ones is not None
    if ones is not None:
        # The intercept comes first, so that the factor of the other columns is the centred columns' factor.
        x = TwoFloats(jnp.hstack([ones, x.high]), jnp.hstack([jnp.zeros_like(ones), x.low]))
    targets = y if y.ndim == 2 else y[:, None]
    rows, unknowns = x.high.shape

    # Powers of two, so that scaling rounds nothing.
    scale, target_scale = _size(x.high), _size(targets)
    design = TwoFloats(x.high / scale, x.low / scale)
    right = targets / target_scale
    factor = triangular_factor(jnp.hstack([design.high, right]))
    r, c = factor[:unknowns, :unknowns], factor[:unknowns, unknowns:]
    singular = jnp.linalg.svd(r, compute_uv=False)
    epsilon = jnp.finfo(r.dtype).eps
    smallest = 10 * epsilon * max(unknowns, math.sqrt(rows)) * singular[0]
    few = partial(_smallest, r, c, design, right, scale, smallest, intercept=intercept)
    if rows < unknowns:
        solution = few()
    else:
        # A singular value neither clearly rounding nor clearly above it: the columns themselves decide.
        doubtful = (singular[-1] <= smallest) & (singular[-1] > epsilon**2 * singular[0])
        start = jax.lax.cond(
            doubtful, lambda: _sharpened(r, design, right), lambda: _started(r, c, design)
        )
        solution = jax.lax.cond(
            jnp.where(doubtful, start.certain, singular[-1] > smallest),
            lambda: _refined(start, design, right),
            few,
        )
    rank = solution.rank
    squares = jnp.square(solution.residual).sum(axis=0)
    left = jnp.where(rows > rank, rows - rank, jnp.nan)
    deviation = jnp.sqrt(squares / left) * target_scale
    centred = right - right.mean(axis=0) if intercept else right
    centred = centred - centred.mean(axis=0) if intercept else centred
    variation = jnp.square(centred).sum(axis=0)

    weights = solution.weights * (target_scale / scale[:, None])
    errors = solution.spread[:, None] / scale[:, None] * deviation

    def shaped(leaf: Array) -> Array:
        return leaf if y.ndim == 2 else leaf[..., 0]

    def as_params(leaf: Array) -> Params:
        leaf = shaped(leaf)
        return Linear(leaf[1:], leaf[0]) if intercept else leaf

    answer = LeastSquares(
        params=as_params(weights),
        # The scale's square alone would be out of range before its product is.
        loss=(squares * target_scale * target_scale).sum() / targets.size,
        rank=rank.astype(jnp.int32),
        standard_errors=as_params(errors),
        residual_standard_deviation=shaped(deviation),
        r_squared=shaped(1 - squares / jnp.where(variation > 0, variation, jnp.nan)),
    )
    return answer, finite


class _Solution(NamedTuple):
    """The scaled problem's answer; spread is the root of the diagonal of (XᵀX)⁻¹."""

    weights: Float[Array, "unknowns outputs"]
    residual: Float[Array, "rows outputs"]
    spread: Float[Array, " unknowns"]
    rank: Int[Array, ""]


def _size(columns: Float[Array, "rows columns"]) -> Float[Array, " columns"]:
    """Return the power of two below the largest size in each column; 1 where there is none."""
    largest = jnp.abs(columns).max(axis=0)
    # The exponent's bits alone: of an infinity they are one, of a subnormal number zero.
    bits = jax.lax.bitcast_convert_type(largest, jnp.int64) & jnp.int64(0x7FF << 52)
    power = jax.lax.bitcast_convert_type(bits, largest.dtype)
    return jnp.where((power > 0) & jnp.isfinite(power), power, 1)


def _smallest(
    r: Array,
    c: Array,
    design: TwoFloats,
    right: Array,
    scale: Array,
    smallest: Array,
    *,
    intercept: bool,
) -> _Solution:
    """Solve by the singular values that are significant, for the smallest unscaled weights.

    An intercept comes first and need not be small: below its row the factor is the centred columns' factor.
    """
    first = int(intercept)
    u, singular, vt = jnp.linalg.svd(r[first:, first:], full_matrices=False)
    significant = singular > smallest
    inverse = jnp.where(significant, 1 / jnp.where(significant, singular, 1), 0)
    column = scale[first:, None]
    solver = (vt.T * inverse) / column
    # Scaling has bent the rows' space: the part outside the space of the unscaled rows is dropped.
    rows_space, _ = jnp.linalg.qr(column * vt.T)
    rows_space = jnp.where(significant, rows_space, 0)
    solver = column * (rows_space @ (rows_space.T @ solver))
    weights = solver @ (u.T @ c[first:])
    variance = jnp.square(solver).sum(axis=1)
    if intercept:
        means = r[0, 1:] / r[0, 0]
        weights = jnp.vstack([c[:1] / r[0, 0] - means @ weights, weights])
        of_bias = 1 / jnp.square(r[0, 0]) + jnp.square(means @ solver).sum()
        variance = jnp.hstack([of_bias, variance])
    fitted = matmul(design, double(weights))
    residual = add(double(right), TwoFloats(-fitted.high, -fitted.low)).high
    return _Solution(weights, residual, jnp.sqrt(variance), first + significant.sum())


class _Start(NamedTuple):
    """A factor of the design matrix to refine from.

    Attributes:
        r: upper triangular, with q r near the design matrix.
        q: its columns are orthogonal only as far as refinement needs.
        weights: a first answer.
        certain: whether the columns are known to be independent.
    """

    r: Float[Array, "unknowns unknowns"]
    q: Float[Array, "rows unknowns"]
    weights: Float[Array, "unknowns outputs"]
    certain: Bool[Array, ""]


def _started(r: Array, c: Array, design: TwoFloats) -> _Start:
    """Return the start that the factor gives."""
    q = jax.lax.linalg.triangular_solve(r, design.high, left_side=False, lower=False)
    weights = jax.scipy.linalg.solve_triangular(r, c)
    return _Start(r, q, weights, jnp.asarray(True))


def _sharpened(r: Array, design: TwoFloats, right: Array) -> _Start:
    """Return a better start, for columns so nearly dependent that the factor is half rounding.

    X r⁻¹ is computed in two floats, so its error is negligible. Where its columns are independent, the
    columns of X are too, and its own factor corrects r. (T. Ogita, "Accurate matrix factorization: inverse
    LU and inverse QR factorizations", SIAM J. Matrix Anal. Appl. 31, 2010.)
    """
    inverse = jax.scipy.linalg.solve_triangular(r, jnp.eye(len(r), dtype=r.dtype))
    near = matmul(design, double(inverse)).high
    gram = near.T @ near
    lowest, highest = jnp.linalg.eigvalsh(gram)[jnp.array([0, -1])]
    correction = jnp.linalg.cholesky(gram, upper=True)
    q = jax.lax.linalg.triangular_solve(correction, near, left_side=False, lower=False)
    corrected = correction @ r
    weights = jax.scipy.linalg.solve_triangular(corrected, q.T @ right)
    singular = jnp.linalg.svd(corrected, compute_uv=False)
    certain = (lowest > _INDEPENDENT * highest) & (singular[-1] > _ROUNDED * singular[0])
    return _Start(corrected, q, weights, certain)


def _refined(begun: _Start, design: TwoFloats, right: Float[Array, "rows outputs"]) -> _Solution:
    """Solve [I X; Xᵀ 0] [residual; weights] = [right; 0] to the last digit.

    Beside the outputs stand columns for the unit vectors; their weights give (XᵀX)⁻¹.
    """
    r, q, weights, _ = begun
    rows, unknowns = design.high.shape
    outputs = right.shape[1]
    solve = partial(jax.scipy.linalg.solve_triangular, r)
    inverse = solve(jnp.eye(unknowns, dtype=r.dtype))
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
        improves = (better.change < better.before) | (state.passes < _FEWEST_PASSES)
        return jax.tree.map(lambda new, old: jnp.where(improves, new, old), better, failed)

    def improving(state: _Pass) -> Bool[Array, ""]:
        better = (state.change < state.before / 2) & (state.change > 0)
        return (better | (state.passes < _FEWEST_PASSES)) & (state.passes < _MOST_PASSES)

    start = _Pass(
        double(weights), double(residual), jnp.ones(()), jnp.full((), jnp.inf), jnp.asarray(0)
    )
    end = jax.lax.while_loop(improving, improve, start)
    if spread_too:
        variance = jnp.diagonal(end.weights.high[:, outputs:])
    else:
        variance = jnp.square(inverse).sum(axis=1)
    return _Solution(
        end.weights.high[:, :outputs],
        end.residual.high[:, :outputs],
        jnp.sqrt(variance),
        jnp.asarray(unknowns),
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
