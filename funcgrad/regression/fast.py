"""Least squares in three reads of the data: from its sums, and two corrections from its rows. It tells its digits."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from funcgrad.regression.model import Linear
from funcgrad.regression.products import dot
from funcgrad.regression.sums import Moments, about_zero, moments

_BLOCK = 4096


def solve_fast(
    x: Float[Array, "rows features"],
    y: Float[Array, "rows *outputs"],
    weights: Float[Array, " rows"] | None,
    *,
    intercept: bool,
) -> tuple[dict[str, Array | Linear], Float[Array, ""]]:
    """Return the numbers of a `LeastSquares` by name, and how many digits of the params are sure; NaN for no digit.

    The normal equations of the columns, scaled to one size, give a first answer; the gradient at it, from the rows,
    corrects it twice. The digits are those of a perturbation bound, ε·(κ + κ²·|residual| / |fitted|), κ the condition
    number, or of what the last correction leaves. (Å. Björck, "Stability analysis of the method of seminormal
    equations for linear least squares problems", Linear Algebra Appl. 88, 1987.)
    """
    sums = moments(x, y, weights)
    return _solved(x, y if y.ndim == 2 else y[:, None], weights, sums, intercept=intercept)


@partial(jax.jit, static_argnames="intercept")
def _solved(
    x: Array, y: Array, weights: Array | None, sums: Moments, *, intercept: bool
) -> tuple[dict[str, Array | Linear], Array]:
    outputs, one_output = y.shape[1], sums.xy.ndim == 1
    xx, xy, yy = (sums.xx, sums.xy, sums.yy) if intercept else about_zero(sums)
    xy, yy = xy.reshape(len(xx), outputs), yy.reshape(outputs)
    x_mean, y_mean = (
        (sums.x_mean, sums.y_mean.reshape(outputs))
        if intercept
        else (jnp.zeros(len(xx)), jnp.zeros(outputs))
    )
    squares_of_columns = jnp.diagonal(xx)
    size = jnp.sqrt(jnp.where(squares_of_columns > 0, squares_of_columns, 1))
    gram = xx / size / size[:, None]
    factor = jax.scipy.linalg.cho_factor(gram)
    read = partial(_gradient, x, y, weights, x_mean, y_mean)

    def step(right: Array) -> Array:
        return jax.scipy.linalg.cho_solve(factor, right / size[:, None])

    first = step(xy)
    at = first / size[:, None]
    one = step(read(at)[0])
    at = at + one / size[:, None]
    gradient, squares = read(at)
    two = step(gradient)
    at = at + two / size[:, None]

    lowest, highest = jnp.linalg.eigvalsh(gram)[jnp.array([0, -1])]
    epsilon = jnp.finfo(gram.dtype).eps
    # A column that depends on the others leaves so much, by rounding alone.
    doubtful = 10 * len(xx) * epsilon * highest
    condition = jnp.sqrt(highest / jnp.where(lowest > doubtful, lowest, 0))
    fitted = jnp.sqrt(jnp.maximum(yy - squares, 0))
    share = jnp.sqrt(squares) / jnp.where(fitted > 0, fitted, jnp.sqrt(squares))
    bound = epsilon * (condition + condition**2 * jnp.nan_to_num(share, nan=0.0).max())
    sizes = [jnp.abs(leaf).max() for leaf in (first, one, two)]
    shrunk = sizes[2] / jnp.where(sizes[1] > 0, sizes[1], 1)
    left = shrunk * sizes[2] / jnp.where(sizes[0] > 0, sizes[0], 1)
    digits = -jnp.log10(jnp.maximum(jnp.maximum(bound, left), epsilon))
    digits = jnp.where(jnp.isnan(digits) | (digits < 0), 0, digits)
    known = jnp.where(digits >= 1, 1, jnp.nan)

    unknowns = len(xx) + intercept
    counted = jnp.asarray(len(x)) if weights is None else (weights > 0).sum()
    spare = jnp.where(counted > unknowns, counted - unknowns, jnp.nan)
    deviation = jnp.sqrt(squares / spare)
    inverse = jax.scipy.linalg.cho_solve(factor, jnp.eye(len(xx))) / size / size[:, None]
    of_bias = 1 / sums.rows + x_mean @ inverse @ x_mean

    def shaped(leaf: Array) -> Array:
        return leaf[..., 0] if one_output else leaf

    def params(of_weights: Array, of_bias: Array) -> Array | Linear:
        leaves = shaped(of_weights * known), shaped(of_bias * known)
        return Linear(*leaves) if intercept else leaves[0]

    numbers = {
        "params": params(at, y_mean - x_mean @ at),
        "loss": known * squares.sum() / (sums.rows * outputs),
        "rank": jnp.asarray(unknowns, jnp.int32),
        "standard_errors": params(
            jnp.sqrt(jnp.diagonal(inverse))[:, None] * deviation, jnp.sqrt(of_bias) * deviation
        ),
        "residual_standard_deviation": shaped(deviation * known),
        "r_squared": shaped(known * (1 - squares / jnp.where(yy > 0, yy, jnp.nan))),
    }
    return numbers, digits


def _gradient(
    x: Array, y: Array, weights: Array | None, x_mean: Array, y_mean: Array, at: Array
) -> tuple[Array, Array]:
    """Return Xᵀ(y - X·w) and Σ (y - X·w)² of centred and weighted rows, a block at a time."""
    blocks, rest = divmod(len(x), _BLOCK)
    data = x, y, weights

    def of_block(x: Array, y: Array, counts: Array | None) -> tuple[Array, Array]:
        x, y = x - x_mean, y - y_mean
        residual = y - dot(x, at)
        counted = residual if counts is None else counts[:, None] * residual
        return dot(x.T, counted), jnp.sum(counted * residual, axis=0)

    def add_block(index: Array, sofar: tuple[Array, Array]) -> tuple[Array, Array]:
        start = rest + index * _BLOCK
        block = jax.tree.map(lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, start, _BLOCK), data)
        return jax.tree.map(jnp.add, sofar, of_block(*block))

    first = of_block(*jax.tree.map(lambda leaf: leaf[:rest], data))
    return jax.lax.fori_loop(0, blocks, add_block, first) if blocks else first
