"""The sums of batches that arrive are those of all rows; a run cut off ends with the same bits."""

from functools import partial

import jax
import numpy as np
import pytest

from funcgrad import regression
from funcgrad.datasets import Stream
from funcgrad.training import Checkpoint, CheckpointError, moments_of_batches
from tests.training.leaves import assert_same_bits

RNG = np.random.default_rng(0)
MEANS = np.array([0.0, 1.0, 1e3, 1e6])
X = RNG.normal(size=(5000, 4)) + MEANS
Y = X @ [1.0, -2.0, 0.5, 0.0] + RNG.normal(size=5000)


def in_batches(rows):
    return [(X[i : i + rows], Y[i : i + rows]) for i in range(0, len(X), rows)]


@pytest.fixture
def stream(tmp_path):
    np.save(tmp_path / "rows.npy", np.column_stack([X, Y]))
    return Stream(tmp_path / "rows.npy", "x4", dtype="float64", memory=1 << 17)


@pytest.mark.parametrize("rows", [1, 333, 5000])
def test_sums_are_those_of_numpy_in_float64(rows):
    batches = in_batches(rows)[: 20 if rows == 1 else None]
    x, y = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    sums = moments_of_batches(batches)
    assert float(sums.rows) == len(y)
    np.testing.assert_allclose(sums.x_mean, x.mean(axis=0), rtol=1e-13)
    table = np.column_stack([x, y])
    table = table - table.mean(axis=0)
    wanted = table.T @ table
    scale = np.sqrt(np.outer(np.diag(wanted), np.diag(wanted)))
    for got, want, by in (
        (sums.xx, wanted[:4, :4], scale[:4, :4]),
        (sums.xy, wanted[:4, 4], scale[:4, 4]),
        (sums.yy, wanted[4, 4], scale[4, 4]),
    ):
        assert (
            np.abs((np.asarray(got) - want) / by).max() < 1e-9
        )  # the largest mean is 1e6 deviations away


def test_sums_of_a_stream_are_those_of_its_rows(stream):
    sums, whole = moments_of_batches(stream), regression.moments(X, Y)
    for got, wanted in zip(jax.tree.leaves(sums), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-6)
    assert float(sums.rows) == len(X)


@pytest.mark.parametrize("done", [1, 2, 4])
def test_a_run_cut_off_ends_with_the_same_bits(tmp_path, done):
    batches = in_batches(1100)

    def cut_off():
        yield from batches[:done]
        raise ConnectionError("cut off")

    go = partial(moments_of_batches, checkpoint=Checkpoint(tmp_path / "sums", seconds=0))
    with pytest.raises(ConnectionError):
        go(cut_off())
    assert_same_bits(go(batches, resume=True), moments_of_batches(batches))


def test_a_stream_goes_on_where_it_was(tmp_path, stream):
    read = []

    class Counting(Stream):
        def _check(self, table, block, row):
            read.append(len(table))
            return super()._check(table, block, row)

    counted = Counting(tmp_path / "rows.npy", "x4", dtype="float64", memory=1 << 17)
    checkpoint = Checkpoint(tmp_path / "sums", seconds=0)

    def interrupt(reached):
        if reached.rows > 2500:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        moments_of_batches(counted, checkpoint=checkpoint, progress=interrupt)
    read.clear()
    resumed = moments_of_batches(counted, checkpoint=checkpoint, resume=True)
    assert sum(read) < 0.75 * len(X)  # the first rows are not read again
    assert_same_bits(resumed, moments_of_batches(stream))


def test_finished_sums_are_loaded_and_not_summed_again(tmp_path, stream):
    first = moments_of_batches(stream, checkpoint=tmp_path / "sums")
    assert_same_bits(moments_of_batches(stream, checkpoint=tmp_path / "sums", resume=True), first)
    with pytest.raises(CheckpointError, match="already"):
        moments_of_batches(stream, checkpoint=tmp_path / "sums")
    other = Stream(tmp_path / "rows.npy", "x3", dtype="float64", memory=1 << 17)
    with pytest.raises(CheckpointError, match="another run: there, batches, columns is"):
        moments_of_batches(other, checkpoint=tmp_path / "sums", resume=True)


def test_no_batches_is_an_error():
    with pytest.raises(ValueError, match="no batches"):
        moments_of_batches([])
