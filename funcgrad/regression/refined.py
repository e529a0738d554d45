"""Least squares of many rows whose columns are far from dependent: exact, by one or two reads of the rows.

The sums give a first answer, with about twelve digits. The gradient at it, computed in two floats, gives the
correction that is left, and the next ones if they are needed. Nothing is held beside the data. Each number says
whether it is certain; where one is not, `exact.solve` is asked instead.

The products are computed by slices: x and the weights, and x and the residuals, are cut into parts of so few bits
that a float64 holds every sum of their products exactly, in any order. So they are plain matrix products. (K. Ozaki,
T. Ogita, S. Oishi, S. M. Rump, "Error-free transformations of matrix multiplication by using fast routines of matrix
multiplication and its applications", Numer. Algorithms 59, 2012.)
"""

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from funcgrad.regression.model import Linear, Params
from funcgrad.regression.products import dot
from funcgrad.regression.sums import Moments, about_zero
from funcgrad.regression.two_floats import (
    TwoFloats,
    add,
    double,
    multiply,
    negative,
    two_sum,
)

_BLOCK = 512
# The bits of a float64, its sign's among them.
_BITS = 53
# Of x and of the residuals, so that a sum over a block's rows is exact: 2 · 21 + 9 bits.
_SLICE = 21
# The squared condition number of the scaled columns up to which the sums' factor has eleven digits, so that a
# standard error has as many; and up to which a gradient's error does not reach the weights' last bits.
_CONDITION_OF_SUMS = 1e4
_CONDITION_OF_GRADIENT = 2.0**30
# The error of a gradient, and of a weight, that is allowed: as a share of the largest term, and of the weight.
_GRADIENT_ERROR = 2.0**-92
_WEIGHT_ERROR = 2.0**-58
_MOST_READS = 4
# Squares beyond these may not be normal numbers.
_SQUARES = 1e-200, 1e200


class Refined(NamedTuple):
    """The numbers of a `LeastSquares`, and whether they are certain."""

    params: Params
    loss: Float[Array, ""]
    standard_errors: Params
    residual_standard_deviation: Float[Array, " *outputs"]
    r_squared: Float[Array, " *outputs"]
    certain: Bool[Array, ""]


class _Read(NamedTuple):
    """The weights and the bias before a read of the rows, and the changes that it gave."""

    weights: TwoFloats
    bias: TwoFloats
    change: Float[Array, "features outputs"]
    squares: Float[Array, " outputs"]
    largest: Float[Array, ""]
    done: Bool[Array, ""]
    reads: Int[Array, ""]


@partial(jax.jit, static_argnames="intercept")
def refined(
    x: Float[Array, "rows features"],
    y: Float[Array, "rows *outputs"],
    weights: Float[Array, " rows"] | None,
    sums: Moments,
    *,
    intercept: bool,
) -> Refined:
    """Return the answer that exact arithmetic on x and y gives, rounded; sums are their `moments`."""
    one_output, counts = y.ndim == 1, weights
    y = y[:, None] if one_output else y
    features, outputs = x.shape[1], y.shape[1]
    gram, right, variation = (sums.xx, sums.xy, sums.yy) if intercept else about_zero(sums)
    right, variation = right.reshape(features, outputs), variation.reshape(outputs)
    none = jnp.zeros(features), jnp.zeros(outputs)
    x_mean, y_mean = (sums.x_mean, sums.y_mean.reshape(outputs)) if intercept else none

    squares_of_columns = jnp.diagonal(gram)
    size = jnp.sqrt(squares_of_columns)
    scaled = gram / size / size[:, None]
    lowest = jnp.linalg.eigvalsh(scaled)[0]
    # Centring is exact in the sums, but a gradient's error is a share of the columns as they are.
    uncentred = 1 + sums.rows * jnp.square(x_mean) / squares_of_columns
    condition = features / lowest
    certain = (condition > 0) & (condition <= _CONDITION_OF_SUMS)
    certain &= condition * uncentred.max() <= _CONDITION_OF_GRADIENT
    for squares in (squares_of_columns, variation):
        certain &= ((squares > _SQUARES[0]) & (squares < _SQUARES[1])).all()
    factor = jax.scipy.linalg.cho_factor(scaled)

    def solved(right: Array) -> Array:
        return jax.scipy.linalg.cho_solve(factor, right / size[:, None]) / size[:, None]

    shrinks = 64 * features * jnp.finfo(gram.dtype).eps * condition

    def read(state: _Read) -> _Read:
        gradient, of_bias, squares, largest = _gradient(x, y, counts, state.weights, state.bias)
        mean = double(x_mean[:, None])
        if intercept:
            gradient = add(gradient, negative(multiply(mean, of_bias)))
        change = solved(gradient.high)
        new = add(state.weights, double(change))
        bias = state.bias
        if intercept:
            moved = of_bias.high / sums.rows - dot(x_mean[None], change)[0]
            bias = add(bias, double(moved))
        # The squares that the change leaves, without another read.
        gain = (change * gradient.high).sum(axis=0)
        gain += jnp.square(of_bias.high) / sums.rows if intercept else 0
        left = squares - gain
        close = (gain <= 1e-4 * squares).all()
        close &= (shrinks * jnp.abs(change) <= _WEIGHT_ERROR * jnp.abs(new.high)).all()
        if intercept:
            far = shrinks * (jnp.abs(moved) + dot(jnp.abs(x_mean)[None], jnp.abs(change))[0])
            close &= (far <= _WEIGHT_ERROR * jnp.abs(bias.high)).all()
        return _Read(new, bias, change, left, largest, close, state.reads + 1)

    first = solved(right)
    start = _Read(
        double(first),
        double(y_mean - dot(x_mean[None], first)[0]),
        first,
        variation,
        jnp.zeros(()),
        jnp.asarray(False),
        jnp.asarray(0),
    )
    end = jax.lax.while_loop(lambda s: certain & ~s.done & (s.reads < _MOST_READS), read, start)
    # The same for the gradient's own error, which moves a weight by so much at most.
    inverse = jax.scipy.linalg.cho_solve(factor, jnp.eye(features)) / size / size[:, None]
    root = jnp.sqrt(jnp.diagonal(inverse))
    doubt = _GRADIENT_ERROR * end.largest * jnp.sqrt(sums.rows * condition * uncentred.max())
    known = (doubt * root[:, None] <= _WEIGHT_ERROR * jnp.abs(end.weights.high)).all()
    spread_of_bias = jnp.sqrt(1 / sums.rows + x_mean @ inverse @ x_mean)
    if intercept:
        known &= (doubt * spread_of_bias <= _WEIGHT_ERROR * jnp.abs(end.bias.high)).all()

    counted = jnp.asarray(len(x)) if counts is None else (counts > 0).sum()
    deviation = jnp.sqrt(end.squares / (counted - (features + intercept)))

    def shaped(leaf: Array) -> Array:
        return leaf[..., 0] if one_output else leaf

    def params(of_weights: Array, of_bias: Array) -> Params:
        return Linear(shaped(of_weights), shaped(of_bias)) if intercept else shaped(of_weights)

    return Refined(
        params=params(end.weights.high, end.bias.high),
        loss=end.squares.sum() / (sums.rows * outputs),
        standard_errors=params(root[:, None] * deviation, spread_of_bias * deviation),
        residual_standard_deviation=shaped(deviation),
        r_squared=shaped(1 - end.squares / variation),
        certain=certain & end.done & known & (counted > features + intercept),
    )


def _gradient(
    x: Array, y: Array, counts: Array | None, weights: TwoFloats, bias: TwoFloats
) -> tuple[TwoFloats, TwoFloats, Array, Array]:
    """Return Xᵀr and Σ r in two floats, Σ r², and the largest size of a term, of r = y - X·weights - bias.

    Each row counts as often as `counts` says.
    """
    size = min(_BLOCK, len(x))
    data = x, y, counts

    def add_block(index: Array, sofar: tuple[TwoFloats, TwoFloats, Array, Array]) -> Any:
        # The last block begins with rows of the block before it, which do not count again.
        start = jnp.minimum(index * size, len(x) - size)
        new = start + jnp.arange(size) >= index * size
        block = jax.tree.map(lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, start, size), data)
        gradient, total, squares, largest = _of_block(block, new, weights, bias)
        return (
            add(sofar[0], gradient),
            add(sofar[1], total),
            sofar[2] + squares,
            jnp.maximum(sofar[3], largest),
        )

    nothing = double(jnp.zeros_like(weights.high)), double(jnp.zeros_like(bias.high))
    first = (*nothing, jnp.zeros_like(bias.high), jnp.zeros(()))
    return jax.lax.fori_loop(0, -(-len(x) // size), add_block, first)


def _of_block(
    block: tuple[Array, Array, Array | None], new: Array, weights: TwoFloats, bias: TwoFloats
) -> tuple[TwoFloats, TwoFloats, Array, Array]:
    x, y, counts = block
    rows, features = x.shape
    outputs = y.shape[1]
    x, y = x.astype(jnp.float64), y.astype(jnp.float64)
    scale = _power_above(x)  # of each column, so that scaled values are less than one
    slices = jnp.stack(_sliced(double(x / scale), _SLICE), axis=1)

    # Sums over features of products are exact in all but the last slices.
    scaled = TwoFloats(*(part * scale[:, None] for part in weights))
    scale_of_weights = _power_above(scaled.high)
    bits = _BITS - 2 - _SLICE - math.ceil(math.log2(features + 1))
    parts = _sliced(TwoFloats(*(part / scale_of_weights for part in scaled)), bits)
    products = dot(slices.reshape(rows * 3, features), jnp.hstack(parts))
    fitted = _total(products.reshape(rows, 3, 3, outputs).transpose(1, 2, 0, 3))
    fitted = TwoFloats(*(part * scale_of_weights for part in fitted))
    residual = add(add(double(y), negative(bias)), negative(fitted))
    counted = residual if counts is None else multiply(residual, double(counts[:, None]))
    counted = TwoFloats(*(jnp.where(new[:, None], part, 0) for part in counted))

    scale_of_rows = _power_above(counted.high)
    parts = _sliced(TwoFloats(*(part / scale_of_rows for part in counted)), _SLICE)
    products = dot(slices.reshape(rows, 3 * features).T, jnp.hstack(parts))
    moment = _total(products.reshape(3, features, 3, outputs).transpose(0, 2, 1, 3))
    moment = TwoFloats(*(part * scale_of_rows * scale[:, None] for part in moment))
    total = _total(jnp.stack([part.sum(axis=0) for part in parts])[None])
    total = TwoFloats(*(part * scale_of_rows for part in total))
    squares = (counted.high * residual.high).sum(axis=0)
    largest = jnp.maximum(scale_of_rows.max(), features * scale_of_weights.max())
    return moment, total, squares, largest


def _power_above(columns: Array) -> Array:
    """Return a power of two above the largest size in each column."""
    largest = jnp.abs(columns).max(axis=0)
    _, exponent = jnp.frexp(jnp.where(largest > 0, largest, 1.0))
    return jnp.ldexp(jnp.ones_like(largest), exponent)


def _sliced(value: TwoFloats, bits: int) -> list[Array]:
    """Return three parts of numbers of size less than one: two of so many bits, and what is left."""
    parts, left = [], value.high
    for index in range(2):
        unit = 2.0 ** (bits * (index + 1))
        # Adding and subtracting a large number would do as well, but the compiler leaves both out.
        part = jnp.round(left * unit) / unit
        parts.append(part)
        left = left - part
    return [*parts, left + value.low]


def _total(products: Array) -> TwoFloats:
    """Return the sum of products by the slices of both factors, the first two axes, largest first."""
    levels: dict[int, list[Array]] = {}
    for i in range(products.shape[0]):
        for j in range(products.shape[1]):
            levels.setdefault(i + j, []).append(products[i, j])
    ordered = [each for level in sorted(levels) for each in levels[level]]
    high, low = ordered[0], jnp.zeros_like(ordered[0])
    for each in ordered[1:]:
        high, error = two_sum(high, each)
        low = low + error
    return two_sum(high, low)
