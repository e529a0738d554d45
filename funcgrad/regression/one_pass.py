"""A loss that is a mean over rows, its gradient from one reading of the rows.

Reverse mode reads the data twice, for the predictions and for the slopes of the params. On a CPU the
data is larger than the cache, and most of the time goes into reading it. So here each block of rows serves for
both while it is in cache. Everything else (small data, several devices, other kinds of them, derivatives by
the data, derivatives of the gradient) takes the plain form; both are the same function.
"""

from collections.abc import Callable
from functools import lru_cache, partial, reduce
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Float, PyTree

from funcgrad.regression.precision import as_set_by_user, computing_in, integers_kept, on_device
from funcgrad.regression.products import linear_prediction, on_one_cpu
from funcgrad.regression.row_means import NotAMean, check_mean

RowError = Callable[[Float[Array, "..."], Any], Float[Array, "..."]]
MeanLoss: TypeAlias = Callable[[Any, Any, Any], Float[Array, ""]]

# Blocks that lie in the cache of a core, several of them at once for several cores, more of which would take
# ever longer to compile; and data that no cache holds. Measured on two cores, for 10 to 1,000 features,
# by tests/benchmarks/regression_one_pass.py.
_BLOCK_BYTES = 1 << 18
_MOST_ROWS = 1 << 14
_BLOCKS_AT_ONCE = 8
_FEWEST_TURNS = 32


@lru_cache(maxsize=64)
def read_once(loss: MeanLoss) -> MeanLoss:
    """Return a loss whose gradient by the params takes one reading of the rows, where that is less work.

    The numbers are the loss's own, to rounding, and so are its derivatives of any order. The gradient is computed
    block by block of rows, each while it is in cache, on a CPU, for data that no cache holds. The same function gives
    the same loss again, so a second fit does not compile.

    Args:
        loss: a function (params, x, y) -> scalar that is a mean over the rows of x and y, any pytrees of arrays whose
            first axes are the rows; it may add a function of the params, such as a penalty. Values that it closes over
            are not differentiated.

    Raises (the loss):
        ValueError: if the loss is no mean over rows, or not seen to be one, with the operation that mixes rows.

    >>> import jax, jax.numpy as jnp
    >>> from funcgrad import regression
    >>> def perceptron(params, x, y):
    ...     hidden = jnp.tanh(x @ params["in"])
    ...     return jnp.mean((hidden @ params["out"] - y) ** 2)
    >>> loss = regression.read_once(perceptron)
    >>> params = {"in": jnp.eye(2), "out": jnp.ones(2)}
    >>> loss(params, jnp.zeros((3, 2)), jnp.array([1.0, 2.0, 1.0]))
    Array(2., dtype=float32)
    >>> regression.read_once(lambda w, x, y: jnp.max(abs(x @ w - y)))(jnp.ones(1), x=jnp.ones((3, 1)), y=jnp.ones(3))
    Traceback (most recent call last):
    ...
    ValueError: <lambda> is not seen to be a mean over rows: 'reduce_max' may mix rows
    """
    name = getattr(loss, "__qualname__", repr(loss)).rpartition(".")[-1]

    def once(params: PyTree, x: PyTree, y: PyTree) -> Float[Array, ""]:
        called = as_set_by_user(loss)
        with computing_in(params, x, y):
            x, y = jax.tree.map(lambda leaf: on_device(integers_kept(leaf)), (x, y))
            lengths = {leaf.shape[:1] for leaf in jax.tree.leaves((x, y))}
            if len(lengths) != 1 or () in lengths:
                raise ValueError(
                    f"the first axes of x and y are the rows, and have lengths {lengths}"
                )
            leaves, tree = jax.tree.flatten((params, x, y))
            try:
                _check(
                    called, tree, tuple((jnp.shape(leaf), jnp.result_type(leaf)) for leaf in leaves)
                )
            except NotAMean as error:
                raise ValueError(f"{name} is not seen to be a mean over rows: {error}") from None
            return _in_blocks(called, params, x, y)

    once.__qualname__ = f"read_once({name})"
    return once


@lru_cache(maxsize=256)
def _check(loss: MeanLoss, tree: Any, avals: tuple[tuple[tuple[int, ...], Any], ...]) -> None:
    check_mean(loss, *jax.tree.unflatten(tree, [jax.ShapeDtypeStruct(*each) for each in avals]))


def mean_over_rows(
    error: RowError, weights: Array, bias: Array | None, x: Array, y: Array
) -> Float[Array, ""]:
    """Return the mean of error(x @ weights + bias, y), which is elementwise, over rows and outputs."""
    one_output = x.ndim == 2 and weights.ndim == 1 and x.dtype == weights.dtype == y.dtype
    if not one_output or not x.shape[1]:
        return _plain(error, (weights, bias), x, y)
    return _in_blocks(partial(_plain, error), (weights, bias), x, y)


def row_errors(
    error: RowError, weights: Array, bias: Array | None, x: Array, y: Array
) -> Float[Array, " rows"]:
    """Return the mean over outputs of error(x @ weights + bias, y) for each row."""
    errors = _errors(error, linear_prediction(x, weights), bias, y)
    return errors.reshape(len(errors), -1).mean(axis=1)


def _plain(error: RowError, params: tuple[Array, Array | None], x: Array, y: Array) -> Array:
    weights, bias = params
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


def _in_blocks(loss: MeanLoss, params: PyTree, x: PyTree, y: PyTree) -> Array:
    """Return the loss, which is a mean over rows, in the form that its gradient is faster in."""
    return loss(params, x, y) if _rows_of_block(x, y) is None else _mean(loss, params, x, y)


def _rows_of_block(x: PyTree, y: PyTree) -> int | None:
    leaves = jax.tree.leaves((x, y))
    rows = leaves[0].shape[0]
    if not rows or not on_one_cpu():
        return None
    of_row = sum(leaf.size // rows * leaf.dtype.itemsize for leaf in jax.tree.leaves(x))
    size = min(_BLOCK_BYTES // max(of_row, 1), _MOST_ROWS)
    return size if rows >= _FEWEST_TURNS * _BLOCKS_AT_ONCE * size and size else None


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _mean(loss: MeanLoss, params: PyTree, x: PyTree, y: PyTree) -> Array:
    return loss(params, x, y)


@partial(_mean.defjvp, symbolic_zeros=True)
def _mean_jvp(loss: MeanLoss, primals: Any, tangents: Any) -> tuple[Array, Array]:
    if not all(map(_is_zero, jax.tree.leaves(tangents[1:], is_leaf=_is_zero))):
        return jax.jvp(loss, primals, jax.tree.map(_filled, tangents, is_leaf=_is_zero))
    value, slopes = _value_and_slopes(loss, *primals)
    terms = [
        jnp.vdot(slope, tangent, precision=jax.lax.Precision.HIGHEST)
        for slope, tangent in zip(
            jax.tree.leaves(slopes), jax.tree.leaves(tangents[0], is_leaf=_is_zero), strict=True
        )
        if not _is_zero(tangent)
    ]
    return value, sum(terms[1:], terms[0]).astype(value.dtype)


def _is_vector(leaf: Array) -> bool:
    return jnp.ndim(leaf) < 2


def _is_zero(leaf: Any) -> bool:
    return isinstance(leaf, SymbolicZero)


def _filled(leaf: Any) -> Any:
    """Return a tangent that is zero as an array; of integers it is one without values."""
    if not _is_zero(leaf):
        return leaf
    zeros = np.zeros if leaf.dtype == jax.dtypes.float0 else jnp.zeros
    return zeros(leaf.shape, leaf.dtype)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _value_and_slopes(loss: MeanLoss, params: PyTree, x: PyTree, y: PyTree) -> Any:
    """Return the mean and its gradient by the params, the rows read once."""
    rows = jax.tree.leaves(x)[0].shape[0]
    size = _rows_of_block(x, y)
    assert size is not None
    # A product with a vector takes one core, and one with a matrix all of them.
    at_once = _BLOCKS_AT_ONCE if all(map(_is_vector, jax.tree.leaves(params))) else 1
    turns, rest = divmod(rows, size * at_once)

    def of_block(start: Any, length: int) -> Any:
        block = jax.tree.map(lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, start, length), (x, y))
        return jax.value_and_grad(loss)(params, *block)

    def turn(index: Array, sofar: list[Any]) -> list[Any]:
        first = rest + index * (size * at_once)
        # Each block adds to sums of its own, so that none waits for another.
        return [
            jax.tree.map(jnp.add, sums, of_block(first + j * size, size))
            for j, sums in enumerate(sofar)
        ]

    shapes = jax.eval_shape(lambda: of_block(0, size))
    nothing = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    parts = jax.lax.fori_loop(0, turns, turn, [nothing] * at_once)
    scaled = jax.tree.map(lambda *leaves: reduce(jnp.add, leaves) * (size / rows), *parts)
    if rest:
        last = of_block(0, rest)
        scaled = jax.tree.map(lambda leaf, more: leaf + more * (rest / rows), scaled, last)
    return scaled


@_value_and_slopes.defjvp
def _value_and_slopes_jvp(loss: MeanLoss, primals: Any, tangents: Any) -> Any:
    return jax.jvp(jax.value_and_grad(loss), primals, tangents)
