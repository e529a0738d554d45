"""The product of the design matrix and the weights, in the form whose derivative is fast where it runs."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from funcgrad.regression.namespaces import is_numpys

# Rows in a block, at most and at least: measured on two cores, for 2 to 1,000 features.
_BLOCK = range(1024, 255, -1)
_FEWEST_ROWS = 4096
# OpenBLAS, which NumPy comes with, computes products of less work in one thread. Its threads wait for one another by
# spinning, which takes several times as long where other programs run too.
ONE_THREAD, ONE_THREAD_FOR_A_VECTOR = 1 << 18, 9216


def linear_prediction(
    x: Num[Array, "*rows features"], weights: Float[Array, "features *outputs"]
) -> Float[Array, "..."]:
    """Return `x @ weights` in the full precision of its dtype.

    On a CPU the derivative by the weights, residuals @ x, is one product that the compiler cannot
    divide between cores. With a copy of the weights for each block of rows it is a product a block,
    then a sum, which runs on every core; the prediction itself costs the same. On other
    devices, on several (the blocks would not follow the shards), and for a number of rows that
    no block divides, it is the plain product.
    """
    block = _block_of(x, weights)
    if block is None:
        return jnp.matmul(x, weights, precision=jax.lax.Precision.HIGHEST)
    count = x.shape[0] // block
    blocks = x.reshape(count, block, x.shape[1])
    copies = jnp.broadcast_to(weights, (count, *weights.shape))
    product = jax.lax.dot_general(
        blocks,
        copies,
        dimension_numbers=(((2,), (1,)), ((0,), (0,))),
        precision=jax.lax.Precision.HIGHEST,
    )
    return product.reshape(x.shape[0])


def dot(a: Float[Array, "rows inner"], b: Float[Array, "inner columns"]) -> Array:
    """Return the product of two matrices of one dtype, with derivatives of that dtype.

    A product in float64 whose derivative is taken where JAX's default is 32 bits stays in float64. `a @ b` would be
    cut there, since it names its dtype. NumPy's matrices are multiplied by NumPy.
    """
    if is_numpys(a):
        return a @ b
    return jax.lax.dot_general(a, b, (((1,), (0,)), ((), ())), precision=jax.lax.Precision.HIGHEST)


def _block_of(x: Array, weights: Array) -> int | None:
    one_output = x.ndim == 2 and weights.ndim == 1 and x.dtype == weights.dtype
    if not one_output or x.shape[0] < _FEWEST_ROWS:
        return None
    if not on_one_cpu():
        return None
    return next((size for size in _BLOCK if x.shape[0] % size == 0), None)


def on_one_cpu() -> bool:
    """Return whether JAX computes on one CPU device, with all its cores."""
    return jax.default_backend() == "cpu" and jax.device_count() == 1
