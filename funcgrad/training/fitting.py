"""`fit`: trains any pure loss with any optax optimizer.

It is the switch between data in memory (`funcgrad.training.in_memory`) and batches that arrive
(`funcgrad.training.streaming`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from jax.sharding import Mesh
from jaxtyping import Array, ArrayLike, Float, Num, PRNGKeyArray, PyTree, UInt32

from funcgrad import regression
from funcgrad.training.checkpoints import Checkpoint
from funcgrad.training.checks import check_loss, refuse_options
from funcgrad.training.in_memory import fit_rows
from funcgrad.training.loop import Loss, Optimizer
from funcgrad.training.progress import Report, StreamReport
from funcgrad.training.results import FitResult
from funcgrad.training.sources import Source, is_stream
from funcgrad.training.streaming import fit_batches
from funcgrad.training.watching import Reached, Watched


class _WithX:
    """Marks "y not given"; None cannot, because it is the target of a loss that has no use for one."""

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
    key: PRNGKeyArray | UInt32[Array, 2] | None = None,
    tolerance: float | None = None,
    sample_weight: Num[ArrayLike, " rows"] | None = None,
    validation: tuple[PyTree, PyTree] | None = None,
    patience: int | None = None,
    callback: Callable[[Reached], object] | None = None,
    optimizer_state: PyTree = None,
    mesh: Mesh | None = None,
    checkpoint: Checkpoint | str | Path | None = None,
    resume: bool = False,
    progress: bool | Report | StreamReport = False,
    progress_every: int | None = None,
) -> FitResult:
    """Minimise a loss by gradient steps: on data in memory, or on batches that arrive.

    Data in memory, x and y, is trained on for `steps`, in one compiled loop on the device. The program is
    kept by the identity of `loss` and `optimizer`: fitting again with the same two, and data of the
    same shapes and dtypes, compiles nothing. A new process compiles it again, for one to four seconds of a core; for
    half a second where JAX keeps programs, by `jax.config.update("jax_compilation_cache_dir", FOLDER)`. The loop runs
    where the data lies, under any sharding; parameters on a single device are replicated beside data that is
    sharded. Inside `jax.jit` or
    `jax.vmap` (an ensemble over keys, a sweep over learning rates) `losses` is padded with NaN to the
    steps asked for, and nothing is reported, saved or warned about. A loss may close over traced values too.

    With a tolerance, the result's `params` and `loss` can be differentiated, forwards and backwards, by the data
    and by what the loss closes over, such as a penalty: they are the optimum's derivatives, by the implicit
    function theorem, whatever the optimizer, and NaN where the fit has not converged. Without one, `jax.jvp`
    differentiates the steps themselves, and backwards there is no derivative.

    Batches, with y left out, are trained on for `epochs`, one step for each, while the next ones are read:
    no more than a few are in memory at any time.

    Args:
        loss: a pure function (params, x, y) -> scalar.
        params: where to start, any pytree of floating-point arrays. They stay valid.
        x, y: the data, arrays or pytrees of arrays. Where one of them or of params is float64, NumPy's or
            JAX's, the training is in float64, parameters included, whatever JAX's default; with batches the
            first decides. Integers stay integers, but for the losses of `funcgrad.regression`, where they
            become numbers that hold them. With mini-batches, rows lie along the first axis of each. `regression.Moments` as x
            hold y as well. Or x is batches, pairs (x, y): a `datasets.Stream`, shuffled anew in each
            epoch if it has a seed; any other iterable, iterated anew in each epoch; or a function from
            the epoch's number to an iterable.
        optimizer: an optax optimizer such as `optax.adam(1e-3)`; or, with `learning_rate`, a function
            that makes one from a learning rate, such as `optax.adam`. Optimizers with a line search
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
            takes all steps. With mini-batches or batches it is computed after each epoch, which reads all rows
            once more: the mean of the batches' gradients, by their rows.
        sample_weight: how much each row counts, shape (rows,), 0 or more; the loss must be a mean over rows, and
            becomes the weighted mean, of each batch where there are some. `regression.moments` takes its own.
        validation: data (x, y) that is not trained on. The loss on it is computed after every `progress_every`
            steps, with batches after each epoch unless `progress_every` is given, and the params with the least
            one are the result's, its `loss` the one on the data trained on.
        patience: stop after so many validations in a row without a lower loss; None takes all steps.
        callback: called with a `Reached` when validation data is looked at, or would be; a true value stops the
            fit there.
        optimizer_state: where the optimizer starts, such as the `optimizer_state` of a result to go on from.
        mesh: devices to spread the rows over, padded with rows of weight zero where they do not divide;
            the loss must be a mean over rows. In several processes (`jax.distributed`), a mesh over all
            devices, and each process gives the rows that it has; with batches, the n-th step is taken on
            the n-th batches of all. Data that is sharded already needs none.
        checkpoint: where to save the run, and how often; a path saves every 30 seconds, and at the end.
            In several processes, data in memory is saved after each `progress_every` steps.
        resume: go on from the checkpoint if there is one, of the same loss, optimizer, start and data.
            More steps or epochs may be asked for than before. The result then equals, bit for bit, the
            result of a run without the interruption. A stream goes on where it was; another iterable's first
            batches are skipped.
        progress: True shows a bar (needs tqdm); a function is called with a `Progress`, or, for batches,
            a `StreamProgress`.
        progress_every: steps between two reports, which run compiled; a hundredth of `steps` unless given.

    Returns:
        A `FitResult`. For batches, `loss` and `gradient_norm` belong to the last one, before its step; with a
        tolerance to all of them, at the params.

    Raises:
        ValueError: if a number is out of range, there are no batches, arguments do not fit each other,
            "auto" has no answer, or the loss is no mean over rows and a mesh was given.
        TypeError: if the optimizer is not one, or a batch is not a pair.
        ImportError: if progress=True and tqdm is missing.
        CheckpointError: if a checkpoint is there and resume is not set, or it is not of this run, or
            another run is using it.

    Warns:
        DivergenceWarning: if the loss or its gradient turned non-finite; see `FitResult.diverged`.
        ConvergenceWarning: if a tolerance was given and all steps did not reach it.
        LostDigitsWarning: if fewer than three digits of the loss can be had from `regression.Moments`.
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
    check_loss(loss, params)
    if isinstance(x, regression.Moments) and y is _WITH_X:
        y = None
    for_rows: dict[str, Any] = {"batch_size": batch_size, "key": key, "steps": steps}
    for_rows |= {"sample_weight": sample_weight}
    if y is _WITH_X:
        refuse_options(for_rows, "data in memory, and y was left out, so that x is batches")
        return fit_batches(
            loss,
            params,
            x,
            optimizer=optimizer,
            learning_rate=learning_rate,
            epochs=1 if epochs is None else epochs,
            watched=Watched(tolerance, validation, patience, callback, progress_every),
            optimizer_state=optimizer_state,
            mesh=mesh,
            checkpoint=checkpoint,
            resume=resume,
            progress=progress,  # type: ignore[arg-type]
        )
    refuse_options({"epochs": epochs}, "batches: leave out y and give pairs (x, y)")
    if is_stream(x):
        raise ValueError("a stream's batches hold the targets as well: leave out y")
    return fit_rows(
        loss,
        params,
        x,
        y,
        optimizer=optimizer,
        learning_rate=learning_rate,
        **for_rows,
        tolerance=tolerance,
        validation=validation,
        patience=patience,
        callback=callback,
        optimizer_state=optimizer_state,
        progress_every=progress_every,
        mesh=mesh,
        checkpoint=checkpoint,
        resume=resume,
        progress=progress,  # type: ignore[arg-type]
    )
