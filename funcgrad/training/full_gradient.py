"""The loss and its gradient over all batches of an epoch, at parameters that stay where they are."""

from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from funcgrad.training.loop import Loss, gradient_norm
from funcgrad.training.sources import epoch_of, for_loss, rows_of


def full_loss_and_norm(
    loss: Loss, params: PyTree, batches: Any, epoch: int, dtype: Any, *, weighted: bool
) -> tuple[float, float]:
    """Return the mean of the batches' losses, and the norm of the mean of their gradients.

    A batch counts by its rows; `weighted`, by the weights of its rows, which stand beside its targets.
    """
    nothing = jnp.zeros((), dtype)
    sums = (nothing, (nothing, jax.tree.map(jnp.zeros_like, params)))
    iterator = epoch_of(batches, epoch, None)
    try:
        for batch in iter(partial(next, iterator, None), None):
            x, y = for_loss(loss, *batch)
            count = np.sum(y[1]) if weighted else rows_of(batch)
            if count:
                data = jax.tree.map(jnp.asarray, (x, y))
                sums = _adding(loss)(params, *data, jnp.asarray(count, dtype), sums)
    finally:
        iterator.close()
    total, (value, grads) = sums
    return float(value / total), float(
        gradient_norm(jax.tree.map(lambda leaf: leaf / total, grads))
    )


@lru_cache(maxsize=64)
def _adding(loss: Loss) -> Any:
    """Return a compiled function that adds count, count · loss and count · gradient to the sums so far."""

    @jax.jit
    def add(params: PyTree, x: PyTree, y: PyTree, count: Array, sofar: PyTree) -> PyTree:
        terms = jax.tree.map(lambda leaf: count * leaf, jax.value_and_grad(loss)(params, x, y))
        return jax.tree.map(jnp.add, sofar, (count, terms))

    return add
