"""The linear model and its squared error, with the checks that keep shapes from broadcasting silently."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Num

from funcgrad.regression.one_pass import RowError, mean_over_rows, row_errors
from funcgrad.regression.precision import (
    as_set_by_user,
    by_values,
    check_indices,
    computing_in,
    numbers,
    on_device,
    own_work,
)
from funcgrad.regression.products import linear_prediction
from funcgrad.regression.sums import (
    Moments,
    mean_squared_error,
    rounding_of,
    warn_of_lost_digits,
)
from funcgrad.regression.weights import row_weights


class Linear(NamedTuple):
    """The parameters of a linear model with a bias.

    Attributes:
        weights: shape (features,) for one output, (features, outputs) for several.
        bias: shape () for one output, (outputs,) for several.

    >>> import jax.numpy as jnp
    >>> from funcgrad import regression
    >>> params = regression.Linear(weights=jnp.array([2.0, -1.0]), bias=jnp.array(0.5))
    >>> regression.predict(params, jnp.array([[1.0, 1.0], [3.0, 0.0]]))
    Array([1.5, 6.5], dtype=float32)
    """

    weights: Float[ArrayLike, features * outputs]
    bias: Float[ArrayLike, "*outputs"]


Params = Float[ArrayLike, "features *outputs"] | Linear | Mapping[str, Float[ArrayLike, "..."]]


def weights_and_bias(params: Params) -> tuple[Array, Array | None]:
    """Return the weights, and the bias or None, of params in any of its three forms.

    Raises:
        TypeError: if a parameter is not real floating point.
        ValueError: if the shapes do not fit each other, or a mapping has other keys.
    """
    if isinstance(params, Mapping):
        if set(params) != {"weights", "bias"}:
            raise ValueError(
                f"a mapping of parameters has the keys 'weights' and 'bias', got {sorted(params)}"
            )
        params = Linear(**params)
    if isinstance(params, Linear):
        weights, bias = on_device(params.weights), on_device(params.bias)
    else:
        weights, bias = on_device(params), None
    for name, value in (("weights", weights), ("bias", bias)):
        if value is not None and not jnp.issubdtype(value.dtype, jnp.floating):
            raise TypeError(f"{name} must be real floating point, got dtype {value.dtype}")
    if weights.ndim not in (1, 2):
        raise ValueError(
            f"weights must have shape (features,) or (features, outputs), got {weights.shape}"
        )
    if bias is not None and bias.shape != weights.shape[1:]:
        raise ValueError(
            f"bias of shape {bias.shape} does not fit weights of shape {weights.shape}: "
            f"expected {weights.shape[1:]}"
        )
    return weights, bias


def design_matrix(
    x: Num[ArrayLike, "*rows features"], features: int
) -> Num[Array, "*rows features"]:
    """Return x as a real array, refusing any shape but (rows, features) or one row, (features,)."""
    x = jnp.asarray(x)
    if jnp.issubdtype(x.dtype, jnp.complexfloating):
        raise TypeError(f"x must be real, got dtype {x.dtype}")
    if x.ndim not in (1, 2):
        raise ValueError(f"x must have shape (rows, features), got {x.shape}")
    if x.shape[-1] != features:
        raise ValueError(
            f"x of shape {x.shape} has {x.shape[-1]} features, the weights have {features}"
        )
    return x


def predict(params: Params, x: Num[ArrayLike, "*rows features"]) -> Float[Array, ...]:
    """Return the prediction `x @ weights + bias`.

    The product is computed in the full precision of its dtype on every device, as PyTorch does by
    default, where JAX alone would round float32 to fewer bits on a TPU or a recent GPU. NumPy's float64
    arrays are computed in float64, and so they are in every function of `funcgrad.regression`.

    Args:
        params: the weights, shape (features,) or (features, outputs); or `Linear(weights, bias)`;
            or a mapping with the keys "weights" and "bias"; or a result that holds one of these as `params`,
            such as that of `least_squares` and `fit`. That of `glm` predicts means, by its link.
        x: the design matrix, shape (rows, features), or a single row, shape (features,). Columns of a data frame are
            taken in their order; `funcgrad.models.Model.predict` takes them by their names.

    Raises:
        ValueError: if the shapes do not fit.
        TypeError: if the parameters are not real floating point, or x is complex.

    >>> import jax.numpy as jnp
    >>> from funcgrad import regression
    >>> regression.predict(jnp.array([2.0, -1.0]), jnp.array([[1.0, 1.0], [3.0, 0.0]]))
    Array([1., 6.], dtype=float32)
    """
    x = numbers("x", x)
    result: Any = params if hasattr(params, "params") else None
    params = params if result is None else result.params
    with computing_in(params, x):
        weights, bias = weights_and_bias(params)
        x = design_matrix(x, weights.shape[0])
        product = linear_prediction(x, weights)
        linear = product if bias is None else product + bias
        return result.mean(linear) if hasattr(result, "mean") else linear


def squared_error(
    params: Params, x: Num[ArrayLike, "*rows features"], y: Num[ArrayLike, ...]
) -> Float[Array, ...]:
    """Return the squared error of each element of the prediction.

    Args:
        params: as for `predict`.
        x: the design matrix, shape (rows, features).
        y: the targets, of exactly the prediction's shape: (rows,) or (rows, outputs).

    Raises:
        ValueError: if the shapes do not fit; (rows,) against (rows, 1) is refused, because it
            would broadcast to (rows, rows).
        TypeError: if an array has the wrong kind of dtype.

    >>> import jax.numpy as jnp
    >>> from funcgrad import regression
    >>> regression.squared_error(
    ...     jnp.array([2.0, -1.0]), jnp.array([[1.0, 1.0], [3.0, 0.0]]), jnp.array([0.0, 4.0])
    ... )
    Array([1., 4.], dtype=float32)
    """
    check_indices(x=x, y=y)
    x, y = numbers("x", x), numbers("y", y)
    with computing_in(params, x, y):
        weights, bias, x, y = _fitting(params, x, y)
        product = linear_prediction(x, weights)
        return _square_of_residual(product if bias is None else product + bias, y)


def _fitting(
    params: Params, x: ArrayLike, y: ArrayLike
) -> tuple[Array, Array | None, Array, Array]:
    """Return weights, bias, x and y as arrays, refusing those that do not fit each other."""
    weights, bias = weights_and_bias(params)
    x, y = design_matrix(x, weights.shape[0]), jnp.asarray(y)
    if jnp.issubdtype(y.dtype, jnp.complexfloating):
        raise TypeError(f"y must be real, got dtype {y.dtype}")
    shape = x.shape[:-1] + weights.shape[1:]
    if y.shape != shape:
        raise ValueError(f"y of shape {y.shape} does not fit the prediction of shape {shape}")
    return weights, bias, x, y


def loss(
    params: Params,
    x: Num[ArrayLike, "*rows features"] | Moments,
    y: Num[ArrayLike, ...] | None,
) -> Float[Array, ""]:
    """Return the mean squared error, over all rows and outputs.

    Args:
        params: as for `predict`.
        x: the design matrix, shape (rows, features); or the `moments` of all the data.
        y: the targets, of exactly the prediction's shape: (rows,) or (rows, outputs); None with moments.

    Raises:
        ValueError: if the shapes do not fit, or there are no rows.
        TypeError: if an array has the wrong kind of dtype.

    Warns:
        LostDigitsWarning: if the fit is so good that fewer than three digits of the loss can be had from
            sums. Not inside `jax.jit`, `jax.grad` or `jax.vmap`.

    >>> import jax.numpy as jnp
    >>> from funcgrad import regression
    >>> regression.loss(
    ...     jnp.array([2.0, -1.0]), jnp.array([[1.0, 1.0], [3.0, 0.0]]), jnp.array([0.0, 4.0])
    ... )
    Array(2.5, dtype=float32)
    """
    if isinstance(x, Moments):
        if y is not None:
            raise ValueError("moments hold the targets as well: give None for y")
        with computing_in(params, x):
            weights, bias = weights_and_bias(params)
            value = mean_squared_error(weights, bias, x)
            warn_of_lost_digits(value, weights, bias, x, stacklevel=2)
            return value
    if y is None:
        raise ValueError("y is None: the targets may be left out only where x is moments")
    return _squared_loss(params, x, y)


def rounding(params: Params, sums: Moments) -> float:
    """Return how far rounding may take `loss(params, sums, None)` from its value.

    Sums lose the digits of a loss that is small beside the targets' variation.

    Args:
        params: as for `predict`.
        sums: the `moments` of the data.

    >>> import numpy as np
    >>> from funcgrad import regression
    >>> x, y = np.arange(4.0)[:, None], np.array([0, 1e8, 2e8, 3e8])
    >>> regression.rounding(np.array([1e8]), regression.moments(x, y)) > 1
    True
    """
    return by_values("rounding", _rounding, params, sums)


def _rounding(params: Params, sums: Moments) -> float:
    with computing_in(params, sums):
        return rounding_of(*weights_and_bias(params), sums)


def _square_of_residual(prediction: Array, y: Array) -> Array:
    return jnp.square(prediction - y)


@lru_cache(maxsize=64)
def mean_loss(error: RowError) -> Callable[[Params, ArrayLike, ArrayLike], Float[Array, ""]]:
    """Return the loss (params, x, y, weights=None) -> the mean of an error of the linear prediction.

    With weights of the rows, shape (rows,), 0 or more, it is the weighted mean. The loss equals `jnp.mean(error(predict(params, x), y))`, and serves `fit` and `jax.grad`; on a CPU its
    gradient reads the rows once instead of twice. The same function gives the same loss again, so a
    second fit does not compile.

    Args:
        error: an elementwise function (prediction, y) -> error, such as `optax.losses.huber_loss` or
            `optax.losses.sigmoid_binary_cross_entropy`; values that it closes over are not differentiated.

    Raises (the loss):
        ValueError: if the shapes do not fit, or there are no rows.
        TypeError: if an array has the wrong kind of dtype.

    >>> import jax.numpy as jnp, optax
    >>> from funcgrad import regression
    >>> logistic = regression.mean_loss(optax.losses.sigmoid_binary_cross_entropy)
    >>> logistic(jnp.zeros(2), jnp.array([[1.0, 1.0], [3.0, 0.0]]), jnp.array([0.0, 1.0]))
    Array(0.6931472, dtype=float32)
    """

    loss = _mean_of(error, as_set_by_user)
    loss.error = error
    loss.__qualname__ = f"mean_loss({getattr(error, '__qualname__', error)})"
    return loss


def _mean_of(error: RowError, prepared: Callable[[RowError], RowError]) -> Any:
    """Return the loss that is the mean of an error, which is prepared at each call."""

    def loss(params: Params, x: ArrayLike, y: ArrayLike, weights: Any = None) -> Array:
        if weights is not None:
            return weighted(params, x, y, weights)
        check_indices(x=x, y=y)
        x, y, called = numbers("x", x), numbers("y", y), prepared(error)
        with computing_in(params, x, y):
            weights, bias, x, y = _fitting(params, x, y)
            if y.size == 0:
                raise ValueError(f"the mean over no errors is not defined: x has shape {x.shape}")
            return mean_over_rows(called, weights, bias, x, y)

    def by_row(params: Params, x: ArrayLike, y: ArrayLike) -> Array:
        called = prepared(error)
        with computing_in(params, x, y):
            weights, bias, x, y = _fitting(params, x, y)
            return row_errors(called, weights, bias, x, y)

    def weighted(params: Params, x: ArrayLike, y: ArrayLike, weights: Any) -> Array:
        check_indices(x=x, y=y, weights=weights)
        x, y = numbers("x", x), numbers("y", y)
        with own_work():
            checked = row_weights(weights, jnp.shape(y)[0])
            assert checked is not None
            shares = checked / checked.sum()
        with computing_in(params, x, y):
            errors = by_row(params, x, y)
            return jnp.sum(shares.astype(errors.dtype) * errors)

    return _with_rows(loss, by_row)


def _with_rows(loss: Any, by_row: Any) -> Any:
    """Attach a loss's value on each row, for those who weight rows (`training.row_weighted`)."""
    loss.by_row = by_row
    return loss


_squared_loss = _mean_of(_square_of_residual, lambda error: error)
_with_rows(loss, _squared_loss.by_row)
