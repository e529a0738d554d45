"""The exact least-squares answer, the yardstick for everything that descends towards it."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int, Num

from funcgrad.regression.model import Linear, Params, loss
from funcgrad.regression.sharding import replicating


class LeastSquares(NamedTuple):
    """The exact answer of a least-squares problem.

    Attributes:
        params: the weights, shape (features,) or (features, outputs); `Linear(weights, bias)` where an
            intercept was asked for. Ready for `predict` and `loss`.
        loss: the mean squared error at params, shape ().
        rank: the numerical rank of the design matrix, intercept included, shape ().
    """

    params: Params
    loss: Float[Array, ""]
    rank: Int[Array, ""]


def least_squares(
    x: Num[ArrayLike, "rows features"],
    y: Num[ArrayLike, "rows *outputs"],
    *,
    intercept: bool = False,
) -> LeastSquares:
    """Return the parameters that minimise `loss`, the smallest ones where several do.

    It is computed in float64 whatever the dtype of the data and rounded to that dtype once, on the device
    of the data; NumPy arrays in float64 give float64.

    Args:
        x: the design matrix, shape (rows, features).
        y: the targets, shape (rows,) or (rows, outputs).
        intercept: whether to add a bias to the model.

    Raises:
        ValueError: if the shapes do not fit, or there are no rows or no features.
        TypeError: if an array is complex.

    >>> import jax.numpy as jnp
    >>> from funcgrad import regression
    >>> x = jnp.array([[0.0], [1.0], [2.0]])
    >>> answer = regression.least_squares(x, jnp.array([1.0, 3.0, 5.0]), intercept=True)
    >>> answer.params.weights.round(6), answer.params.bias.round(6), answer.rank
    (Array([2.], dtype=float32), Array(1., dtype=float32), Array(2, dtype=int32))
    """
    with jax.enable_x64(True):
        x, y = jnp.asarray(x), jnp.asarray(y)
        if x.ndim != 2 or x.size == 0:
            raise ValueError(f"x must have shape (rows, features), none of them 0, got {x.shape}")
        if y.ndim not in (1, 2) or y.shape[0] != x.shape[0]:
            raise ValueError(
                f"y must have shape ({x.shape[0]},) or ({x.shape[0]}, outputs), got {y.shape}"
            )
        for name, array in (("x", x), ("y", y)):
            if jnp.issubdtype(array.dtype, jnp.complexfloating):
                raise TypeError(f"{name} must be real, got dtype {array.dtype}")
        dtype = jnp.result_type(x, y, jnp.float32)
        answer = replicating(partial(_solve, intercept=intercept))(
            x.astype(jnp.float64), y.astype(jnp.float64)
        )
        params, error = jax.tree.map(lambda leaf: leaf.astype(dtype), (answer.params, answer.loss))
        return LeastSquares(params, error, answer.rank)


def _solve(x: Array, y: Array, *, intercept: bool) -> LeastSquares:
    design = jnp.column_stack([x, jnp.ones(x.shape[0])]) if intercept else x
    solution, _, rank, _ = jnp.linalg.lstsq(design, y)
    params = Linear(solution[:-1], solution[-1]) if intercept else solution
    return LeastSquares(params, loss(params, x, y), rank.astype(jnp.int32))
