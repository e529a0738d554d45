"""The largest curvature of the regression's loss, which decides how far a step of gradient descent may go."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Num

from funcgrad.regression.model import Params, design_matrix, weights_and_bias
from funcgrad.regression.precision import computing_in, numbers, own_work
from funcgrad.regression.sharding import replicating
from funcgrad.regression.sums import Moments, about_zero


def largest_eigenvalue(
    params: Params, x: Num[ArrayLike, "rows features"] | Moments
) -> Float[Array, ""]:
    """Return the largest eigenvalue of the Hessian of `loss`.

    The Hessian is `2 / (rows * outputs) * XᵀX`, once for each output, where X is x with a column of
    ones where the model has a bias. Neither the params' values nor the targets matter. The
    eigenvalues come from XᵀX or XXᵀ, whichever is smaller.

    Args:
        params: as for `predict`; only its shapes and dtype matter.
        x: the design matrix, shape (rows, features); or the `moments` of all the data.

    Raises:
        ValueError: if the shapes do not fit, or there are no rows.

    >>> import jax.numpy as jnp
    >>> from funcgrad import regression
    >>> regression.largest_eigenvalue(jnp.zeros(2), jnp.array([[3.0, 0.0], [0.0, 1.0]]))
    Array(9., dtype=float32)
    """
    if not isinstance(x, Moments):
        x = numbers("x", x)
    with computing_in(params, x):
        return _largest_eigenvalue(params, x)


@jax.jit
def _largest_eigenvalue(params: Params, x: Array | Moments) -> Float[Array, ""]:
    weights, bias = weights_and_bias(params)
    if isinstance(x, Moments):
        return _eigenvalue_of_moments(x, weights, ones=bias is not None)
    x = design_matrix(x, weights.shape[0])
    if x.ndim != 2 or x.size == 0 or weights.size == 0:
        raise ValueError(f"x must have shape (rows, features), none of them 0, got {x.shape}")
    rows, features = x.shape
    outputs = weights.size // features
    x = x.astype(jnp.result_type(x, weights))

    return 2 / (rows * outputs) * replicating(partial(_gram_eigenvalue, ones=bias is not None))(x)


def _gram_eigenvalue(x: Array, *, ones: bool) -> Array:
    """Return the largest eigenvalue of XᵀX, where X is x, with a column of ones if asked."""
    rows, features = x.shape
    product = partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)
    if rows <= features:
        gram = product(x, x.T)
        if ones:
            gram = gram + 1
    else:
        gram = product(x.T, x)
        if ones:
            gram = _with_ones(gram, x.sum(axis=0), jnp.asarray(rows, x.dtype))
    return jnp.linalg.eigvalsh(gram)[-1]


def _with_ones(gram: Array, sums: Array, rows: Array) -> Array:
    """Return XᵀX for X with a column of ones."""
    return jnp.block([[gram, sums[:, None]], [sums[None, :], rows[None, None]]])


def _eigenvalue_of_moments(sums: Moments, weights: Array, *, ones: bool) -> Array:
    if weights.shape != sums.xy.shape:
        raise ValueError(f"moments of {sums.xy.shape} do not fit weights of {weights.shape}")
    with own_work():
        gram, _, _ = about_zero(sums)
        if ones:
            gram = _with_ones(gram, sums.rows * sums.x_mean, sums.rows)
        # Per row: the sums of huge data are out of range in the dtype of the weights.
        largest = jnp.linalg.eigvalsh(gram / sums.rows)[-1]
        outputs = weights.size // weights.shape[0]
        return (2 / outputs * largest).astype(weights.dtype)


def largest_stable_learning_rate(
    params: Params, x: Num[ArrayLike, "rows features"] | Moments
) -> Float[Array, ""]:
    """Return the learning rate below which gradient descent on `loss` converges from any start.

    It is two over `largest_eigenvalue`: along that eigenvector a step multiplies the error by
    `1 - learning_rate * eigenvalue`, which must lie within (-1, 1). It holds for full-batch
    gradient descent without momentum. (Y. Nesterov, "Lectures on Convex Optimization", 2018, 1.2.3.)

    Args and errors: as for `largest_eigenvalue`.

    >>> import jax.numpy as jnp
    >>> from funcgrad import regression
    >>> regression.largest_stable_learning_rate(jnp.zeros(2), jnp.array([[2.0, 0.0], [0.0, 1.0]]))
    Array(0.5, dtype=float32)
    """
    largest = largest_eigenvalue(params, x)
    with computing_in(largest):
        return 2 / largest
