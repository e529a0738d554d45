"""One step of gradient descent on the regression's loss: gradient, update, and both in one program."""

from __future__ import annotations

from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Num

from funcgrad.regression.model import loss
from funcgrad.regression.precision import check_indices, computing_in, numbers
from funcgrad.regression.sums import Moments

ParamsT = TypeVar("ParamsT")


def value_and_grad(
    params: ParamsT,
    x: Num[ArrayLike, "*rows features"] | Moments,
    y: Num[ArrayLike, ...] | None,
) -> tuple[Float[Array, ""], ParamsT]:
    """Return the loss and its gradient, a pytree like params, from one compiled program.

    Args and errors: as for `loss`.

    >>> import jax.numpy as jnp
    >>> from funcgrad import regression
    >>> regression.value_and_grad(
    ...     jnp.array([2.0, -1.0]), jnp.array([[1.0, 1.0], [3.0, 0.0]]), jnp.array([0.0, 4.0])
    ... )
    (Array(2.5, dtype=float32), Array([7., 1.], dtype=float32))
    """
    x, y = _as_data(x, y)
    with computing_in(params, x, y):
        return _value_and_grad(params, x, y)


def _as_data(x: Any, y: Any) -> tuple[Any, Any]:
    """Return x and y as arrays; sums, and the targets that they hold, as they are."""
    if isinstance(x, Moments):
        return x, y
    check_indices(x=x, y=y)
    return numbers("x", x), None if y is None else numbers("y", y)


_value_and_grad = jax.jit(jax.value_and_grad(loss))


def update(params: ParamsT, grads: ParamsT, learning_rate: Float[ArrayLike, ""] = 1.0) -> ParamsT:
    """Return `params - learning_rate * grads`, leaf by leaf, in the dtype of params.

    Args:
        params: any pytree of arrays.
        grads: a pytree of the same structure and shapes.
        learning_rate: a number, or an array of shape ().

    Raises:
        ValueError: if the structures or the shapes differ, or the learning rate is not one number.
        TypeError: if a parameter is not floating point.

    >>> import jax.numpy as jnp
    >>> from funcgrad import regression
    >>> regression.update(jnp.array([2.0, -1.0]), jnp.array([7.0, 1.0]), learning_rate=0.5)
    Array([-1.5, -1.5], dtype=float32)
    """
    if np.shape(learning_rate) != ():
        raise ValueError(f"learning_rate must be one number, got shape {np.shape(learning_rate)}")
    wanted: Any = jax.tree.structure(params)
    got: Any = jax.tree.structure(grads)
    if wanted != got:
        raise ValueError(f"grads of structure {got} do not fit params of structure {wanted}")

    def descend(param: Array, grad: Array) -> Array:
        if jnp.shape(param) != jnp.shape(grad):
            raise ValueError(
                f"a gradient of shape {jnp.shape(grad)} does not fit "
                f"a parameter of shape {jnp.shape(param)}"
            )
        param = jnp.asarray(param)
        if not jnp.issubdtype(param.dtype, jnp.inexact):
            raise TypeError(f"a parameter must be floating point, got dtype {param.dtype}")
        return (param - jnp.asarray(learning_rate, param.dtype) * grad).astype(param.dtype)

    with computing_in(params, grads):
        return jax.tree.map(descend, params, grads)


def step(
    params: ParamsT,
    x: Num[ArrayLike, "*rows features"] | Moments,
    y: Num[ArrayLike, ...] | None,
    learning_rate: Float[ArrayLike, ""],
) -> tuple[ParamsT, Float[Array, ""]]:
    """Take one step of gradient descent in one compiled program.

    Args:
        params, x, y: as for `loss`.
        learning_rate: a number; another number does not compile anew.

    Returns:
        The new params, and the loss before the step. The params given stay valid.

    >>> import jax.numpy as jnp
    >>> from funcgrad import regression
    >>> x, y = jnp.array([[1.0, 1.0], [3.0, 0.0]]), jnp.array([0.0, 4.0])
    >>> regression.step(jnp.array([2.0, -1.0]), x, y, 0.5)
    (Array([-1.5, -1.5], dtype=float32), Array(2.5, dtype=float32))
    """
    x, y = _as_data(x, y)
    with computing_in(params, x, y):
        return _step(params, x, y, learning_rate)


@jax.jit
def _step(params: Any, x: Any, y: Any, learning_rate: Any) -> tuple[Any, Array]:
    value, grads = _value_and_grad(params, x, y)
    return update(params, grads, learning_rate), value
