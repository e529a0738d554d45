"""`fit`: trains any pure loss with any optax optimizer, the whole loop on the device."""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, PyTree

from funcgrad import regression
from funcgrad.training.loop import Data, Loss, Optimizer, State, program


class FitResult(NamedTuple):
    """What `fit` returns, a pytree.

    Attributes:
        params: the trained parameters, a pytree like those given.
        loss: the loss at params, shape ().
        losses: the loss before each step taken, shape (steps,).
        gradient_norm: the Euclidean norm of the gradient at params, over all leaves, shape ().
        steps: the number of steps taken, shape ().
        converged: whether the norm came down to the tolerance, shape ().
        diverged: whether a step led to a loss or gradient that is not finite, shape ().
        optimizer_state: the optimizer's state after the last step taken.
    """

    params: PyTree
    loss: Float[Array, ""]
    losses: Float[Array, " steps"]
    gradient_norm: Float[Array, ""]
    steps: Int[Array, ""]
    converged: Bool[Array, ""]
    diverged: Bool[Array, ""]
    optimizer_state: PyTree


def fit(
    loss: Loss,
    params: PyTree,
    x: PyTree,
    y: PyTree,
    *,
    optimizer: Optimizer,
    steps: int,
    learning_rate: float | Float[Array, ""] | Literal["auto"] | None = None,
    tolerance: float | None = None,
) -> FitResult:
    """Minimise a loss by gradient steps, in one compiled program.

    Args:
        loss: a pure function (params, x, y) -> scalar.
        params: where to start, any pytree of floating-point arrays.
        x, y: the data, arrays (or pytrees of arrays) under any sharding.
        optimizer: an optax optimizer such as `optax.adam(1e-3)`; with `learning_rate`, a function that
            makes one from a learning rate, such as `optax.adam`.
        steps: the largest number of steps to take.
        learning_rate: a number; another number does not compile anew. "auto", for `regression.loss`, is
            one over the largest eigenvalue of its Hessian.
        tolerance: stop, converged, when the Euclidean norm of the gradient is at most this.

    >>> import jax.numpy as jnp, optax
    >>> from funcgrad import fit, regression
    >>> x, y = jnp.array([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]]), jnp.array([1.0, 3.0, 5.0])
    >>> result = fit(regression.loss, jnp.zeros(2), x, y, optimizer=optax.sgd(0.2), steps=500)
    >>> result.params.round(3)
    Array([1., 2.], dtype=float32)
    """
    x, y = jax.tree.map(jnp.asarray, (x, y))
    params = jax.tree.map(lambda leaf: jnp.array(leaf, jnp.result_type(leaf), copy=True), params)
    if isinstance(learning_rate, str):
        learning_rate = 1 / regression.largest_eigenvalue(params, x)
    if learning_rate is not None:
        learning_rate = jnp.asarray(learning_rate, optax.tree.dtype(params, "highest"))
    tolerance = jnp.asarray(-1.0 if tolerance is None else tolerance)
    data = Data(x, y, None, learning_rate, tolerance)
    compiled = program(loss, optimizer, None)
    # Capacities are powers of two so that another number of steps seldom compiles anew.
    state = compiled.start(params, data, 1 << max(steps - 1, 0).bit_length())
    return _result(compiled.advance(state, data, steps), data)


def _result(state: State, data: Data) -> FitResult:
    losses = np.asarray(state.losses)[: int(state.steps)]
    return FitResult(
        params=state.params,
        loss=state.value,
        losses=jnp.asarray(losses),
        gradient_norm=state.norm,
        steps=state.steps,
        converged=state.finite & (state.norm <= data.tolerance),
        diverged=~state.finite,
        optimizer_state=state.optimizer_state,
    )
