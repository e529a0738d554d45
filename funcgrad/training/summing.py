"""`moments_of_batches`: the sums of data of any size, read once."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh

from funcgrad import regression
from funcgrad.regression import Moments
from funcgrad.training.checkpoints import Checkpoint, CheckpointError
from funcgrad.training.progress import RowMeter, StreamReport, reporting_rows
from funcgrad.training.rows import RowSharding
from funcgrad.training.saving import field, free_arrays, held, load_own, own, to_arrays
from funcgrad.training.sources import Batches, epoch_of, expected_rows, position_like, rows_of


def moments_of_batches(
    batches: Batches,
    *,
    mesh: Mesh | None = None,
    checkpoint: Checkpoint | str | Path | None = None,
    resume: bool = False,
    progress: bool | StreamReport = False,
) -> Moments:
    """Return the `regression.moments` of all rows of all batches, while the next batches are read.

    Args:
        batches: pairs (x, y) of arrays, or (x, (y, weights)): a `datasets.Stream`, or any other iterable.
        mesh: devices to spread the rows of each batch over. In several processes
            (`jax.distributed`), a mesh over all devices; each process gives batches of its own,
            however many, and each gets the sums of all.
        checkpoint: where to save the sums so far, and how often; a path saves every 30 seconds.
        resume: go on from the checkpoint if there is one; the result is, bit for bit, the same.
        progress: True shows a bar of rows (needs tqdm); a function is called with a `StreamProgress`.

    Raises:
        ValueError: if there are no batches, or rows do not fit each other.
        CheckpointError: if a checkpoint is there and resume is not set, or it is not of this run, or
            another run is using it.

    >>> import jax.numpy as jnp
    >>> from funcgrad.training import moments_of_batches
    >>> x, y = jnp.array([[0.0], [1.0], [2.0], [3.0]]), jnp.array([1.0, 3.0, 5.0, 7.0])
    >>> sums = moments_of_batches([(x[:3], y[:3]), (x[3:], y[3:])])
    >>> sums.rows, sums.x_mean
    (Array(4., dtype=float64), Array([1.5], dtype=float64))
    """
    with held(checkpoint) as checkpoint:
        total = _sum(batches, mesh, checkpoint, resume=resume, progress=progress)
    return _of_all_processes(total)


def _sum(
    batches: Batches,
    mesh: Mesh | None,
    checkpoint: Checkpoint | None,
    *,
    resume: bool,
    progress: bool | StreamReport,
) -> Moments | None:
    """Return the sums of this process's batches; None where there are none."""
    identity: dict[str, Any] = {}
    total: Moments | None = None
    position: Any = None
    rows = 0
    if checkpoint is not None:
        identity = {"what": "moments", "batches": getattr(batches, "fingerprint", None)}
        saved = load_own(checkpoint, identity, resume=resume)
        checkpoint = own(checkpoint)
        if saved is not None:
            total = _restored(saved)
            position = free_arrays(saved, "position", position_like(batches))
            rows = int(field(saved, "rows", 0))

    sharding: RowSharding | None = None
    with reporting_rows(progress, expected_rows(batches)) as report:
        meter = RowMeter(report, expected_rows(batches), rows)
        iterator = epoch_of(batches, 0, position)
        try:
            for x, y in iterator:
                count = rows_of((x, y))
                if mesh is not None and sharding is None:
                    sharding = RowSharding(Mesh(mesh.local_devices, ("rows",)), count)
                more = _moments(x, y, sharding)
                total = more if total is None else total + more
                meter.add(count, 0, math.nan)
                if checkpoint is not None and checkpoint.due():
                    _save(checkpoint, identity, total, iterator.position, meter.rows)
            meter.add(0, 0, math.nan, last=True)
            if checkpoint is not None and total is not None:
                _save(checkpoint, identity, total, iterator.position, meter.rows)
        finally:
            iterator.close()
    return total


def _restored(saved: Mapping[str, np.ndarray]) -> Moments:
    """Return the sums that a checkpoint holds.

    Raises:
        CheckpointError: they are not the sums of any rows.
    """
    names = [item.name for item in dataclasses.fields(Moments)]
    stored = {name: saved.get(f"total{i}", np.empty(0)) for i, name in enumerate(names)}
    features, outputs = np.shape(stored["x_mean"]), np.shape(stored["y_mean"])
    due = {
        "rows": (),
        "x_mean": features,
        "y_mean": outputs,
        "xx": features * 2,
        "xy": features + outputs,
        "yy": outputs,
    }
    for name, array in stored.items():
        if array.shape != due[name] or array.dtype != np.float64:
            raise CheckpointError(f"the checkpoint is damaged: {name} is no sum of these rows")
    return Moments(**stored)  # type: ignore[arg-type]


def _moments(x: Any, y: Any, sharding: RowSharding | None) -> Moments:
    y, weights = y if isinstance(y, tuple) else (y, None)
    if sharding is None:
        return regression.moments(x, y, weights)
    with jax.enable_x64(True):
        if weights is None:
            (x, y), weights = sharding.put((x, y))
        else:
            (x, y, weights), real = sharding.put((x, y, weights))
            weights = weights * real
    return regression.moments(x, y, weights)


def _save(
    checkpoint: Checkpoint, identity: dict[str, Any], total: Moments, position: Any, rows: int
) -> None:
    arrays = {**to_arrays(total, "total"), **to_arrays(position, "position")}
    checkpoint.save({**arrays, "rows": np.asarray(rows)}, identity)


def _of_all_processes(total: Moments | None) -> Moments:
    if jax.process_count() == 1:
        if total is None:
            raise ValueError("there are no batches")
        return jax.tree.map(_float64, total)
    with jax.enable_x64(True):
        known = multihost_utils.process_allgather(np.asarray(total is not None))
        if not np.all(known):
            missing = np.flatnonzero(~np.asarray(known)).tolist()
            raise ValueError(f"there are no batches in processes {missing}")
        gathered = multihost_utils.process_allgather(jax.tree.map(np.asarray, total))
    parts = [
        jax.tree.map(lambda leaf, k=k: _float64(leaf[k]), gathered)
        for k in range(jax.process_count())
    ]
    return sum(parts[1:], parts[0])


def _float64(leaf: Any) -> jax.Array:
    with jax.enable_x64(True):
        return jnp.asarray(leaf, jnp.float64)
