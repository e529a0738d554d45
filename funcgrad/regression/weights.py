"""The check of rows' weights, the same for every fit."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from funcgrad.regression.precision import numbers, on_device


def row_weights(weights: Any, rows: int) -> Array | None:
    """Return the rows' weights in float64, or None; errors: as for `least_squares`."""
    if weights is None:
        return None
    weights = on_device(numbers("weights", weights))
    if weights.shape != (rows,) or jnp.issubdtype(weights.dtype, jnp.complexfloating):
        raise ValueError(
            f"weights must be real, of shape ({rows},), got {weights.dtype} of shape {weights.shape}"
        )
    known = not isinstance(weights, jax.core.Tracer)
    if known and not (((weights >= 0) & jnp.isfinite(weights)).all() and weights.any()):
        raise ValueError("weights must be finite, 0 or more, and not all 0")
    return weights.astype(jnp.float64)
