"""The derivatives of a fit at its optimum, by the implicit function theorem: no step of the loop is differentiated."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array

from funcgrad.training.loop import Data, Loss, State


def constants_apart(
    loss: Loss, params: Any, data: Data, batch_size: int | None
) -> tuple[Loss, Loss]:
    """Return a loss twice: as it is, for all rows; and with what it closes over held constant, for mini-batches too."""
    convert: Any = jax.closure_convert
    whole = data.x, data.y
    shapes = [whole]
    if batch_size is not None:
        shapes.append(jax.tree.map(lambda leaf: leaf[:batch_size], whole))
    # A converted loss is for the shapes that it was converted with.
    converted = {_rows(data): convert(loss, params, *data) for data in shapes}
    held = {rows: jax.lax.stop_gradient(closed) for rows, (_, closed) in converted.items()}

    def constant(params: Any, x: Any, y: Any) -> Array:
        rows = _rows((x, y))
        return converted[rows][0](params, x, y, *held[rows])

    of_all, closed_over = converted[_rows(whole)]
    return (lambda params, x, y: of_all(params, x, y, *closed_over)), constant


def _rows(data: Any) -> Any:
    return jnp.shape(jax.tree.leaves(data)[0])[:1]


def with_derivatives(loss: Loss, data: Data, state: State) -> State:
    """Return a fit's last state, its params and value as functions of the data and of what the loss closes over.

    At the optimum the gradient g(params, data) is zero, and stays so. So the params move by -H⁻¹ ∂g, H the
    Hessian of the loss. The derivatives are NaN where the fit has not converged, or H is not positive definite.
    """
    flat, unravel = ravel_pytree(state.params)

    def gradient(flat: Array) -> Array:
        return ravel_pytree(jax.grad(loss)(unravel(flat), data.x, data.y))[0]

    def solved(hessian: Any, right: Array) -> Array:
        matrix = jax.vmap(hessian)(jnp.eye(len(flat), dtype=flat.dtype))
        # A factor, since a NaN that is chosen would not go backwards.
        known = jnp.where(state.converged, 1, jnp.nan).astype(flat.dtype)
        return jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(matrix), right * known)

    root = jax.lax.custom_root(gradient, flat, lambda _, flat: flat, solved)
    params = unravel(root)
    return state._replace(params=params, value=loss(params, data.x, data.y))
