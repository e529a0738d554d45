"""`fit`: trains any pure loss with any optax optimizer, on data in memory or on batches that arrive.

Data in memory is trained on in one compiled loop on the device; batches by `funcgrad.training.streaming`.
"""

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
from funcgrad.training.checks import (
    check_batches,
    check_numbers,
    check_optimizer,
    refuse_options,
)
from funcgrad.training.identity import digest_of
from funcgrad.training.loop import Data, Loss, Optimizer, Program, State, program
from funcgrad.training.pieces import advance_in_pieces
from funcgrad.training.placement import automatic, mesh_of, place
from funcgrad.training.precision import float64_where_given
from funcgrad.training.progress import Progress, Report, StreamReport, reporting
from funcgrad.training.results import DivergenceWarning, FitResult
from funcgrad.training.rows import RowSharding, weighted_by_target
from funcgrad.training.saving import Saving, held, identity_of
from funcgrad.training.sources import Source, is_stream, rows_of
from funcgrad.training.streaming import fit_batches


class _WithX:
    """What y is where it is left out, since None is a target too: that of a loss that has no use for one."""

    def __repr__(self) -> str:
        return "<left out>"


_WITH_X: Any = _WithX()


def fit(
    loss: Loss,
    params: PyTree,
    x: PyTree | Source,
    y: PyTree = _WITH_X,
    *,
    optimizer: Optimizer,
    steps: int | None = None,
    epochs: int | None = None,
    learning_rate: Float[ArrayLike, ""] | Literal["auto"] | None = None,
    batch_size: int | None = None,
    key: PRNGKeyArray | UInt32[Array, "2"] | None = None,
    tolerance: float | None = None,
    mesh: Mesh | None = None,
    checkpoint: Checkpoint | str | Path | None = None,
    resume: bool = False,
    progress: bool | Report | StreamReport = False,
    progress_every: int | None = None,
) -> FitResult:
    """Minimise a loss by gradient steps: on data in memory, or on batches that arrive.

    Data in memory, x and y, is trained on for `steps`, in one compiled loop on the device. The program is
    kept by the identity of `loss` and `optimizer`: fitting again with the same two, and data of the
    same shapes and dtypes, compiles nothing. It runs where the data lies, under any sharding;
    parameters on a single device are replicated beside data that is sharded. Inside `jax.jit` or
    `jax.vmap` (an ensemble over keys, a sweep over learning rates) `losses` is padded with NaN to the
    steps asked for, and nothing is reported, saved or warned about.

    Batches, with y left out, are trained on for `epochs`, one step for each, while the next ones are read:
    no more than a few are in memory at any time.

    Args:
        loss: a pure function (params, x, y) -> scalar.
        params: where to start, any pytree of floating-point arrays. They stay valid.
        x, y: the data, arrays or pytrees of arrays; float64 arrays train in float64 whatever JAX's
            default. With mini-batches, rows lie along the first axis of each. `regression.Moments` as x
            hold y as well. Or x is batches, pairs (x, y): a `datasets.Stream`, shuffled anew in each
            epoch if it has a seed; any other iterable, iterated anew in each epoch; or a function from
            the epoch's number to an iterable. JAX's float64 parameters train in float64.
        optimizer: an optax optimizer such as `optax.adam(1e-3)`; or, with `learning_rate`, a function
            that makes one from a learning rate, such as `optax.adam`. Those with a line search
            (`optax.lbfgs()`) work too.
        steps: the largest number of steps to take on data in memory.
        epochs: how often to go through batches; 1 unless given.
        learning_rate: a number; another number does not compile anew. "auto", for `regression.loss` on
            data in memory: one over the largest eigenvalue of its Hessian over all rows, which makes
            full-batch `optax.sgd` descend at every step.
        batch_size: rows in each step; None is all of them. The rows are shuffled anew in each epoch and
            each is used at most once in it: the last `rows % batch_size` of an epoch's order are left out.
        key: the JAX key that decides the shuffles; needed with `batch_size`.
        tolerance: stop, converged, when the Euclidean norm of the full gradient is at most this. None
            takes all steps.
        mesh: devices to spread the rows over, padded with rows of weight zero where they do not divide;
            the loss must be a mean over rows. In several processes (`jax.distributed`), a mesh over all
            devices, and each process gives the rows that it has; with batches, the n-th step is taken on
            the n-th batches of all. Data that is sharded already needs none.
        checkpoint: where to save the run, and how often; a path saves every 30 seconds, and at the end.
            In several processes, data in memory is saved after each `progress_every` steps.
        resume: go on from the checkpoint if there is one, of the same loss, optimizer, start and data.
            More steps or epochs may be asked for than before. The result is then, bit for bit, that of
            the run without the interruption. A stream goes on where it was; another iterable's first
            batches are skipped.
        progress: True shows a bar (needs tqdm); a function is called with a `Progress`, or, for batches,
            a `StreamProgress`.
        progress_every: steps between two reports, which run compiled; a hundredth of `steps` unless given.

    Returns:
        A `FitResult`. For batches, `loss` and `gradient_norm` are those of the last one, before its step,
        and `converged` is false.

    Raises:
        ValueError: if a number is out of range, there are no batches, arguments do not fit each other,
            or "auto" has no answer.
        TypeError: if the optimizer is not one, or a batch is not a pair.
        ImportError: if progress=True and tqdm is missing.
        CheckpointError: if a checkpoint is there and resume is not set, or it is not of this run, or
            another run is using it.

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
    >>> batches = [(x[:2], y[:2]), (x[2:], y[2:])]
    >>> result = fit(regression.loss, jnp.zeros(2), batches, optimizer=optax.sgd(0.1), epochs=200)
    >>> result.params.round(3), int(result.steps)
    (Array([1., 2.], dtype=float32), 400)
    """
    if isinstance(x, regression.Moments) and y is _WITH_X:
        y = None
    for_rows = {"batch_size": batch_size, "key": key, "tolerance": tolerance}
    for_rows |= {"steps": steps, "progress_every": progress_every}
    if y is _WITH_X:
        refuse_options(for_rows, "data in memory, and y was left out, so that x is batches")
        return fit_batches(
            loss,
            params,
            x,
            optimizer=optimizer,
            learning_rate=learning_rate,
            epochs=1 if epochs is None else epochs,
            mesh=mesh,
            checkpoint=checkpoint,
            resume=resume,
            progress=progress,  # type: ignore[arg-type]
        )
    refuse_options({"epochs": epochs}, "batches: leave out y and give pairs (x, y)")
    if is_stream(x):
        raise ValueError("a stream's batches hold the targets as well: leave out y")
    check_numbers(steps, tolerance, progress_every)
    assert steps is not None
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
                raise ValueError(
                    "mesh is for full batches: give the mini-batches themselves, without y"
                )
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
        described = {"start": params, "x": x, "y": y, "key": key}
        compiled = _compiled(objective, optimizer, batch_size)
        # Capacities are powers of two so that another number of steps seldom compiles anew.
        state = compiled.start(params, data, 1 << max(steps - 1, 0).bit_length())
        if _is_traced((params, data)):
            # Under vmap some of the state is shared by all members, so none of it may be donated.
            return _result(compiled.advance(state, data, steps), steps)
        with held(checkpoint) as checkpoint, reporting(progress, steps) as report:  # type: ignore[arg-type]
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
