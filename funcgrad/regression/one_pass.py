"""A mean over rows of a function of the linear prediction, its gradient from one reading of the rows.

Reverse mode reads the design matrix twice, for the prediction and for its transposed product. On a CPU the
matrix is larger than the cache, and most of the time goes into reading it. So here each block of rows serves for
both while it is in cache. Everything else (small data, several devices, other kinds of them, derivatives by
the data, derivatives of the gradient) takes the plain form; both are the same function.
"""

from collections.abc import Callable, Iterable
from functools import partial, reduce
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Float

from funcgrad.regression.products import linear_prediction, on_one_cpu

RowError = Callable[[Float[Array, "..."], Any], Float[Array, "..."]]

# Blocks that lie in the cache of a core, several of them at once for several cores, more of which would take
# ever longer to compile; and data that no cache holds. Measured on two cores, for 10 to 1,000 features,
# by tests/benchmarks/regression_one_pass.py.
_BLOCK_BYTES = 1 << 18
_MOST_ROWS = 1 << 14
_BLOCKS_AT_ONCE = 8
_FEWEST_TURNS = 32


def mean_over_rows(
    error: RowError, weights: Array, bias: Array | None, x: Array, y: Array
) -> Float[Array, ""]:
    """Return the mean of error(x @ weights + bias, y), which is elementwise, over rows and outputs."""
    if _rows_of_block(weights, x, y) is None:
        return _plain(error, weights, bias, x, y)
    return _mean(error, weights, bias, x, y)


def row_errors(
    error: RowError, weights: Array, bias: Array | None, x: Array, y: Array
) -> Float[Array, " rows"]:
    """Return the mean over outputs of error(x @ weights + bias, y) for each row."""
    errors = _errors(error, linear_prediction(x, weights), bias, y)
    return errors.reshape(len(errors), -1).mean(axis=1)


def _plain(
    error: RowError, weights: Array, bias: Array | None, x: Array, y: Array
) -> Float[Array, ""]:
    return jnp.mean(_errors(error, linear_prediction(x, weights), bias, y))


def _errors(error: RowError, product: Array, bias: Array | None, y: Array) -> Array:
    prediction = product if bias is None else product + bias
    errors = jnp.asarray(error(prediction, y))
    if errors.shape != prediction.shape:
        raise ValueError(
            f"the error of each element of a prediction of shape {prediction.shape} is asked for, "
            f"got {errors.shape}"
        )
    return errors


def _rows_of_block(weights: Array, x: Array, y: Array) -> int | None:
    one_output = x.ndim == 2 and weights.ndim == 1 and x.dtype == weights.dtype == y.dtype
    if not one_output or not x.shape[1] or not on_one_cpu():
        return None
    rows = min(_BLOCK_BYTES // (x.shape[1] * x.dtype.itemsize), _MOST_ROWS)
    return rows if x.shape[0] >= _FEWEST_TURNS * _BLOCKS_AT_ONCE * rows and rows else None


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _mean(error: RowError, weights: Array, bias: Array | None, x: Array, y: Array) -> Array:
    return _plain(error, weights, bias, x, y)


@partial(_mean.defjvp, symbolic_zeros=True)
def _mean_jvp(error: RowError, primals: Any, tangents: Any) -> tuple[Array, Array]:
    weights, bias, x, y = primals
    if not all(isinstance(tangent, SymbolicZero) for tangent in tangents[2:]):
        tangents = jax.tree.map(
            lambda leaf: jnp.zeros(leaf.shape, leaf.dtype) if _is_zero(leaf) else leaf,
            tangents,
            is_leaf=_is_zero,
        )
        return jax.jvp(partial(_plain, error), primals, tangents)
    value, slopes = _value_and_slopes(error, weights, bias, x, y)
    terms = [
        jnp.vdot(slope, tangent, precision=jax.lax.Precision.HIGHEST)
        for slope, tangent in zip(slopes, tangents[:2], strict=True)
        if slope is not None and not _is_zero(tangent)
    ]
    return value, sum(terms[1:], terms[0])


def _is_zero(leaf: Any) -> bool:
    return isinstance(leaf, SymbolicZero)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _value_and_slopes(
    error: RowError, weights: Array, bias: Array | None, x: Array, y: Array
) -> tuple[Array, tuple[Array, Array | None]]:
    """Return the mean and its gradient by weights and bias, the rows read once."""
    rows = x.shape[0]
    size = _rows_of_block(weights, x, y)
    assert size is not None
    turns, rest = divmod(rows, size * _BLOCKS_AT_ONCE)

    def of_block(start: Any, length: int) -> tuple[Array, Array, Array | None]:
        """Return each row's error, the slope by the weights, and each row's slope by its prediction."""
        block, targets = (jax.lax.dynamic_slice_in_dim(leaf, start, length) for leaf in (x, y))
        product = jnp.matmul(block, weights, precision=jax.lax.Precision.HIGHEST)
        errors, pull = jax.vjp(lambda p: _errors(error, p, bias, targets), product)
        (slopes,) = pull(jnp.ones_like(errors))
        by_weights = jnp.matmul(slopes, block, precision=jax.lax.Precision.HIGHEST)
        return errors, by_weights, None if bias is None else slopes

    def turn(index: Array, sofar: list[Any]) -> list[Any]:
        first = rest + index * (size * _BLOCKS_AT_ONCE)
        # Each block adds to sums of its own, so that none waits for another.
        return [
            jax.tree.map(jnp.add, sums, of_block(first + j * size, size))
            for j, sums in enumerate(sofar)
        ]

    shapes = jax.eval_shape(lambda: of_block(0, size))
    nothing = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    parts = jax.lax.fori_loop(0, turns, turn, [nothing] * _BLOCKS_AT_ONCE)
    if rest:
        parts = [*parts, of_block(0, rest)]
    errors, by_weights, slopes = zip(*parts, strict=True)
    total = _sum(map(jnp.sum, errors))
    by_bias = None if bias is None else _sum(map(jnp.sum, slopes)).astype(bias.dtype)
    return jax.tree.map(lambda leaf: leaf / rows, (total, (_sum(by_weights), by_bias)))


def _sum(leaves: Iterable[Array]) -> Array:
    return reduce(jnp.add, leaves)


@_value_and_slopes.defjvp
def _value_and_slopes_jvp(error: RowError, primals: Any, tangents: Any) -> Any:
    def plain(weights: Array, bias: Array | None, x: Array, y: Array) -> Any:
        return jax.value_and_grad(partial(_plain, error), argnums=(0, 1))(weights, bias, x, y)

    return jax.jvp(plain, primals, tangents)
