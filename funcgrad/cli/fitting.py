"""`funcgrad fit` after its options are read: sums, then the exact answer or a training."""

import argparse
import hashlib
import json
import sys
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.experimental import multihost_utils
from jax.sharding import Mesh
from jaxtyping import Array, Float

from funcgrad import regression
from funcgrad.cli import cluster, whole
from funcgrad.cli.common import csv_options, names_in, note
from funcgrad.cli.exact import Answer, exact_answer, least_loss, mean_squared_error, scale_of
from funcgrad.datasets import DataError, Stream
from funcgrad.files import is_special, refuse_overlap, target_of
from funcgrad.models import Model, save_model
from funcgrad.regression import Linear, Moments
from funcgrad.training import (
    Checkpoint,
    DivergenceWarning,
    StreamProgress,
    fit,
    moments_of_batches,
)
from funcgrad.training.progress import reporting_rows
from funcgrad.training.saving import own

_MEBIBYTE = 1 << 20
# The sums take the square of the features' number. About so many copies of them are held at once, by the
# addition of two and by the solver (measured: 12 at 2000 features, the rows included).
_SUMS = 16
# A training that ends at more than this many times the loss that it began with has not learned slowly.
_WORSE = 2.0
# One that ends at more than so many times the exact answer's loss, and so large a share of the variance, has not converged.
_NEAR, _FAR = 1.01, 1e-4
_ADVICE = "A smaller --learning-rate may help."
_CHECKPOINTS = ("the checkpoint of the sums", "--checkpoint")
_OPTIMIZERS = {
    "sgd": optax.sgd,
    "momentum": partial(optax.sgd, momentum=0.9),
    "adam": optax.adam,
}


class OptionError(ValueError):
    """An option's value cannot be used."""


class Divergence(ArithmeticError):
    """A training went away from the answer."""


def run(options: argparse.Namespace) -> str | None:
    """Fit, save the model, and return the report to print; None in all processes but the first.

    Raises:
        DataError, OptionError, OverlapError, CheckpointError: the input cannot be used.
        Divergence: the training diverged. As after a refusal, no model is saved, and no checkpoint left.
        OSError: the model cannot be written.
    """
    _check(options)
    mesh = None
    if cluster.wanted(options):
        try:
            cluster.join(options)
        except ValueError as error:
            raise OptionError(str(error)) from None
        mesh = Mesh(jax.devices(), ("rows",))
    first, processes = jax.process_index() == 0, jax.process_count()
    try:
        csv = csv_options(options)
    except ValueError as error:
        raise OptionError(f"--{error}") from None
    categorical = names_in(options.categorical) or []
    if options.family == "multinomial" and options.target not in categorical:
        categorical.append(options.target)
    open_stream = partial(
        Stream,
        options.data,
        options.target,
        features=names_in(options.features),
        weights=None if whole.wanted(options) else options.weights,
        categorical=categorical,
        dtype=np.float64,
        missing=options.missing,
        memory=options.memory * _MEBIBYTE,
        share=(jax.process_index(), processes),
        csv=csv,
    )
    try:
        stream = open_stream()
        known = stream.levels | ({options.target: stream.classes} if stream.classes else {})
        open_stream = partial(open_stream, categorical=known)
        batches = None
        if options.optimizer is not None:
            rows = -(-options.batch_size // processes)
            batches = open_stream(batch_rows=rows, seed=options.seed)
    except DataError:
        raise
    except ValueError as error:
        raise OptionError(f"--batch-size or --memory: {error}") from None
    if stream.detected and first and not options.quiet:
        note("fit", f"read with {stream.detected}")
    if stream.classes and options.family not in ("binomial", "multinomial"):
        raise OptionError(
            "a target in --categorical is for --family binomial, of two classes, or multinomial"
        )
    if len(stream.classes) > 2 and options.family == "binomial":
        raise DataError(
            f"the target {options.target!r} has {len(stream.classes)} classes, and --family binomial is of two: "
            f"{', '.join(stream.classes[:5])}; --family multinomial is of more"
        )
    if whole.wanted(options):
        refuse_overlap({"--out": options.out}, [options.data, *stream.files])
        found = whole.fitted(options, stream, open_stream, options.memory * _MEBIBYTE)
        save_model(options.out, found.model)
        return _report(found.model, found.dropped, options.out, found.measures, found.summary)
    _check_agreement(options, stream)
    _check_width(stream, options.memory * _MEBIBYTE)
    checkpoints = _checkpoints(options)
    outputs = {"--out": options.out}
    for name, checkpoint in zip(_CHECKPOINTS, checkpoints, strict=True):
        if checkpoint is not None:
            outputs[name] = own(checkpoint).path
            outputs[f"{name}, kept from before,"] = own(checkpoint).previous
    refuse_overlap(outputs, [options.data, *stream.files])
    fresh = [own(each) for each in checkpoints if each is not None and not own(each).exists()]
    try:
        model, dropped = _fitted(options, stream, batches, open_stream, mesh, checkpoints)
    except (DataError, Divergence) as error:
        # No run could go on from these, and they would make the next run refuse. A checkpoint that was there
        # before the data was refused stays: it may belong to another run.
        everything = [own(each) for each in checkpoints if each is not None]
        for checkpoint in everything if isinstance(error, Divergence) else fresh:
            checkpoint.remove()
        raise
    if first:
        save_model(options.out, model)
    # The model is saved before any process removes the checkpoint that it could go on from.
    multihost_utils.sync_global_devices("the model is saved")
    for checkpoint in filter(None, checkpoints):
        own(checkpoint).remove()
    return _report(model, dropped, options.out) if first else None


def _fitted(
    options: argparse.Namespace,
    stream: Stream,
    batches: Stream | None,
    open_stream: Callable[..., Stream],
    mesh: Mesh | None,
    checkpoints: Sequence[Checkpoint | None],
) -> tuple[Model, int]:
    """Return the model, and how many rows were dropped for missing values."""
    first = jax.process_index() == 0
    progress = first and not options.quiet and sys.stderr.isatty() and _has_tqdm()
    common: dict[str, Any] = {"mesh": mesh, "resume": options.resume}
    rows = 0
    try:
        with warnings.catch_warnings(), reporting_rows(progress, stream.expected_rows) as bar:
            # An error follows, which says what to do.
            warnings.filterwarnings("ignore", "the sums are not finite", RuntimeWarning)

            def count(reached: StreamProgress) -> None:
                nonlocal rows
                rows = reached.rows
                if bar is not None:
                    bar(reached)

            sums = moments_of_batches(stream, checkpoint=checkpoints[0], progress=count, **common)
    except DataError:
        raise
    except ValueError as error:
        if "no batches" not in str(error):
            raise
        raise DataError(f"{options.data}: no rows are left to fit") from None
    # In NumPy, float64 stays float64 whatever JAX's default.
    sums = jax.tree.map(np.asarray, sums)
    with jax.enable_x64(True):
        counts = multihost_utils.process_allgather(np.asarray([rows, stream.dropped]))
    rows, dropped = np.reshape(counts, (-1, 2)).sum(axis=0).tolist()
    _check_sums(sums, rows)
    everything = partial(open_stream, share=(0, 1))
    if batches is None:
        answer = exact_answer(sums, options.ridge, everything, options.memory * _MEBIBYTE)
    else:
        common["progress"] = progress
        answer = Answer(_train(sums, batches, options, checkpoints[1], common))
    model = _model(answer, sums, rows, stream, everything)
    if batches is not None and not model.r_squared >= 1 - _WORSE and float(sums.yy) > 0:
        raise Divergence(
            f"the training diverged: its mean squared error is {model.loss:.4g}, where that of the mean is "
            f"{float(sums.yy) / float(sums.rows):.4g}; no model was saved. {_ADVICE}"
        )
    if batches is not None:
        _warn_of_an_early_end(model.loss, sums)
    return model, dropped


def _warn_of_an_early_end(loss: float, sums: Moments) -> None:
    """Say where a training ended far from the answer, which the sums tell."""
    best, variance = least_loss(sums), float(sums.yy) / float(sums.rows)
    if loss > _NEAR * best + _FAR * variance:
        warnings.warn(
            f"the training has not converged: its mean squared error is {loss:.6g}, and that of the exact answer "
            f"{best:.6g}. More --epochs, a smaller --batch-size or another --learning-rate may help",
            RuntimeWarning,
            stacklevel=2,
        )


def _checkpoints(options: argparse.Namespace) -> list[Checkpoint | None]:
    """Return where to save the sums and the training; nowhere where the model is given to a device."""
    trained = options.checkpoint
    if trained is None:
        if is_special(options.out):
            return [None, None]
        trained = options.out.with_name(options.out.name + ".checkpoint")
    summed = trained.with_name(trained.name + ".sums")
    return [Checkpoint(path, seconds=options.checkpoint_every) for path in (summed, trained)]


def _check(options: argparse.Namespace) -> None:
    wrong = whole.problem(options)
    if wrong:
        raise OptionError(wrong)
    if options.epochs < 1:
        raise OptionError(f"--epochs must be at least 1, not {options.epochs}")
    if options.memory < 1:
        raise OptionError(f"--memory must be at least 1, not {options.memory}")
    if options.batch_size < 1:
        raise OptionError(f"--batch-size must be at least 1, not {options.batch_size}")
    if options.seed < 0:
        raise OptionError(f"--seed must not be negative, not {options.seed}")
    if not 0 < options.learning_rate < np.inf:
        raise OptionError(
            f"--learning-rate must be positive and finite, not {options.learning_rate}"
        )
    if not options.checkpoint_every >= 0:
        raise OptionError(f"--checkpoint-every must be 0 or more, not {options.checkpoint_every}")
    if options.ridge is not None and not 0 <= options.ridge < np.inf:
        raise OptionError(f"--ridge must be 0 or more and finite, not {options.ridge}")
    if options.ridge is not None and options.optimizer is not None:
        raise OptionError("--ridge is for the exact answer: leave out --optimizer")
    if options.for_training and options.optimizer is None:
        spelled = ", ".join(f"--{name.replace('_', '-')}" for name in options.for_training)
        raise OptionError(f"{spelled}: for a training only, so name its --optimizer")
    for path in (options.out, options.checkpoint):
        if path is not None and path.is_dir():
            raise OptionError(f"{path} is a folder: name a file")
        if path is not None and not path.parent.is_dir():
            raise OptionError(f"there is no folder {path.parent}")
        if path is not None:
            target_of(path)
    if options.checkpoint is not None and is_special(options.checkpoint):
        raise OptionError(f"--checkpoint {options.checkpoint} is not a regular file")


def _check_width(stream: Stream, memory: int) -> None:
    """Refuse more features than have room for their sums."""
    features = len(stream.feature_names)
    needed = _SUMS * 8 * (features + 1) ** 2
    if needed > memory:
        raise DataError(
            f"the sums of {features} features take {needed >> 20} MiB: choose some with --features, or "
            f"allow --memory {-(-needed // _MEBIBYTE)}"
        )


def _check_agreement(options: argparse.Namespace, stream: Stream) -> None:
    """Refuse processes that would each fit something else."""
    same = (
        "weights",
        "missing",
        "ridge",
        "optimizer",
        "learning_rate",
        "epochs",
        "batch_size",
        "seed",
    )
    files = [[path.name, path.stat().st_size] for path in stream.files]
    told = [files, stream.feature_names, stream.target_name, [vars(options)[name] for name in same]]
    digest = hashlib.sha256(json.dumps(told).encode()).digest()
    try:
        multihost_utils.assert_equal(np.frombuffer(digest, np.uint8), "")
    except AssertionError:
        raise OptionError("the processes were given different data, or different options") from None


def _check_sums(sums: Moments, rows: int) -> None:
    if rows < 2:
        raise DataError(f"a regression needs at least two rows, and there is {rows}")
    if not float(sums.rows) > 0:
        raise DataError("all --weights are zero: no row counts")
    if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(sums)):
        raise DataError("the data is too large to square in float64: scale it down")


def _train(
    sums: Moments,
    batches: Stream,
    options: argparse.Namespace,
    checkpoint: Checkpoint | None,
    common: dict[str, Any],
) -> Linear:
    """Train on standardised features and targets; return the params for the data as given."""
    rows = float(sums.rows)
    shift, scale = np.asarray(sums.x_mean), scale_of(sums) / np.sqrt(rows)
    y_shift = float(sums.y_mean)
    y_scale = float(np.sqrt(np.asarray(sums.yy) / rows)) or 1.0
    with jax.enable_x64(True):
        start = Linear(jnp.zeros(len(scale), jnp.float64), jnp.zeros((), jnp.float64))
        scales = jax.tree.map(jnp.asarray, ((shift, scale), (y_shift, y_scale)))

    def standardised(function: Callable[..., Array]) -> Any:
        def called(
            params: Linear, x: Float[Array, "rows features"], y: Float[Array, " rows"]
        ) -> Array:
            (x_mean, x_scale), (y_mean, y_scale) = scales
            return function(params, (x - x_mean) / x_scale, (y - y_mean) / y_scale)

        return called

    loss = standardised(regression.loss)
    loss.by_row = standardised(regression.squared_error)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DivergenceWarning)  # an error follows
        result = fit(
            loss,
            start,
            batches,
            optimizer=_OPTIMIZERS[options.optimizer],
            learning_rate=options.learning_rate,
            epochs=options.epochs,
            checkpoint=checkpoint,
            **common,
        )
    if result.diverged:
        raise Divergence(
            f"the training diverged: the loss or its gradient turned non-finite after {result.steps} "
            f"steps; no model was saved. {_ADVICE}"
        )
    weights = np.asarray(result.params.weights) * y_scale / scale
    bias = float(np.asarray(result.params.bias)) * y_scale + y_shift - shift @ weights
    return Linear(weights, bias)


def _model(
    answer: Answer, sums: Moments, rows: int, stream: Stream, everything: Callable[[], Stream]
) -> Model:
    weights, bias = np.asarray(answer.params.weights), float(np.asarray(answer.params.bias))
    loss = answer.loss
    if loss is None:
        loss = mean_squared_error(Linear(weights, np.asarray(bias)), sums, everything)
    variance = float(sums.yy) / float(sums.rows)
    assert stream.target_name is not None
    return Model(
        weights=weights,
        bias=bias,
        feature_names=stream.feature_names,
        target_name=stream.target_name,
        levels=stream.levels,
        rows=rows,
        loss=loss,
        r_squared=1 - loss / variance if variance else float("nan"),
    )


def _report(
    model: Model,
    dropped: int,
    path: Path,
    measures: str | None = None,
    summary: str | None = None,
) -> str:
    squares = f"root mean squared error {np.sqrt(model.loss):.6g}, R² {model.r_squared:.6f}"
    names = [*model.feature_names, "(intercept)"]
    values = [
        [f"{value: .10g}" for value in row]
        for row in np.vstack([_rows(model.weights), model.bias]).tolist()
    ]
    if model.classes:
        names, values = ["", *names], [list(model.classes), *values]
    widths = [max(map(len, column)) for column in (names, *zip(*values, strict=True))]
    coefficients = [
        "  ".join(
            ["", *(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))]
        ).rstrip()
        for row in ([name, *more] for name, more in zip(names, values, strict=True))
    ]
    return "\n".join(
        [
            f"{model.rows} rows, {dropped} dropped for missing values; target {model.prediction_name}",
            *(coefficients if summary is None else [summary]),
            measures or squares,
            f"saved to {path}",
        ]
    )


def _rows(weights: np.ndarray) -> np.ndarray:
    """Return weights as (features, classes), where one output is one class."""
    return weights.reshape(len(weights), -1)


def _has_tqdm() -> bool:
    try:
        import tqdm  # noqa: F401
    except ImportError:
        return False
    return True
