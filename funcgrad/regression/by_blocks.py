"""A likelihood's sums over rows by NumPy's BLAS, for data on one CPU: each block of rows is multiplied while it is in cache.

XLA's products of tall matrices take several times as long, and a program for a whole fit takes seconds to compile. Here
only the elementwise functions of a family are compiled, for a chunk of rows. Chunks are shared between the cores.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial, reduce
from typing import Any

import jax
import numpy as np

from funcgrad.regression.families import Family
from funcgrad.regression.likelihood import OfRows, Problem, of_rows
from funcgrad.regression.newton import Value
from funcgrad.regression.precision import own_work
from funcgrad.regression.products import ONE_THREAD, ONE_THREAD_FOR_A_VECTOR

# Elements of the rows' information at a time.
_CHUNK = 1 << 16
# Fewer rows are filled up to a power of two, so that data of about as many rows shares a program.
_FEW = 1 << 10
# With more columns, a block that OpenBLAS multiplies in one thread has too few rows.
MOST_COLUMNS, MOST_CLASSES = 64, 16

_of_rows = jax.jit(of_rows, static_argnums=0)
Summed = Callable[[Any], Value]


def chunk_of(problem: Problem) -> int:
    """Return the number of rows for which a family's functions are compiled."""
    classes = problem.y.shape[1] if problem.y.ndim == 2 else 1
    return min(len(problem.x), _CHUNK // classes**2)


def sample(problem: Problem, rows: int) -> Problem:
    """Return so many rows from all over the data, to begin with; with fewer than four times as many rows, all."""
    every = len(problem.x) // rows
    if every < 4:
        return problem
    taken = problem.of(lambda leaf: leaf[::every][:rows])
    share = taken.counts.sum() / problem.counts.sum()
    return taken._replace(penalty=problem.penalty * share)


@contextmanager
def summing(problem: Problem, family: Family | None, chunk: int) -> Iterator[Summed]:
    """Give `likelihood.sums_of_rows` of a problem of NumPy's arrays, as a function of the weights."""
    starts = [*range(0, len(problem.x) - chunk, chunk), len(problem.x) - chunk]
    of_chunk = partial(_of_chunk, problem, family, chunk)
    if len(starts) == 1:
        yield lambda weights: of_chunk(weights, 0, 0)
        return
    # The last chunk begins with rows of the one before, which do not count again.
    skipped = [0] * (len(starts) - 1) + [starts[-2] + chunk - starts[-1]]
    with ThreadPoolExecutor(_cores()) as threads:

        def of_all(weights: Any) -> Value:
            parts = threads.map(partial(of_chunk, weights), starts, skipped)
            return reduce(lambda a, b: jax.tree.map(np.add, a, b), parts)

        yield of_all


def _of_chunk(
    problem: Problem,
    family: Family | None,
    chunk: int,
    weights: np.ndarray,
    start: int,
    skipped: int,
) -> Value:
    cut = problem.of(lambda leaf: leaf[start : start + chunk])
    counts = np.where(np.arange(chunk) < skipped, 0, cut.counts) if skipped else cut.counts
    features = cut.x.shape[1]
    intercept = len(weights) - features
    size = _rows_of_block(features)
    blocks = [slice(first, first + size) for first in range(0, chunk, size)]
    linear = np.concatenate([cut.x[block] @ weights[intercept:] for block in blocks])
    if intercept:
        linear += weights[0]
    if cut.offset is not None:
        linear += cut.offset
    found = _found(family, linear, cut.y, counts)
    slopes = found.slopes.reshape(chunk, -1)
    information = found.information.reshape(chunk, -1)
    pairs = [(a, b) for a in range(slopes.shape[1]) for b in range(a + 1)]
    columns = [a * slopes.shape[1] + b for a, b in pairs]
    gradient = np.zeros((features, slopes.shape[1]))
    grams = np.zeros((len(pairs), features, features))
    sums = np.zeros((len(pairs), features))
    weighted = np.empty((size, features))
    for block in blocks:
        x = cut.x[block].astype(np.float64, copy=False)
        gradient += x.T @ slopes[block]
        for gram, total, column in zip(grams, sums, columns, strict=True):
            of_block = information[block, column]
            gram += np.multiply(x, of_block[:, None], out=weighted[: len(x)]).T @ x
            total += of_block @ x
    count = intercept + features
    hessian = np.empty((count, slopes.shape[1], count, slopes.shape[1]))
    for (a, b), column, gram, total in zip(pairs, columns, grams, sums, strict=True):
        if intercept:
            corner = information[:, column].sum()
            gram = np.block([[corner, total[None]], [total[:, None], gram]])
        hessian[:, a, :, b] = hessian[:, b, :, a] = gram
    if intercept:
        gradient = np.vstack([slopes.sum(axis=0), gradient])
    parameters = count * slopes.shape[1]
    return Value(
        found.total, gradient.reshape(weights.shape), hessian.reshape(parameters, parameters)
    )


def _found(family: Family | None, linear: np.ndarray, y: Any, counts: Any) -> OfRows:
    """Return `likelihood.of_rows`."""
    rows = len(linear)
    if missing := (1 << (rows - 1).bit_length()) - rows if rows < _FEW else 0:
        # The last row again, which does not count.
        linear, y = (
            np.concatenate([leaf, np.repeat(leaf[-1:], missing, axis=0)]) for leaf in (linear, y)
        )
        counts = np.concatenate([counts, np.zeros(missing)])
    with own_work(), np.errstate(all="ignore"):  # settings of each thread
        found = jax.tree.map(np.asarray, _of_rows(family, linear, y, counts))
    return OfRows(found.total, found.slopes[:rows], found.information[:rows])


def _rows_of_block(features: int) -> int:
    return max(1, min(ONE_THREAD // (features**2), ONE_THREAD_FOR_A_VECTOR // features))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
