"""`fit` for batches that arrive one by one, from files of any size: one step for each."""

import math
import warnings
from array import array
from collections import deque
from collections.abc import Iterator, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.experimental import multihost_utils
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, PyTree

from funcgrad.regression.precision import (
    as_set_by_user,
    float64_is_on,
    needs_float64,
    on_device,
    own_work,
    starting,
)
from funcgrad.training.checkpoints import Checkpoint, CheckpointError
from funcgrad.training.checks import (
    check_arrays,
    check_optimizer,
    check_watched,
    started_from,
)
from funcgrad.training.full_gradient import full_loss_and_norm
from funcgrad.training.identity import digest_of
from funcgrad.training.loop import Loss, Optimizer, gradient_norm, transformation
from funcgrad.training.progress import RowMeter, StreamReport, reporting_rows
from funcgrad.training.results import ConvergenceWarning, DivergenceWarning, FitResult
from funcgrad.training.rows import (
    RowSharding,
    check_mean_over_rows,
    row_weighted,
    weighted_by_target,
)
from funcgrad.training.saving import (
    field,
    free_arrays,
    from_arrays,
    held,
    identity_of,
    load_common,
    own,
    to_arrays,
)
from funcgrad.training.sources import (
    Source,
    check_dtype,
    epoch_of,
    expected_rows,
    for_loss,
    peek,
    position_like,
    rows_of,
)
from funcgrad.training.watching import Watch, Watched, validating

# Steps handed to the device before the host waits for the first of them: reading goes on meanwhile, and
# no more batches than these are held.
_IN_FLIGHT = 2
_UNWATCHED = Watched()


class Trained(NamedTuple):
    """The state that one step hands to the next."""

    params: PyTree
    optimizer_state: PyTree


class Outcome(NamedTuple):
    """A step's report to the host.

    Attributes:
        value, norm: the loss before the step, and the norm of its gradient.
        finite: whether both are, without which the step is not taken.
        rows: the rows with weight, on all devices; None for a step without weights.
        save_asked: whether a process asked for a checkpoint; None likewise.
    """

    value: Float[Array, ""]
    norm: Float[Array, ""]
    finite: Bool[Array, ""]
    rows: Float[Array, ""] | None
    save_asked: Bool[Array, ""] | None


@lru_cache(maxsize=64)
def stream_step(loss: Loss, optimizer: Optimizer) -> Any:
    """Return the compiled step (state, x, y, weights, asks, learning_rate) -> (state, outcome).

    The state is donated. A step whose rows have no weight changes nothing.
    """

    @partial(jax.jit, donate_argnums=0)
    def step(
        state: Trained,
        x: PyTree,
        y: PyTree,
        weights: Array | None,
        asks: Array | None,
        learning_rate: Array | None,
    ) -> tuple[Trained, Outcome]:
        def objective(params: PyTree) -> Array:
            if weights is not None:
                return row_weighted(loss)(params, x, y, weights)
            return loss(params, x, y)

        value, grads = jax.value_and_grad(objective)(state.params)
        norm = gradient_norm(grads)
        finite = jnp.isfinite(value) & jnp.isfinite(norm)
        updates, optimizer_state = transformation(optimizer, learning_rate).update(
            grads,
            state.optimizer_state,
            state.params,
            value=value,
            grad=grads,
            value_fn=objective,
        )
        taken = Trained(optax.apply_updates(state.params, updates), optimizer_state)
        rows = None if weights is None else jnp.sum(weights)
        real = finite if rows is None else finite & (rows > 0)
        # A step from where the loss is not finite is not taken: the state before it is the answer.
        kept = jax.tree.map(partial(jnp.where, real), taken, state)
        return kept, Outcome(value, norm, finite, rows, None if asks is None else jnp.any(asks))

    return step


def fit_batches(
    loss: Loss,
    params: PyTree,
    batches: Source,
    *,
    optimizer: Optimizer,
    learning_rate: Any = None,
    epochs: int = 1,
    watched: Watched = _UNWATCHED,
    optimizer_state: PyTree = None,
    mesh: Mesh | None = None,
    checkpoint: Checkpoint | str | Path | None = None,
    resume: bool = False,
    progress: bool | StreamReport = False,
) -> FitResult:
    """Take one gradient step for each batch, while the next are read; arguments: as for `fit`.

    The program is compiled once for each shape of batch, and kept by the identity of `loss` and `optimizer`.
    """
    check_arrays(params)
    check_optimizer(optimizer, learning_rate)
    if isinstance(learning_rate, str):
        raise ValueError("learning_rate='auto' needs all rows at once: give a number")
    if epochs < 1:
        raise ValueError(f"epochs must be 1 or more, got {epochs!r}")
    several = mesh is not None and mesh.is_multi_process
    check_watched(watched, optimizer_state, checkpoint, several=several)
    first, batches = peek(batches)
    if watched.tolerance is not None and isinstance(batches, Iterator):
        raise ValueError(
            "tolerance reads the batches once more after each epoch, and these come from an iterator, which is "
            "used up: give a list, or a function from the epoch's number to its batches"
        )
    if isinstance(first, list | tuple) and len(first) == 2:
        first = for_loss(loss, *first)
    float64 = needs_float64((params, first))
    if several:
        float64 = bool(np.any(multihost_utils.process_allgather(np.asarray(float64))))
    unweighted = called = as_set_by_user(loss)
    weighted = getattr(batches, "weights_name", None) is not None
    if weighted:
        called = _of_weighted_rows(called)
    with own_work(float64=float64), held(checkpoint) as checkpoint:
        run = _Run(called, starting(params, float64=float64), optimizer, learning_rate, mesh)
        run.weighted, run.tolerance, run.every = weighted, watched.tolerance, watched.every
        if optimizer_state is not None:
            fresh = run.state.optimizer_state
            run.state = run.state._replace(optimizer_state=started_from(fresh, optimizer_state))
        validate = None
        if watched.validation is not None:
            held_out = jax.tree.map(on_device, for_loss(loss, *watched.validation))
            validate = validating(unweighted, *held_out)
        run.watch = Watch(None, 0, watched.callback, validate, watched.patience)
        saved, identity = None, {}
        if checkpoint is not None:
            identity = run.identity(batches)
            saved = load_common(checkpoint, identity, resume=resume)
            checkpoint = own(checkpoint)
        if saved is not None:
            run.restore(saved, position_like(batches))
            if run.epoch + (run.position is not None) > epochs:
                raise CheckpointError(
                    f"the checkpoint is in epoch {run.epoch + 1}, which is more than the {epochs} to take"
                )
        expected = expected_rows(batches)
        expected = None if expected is None else expected * epochs
        with reporting_rows(progress, expected) as report:
            run.meter = RowMeter(report, expected, run.rows)
            run.go(batches, epochs, checkpoint, identity)
        if not run.steps and not run.diverged:
            raise ValueError("there are no batches")
        if run.diverged:
            message = (
                f"the loss or its gradient turned non-finite after {run.steps} steps, in epoch {run.epoch}; "
                "the result holds the parameters before that step. A smaller learning rate may help."
            )
            warnings.warn(message, DivergenceWarning, stacklevel=3)
        elif watched.tolerance is not None and not run.converged:
            warnings.warn(
                f"after {run.epoch} epochs the full gradient's norm is {run.norm:.3g}, above the tolerance of "
                f"{watched.tolerance:g}: take more epochs, or a learning rate that decays",
                ConvergenceWarning,
                stacklevel=3,
            )
        return run.result()


def _of_weighted_rows(loss: Loss) -> Loss:
    """Return a loss of batches (x, (y, weights)).

    Raises:
        ValueError: it is not known to be a mean over rows.
    """
    if not hasattr(loss, "by_row"):
        raise ValueError(
            "a stream's weights are for losses that say what a row adds: regression.loss, regression.mean_loss, or "
            "one with an attribute by_row, (params, x, y) -> the loss of each row"
        )
    return weighted_by_target(loss)


class _Run:
    """A run under way: the state on the device, and the host's counts."""

    def __init__(
        self,
        loss: Loss,
        params: PyTree,
        optimizer: Optimizer,
        learning_rate: float | None,
        mesh: Mesh | None,
    ) -> None:
        self.dtype = optax.tree.dtype(params, "highest")
        rate = None if learning_rate is None else jnp.asarray(learning_rate, self.dtype)
        state = Trained(params, transformation(optimizer, rate).init(params))
        # The state is donated, so no two of its arrays, nor one of the caller's, may be the same.
        self.state: Trained = jax.tree.map(jnp.copy, state)
        self.rate, self.mesh, self.loss, self.optimizer = rate, mesh, loss, optimizer
        self.advance = stream_step(loss, optimizer)
        self.sharding: RowSharding | None = None
        self.pending: deque[Outcome] = deque()
        self.losses = array("d")
        self.norm, self.value = math.nan, math.nan
        self.epoch, self.rows = 0, 0
        self.position: PyTree = None
        self.diverged = self.exhausted = self.save_asked = False
        self.converged = self.stopped = self.weighted = False
        self.tolerance: float | None = None
        self.every: int | None = None
        self.watch = Watch(None, 0)
        self.meter = RowMeter(None, None)

    @property
    def steps(self) -> int:
        return len(self.losses)

    def identity(self, batches: Any) -> dict[str, Any]:
        """Return the identity of this run."""
        return identity_of(
            self.loss,
            self.state,
            self.rate,
            self.optimizer,
            start=digest_of(self.state.params),
            batches=getattr(batches, "fingerprint", None),
            devices=None if self.mesh is None else int(self.mesh.size),
            **({} if self.tolerance is None else {"tolerance": self.tolerance}),
        )

    def go(
        self, batches: Any, epochs: int, checkpoint: Checkpoint | None, identity: dict[str, Any]
    ) -> None:
        """Take all steps that are left, saving now and then and at the end."""
        while self.epoch < epochs and not (self.diverged or self.stopped):
            if self.converged:
                break  # as the checkpoint says
            iterator = epoch_of(batches, self.epoch, self.position)
            try:
                self._epoch(iterator, checkpoint, identity)
            finally:
                iterator.close()
            if self.diverged or self.stopped:
                break
            if self.tolerance is not None:
                self._compare(batches, self.tolerance)
            self.epoch, self.position = self.epoch + 1, None
            if self.every is None:
                self._look()
        self.meter.add(0, self.epoch, self.value, last=True)
        if checkpoint is not None:
            self.save(checkpoint, identity)

    def _epoch(
        self, iterator: Any, checkpoint: Checkpoint | None, identity: dict[str, Any]
    ) -> None:
        self.exhausted = False
        shared = self.mesh is not None and jax.process_count() > 1
        while not self.diverged:
            batch = next(iterator, None)
            self.position = iterator.position
            if batch is None and not shared:
                break
            due = checkpoint is not None and checkpoint.due()
            rows = 0 if batch is None else rows_of(batch)
            self._dispatch(batch, rows, due)
            self.rows += rows
            self.meter.add(rows, self.epoch, self.value)
            while len(self.pending) > _IN_FLIGHT:
                self._hear()
            if self.exhausted:
                break
            dispatched = self.steps + len(self.pending)
            if self.every is not None and dispatched % self.every == 0:
                self._look()
                if self.stopped:
                    break
            # Several processes save when they hear that one of them asked, each after the same step.
            if checkpoint is not None and (self.save_asked if shared else due):
                self.save(checkpoint, identity)
                self.save_asked = False
        while self.pending:
            self._hear()

    def _look(self) -> None:
        """Let the watch see the parameters after all steps dispatched; it may end the run."""
        if not self.watch.wanted:
            return
        while self.pending:
            self._hear()
        if not self.diverged:
            self.stopped = self.watch(_Seen(self.steps, self.value, self.state.params))

    def _compare(self, batches: Any, tolerance: float) -> None:
        """Compare the gradient over all batches of the epoch, at the parameters reached, with the tolerance."""
        if self.steps:
            self.value, self.norm = full_loss_and_norm(
                self.loss,
                self.state.params,
                batches,
                self.epoch,
                self.dtype,
                weighted=self.weighted,
            )
            self.converged = self.norm <= tolerance

    def _dispatch(self, batch: Any, rows: int, due: bool) -> None:
        if batch is not None:
            batch = for_loss(self.loss, *batch)
            check_dtype(batch, float64=float64_is_on())
        if self.mesh is None:
            x, y = jax.tree.map(jnp.asarray, batch)
            self.state, outcome = self.advance(self.state, x, y, None, None, self.rate)
        else:
            if self.sharding is None:
                check_mean_over_rows(self.loss, self.state.params, batch, self.mesh)
                self.sharding = RowSharding(self.mesh, max(rows, 1))
                self.state = self.sharding.replicate(self.state)
                if self.rate is not None:
                    self.rate = self.sharding.replicate(self.rate)
            (x, y), weights = self.sharding.put(batch, self.dtype)
            asks = self.sharding.per_device(due)
            self.state, outcome = self.advance(self.state, x, y, weights, asks, self.rate)
        self.pending.append(outcome)

    def _hear(self) -> None:
        """Wait for the oldest step in flight, and note its outcome."""
        outcome = self.pending.popleft()
        self.save_asked |= outcome.save_asked is not None and bool(outcome.save_asked)
        if outcome.rows is not None and not float(outcome.rows):
            self.exhausted = True
        elif self.diverged:
            return
        elif not outcome.finite:
            self.diverged = True
        else:
            self.value, self.norm = float(outcome.value), float(outcome.norm)
            self.losses.append(self.value)

    def save(self, checkpoint: Checkpoint, identity: dict[str, Any]) -> None:
        """Write a checkpoint of all steps dispatched."""
        while self.pending:
            self._hear()
        checkpoint.save(
            {
                **to_arrays(self.state, "state"),
                **to_arrays(self.position, "position"),
                "within": np.asarray(self.position is not None),
                "losses": np.asarray(self.losses),
                "norm": np.asarray(self.norm),
                "epoch": np.asarray(self.epoch),
                "rows": np.asarray(self.rows),
                "diverged": np.asarray(self.diverged),
                "steps": np.asarray(self.steps),
                **self._compared(),
            },
            identity,
        )

    def _compared(self) -> dict[str, np.ndarray]:
        """Return the last comparison with a tolerance, for a checkpoint."""
        if self.tolerance is None:
            return {}
        return {"value": np.asarray(self.value), "converged": np.asarray(self.converged)}

    def restore(self, arrays: Mapping[str, np.ndarray], position: PyTree) -> None:
        """Go to where a checkpoint was written."""
        self.state = from_arrays(arrays, "state", self.state)
        self.losses = array("d", field(arrays, "losses", np.empty(0), free=True).tolist())
        self.value = self.losses[-1] if self.losses else math.nan
        self.norm = float(field(arrays, "norm", 0.0))
        self.epoch, self.rows = (int(field(arrays, name, 0)) for name in ("epoch", "rows"))
        self.diverged = bool(field(arrays, "diverged", False))
        if self.tolerance is not None:
            self.value = float(field(arrays, "value", 0.0))
            self.converged = bool(field(arrays, "converged", False))
        within = bool(field(arrays, "within", False))
        self.position = free_arrays(arrays, "position", position) if within else None

    def result(self) -> FitResult:
        """Return the run's result."""
        dtype, params, value = self.dtype, self.state.params, self.value
        if self.watch.best is not None:
            params, value = self.watch.best, self.watch.best_loss
        seen = self.watch.losses
        return FitResult(
            params=params,
            loss=jnp.asarray(value, dtype),
            losses=jnp.asarray(np.asarray(self.losses), dtype),
            gradient_norm=jnp.asarray(self.norm, dtype),
            steps=jnp.asarray(self.steps, jnp.int32),
            converged=jnp.asarray(self.converged),
            diverged=jnp.asarray(self.diverged),
            optimizer_state=self.state.optimizer_state,
            validation_losses=jnp.asarray(seen) if seen else None,
        )


class _Seen(NamedTuple):
    """Where a run over batches is, for its watch."""

    steps: int
    value: float
    params: PyTree
