"""`fit`: trains any pure loss with any optax optimizer, the whole loop on the device."""

import math
import warnings
from functools import partial
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray, PyTree, UInt32

from funcgrad import regression
from funcgrad.training.checkpoints import Checkpoint
from funcgrad.training.checks import check_batches, check_numbers, check_optimizer
from funcgrad.training.loop import Data, Loss, Optimizer, Program, State, program
from funcgrad.training.pieces import advance_in_pieces
from funcgrad.training.placement import automatic, mesh_of, place
from funcgrad.training.precision import float64_where_given
from funcgrad.training.progress import Progress, Report, reporting
from funcgrad.training.results import DivergenceWarning, FitResult
from funcgrad.training.rows import RowSharding, weighted_by_target
from funcgrad.training.saving import Saving, identity_of
from funcgrad.training.sources import rows_of


def fit(
    loss: Loss,
    params: PyTree,
    x: PyTree,
    y: PyTree,
    *,
    optimizer: Optimizer,
    steps: int,
    learning_rate: Float[ArrayLike, ""] | Literal["auto"] | None = None,
    batch_size: int | None = None,
    key: PRNGKeyArray | UInt32[Array, "2"] | None = None,
    tolerance: float | None = None,
    mesh: Mesh | None = None,
    checkpoint: Checkpoint | str | Path | None = None,
    resume: bool = False,
    progress: bool | Report = False,
    progress_every: int | None = None,
) -> FitResult:
    """Minimise a loss by gradient steps, in one compiled loop on the device.

    The program is kept by the identity of `loss` and `optimizer`: fitting again with the same two, and
    data of the same shapes and dtypes, compiles nothing. It runs where the data lies, under any
    sharding; parameters on a single device are replicated beside data that is sharded. Inside `jax.jit`
    or `jax.vmap` (an ensemble over keys, a sweep over learning rates) `losses` is padded with NaN to
    the steps asked for, and nothing is reported, saved or warned about.

    Data that does not fit in memory: `training.fit_batches`.

    Args:
        loss: a pure function (params, x, y) -> scalar.
        params: where to start, any pytree of floating-point arrays. They stay valid.
        x, y: the data, arrays or pytrees of arrays; float64 arrays train in float64 whatever JAX's
            default. With mini-batches, rows lie along the first axis of each.
        optimizer: an optax optimizer such as `optax.adam(1e-3)`; or, with `learning_rate`, a function
            that makes one from a learning rate, such as `optax.adam`. Those with a line search
            (`optax.lbfgs()`) work too.
        steps: the largest number of steps to take.
        learning_rate: a number; another number does not compile anew. "auto", for `regression.loss`:
            one over the largest eigenvalue of its Hessian over all rows, which makes full-batch
            `optax.sgd` descend at every step.
        batch_size: rows in each step; None is all of them. The rows are shuffled anew in each epoch and
            each is used at most once in it: the last `rows % batch_size` of an epoch's order are left out.
        key: the JAX key that decides the shuffles; needed with `batch_size`.
        tolerance: stop, converged, when the Euclidean norm of the full gradient is at most this. None
            takes all steps.
        mesh: devices to spread the rows over, padded with rows of weight zero where they do not divide;
            the loss must be a mean over rows. In several processes (`jax.distributed`), a mesh over all
            devices, and each process gives the rows that it has. Data that is sharded already needs none.
        checkpoint: where to save the run, and how often; a path saves every 30 seconds, and at the end.
            In several processes it is saved after each `progress_every` steps.
        resume: go on from the checkpoint if there is one. The result is then, bit for bit, that of the
            run without the interruption.
        progress: True shows a bar (needs tqdm); a function is called with a `Progress`.
        progress_every: steps between two reports, which run compiled; a hundredth of `steps` unless given.

    Raises:
        ValueError: if a number is out of range, arguments do not fit each other, or "auto" has no answer.
        TypeError: if the optimizer is not one.
        ImportError: if progress=True and tqdm is missing.
        CheckpointError: if a checkpoint is there and resume is not set, or it is not of this run.

    Warns:
        DivergenceWarning: if the loss or its gradient turned non-finite; see `FitResult.diverged`.
        CheckpointWarning: if a checkpoint could not be written or used.

    >>> import jax.numpy as jnp, optax
    >>> from funcgrad import fit, regression
    >>> x, y = jnp.array([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]]), jnp.array([1.0, 3.0, 5.0])
    >>> result = fit(
    ...     regression.loss, jnp.zeros(2), x, y,
    ...     optimizer=optax.sgd, learning_rate="auto", steps=1000, tolerance=1e-4,
    ... )
    >>> result.params.round(3), bool(result.converged)
    (Array([1., 2.], dtype=float32), True)
    """
    check_numbers(steps, tolerance, progress_every)
    check_optimizer(optimizer, learning_rate)
    with float64_where_given((params, x, y)):
        x, y = jax.tree.map(jnp.asarray, (x, y))
        check_batches(batch_size, key, tolerance, x, y)
        # Naming the dtype strips weak types (Python numbers), which a step would not keep.
        params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.result_type(leaf)), params)
        home = mesh_of((x, y, params))
        if mesh is None:
            params, x, y = place((params, x, y), None if home is None else automatic(home))
            objective, curvature = loss, x
        else:
            if batch_size is not None:
                raise ValueError("mesh is for full batches: training.fit_batches has mini-batches")
            rows = RowSharding(mesh, rows_of((x, y)))
            (x, y), weights = rows.put((x, y), optax.tree.dtype(params, "highest"))
            curvature = regression.moments(x, y, weights) if loss is regression.loss else None
            params, y = rows.replicate(params), (y, weights)
            objective, home = weighted_by_target(loss), None
        data = Data(
            x=x,
            y=y,
            key=key,
            learning_rate=_resolve_learning_rate(learning_rate, loss, params, curvature),
            tolerance=jnp.asarray(-1.0 if tolerance is None else tolerance),
        )
        compiled = _compiled(objective, optimizer, batch_size)
        # Capacities are powers of two so that another number of steps seldom compiles anew.
        state = compiled.start(params, data, 1 << max(steps - 1, 0).bit_length())
        if _is_traced((params, data)):
            # Under vmap some of the state is shared by all members, so none of it may be donated.
            return _result(compiled.advance(state, data, steps), steps)
        saving = None
        if checkpoint is not None:
            saving = Saving(checkpoint, identity_of(loss, state, data.learning_rate, steps=steps))
            state = saving.restore(state, resume=resume)
        with reporting(progress, steps) as report:
            every = progress_every or max(steps // 100, 1)
            listen = report and partial(_report, report, steps)
            state = advance_in_pieces(compiled, state, data, steps, every, listen, saving)
        if state.diverged:
            message = _diagnosis(loss, state, data, curvature, batch_size)
            warnings.warn(message, DivergenceWarning, stacklevel=2)
        return place(_result(state, steps), home)


def _report(report: Report, steps: int, state: State) -> None:
    report(Progress(int(state.steps), steps, float(state.value)))


def _is_traced(tree: PyTree) -> bool:
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(tree))


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


def _compiled(loss: Loss, optimizer: Optimizer, batch_size: int | None) -> Program:
    try:
        hash((loss, optimizer))
    except TypeError:  # such as a callable object that holds arrays
        return program.__wrapped__(loss, optimizer, batch_size)
    return program(loss, optimizer, batch_size)


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
        learning_rate = 1 / eigenvalue
    return jnp.asarray(learning_rate, optax.tree.dtype(params, "highest"))


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
