"""The exact least-squares answer, the yardstick for everything that descends towards it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from itertools import count
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int, Num

from funcgrad.regression.fast import solve_fast
from funcgrad.regression.iterative import (
    MOST_REFINED_ERRORS,
    Solution,
    improved,
    sharpened,
    started,
)
from funcgrad.regression.model import Linear, Params, weights_and_bias
from funcgrad.regression.namespaces import cond, namespace
from funcgrad.regression.orthogonal import triangular_factor
from funcgrad.regression.precision import (
    check_indices,
    lie_on_one_cpu,
    numbers,
    on_device,
    own_work,
    put_beside,
)
from funcgrad.regression.products import dot
from funcgrad.regression.refined import refined
from funcgrad.regression.sharding import replicating
from funcgrad.regression.sums import sums_of_rows
from funcgrad.regression.two_floats import (
    TwoFloats,
    add,
    double,
    matmul,
    multiply,
    negative,
    square_root,
    sum_of_squares,
)
from funcgrad.regression.weights import row_weights

# Data up to this size, rows · columns², is solved by NumPy a hundred times in the time of one compilation. What comes
# in one shape more often is compiled.
_MOST_AT_ONCE = 1 << 17
_TIMES_AT_ONCE = 100
# With fewer sure digits than these the fast answer warns.
_FEW_DIGITS = 6


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
            shape () or (outputs,); NaN, and the standard errors with it, where rows = rank. With weights, that of
            a row of weight one: √(Σ weight · residual² / (rows - rank)), rows of weight zero not counted.
        r_squared: the share of the targets' variation that the model explains, shape () or (outputs,):
            variation about the mean with an intercept, about zero without; NaN where there is none.
        digits: with `accuracy="fast"`, how many digits of the largest params are sure, shape (); None otherwise: all.
    """

    params: Params
    loss: Float[Array, ""]
    rank: Int[Array, ""]
    standard_errors: Params
    residual_standard_deviation: Float[Array, " *outputs"]
    r_squared: Float[Array, " *outputs"]
    digits: Float[Array, ""] | None = None


def least_squares(
    x: Num[ArrayLike, "rows features"] | TwoFloats,
    y: Num[ArrayLike, rows * outputs],
    *,
    intercept: bool = False,
    weights: Num[ArrayLike, " rows"] | None = None,
    accuracy: Literal["full", "fast"] = "full",
) -> LeastSquares:
    """Return the parameters that minimise `loss`, the smallest ones where several do.

    QR of the scaled columns, then iterative refinement with residuals in two floats: the answer equals
    exact arithmetic on the numbers given, rounded once to the dtype of the data. For many rows whose columns are far
    from dependent, the sums and one or two reads of the rows give the same, in less time and memory. Computed in float64
    whatever the dtype, on the device of the data; NumPy arrays in float64 give float64. Columns count as
    dependent where the condition number of the columns, scaled to one size, is 5e14 or more: the answer
    would then depend only on how the data was rounded. So it is the smallest of the many possible weights,
    not refined; the bias need not be small.

    Every number of the answer can be differentiated by x, y and weights, forwards and backwards, as often as
    is asked, also under `jax.jit` and `jax.vmap`. The derivatives are those of the normal equations at the answer
    (the implicit function theorem); of dependent columns, those of the smallest answer, of first order.

    Args:
        x: the design matrix, shape (rows, features), or `TwoFloats` of that shape (see `powers`).
        y: the targets, shape (rows,) or (rows, outputs).
        intercept: whether to add a bias to the model.
        weights: how much each row counts, shape (rows,), 0 or more, not all 0: then
            Σ weight · residual² / Σ weight is minimised, and is the answer's `loss`. None is the same for all.
        accuracy: "full" as above; "fast" reads the data three times and needs no memory beside it. Its answer has
            `digits` sure digits: about 15 less the logarithm of the condition number, fewer where the fit is bad and
            the condition large; with none it is NaN.

    Raises:
        ValueError: if the shapes do not fit, there are no rows or no features, or a weight is negative or all
            are 0 (not told inside `jax.jit` or `jax.vmap`).
        TypeError: if an array is complex.

    Warns:
        RuntimeWarning: if x or y holds values that are not finite; the answer is NaN.
        RuntimeWarning: if fewer than six digits are sure with `accuracy="fast"`.
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
    if accuracy not in ("full", "fast"):
        raise ValueError(f"accuracy must be 'full' or 'fast', got {accuracy!r}")
    check_indices(x=x, y=y, weights=weights)
    with own_work():
        if accuracy == "fast":
            return _fast(x, y, weights, intercept=intercept)
        answer = _of_many_rows(x, y, weights, intercept=intercept)
        if answer is not None:
            return answer
        design, targets, dtype = rows_and_targets(x, y)
        ones = on_device(np.ones(len(targets))) if intercept else None
        weights = row_weights(weights, len(targets))
        answer, finite = replicating(solve)(Problem(design, targets, ones, weights))
        _warn(answer, finite, design.high.shape[1] + intercept)
        return jax.tree.map(
            lambda leaf: leaf.astype(dtype) if leaf.dtype == jnp.float64 else leaf, answer
        )


def _of_many_rows(x: Any, y: Any, weights: Any, *, intercept: bool) -> LeastSquares | None:
    """Return the answer by few reads of the rows; None where it is not certain, and for rows that are few or traced."""
    shape: Any = getattr(x, "shape", ())
    if len(shape) != 2 or shape[0] * (shape[1] + intercept) ** 2 <= MOST_REFINED_ERRORS:
        return None
    x, y, dtype = _checked(x, y)
    unknowns = x.shape[1] + intercept
    weights = row_weights(weights, len(y))
    data = [leaf for leaf in (x, y, weights) if leaf is not None]
    if any(isinstance(leaf, jax.core.Tracer) or len(leaf.devices()) > 1 for leaf in data):
        return None
    sums, finite, _ = sums_of_rows(x, y, weights)
    if not finite:
        return None
    read = replicating(partial(refined, intercept=intercept))
    *numbers, certain = read(x, y, weights, sums)
    if not certain:
        return None
    params, loss, errors, deviation, r_squared = jax.tree.map(
        lambda leaf: leaf.astype(dtype), numbers
    )
    return LeastSquares(
        params, loss, jnp.asarray(unknowns, jnp.int32), errors, deviation, r_squared
    )


def _fast(x: Any, y: Any, weights: Any, *, intercept: bool) -> LeastSquares:
    if isinstance(x, TwoFloats):
        raise TypeError("x is TwoFloats, which accuracy='fast' would round: leave it out")
    x, y, dtype = _checked(x, y)
    checked = row_weights(weights, len(y))
    found, digits = solve_fast(
        x.astype(jnp.float64), y.astype(jnp.float64), checked, intercept=intercept
    )
    if not isinstance(digits, jax.core.Tracer) and digits < _FEW_DIGITS:
        warnings.warn(
            f"{int(digits)} digits of the answer are sure: accuracy='full' has them all",
            RuntimeWarning,
            stacklevel=3,
        )
    answer = LeastSquares(**found, digits=digits)  # type: ignore[arg-type]
    return jax.tree.map(
        lambda leaf: leaf.astype(dtype) if leaf.dtype == jnp.float64 else leaf, answer
    )


def rows_and_targets(x: Any, y: Any) -> tuple[TwoFloats, Array, Any]:
    """Return the design matrix and the targets in float64, and the dtype that both were; errors: as for `least_squares`."""
    x, low = x if isinstance(x, TwoFloats) else (x, None)
    x, y, dtype = _checked(x, y)
    wide = x.astype(jnp.float64)
    low = on_device(np.zeros(wide.shape) if low is None else low).astype(jnp.float64)
    low = jnp.broadcast_to(low, wide.shape)
    return TwoFloats(wide, low), y.astype(jnp.float64), dtype


def real_rows(x: Any, y: Any, place: Callable[[Any], Any] = on_device) -> tuple[Array, Array, Any]:
    """Return x, rounded where it is `TwoFloats`, and y as arrays, and the dtype of both; errors: as for `least_squares`."""
    return _checked(x.high + x.low if isinstance(x, TwoFloats) else x, y, place)


def _checked(x: Any, y: Any, place: Callable[[Any], Any] = on_device) -> tuple[Array, Array, Any]:
    """Return x and y as arrays that fit each other, put where they are to be, and the dtype of both."""
    if hasattr(x, "epoch"):
        raise TypeError(
            f"x is a {type(x).__name__}, which is read in parts: fit, ridge and lasso take its sums, moments(x)"
        )
    check_indices(x=x, y=y)
    x, y = place(numbers("x", x)), place(numbers("y", y))
    if x.ndim != 2 or x.size == 0:
        raise ValueError(f"x must have shape (rows, features), none of them 0, got {x.shape}")
    if y.ndim not in (1, 2) or y.shape[0] != x.shape[0] or y.size == 0:
        raise ValueError(
            f"y must have shape ({x.shape[0]},) or ({x.shape[0]}, outputs), got {y.shape}"
        )
    for name, array in (("x", x), ("y", y)):
        if jnp.issubdtype(array.dtype, jnp.complexfloating):
            raise TypeError(f"{name} must be real, got dtype {array.dtype}")
    traced = [leaf for leaf in (x, y) if isinstance(leaf, jax.core.Tracer)]
    return x, y, jnp.result_type(*(traced or (x, y)), jnp.float32)


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


class Problem(NamedTuple):
    """Least squares with a penalty: minimise Σ weight · (y - x·w - ones·bias)² + penalty · Σ w².

    Attributes:
        x, y: as for `least_squares`, in float64.
        ones: the intercept's column, shape (rows,), 1 in each row; or None.
        weights: of the rows, shape (rows,); or None.
        penalty: shape (), or None.
    """

    x: TwoFloats
    y: Float[Array, rows * outputs]
    ones: Float[Array, " rows"] | None = None
    weights: Float[Array, " rows"] | None = None
    penalty: Float[Array, ""] | None = None


def solve(problem: Problem) -> tuple[LeastSquares, tuple[Array, Array]]:
    """Return the answer, and whether x and y are finite."""
    at_once = _in_numpy(problem)
    return _solve(problem) if at_once is None else at_once


def _in_numpy(problem: Problem) -> tuple[LeastSquares, tuple[Array, Array]] | None:
    """Return the same by NumPy, where compiling would take longer; else None."""
    leaves = jax.tree.leaves(problem)
    rows, features = problem.x.high.shape
    columns = features + problem.y.size // rows + 1
    if any(isinstance(leaf, jax.core.Tracer) for leaf in leaves):
        return None
    if rows * columns**2 > _MOST_AT_ONCE or not lie_on_one_cpu(leaves):
        return None
    if next(_times(tuple(leaf.shape for leaf in leaves))) >= _TIMES_AT_ONCE:
        return None
    try:
        with np.errstate(all="ignore"):
            answer = _answer(jax.tree.map(np.asarray, problem))
    except np.linalg.LinAlgError:  # data that is not finite, mostly
        return None
    return put_beside(leaves, answer)


@lru_cache(maxsize=4096)
def _times(shapes: tuple[tuple[int, ...], ...]) -> Iterator[int]:
    """Return the count of the problems of these shapes."""
    return count()


@jax.custom_jvp
def _solve(problem: Problem) -> tuple[LeastSquares, tuple[Array, Array]]:
    return _compiled(problem)


@_solve.defjvp
def _solve_jvp(primals: Any, tangents: Any) -> Any:
    # A derivative may be asked for where the settings are the user's again.
    with own_work():
        answer, finite = solve(*primals)
        _, tangent = jax.jvp(partial(_differentiable, answer=answer), primals, tangents)
        no_tangent = [np.zeros(leaf.shape, jax.dtypes.float0) for leaf in (answer.rank, *finite)]
        return (answer, finite), (tangent._replace(rank=no_tangent[0]), tuple(no_tangent[1:]))


@jax.jit
def _differentiable(problem: Problem, *, answer: LeastSquares) -> LeastSquares:
    """Return the answer once more, as a function whose derivatives by the problem are the answer's.

    The weights are taken from the answer, and moved by the solution of the normal equations for what these leave:
    nothing, but with a derivative.
    """
    design, y, ones, counts, penalty = problem
    x, targets = design.high + design.low, y if y.ndim == 2 else y[:, None]
    if counts is None:
        counts = jnp.ones(len(x))
    total, column = counts.sum(), counts[:, None]
    x_mean, y_mean = jnp.zeros(x.shape[1:]), jnp.zeros(targets.shape[1:])
    if ones is not None:
        x_mean, y_mean = (dot(counts[None], leaf)[0] / total for leaf in (x, targets))
        x, targets = x - x_mean, targets - y_mean
    first, _ = weights_and_bias(answer.params)
    w = first if y.ndim == 2 else first[:, None]
    rank = answer.rank - (ones is not None)
    deficient = rank < x.shape[1]
    inverse, kept = _inverse_of_gram(
        *jax.lax.stop_gradient((x, counts, penalty)), rank, deficient=deficient
    )

    def shrunk(product: Array, w: Array) -> Array:
        return product if penalty is None else product + penalty * w

    solved = partial(
        jax.lax.custom_linear_solve,
        lambda w: shrunk(dot(x.T, column * dot(x, w)), w),
        solve=lambda _, right: dot(inverse, right),
        symmetric=True,
    )
    # The smallest of many answers stays within the space of the rows, which moves with them.
    towards = dot(x.T, jax.lax.stop_gradient(column * dot(x, dot(inverse, w))))
    w = w + solved(shrunk(dot(x.T, column * (targets - dot(x, w))), -w))
    w = w + jnp.where(deficient, towards - dot(kept, towards), 0)
    squares = dot(counts[None], jnp.square(targets - dot(x, w)))[0]
    variation = dot(counts[None], jnp.square(targets))[0]
    left = (counts > 0).sum() - answer.rank
    deviation = jnp.sqrt(squares / jnp.where(left > 0, left, jnp.nan))
    identity = jnp.eye(x.shape[1])
    covariance = solved(identity)
    variances = (covariance * identity).sum(axis=1)
    of_bias = 1 / total + dot(dot(x_mean[None], covariance), x_mean[:, None])[0, 0]

    def as_params(weights: Array, bias: Array) -> Params:
        leaves = (weights, bias) if y.ndim == 2 else (weights[..., 0], bias[..., 0])
        return leaves[0] if ones is None else Linear(*leaves)

    def shaped(leaf: Array) -> Array:
        return leaf if y.ndim == 2 else leaf[0]

    return LeastSquares(
        params=as_params(w, y_mean - dot(x_mean[None], w)[0]),
        loss=squares.sum() / (total * targets.shape[1]),
        rank=answer.rank,
        standard_errors=as_params(
            jnp.sqrt(variances)[:, None] * deviation, jnp.sqrt(of_bias) * deviation
        ),
        residual_standard_deviation=shaped(deviation),
        r_squared=shaped(1 - squares / jnp.where(variation > 0, variation, jnp.nan)),
    )


def _inverse_of_gram(
    x: Array, counts: Array, penalty: Array | None, rank: Array, *, deficient: Array
) -> tuple[Array, Array]:
    """Return the pseudo-inverse of Xᵀ diag(counts) X + penalty, and the projector on the space of its rows."""
    rows = x * jnp.sqrt(counts)[:, None]
    if penalty is not None:
        rows = jnp.vstack([rows, jnp.sqrt(penalty) * jnp.eye(x.shape[1])])
    # Columns of one size lose fewer digits, but the smallest answer is that of the columns as they are.
    scale = jnp.where(deficient, 1.0, _size(rows))
    _, singular, vt = jnp.linalg.svd(triangular_factor(rows / scale), full_matrices=False)
    significant = jnp.arange(len(singular)) < rank
    inverted = jnp.where(significant, 1 / jnp.where(significant, singular, 1), 0)
    half = (vt.T * inverted) / scale[:, None]
    return dot(half, half.T), dot(vt.T * significant, vt)


def _answer(problem: Problem) -> tuple[LeastSquares, tuple[Array, Array]]:
    """Return the answer to a problem of JAX's arrays or NumPy's."""
    x, y, ones, weights, penalty = problem
    xp = namespace(y)
    finite = xp.isfinite(x.high).all(), xp.isfinite(y).all()
    intercept = ones is not None
    outputs = y.size // len(y)
    if ones is not None:
        # The intercept comes first, so that the factor of the other columns is the centred columns' factor.
        parts = ones[:, None], xp.zeros((len(y), 1))
        x = TwoFloats(*(xp.hstack(pair) for pair in zip(parts, x, strict=True)))
    unknowns = x.high.shape[1]
    targets = double(y if y.ndim == 2 else y[:, None])
    rows, total = xp.asarray(len(y)), xp.asarray(len(y), x.high.dtype)
    weight_scale = xp.ones((), x.high.dtype)
    # Powers of two, so that scaling rounds nothing.
    target_scale = _size(targets.high)
    targets = TwoFloats(targets.high / target_scale, targets.low)
    if weights is not None:
        weight_scale = _size(weights[:, None])[0]
        weights = weights / weight_scale
        rows, total = (weights > 0).sum(), weights.sum()
        root = TwoFloats(*(part[:, None] for part in square_root(weights)))
        x, targets = multiply(x, root), multiply(targets, root)
    if penalty is not None:
        # One more row for each weight, which pulls it towards zero.
        root = square_root(penalty / weight_scale)
        below = (
            xp.pad(part * xp.eye(unknowns - intercept), ((0, 0), (intercept, 0))) for part in root
        )
        x = TwoFloats(*(xp.vstack(pair) for pair in zip(x, below, strict=True)))
        none = xp.zeros((unknowns - intercept, outputs))
        targets = TwoFloats(*(xp.vstack([part, none]) for part in targets))

    scale = _size(x.high)
    design = TwoFloats(x.high / scale, x.low / scale)
    right = targets
    factor = triangular_factor(xp.hstack([design.high, right.high]))
    r, c = factor[:unknowns, :unknowns], factor[:unknowns, unknowns:]
    singular = xp.linalg.svd(r, compute_uv=False)
    epsilon = xp.finfo(r.dtype).eps
    smallest = 10 * epsilon * max(unknowns, math.sqrt(len(y))) * singular[0]
    few = partial(_smallest, r, c, design, right, scale, smallest, intercept=intercept)
    if len(x.high) < unknowns:
        solution = few()
    else:
        # A singular value neither clearly rounding nor clearly above it: the columns themselves decide.
        doubtful = (singular[-1] <= smallest) & (singular[-1] > epsilon**2 * singular[0])
        start = cond(doubtful, lambda: sharpened(r, design, right), lambda: started(r, c, design))
        solution = cond(
            xp.where(doubtful, start.certain, singular[-1] > smallest),
            lambda: improved(start, design, right),
            few,
        )
    rank = solution.rank
    squares = sum_of_squares(solution.residual)
    left = xp.where(rows > rank, rows - rank, xp.nan)
    deviation = xp.sqrt(squares / left) * target_scale
    centred = right.high
    for _ in range(2 if intercept else 0):
        column = design.high[:, :1]
        centred = centred - column * ((column * centred).sum(axis=0) / xp.square(column).sum())
    variation = sum_of_squares(centred)

    params = solution.weights * (target_scale / scale[:, None])
    errors = solution.spread[:, None] / scale[:, None] * deviation

    def shaped(leaf: Array) -> Array:
        return leaf if y.ndim == 2 else leaf[..., 0]

    def as_params(leaf: Array) -> Params:
        leaf = shaped(leaf)
        return Linear(leaf[1:], leaf[0]) if intercept else leaf

    answer = LeastSquares(
        params=as_params(params),
        # The scale's square alone would be out of range before its product is.
        loss=(squares * target_scale * target_scale).sum() / (total * outputs),
        rank=rank.astype(xp.int32),
        standard_errors=as_params(errors),
        residual_standard_deviation=shaped(deviation) * xp.sqrt(weight_scale),
        r_squared=shaped(1 - squares / xp.where(variation > 0, variation, xp.nan)),
    )
    return answer, finite


_compiled = jax.jit(_answer)


def _size(columns: Float[Array, "rows columns"]) -> Float[Array, " columns"]:
    """Return the power of two below the largest size in each column; 1 where there is none."""
    xp = namespace(columns)
    largest = xp.abs(columns).max(axis=0)
    # The exponent's bits alone: of an infinity they are one, of a subnormal number zero.
    power = (largest.view(np.int64) & np.int64(0x7FF << 52)).view(largest.dtype)
    return xp.where((power > 0) & xp.isfinite(power), power, 1)


def _smallest(
    r: Array,
    c: Array,
    design: TwoFloats,
    right: TwoFloats,
    scale: Array,
    smallest: Array,
    *,
    intercept: bool,
) -> Solution:
    """Solve by the singular values that are significant, for the smallest unscaled weights.

    An intercept comes first and need not be small: below its row the factor is the centred columns' factor.
    """
    xp, first = namespace(r), int(intercept)
    u, singular, vt = xp.linalg.svd(r[first:, first:], full_matrices=False)
    significant = singular > smallest
    inverse = xp.where(significant, 1 / xp.where(significant, singular, 1), 0)
    column = scale[first:, None]
    solver = (vt.T * inverse) / column
    # Scaling has bent the rows' space: the part outside the space of the unscaled rows is dropped.
    rows_space, _ = xp.linalg.qr(column * vt.T)
    rows_space = xp.where(significant, rows_space, 0)
    solver = column * (rows_space @ (rows_space.T @ solver))
    weights = solver @ (u.T @ c[first:])
    variance = xp.square(solver).sum(axis=1)
    if intercept:
        means = r[0, 1:] / r[0, 0]
        weights = xp.vstack([c[:1] / r[0, 0] - means @ weights, weights])
        of_bias = 1 / xp.square(r[0, 0]) + xp.square(means @ solver).sum()
        variance = xp.hstack([of_bias, variance])
    fitted = matmul(design, double(weights))
    residual = add(right, negative(fitted)).high
    return Solution(weights, residual, xp.sqrt(variance), first + significant.sum())
