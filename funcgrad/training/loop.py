"""The compiled training loop: pure functions from state to state, one program per loss and optimizer.

Nothing here checks input, warns or talks to the user; that is `fit`'s work.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, ArrayLike, Bool, Float, Int, PyTree

Loss: TypeAlias = Callable[[Any, Any, Any], Float[Array, ""]]
Optimizer: TypeAlias = optax.GradientTransformation | Callable[..., optax.GradientTransformation]


class Data(NamedTuple):
    """The inputs that every step reads and none changes."""

    x: PyTree
    y: PyTree
    key: Array | None
    learning_rate: Float[Array, ""] | None
    tolerance: Float[Array, ""]


class State(NamedTuple):
    """The state that one step hands to the next; `value`, `grads` and `norm` belong to `params`.

    At the start these are not computed yet, and the norm is -1.
    """

    params: PyTree
    optimizer_state: PyTree
    value: Float[Array, ""]
    grads: PyTree
    norm: Float[Array, ""]
    converged: Bool[Array, ""]
    diverged: Bool[Array, ""]
    steps: Int[Array, ""]
    losses: Float[Array, " capacity"]
    order: Int[Array, " rows"] | None


class Program(NamedTuple):
    """The two compiled halves of a fit.

    Attributes:
        start: (params, data, capacity) -> the state before the first step. It computes no loss, so that the loss is
            compiled once, in `advance`.
        advance: (state, data, until) -> the state after `until` steps, or where it stopped before.
        advance_in_place: the same; the state given is donated, its memory used for the result.
    """

    start: Callable[[PyTree, Data, int], State]
    advance: Callable[[State, Data, int], State]
    advance_in_place: Callable[[State, Data, int], State]


def gradient_norm(grads: PyTree) -> Float[Array, ""]:
    """Return the Euclidean norm over all leaves, scaled so that no square overflows on the way."""
    largest = optax.tree.max(jax.tree.map(jnp.abs, grads))
    scale = jnp.where(largest > 0, largest, 1)
    return scale * optax.tree.norm(jax.tree.map(lambda grad: grad / scale, grads))


def transformation(
    optimizer: Optimizer, learning_rate: Float[Array, ""] | None
) -> optax.GradientTransformationExtraArgs:
    """Return the optimizer with its learning rate, ready for the extra arguments that a line search gives to `update`."""
    given: Any = optimizer
    made = given if learning_rate is None else given(learning_rate)
    return optax.with_extra_args_support(made)


@lru_cache(maxsize=64)
def program(
    loss: Loss, optimizer: Optimizer, batch_size: int | None, *, until_flat: bool = False
) -> Program:
    """Return the compiled loop. The cache keeps a second fit from compiling again.

    It is bounded so that losses made on the fly, and the data they close over, are let go. With mini-batches and
    `until_flat`, the full gradient is computed at the end of each epoch, to compare with the tolerance.
    """

    def order_at(step: Array, order: Array | None, data: Data) -> Array | None:
        """Return the order of the rows at this step, drawn anew where an epoch begins."""
        if batch_size is None or order is None or data.key is None:
            return None
        rows, key = order.shape[0], data.key
        epoch, position = jnp.divmod(step, rows // batch_size)
        return jax.lax.cond(
            position == 0,
            lambda: jax.random.permutation(jax.random.fold_in(key, epoch), rows),
            lambda: order,
        )

    def batch_at(step: Array, order: Array | None, data: Data) -> tuple[PyTree, PyTree]:
        if batch_size is None or order is None:
            return data.x, data.y
        position = step % (order.shape[0] // batch_size)
        rows = jax.lax.dynamic_slice_in_dim(order, position * batch_size, batch_size)
        return jax.tree.map(lambda leaf: leaf[rows], (data.x, data.y))

    def evaluate(params: PyTree, step: Array, order: Array | None, data: Data) -> dict[str, Any]:
        value, grads = jax.value_and_grad(loss)(params, *batch_at(step, order, data))
        norm = gradient_norm(grads)
        finite = jnp.isfinite(value) & jnp.isfinite(norm)
        full = norm
        if batch_size is not None:
            full = jnp.full_like(norm, jnp.inf)
        if batch_size is not None and order is not None and until_flat:
            full = jax.lax.cond(
                step % (order.shape[0] // batch_size) == 0,
                lambda: gradient_norm(jax.grad(loss)(params, data.x, data.y)),
                lambda: full,
            )
        return {
            "value": value,
            "grads": grads,
            "norm": norm,
            "converged": finite & (full <= data.tolerance),
            "diverged": ~finite,
        }

    @partial(jax.jit, static_argnums=2)
    def start(params: PyTree, data: Data, capacity: int) -> State:
        order = None
        if batch_size is not None:
            order = jnp.arange(jax.tree.leaves((data.x, data.y))[0].shape[0])
        no, batch = jnp.asarray(False), partial(batch_at, jnp.zeros((), jnp.int32), order)
        value, _ = jax.eval_shape(lambda: jax.value_and_grad(loss)(params, *batch(data)))
        zero = jnp.zeros(value.shape, value.dtype)
        state = State(
            params=params,
            optimizer_state=transformation(optimizer, data.learning_rate).init(params),
            value=zero,
            grads=jax.tree.map(jnp.zeros_like, params),
            norm=jnp.full((), -1, optax.tree.dtype(params, "highest")),
            converged=no,
            diverged=no,
            steps=jnp.zeros((), jnp.int32),
            losses=jnp.full((capacity,), jnp.nan, value.dtype),
            order=order,
        )
        # The state may be donated, so no two of its arrays, nor one of the caller's, may be the same. A weak type, which
        # a step does not keep, would have the steps compiled twice.
        return jax.tree.map(lambda leaf: jnp.array(leaf, leaf.dtype, copy=True), state)

    def moved(state: State, data: Data) -> tuple[PyTree, PyTree]:
        """Return the params and the optimizer's state after a step."""
        updates, optimizer_state = transformation(optimizer, data.learning_rate).update(
            state.grads,
            state.optimizer_state,
            state.params,
            # Optimizers with a line search need these; the others ignore them.
            value=state.value,
            grad=state.grads,
            value_fn=lambda params: loss(params, *batch_at(state.steps, state.order, data)),
        )
        return optax.apply_updates(state.params, updates), optimizer_state

    def one_step(state: State, data: Data) -> State:
        """Take a step, and compute the loss and its gradient there; at the start, these alone."""
        at_start = state.norm < 0
        params, optimizer_state = jax.lax.cond(
            at_start,
            lambda: (state.params, state.optimizer_state),
            lambda: moved(state, data),
        )
        steps = state.steps + jnp.where(at_start, 0, 1)
        order = order_at(steps, state.order, data)
        losses = state.losses.at[state.steps].set(state.value)  # over that of the start
        evaluated = evaluate(params, steps, order, data)
        taken = State(params, optimizer_state, steps=steps, losses=losses, order=order, **evaluated)
        # A step to where the loss is not finite is not taken: the state before it is the answer.
        refused = state._replace(diverged=taken.diverged, losses=losses, order=order)
        return jax.tree.map(partial(jnp.where, taken.diverged & ~at_start), refused, taken)

    def advance(state: State, data: Data, until: Int[ArrayLike, ""]) -> State:
        def unfinished(state: State) -> Array:
            going = (state.steps < until) & ~state.converged & ~state.diverged
            return going | (state.norm < 0)

        return jax.lax.while_loop(unfinished, lambda state: one_step(state, data), state)

    return Program(start, jax.jit(advance), jax.jit(advance, donate_argnums=0))
