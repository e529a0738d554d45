"""Rows over several devices and processes: padded to equal shares, the padding with weight zero.

No row is dropped: a padded row repeats a real one, so that any loss is defined on it, and counts nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Bool, Float, PyTree

from funcgrad.training.loop import Loss
from funcgrad.training.placement import automatic

# To tell a mean from another loss: the number of rows tried, the distance from the start of a second try, and the
# relative difference that counts as rounding, in any dtype.
_ROWS_TO_COMPARE = 3
_AWAY = 0.25
_ROUNDING = 0.03

WeightedLoss = Callable[[Any, Any, Any, Float[Array, " rows"]], Float[Array, ""]]


@lru_cache(maxsize=64)
def row_weighted(loss: Loss) -> WeightedLoss:
    """Return (params, x, y, weights) -> the weighted mean of a loss over rows; 0 where no row has weight.

    Args:
        loss: a function (params, x, y) -> scalar that is a mean over the rows of x and y.

    >>> import jax.numpy as jnp
    >>> from funcgrad import regression
    >>> from funcgrad.training import row_weighted
    >>> x, y = jnp.array([[1.0], [2.0], [9.0]]), jnp.array([0.0, 0.0, 9.0])
    >>> row_weighted(regression.loss)(jnp.ones(1), x, y, jnp.array([1.0, 1.0, 0.0]))
    Array(2.5, dtype=float32)
    """

    if hasattr(loss, "of_counted_rows"):
        return loss.of_counted_rows
    # The regression's own losses have it. It is several times faster than calling the loss for each row.
    by_row = getattr(loss, "by_row", None)

    def weighted(params: Any, x: Any, y: Any, weights: Array) -> Array:
        def one_row(x: Any, y: Any) -> Array:
            return loss(params, *jax.tree.map(lambda leaf: leaf[None], (x, y)))

        losses = jax.vmap(one_row)(x, y) if by_row is None else by_row(params, x, y)
        total = jnp.sum(weights)
        return jnp.sum(weights * losses) / jnp.where(total > 0, total, 1)

    return weighted


@lru_cache(maxsize=64)
def weighted_by_target(loss: Loss) -> Loss:
    """Return `row_weighted(loss)` as a loss (params, x, (y, weights)) -> scalar."""
    weighted = row_weighted(loss)

    def of_counted_rows(params: Any, x: Any, y_and_weights: Any, counts: Array) -> Array:
        y, weights = y_and_weights
        return weighted(params, x, y, weights * counts)

    def of_rows(params: Any, x: Any, y_and_weights: Any) -> Array:
        return weighted(params, x, *y_and_weights)

    # A row's weight stands beside its target: the loss is no mean of the losses of single rows.
    of_rows.of_counted_rows = of_counted_rows  # type: ignore[attr-defined]
    return of_rows


def check_mean_over_rows(loss: Loss, params: Any, batch: Any, mesh: Mesh | None) -> None:
    """Refuse a loss that is no mean over rows, by its value and gradient on a few of them.

    Every process of the mesh, if there is one, calls it, with no batch where it has no rows.

    Raises:
        ValueError: the loss of some rows together is not the mean of the losses of each.
    """
    if hasattr(loss, "by_row") or hasattr(loss, "of_counted_rows"):
        return
    mean = batch is None or _is_mean_over_rows(loss, params, batch)
    if mesh is not None and mesh.is_multi_process:
        # All processes must go on or stop together.
        mean = bool(np.all(multihost_utils.process_allgather(np.asarray(mean))))
    if not mean:
        name = "sample_weight" if mesh is None else "mesh"
        raise ValueError(
            f"{name} needs a loss that is a mean over rows, and this one is not: its value or gradient on "
            "a few rows differs from the mean of those on each row. A sum becomes a mean by jnp.mean"
        )


def _is_mean_over_rows(loss: Loss, params: Any, batch: Any) -> bool:
    x, y = jax.tree.map(lambda leaf: np.asarray(leaf[:_ROWS_TO_COMPARE]), batch)
    rows = len(jax.tree.leaves((x, y))[0])
    pairs = jax.tree.map(np.asarray, _both_ways(loss)(params, x, y, np.ones(rows, np.float32)))
    return all(map(_agree, *pairs))


@lru_cache(maxsize=64)
def _both_ways(loss: Loss) -> Any:
    """Return (params, x, y, weights) -> the values and gradients of the loss, and of the mean over rows."""

    @jax.jit
    def compare(params: Any, x: Any, y: Any, weights: Array) -> Any:
        # Where the parameters start, often at zero, two losses may happen to agree.
        elsewhere = jax.tree.map(lambda leaf: leaf + _AWAY * (1 + jnp.abs(leaf)), params)

        def outcomes(function: Any, *more: Array) -> list[Array]:
            found = [jax.value_and_grad(function)(at, x, y, *more) for at in (params, elsewhere)]
            return [jnp.stack(leaves) for leaves in zip(*map(jax.tree.leaves, found), strict=True)]

        return outcomes(loss), outcomes(row_weighted(loss), weights)

    return compare


def _agree(a: np.ndarray, b: np.ndarray) -> bool:
    """Return whether two arrays are the same but for rounding; NaN is the same as NaN."""
    both = np.abs(np.stack([a, b]).astype(np.float64))
    largest = both[np.isfinite(both)].max(initial=0.0)
    a, b = a.astype(np.float64), b.astype(np.float64)
    return bool(np.allclose(a, b, rtol=0, atol=_ROUNDING * largest, equal_nan=True))


class RowSharding:
    """Puts the rows of each process's batches on a mesh, in arrays of one shape.

    Args:
        mesh: the devices. Rows go over all of its axes.
        rows: the largest number of rows that any batch of this process has.
    """

    def __init__(self, mesh: Mesh, rows: int) -> None:
        self.mesh = automatic(mesh)
        self.sharding = NamedSharding(self.mesh, PartitionSpec(mesh.axis_names))
        self.replicated = NamedSharding(self.mesh, PartitionSpec())
        if not self.sharding.is_fully_addressable:
            rows = int(np.max(multihost_utils.process_allgather(np.asarray(rows))))
        self.rows = self._divisible(rows)
        self._row: PyTree = None

    def _divisible(self, rows: int) -> int:
        devices = len(self.sharding.addressable_devices)
        return -(-rows // devices) * devices

    def put(self, batch: PyTree, dtype: Any = np.float32) -> tuple[PyTree, Float[Array, " rows"]]:
        """Return a batch over all devices, and its rows' weights; None is a batch of no rows.

        Raises:
            ValueError: the batch has more rows than was said, in one of several processes.
        """
        rows = 0 if batch is None else len(jax.tree.leaves(batch)[0])
        if rows > self.rows and self.sharding.is_fully_addressable:
            self.rows = self._divisible(rows)
        if rows > self.rows:
            raise ValueError(f"a batch has {rows} rows, and the largest should have {self.rows}")
        if rows:
            self._row = jax.tree.map(lambda leaf: np.asarray(leaf)[-1:], batch)
        elif self._row is None:
            raise ValueError(f"process {jax.process_index()} has no rows at all")

        def put_leaf(leaf: np.ndarray | None, filler: np.ndarray) -> jax.Array:
            real = filler[:0] if leaf is None else np.asarray(leaf)
            padded = np.concatenate([real, np.repeat(filler, self.rows - rows, axis=0)])
            return jax.make_array_from_process_local_data(self.sharding, padded)

        leaves = [None] * len(jax.tree.leaves(self._row)) if not rows else jax.tree.leaves(batch)
        fillers, structure = jax.tree.flatten(self._row)
        put = [put_leaf(leaf, filler) for leaf, filler in zip(leaves, fillers, strict=True)]
        weights = np.zeros(self.rows, dtype)
        weights[:rows] = 1
        whole = jax.make_array_from_process_local_data(self.sharding, weights)
        return jax.tree.unflatten(structure, put), whole

    def per_device(self, flag: bool) -> Bool[Array, " devices"]:
        """Return an array that holds each process's flag, once for each of its devices."""
        flags = np.full(len(self.sharding.addressable_devices), flag)
        return jax.make_array_from_process_local_data(self.sharding, flags)

    def replicate(self, tree: PyTree) -> PyTree:
        """Return a pytree with a copy on every device; each process gives the same values."""

        def put_leaf(leaf: Any) -> jax.Array:
            value = np.asarray(leaf)
            return jax.make_array_from_callback(
                value.shape, self.replicated, lambda index: value[index]
            )

        return jax.tree.map(put_leaf, tree)
