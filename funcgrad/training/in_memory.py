"""Training on data in memory: one compiled loop on the device, watched from here."""

import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from jaxtyping import Array, PyTree

from funcgrad import regression
from funcgrad.regression.model import weights_and_bias
from funcgrad.regression.precision import (
    as_set_by_user,
    check_indices,
    needs_float64,
    on_device,
    on_device_as,
    own_work,
    starting,
)
from funcgrad.regression.sums import warn_of_lost_digits
from funcgrad.regression.weights import row_weights
from funcgrad.training.checkpoints import Checkpoint
from funcgrad.training.checks import (
    check_arrays,
    check_batches,
    check_numbers,
    check_optimizer,
    check_watching,
    started_from,
)
from funcgrad.training.identity import digest_of
from funcgrad.training.loop import (
    Data,
    Loss,
    Optimizer,
    Program,
    State,
    gradient_norm,
    program,
)
from funcgrad.training.optimum import constants_apart, with_derivatives
from funcgrad.training.pieces import advance_in_pieces
from funcgrad.training.placement import automatic, mesh_of, on_mesh
from funcgrad.training.progress import Report, reporting
from funcgrad.training.results import ConvergenceWarning, DivergenceWarning, FitResult
from funcgrad.training.rows import RowSharding, check_mean_over_rows, weighted_by_target
from funcgrad.training.saving import Saving, held, identity_of
from funcgrad.training.sources import for_loss, rows_of
from funcgrad.training.watching import Reached, Watch, validating


def fit_rows(
    loss: Loss,
    params: PyTree,
    x: PyTree,
    y: PyTree,
    *,
    optimizer: Optimizer,
    steps: Any = None,
    learning_rate: Any = None,
    batch_size: int | None = None,
    key: Any = None,
    tolerance: float | None = None,
    sample_weight: Any = None,
    validation: tuple[PyTree, PyTree] | None = None,
    patience: int | None = None,
    callback: Callable[[Reached], object] | None = None,
    optimizer_state: PyTree = None,
    mesh: Mesh | None = None,
    checkpoint: Checkpoint | str | Path | None = None,
    resume: bool = False,
    progress: bool | Report = False,
    progress_every: int | None = None,
) -> FitResult:
    """Train on x and y in one compiled loop on the device; arguments: as for `fit`."""
    check_numbers(steps, tolerance, progress_every)
    assert steps is not None
    check_optimizer(optimizer, learning_rate)
    sums = isinstance(x, regression.Moments)
    check_arrays(params, *(() if sums else (x, y)))
    check_watching(validation, patience, callback, optimizer_state, checkpoint)
    if sample_weight is not None and sums:
        raise ValueError("sample_weight: sums take theirs in moments(x, y, weights)")
    if not sums:
        check_indices(x=x, y=y, sample_weight=sample_weight)
        x, y = for_loss(loss, x, y)
    # Sums are in float64 whatever the rows were, so the parameters decide.
    float64 = needs_float64(params if sums else (params, x, y))
    called = as_set_by_user(loss)
    with own_work(float64=float64 or sums):
        x, y = jax.tree.map(on_device, (x, y))
        weights = None
        if sample_weight is not None:
            with own_work():
                weights = row_weights(sample_weight, rows_of((x, y)))
        check_batches(batch_size, key, x, y)
        params = starting(params, float64=float64)
        home = mesh_of((x, y, params))
        if mesh is None:
            params, x, y = on_mesh((params, x, y), None if home is None else automatic(home))
            objective, curvature = called, x
            if weights is not None:
                if not _is_traced((params, x, y)):
                    check_mean_over_rows(called, params, (x, y), None)
                if loss is regression.loss and isinstance(learning_rate, str):
                    curvature = regression.moments(x, y, weights)
                y = y, weights.astype(optax.tree.dtype(params, "highest"))
                objective = weighted_by_target(called)
        else:
            if batch_size is not None:
                raise ValueError(
                    "mesh is for full batches: give the mini-batches themselves, without y"
                )
            rows = RowSharding(mesh, rows_of((x, y)))
            check_mean_over_rows(called, params, (x, y), mesh)
            floating = optax.tree.dtype(params, "highest")
            if weights is None:
                (x, y), weights = rows.put((x, y), floating)
            else:
                (x, y, weights), real = rows.put((x, y, weights), floating)
                weights = weights.astype(floating) * real
            curvature = regression.moments(x, y, weights) if loss is regression.loss else None
            params, y = rows.replicate(params), (y, weights)
            objective, home = weighted_by_target(called), None
        floating = optax.tree.dtype(params, "highest")
        data = Data(
            x=x,
            y=y,
            key=key,
            learning_rate=_resolve_learning_rate(learning_rate, loss, params, curvature),
            tolerance=on_device_as(floating, -1.0 if tolerance is None else tolerance),
        )
        described = {"start": params, "x": x, "y": y, "key": key}
        # Capacities are powers of two so that another number of steps seldom compiles anew.
        capacity = 1 << max(steps - 1, 0).bit_length()
        until_flat = batch_size is not None and tolerance is not None
        compiled = _compiled(objective, optimizer, batch_size, until_flat)
        state = compiled.start(params, data, capacity)
        if optimizer_state is not None:
            state = state._replace(
                optimizer_state=started_from(state.optimizer_state, optimizer_state)
            )
        traced = _is_traced((params, data, state))
        if traced or _closes_over_tracers(objective, params, data, batch_size):
            if validation is not None or callback is not None:
                raise ValueError(
                    "validation and callback look from outside: not inside jax.jit or jax.vmap"
                )
            if tolerance is not None:
                state = _at_optimum(
                    objective, optimizer, batch_size, params, data, capacity, steps, optimizer_state
                )
                return _result(state, steps)
            # Under vmap some of the state is shared by all members, so none of it may be donated.
            return _result(compiled.advance(state, data, steps), steps)
        with held(checkpoint) as checkpoint, reporting(progress, steps) as report:
            saving = None
            if checkpoint is not None:
                identity = identity_of(
                    loss,
                    (state.params, state.optimizer_state),
                    data.learning_rate,
                    optimizer,
                    **{"batch size": batch_size, "tolerance": tolerance},
                    **{name: digest_of(tree) for name, tree in described.items()},
                )
                saving = Saving(checkpoint, identity, steps)
                state = saving.restore(state, resume=resume)
            every = progress_every or max(steps // 100, 1)
            validate = None
            if validation is not None:
                held_out = for_loss(loss, *validation)
                validate = validating(called, *jax.tree.map(on_device, held_out))
            watch = Watch(report, steps, callback, validate, patience)
            listen = watch if watch.wanted else None
            state = advance_in_pieces(compiled, state, data, steps, every, listen, saving)
            if watch.best is not None:
                best = watch.best
                value = jax.jit(objective)(best, data.x, data.y)
                state = state._replace(params=best, value=value)
            elif until_flat:
                state = _over_all_rows(objective, state, data)
        if state.diverged:
            message = _diagnosis(loss, state, data, curvature, batch_size)
            warnings.warn(message, DivergenceWarning, stacklevel=3)
        elif tolerance is not None and not state.converged:
            warnings.warn(
                f"after {int(state.steps)} steps the gradient's norm is {float(state.norm):.3g}, above the "
                f"tolerance of {tolerance:g}: take more steps, or another learning rate",
                ConvergenceWarning,
                stacklevel=3,
            )
        if sums and loss is regression.loss and not state.diverged:
            parts = weights_and_bias(state.params)
            warn_of_lost_digits(state.value, *parts, x, stacklevel=3)
        result = _result(state, steps)
        if watch.losses:
            result = result._replace(validation_losses=jnp.asarray(watch.losses))
        return on_mesh(result, home)


def _over_all_rows(loss: Loss, state: State, data: Data) -> State:
    """Return the state with the loss and the gradient of all rows, instead of those of a mini-batch."""
    value, grads = jax.jit(jax.value_and_grad(loss))(state.params, data.x, data.y)
    return state._replace(value=value, norm=gradient_norm(grads))


def _at_optimum(
    loss: Loss,
    optimizer: Optimizer,
    batch_size: int | None,
    params: PyTree,
    data: Data,
    capacity: int,
    steps: int,
    optimizer_state: PyTree,
) -> State:
    """Train on constants, and give the result the derivatives that it has at the optimum."""
    loss, constant = constants_apart(loss, params, data, batch_size)
    compiled = program.__wrapped__(
        constant, optimizer, batch_size, until_flat=batch_size is not None
    )
    params, constants = jax.lax.stop_gradient((params, data))
    state = compiled.start(params, constants, capacity)
    if optimizer_state is not None:
        state = state._replace(optimizer_state=jax.lax.stop_gradient(optimizer_state))
    state = compiled.advance(state, constants, steps)
    if batch_size is not None:
        state = _over_all_rows(constant, state, constants)
    return with_derivatives(loss, data, state)


def _is_traced(tree: PyTree) -> bool:
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(tree))


def _closes_over_tracers(loss: Loss, params: PyTree, data: Data, batch_size: int | None) -> bool:
    def of_batch(leaf: Array) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((batch_size, *leaf.shape[1:]), leaf.dtype)

    batch = (data.x, data.y) if batch_size is None else jax.tree.map(of_batch, (data.x, data.y))
    return _is_traced(jax.make_jaxpr(loss)(params, *batch).consts)


def _result(state: State, steps: int) -> FitResult:
    losses: Any
    if _is_traced(state):
        losses = jnp.where(jnp.arange(steps) < state.steps, state.losses[:steps], jnp.nan)
    else:
        # NumPy slices it, because each length would be a program of its own in JAX.
        losses = jax.device_put(np.asarray(state.losses)[: int(state.steps)])
    return FitResult(
        params=state.params,
        loss=state.value,
        losses=losses,
        gradient_norm=state.norm,
        steps=state.steps,
        converged=state.converged,
        diverged=state.diverged,
        optimizer_state=state.optimizer_state,
    )


def _compiled(
    loss: Loss, optimizer: Optimizer, batch_size: int | None, until_flat: bool
) -> Program:
    try:
        hash((loss, optimizer))
    except TypeError:  # such as a callable object that holds arrays
        return program.__wrapped__(loss, optimizer, batch_size, until_flat=until_flat)
    return program(loss, optimizer, batch_size, until_flat=until_flat)


def _resolve_learning_rate(
    learning_rate: Any, loss: Loss, params: PyTree, curvature: PyTree
) -> Array | None:
    if learning_rate is None:
        return None
    if isinstance(learning_rate, str):
        if loss is not regression.loss:
            raise ValueError(
                "learning_rate='auto' is known for funcgrad.regression.loss only: give a number"
            )
        eigenvalue = regression.largest_eigenvalue(params, curvature)
        if not _is_traced(eigenvalue) and not 0 < float(eigenvalue) < math.inf:
            raise ValueError(
                "learning_rate='auto' is one over the largest eigenvalue of the loss's Hessian, "
                f"which is {float(eigenvalue)} here: x must be finite and not all zero"
            )
        # NumPy's division, where there is no trace: JAX would compile it.
        learning_rate = 1 / (eigenvalue if _is_traced(eigenvalue) else np.asarray(eigenvalue))
    return on_device_as(optax.tree.dtype(params, "highest"), learning_rate)


def _diagnosis(
    loss: Loss, state: State, data: Data, curvature: PyTree, batch_size: int | None
) -> str:
    if math.isfinite(state.value) and math.isfinite(state.norm):
        message = (
            f"the loss or its gradient turned non-finite after {int(state.steps)} steps; "
            "the result holds the last parameters where both were finite."
        )
    else:
        message = (
            "the loss or its gradient is not finite at the initial parameters; no step was taken."
        )
    for name, tree in (("x", data.x), ("y", data.y)):
        if not all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(tree)):
            return f"{message} {name} holds values that are not finite."
    if loss is regression.loss:
        largest = float(regression.largest_stable_learning_rate(state.params, curvature))
        used = "" if data.learning_rate is None else f"; this was {float(data.learning_rate):.4g}"
        whole = "" if batch_size is None else "on all rows at once "
        message += (
            f" Gradient descent on this regression {whole}is stable at learning rates below "
            f"{largest:.4g}{used}."
        )
    return message
