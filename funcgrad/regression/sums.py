"""The sums that least squares needs of its data: all a regression learns from, whatever the rows.

The functions that take sums in place of rows live in the other modules.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Num

from funcgrad.regression.namespaces import fori_loop, is_numpys, namespace, rows_from
from funcgrad.regression.precision import (
    called_at_once,
    check_indices,
    numbers,
    on_device,
    own_work,
)
from funcgrad.regression.products import ONE_THREAD, ONE_THREAD_FOR_A_VECTOR, dot
from funcgrad.regression.sharding import replicating, shards_of_rows

# Rows converted to float64 and centred at a time: they stay in cache, and feed every core.
_BLOCK = 4096
# The work, rows · columns², up to which NumPy sums its arrays: less than a second of it pays no compilation, and a
# program shares more between the cores better.
_MOST_AT_ONCE = 1 << 25


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["rows", "x_mean", "y_mean", "xx", "xy", "yy"],
    meta_fields=[],
)
@dataclass(frozen=True)
class Moments:
    """The sums of a data set, in float64; `a + b` has the sums over the rows of both.

    They replace the rows: `loss(params, moments, None)` is the mean squared error over all rows. Its
    gradient, `step`, `largest_eigenvalue` and `fit` take them too, at a cost that does not depend on the
    number of rows. The sum is associative to rounding. Where JAX's default is 32 bits, own
    arithmetic on the attributes needs `jax.enable_x64` or NumPy.

    Attributes:
        rows: how many there are, or the sum of their weights, shape ().
        x_mean: the mean of each feature, shape (features,).
        y_mean: the mean of the targets, shape () or (outputs,).
        xx: Σ (x - x_mean)(x - x_mean)ᵀ over the rows, shape (features, features).
        xy: Σ (x - x_mean)(y - y_mean), shape (features,) or (features, outputs).
        yy: Σ (y - y_mean)², shape () or (outputs,).

    Source: T. F. Chan, G. H. Golub, R. J. LeVeque, "Algorithms for computing the sample variance", The
    American Statistician 37 (1983).
    """

    rows: Float[Array, ""]
    x_mean: Float[Array, " features"]
    y_mean: Float[Array, " *outputs"]
    xx: Float[Array, "features features"]
    xy: Float[Array, features * outputs]
    yy: Float[Array, " *outputs"]

    def __add__(self, other: Moments) -> Moments:
        """Return the moments of the rows of both.

        Raises:
            ValueError: if the features or the outputs differ.
        """
        if not isinstance(other, Moments):
            return NotImplemented
        if jnp.shape(self.xy) != jnp.shape(other.xy):
            raise ValueError(
                f"moments of (features, outputs) {jnp.shape(self.xy)} cannot be added to "
                f"moments of {jnp.shape(other.xy)}"
            )
        with own_work():
            merged: Moments | None = called_at_once(_merge, self, other)
            return _compiled_merge(self, other) if merged is None else merged


def moments(
    x: Num[ArrayLike, "rows features"] | Iterable[tuple[ArrayLike, ArrayLike]],
    y: Num[ArrayLike, rows * outputs] | None = None,
    weights: Num[ArrayLike, " rows"] | None = None,
) -> Moments:
    """Return the sums of rows, or of all rows of batches, computed in float64 whatever their dtype.

    One pass over the rows, centred block by block, so that neither a large mean nor a float32 square
    out of range costs digits. Rows sharded over devices are summed where they lie.

    A run over batches that is saved on the way, shown or spread over devices and processes is
    `training.moments_of_batches`.

    Args:
        x: the design matrix, shape (rows, features); or, with y left out, batches: any iterable of pairs
            (x, y), such as a `datasets.Stream`.
        y: the targets, shape (rows,) or (rows, outputs).
        weights: how often each row counts, shape (rows,), 0 or more; None is once. Rows that pad a
            batch have weight 0.

    Raises:
        ValueError: if the shapes do not fit, a weight is negative (not told inside `jax.jit` or
            `jax.vmap`), or there are no batches.
        TypeError: if an array is complex, or a batch is not a pair.

    Warns:
        RuntimeWarning: if a sum is not finite. Not inside `jax.jit` or `jax.vmap`.

    >>> import jax.numpy as jnp
    >>> from funcgrad import regression
    >>> x, y = jnp.array([[0.0], [1.0], [2.0], [3.0]]), jnp.array([1.0, 3.0, 5.0, 7.0])
    >>> both = regression.moments(x[:1], y[:1]) + regression.moments(x[1:], y[1:])
    >>> both.rows, both.x_mean, both.xx
    (Array(4., dtype=float64), Array([1.5], dtype=float64), Array([[5.]], dtype=float64))
    >>> regression.moments([(x[:1], y[:1]), (x[1:], y[1:])]).xx
    Array([[5.]], dtype=float64)
    >>> regression.loss(jnp.array([2.0]), both, None), regression.loss(jnp.array([2.0]), x, y)
    (Array(1., dtype=float32), Array(1., dtype=float32))
    """
    if y is None:
        if weights is not None:
            raise ValueError("weights are for rows, and y was left out, so that x is batches")
        return _of_batches(x)
    check_indices(x=x, y=y, weights=weights)
    x, y = numbers("x", x), numbers("y", y)
    weights = None if weights is None else numbers("weights", weights)
    with own_work():
        return _moments(*arrays_of_rows(x, y, weights))


def _moments(x: Any, y: Any, weights: Any) -> Moments:
    if x.ndim != 2 or x.shape[1] == 0:
        raise ValueError(f"x must have shape (rows, features), got {x.shape}")
    if y.ndim not in (1, 2) or y.shape[0] != x.shape[0]:
        raise ValueError(
            f"y must have shape ({x.shape[0]},) or ({x.shape[0]}, outputs), got {y.shape}"
        )
    if weights is not None and weights.shape != x.shape[:1]:
        raise ValueError(f"weights must have shape ({x.shape[0]},), got {weights.shape}")
    for name, array in (("x", x), ("y", y), ("weights", weights)):
        if array is not None and jnp.issubdtype(array.dtype, jnp.complexfloating):
            raise TypeError(f"{name} must be real, got dtype {array.dtype}")
    summed, finite, counts = sums_of_rows(x, y, weights)
    if not isinstance(counts, jax.core.Tracer) and not counts:
        raise ValueError("weights must be 0 or more: a row cannot count less than not at all")
    if not isinstance(finite, jax.core.Tracer) and not finite:
        warnings.warn(
            "the sums are not finite: the data holds values that are not, or too large to square",
            RuntimeWarning,
            stacklevel=3,
        )
    return summed


def _of_batches(batches: Any) -> Moments:
    if hasattr(batches, "shape") or not isinstance(batches, Iterable):
        raise TypeError(
            f"without y, x is an iterable of batches (x, y), got {type(batches).__name__}"
        )
    total: Moments | None = None
    for batch in batches:
        more = moments(*pair_of(batch))
        total = more if total is None else total + more
    if total is None:
        raise ValueError("there are no batches")
    return total


def pair_of(batch: Any) -> tuple[Any, Any]:
    """Return a batch (x, y) as a tuple.

    Raises:
        TypeError: it is not a pair.
    """
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        raise TypeError(f"each batch is a pair (x, y), got {type(batch).__name__}")
    return batch[0], batch[1]


def arrays_of_rows(*data: Any) -> list[Any]:
    """Return data as arrays to sum: NumPy's as they are where NumPy sums them, JAX's otherwise; None stays None."""
    given = [leaf for leaf in data if leaf is not None]
    shape = jnp.shape(given[0])
    work = math.prod(shape) * max(shape[-1:], default=1)
    small = work <= _MOST_AT_ONCE and jax.default_backend() == "cpu"
    if small and all(map(is_numpys, given)):
        return list(data)
    return [None if leaf is None else on_device(leaf) for leaf in data]


def sums_of_rows(x: Any, y: Any, weights: Any) -> tuple[Moments, Array, Array]:
    """Return the moments of arrays that fit each other, whether they are finite, and whether the weights are counts.

    NumPy's arrays are summed by NumPy, without a copy and without a compilation.
    """
    if not is_numpys(x):
        return _compiled_moments(x, y, weights, shards=shards_of_rows(x))
    found: Any = called_at_once(_checked_moments, x, y, weights)
    return found


def _checked_moments(x: Any, y: Any, weights: Any) -> tuple[Moments, Any, Any]:
    """Return the sums of rows on one device, whether they are finite, and whether the weights are counts."""
    return _checked(_of_rows(x, y, weights), weights)


def _checked(summed: Moments, weights: Any) -> tuple[Moments, Any, Any]:
    xp = namespace(summed.xx)
    finite = [xp.isfinite(leaf).all() for leaf in jax.tree.leaves(summed)]
    counts = xp.asarray(True) if weights is None else ~(weights < 0).any()
    return summed, xp.stack(finite).all(), counts


@partial(jax.jit, static_argnames="shards")
def _compiled_moments(
    x: Array, y: Array, weights: Array | None, *, shards: int
) -> tuple[Moments, Array, Array]:

    def of_all(x: Array, y: Array, weights: Array | None) -> tuple[Moments, Array, Array]:
        if shards == 1:
            return _checked_moments(x, y, weights)
        # An axis for the shards: each device loops over the blocks of its own.
        split = jax.tree.map(
            lambda leaf: leaf.reshape(shards, -1, *leaf.shape[1:]), (x, y, weights)
        )
        return _checked(_merge_all(jax.vmap(_of_rows)(*split)), weights)

    return replicating(of_all)(x, y, weights)


def _of_rows(x: Any, y: Any, weights: Any) -> Moments:
    """Return the moments of rows on one device, a block at a time."""
    size = _BLOCK
    if is_numpys(x):
        columns = x.shape[1] + 1
        size = max(1, min(_BLOCK, ONE_THREAD // columns**2, ONE_THREAD_FOR_A_VECTOR // columns))
    blocks, rest = divmod(x.shape[0], size)
    data = x, y, weights

    def add_block(index: Any, sofar: Moments) -> Moments:
        start = rest + index * size
        return _merge(
            sofar, _of_block(*jax.tree.map(lambda leaf: rows_from(leaf, start, size), data))
        )

    first = _of_block(*jax.tree.map(lambda leaf: leaf[:rest], data))
    return fori_loop(blocks, add_block, first) if blocks else first


def _of_block(x: Any, y: Any, weights: Any) -> Moments:
    xp = namespace(x)
    x, y = x.astype(xp.float64), y.astype(xp.float64)
    shape = y.shape[1:]
    y = y if shape else y[:, None]
    counts = xp.ones(x.shape[0]) if weights is None else weights.astype(xp.float64)
    rows = counts.sum()
    total = xp.where(rows > 0, rows, 1)
    x_mean, y_mean = (dot(counts[None], leaf)[0] / total for leaf in (x, y))
    x, y = x - x_mean, y - y_mean
    x_counted = x if weights is None else x * counts[:, None]
    return Moments(
        rows=rows,
        x_mean=x_mean,
        y_mean=y_mean.reshape(shape),
        xx=dot(x_counted.T, x),
        xy=dot(x_counted.T, y).reshape(x.shape[1:] + shape),
        yy=dot(counts[None], xp.square(y))[0].reshape(shape),
    )


def _merge(a: Moments, b: Moments) -> Moments:
    xp = namespace(a.xx)
    rows = a.rows + b.rows
    share = b.rows / xp.where(rows > 0, rows, 1)
    x_change, y_change = b.x_mean - a.x_mean, b.y_mean - a.y_mean
    weight = a.rows * share
    return Moments(
        rows=rows,
        x_mean=a.x_mean + share * x_change,
        y_mean=a.y_mean + share * y_change,
        xx=a.xx + b.xx + weight * xp.multiply.outer(x_change, x_change),
        xy=a.xy + b.xy + weight * xp.multiply.outer(x_change, y_change),
        yy=a.yy + b.yy + weight * xp.square(y_change),
    )


_compiled_merge = jax.jit(_merge)


def _merge_all(stacked: Moments) -> Moments:
    """Return the sum over the leading axis, in pairs."""
    while (count := stacked.rows.shape[0]) > 1:
        half = count // 2
        first, second, odd = (
            jax.tree.map(lambda leaf, part=part: leaf[part], stacked)
            for part in (slice(half), slice(half, 2 * half), slice(2 * half, None))
        )
        merged = jax.vmap(_merge)(first, second)
        stacked = jax.tree.map(lambda *parts: jnp.concatenate(parts), merged, odd)
    return jax.tree.map(lambda leaf: leaf[0], stacked)


def about_zero(sums: Moments) -> tuple[Array, Array, Array]:
    """Return XᵀX, Xᵀy and the sum of y² of the data as they are, not centred."""
    return (
        sums.xx + sums.rows * jnp.multiply.outer(sums.x_mean, sums.x_mean),
        sums.xy + sums.rows * jnp.multiply.outer(sums.x_mean, sums.y_mean),
        sums.yy + sums.rows * jnp.square(sums.y_mean),
    )


class LostDigitsWarning(RuntimeWarning):
    """A number that was computed from sums is mostly their rounding."""


def rounding_of(weights: Any, bias: Any, sums: Moments) -> float:
    """Return how far rounding may take `mean_squared_error` from its value, for concrete arrays."""
    features = len(np.asarray(sums.x_mean))
    columns = np.abs(np.asarray(weights, np.float64)).reshape(features, -1)
    xy = np.abs(np.asarray(sums.xy)).reshape(features, -1)
    squares = np.asarray(sums.yy) + 2 * (xy * columns).sum(axis=0)
    squares = squares + (columns * (np.abs(np.asarray(sums.xx)) @ columns)).sum(axis=0)
    means = np.abs(np.asarray(sums.y_mean)) + np.abs(np.asarray(sums.x_mean)) @ columns
    means = means + (0 if bias is None else np.abs(np.asarray(bias, np.float64)))
    epsilon = float(np.finfo(np.float64).eps)
    return float((epsilon * squares / float(sums.rows) + (epsilon * means) ** 2).mean())


def warn_of_lost_digits(
    value: Any, weights: Any, bias: Any, sums: Moments, *, stacklevel: int
) -> None:
    """Warn where fewer than three digits of a mean squared error from sums are sure, unless it is traced."""
    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves((value, sums))):
        return
    rounding = rounding_of(weights, bias, sums)
    if float(value) < 1000 * rounding:
        warnings.warn(
            f"the mean squared error from sums is {float(value):.3g}, of which rounding may be "
            f"{rounding:.1g}: fewer than three digits are sure. From the rows all are",
            LostDigitsWarning,
            stacklevel=stacklevel + 1,
        )


def mean_squared_error(
    weights: Float[Array, features * outputs],
    bias: Float[Array, "*outputs"] | None,
    sums: Moments,
) -> Float[Array, ""]:
    """Return the mean squared error over the rows summed, in the dtype of the parameters.

    Raises:
        ValueError: if the shapes do not fit.
    """
    if weights.shape != sums.xy.shape:
        raise ValueError(
            f"weights of shape {weights.shape} do not fit moments of features and outputs "
            f"{sums.xy.shape}"
        )
    dtype = jnp.result_type(weights) if bias is None else jnp.result_type(weights, bias)
    error = partial(_mean_squared_error, dtype=dtype)
    with own_work():
        found: Array | None = called_at_once(error, weights, bias, sums)
        return error(weights, bias, sums) if found is None else found


def _mean_squared_error(weights: Any, bias: Any, sums: Moments, *, dtype: Any) -> Any:
    xp = namespace(weights)
    wide = weights.astype(xp.float64)
    if xp is np:
        projected = sums.xx @ wide
    else:
        # Products as sums, because a dot's derivative is taken outside this context and truncated.
        images = jax.vmap(lambda column: (sums.xx * column).sum(axis=1), -1, -1)
        projected = images(wide if wide.ndim == 2 else wide[:, None]).reshape(wide.shape)
    centred = sums.yy - (wide * (2 * sums.xy - projected)).sum(axis=0)
    # Rounding can take a sum of squares below zero; its gradient is right all the same.
    positive = xp.maximum(centred, 0)
    centred = positive if xp is np else centred + jax.lax.stop_gradient(positive - centred)
    offset = sums.y_mean - (sums.x_mean * wide.T).sum(axis=-1)
    if bias is not None:
        offset = offset - bias.astype(xp.float64)
    return xp.mean(centred / sums.rows + xp.square(offset)).astype(dtype)
