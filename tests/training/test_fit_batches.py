"""Training on batches that arrive: one step for each, and a run cut off anywhere ends where it would have."""

import itertools
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from funcgrad import fit, regression
from funcgrad.datasets import Stream
from funcgrad.regression import Linear
from funcgrad.training import (
    Checkpoint,
    CheckpointError,
    CheckpointWarning,
    DivergenceWarning,
)
from tests.training.leaves import assert_same_bits

RNG = np.random.default_rng(0)
X = RNG.normal(size=(500, 3)).astype(np.float32)
Y = (X @ np.array([1.0, -2.0, 0.5]) + 0.3 + 0.1 * RNG.normal(size=500)).astype(np.float32)
START = Linear(jnp.zeros(3), jnp.zeros(()))
SGD = optax.sgd(0.05)
ADAM = optax.adam(0.05)
WHOLE = [(X, Y)]
run = partial(fit, regression.loss, START, optimizer=SGD)


def in_batches(rows):
    return [(X[i : i + rows], Y[i : i + rows]) for i in range(0, len(X), rows)]


@pytest.fixture
def stream(tmp_path):
    np.save(tmp_path / "rows.npy", np.column_stack([X, Y]))
    return Stream(
        tmp_path / "rows.npy", "x3", dtype=np.float32, seed=1, batch_rows=48, memory=1 << 16
    )


@pytest.mark.parametrize("optimizer", [SGD, ADAM, optax.lbfgs()], ids=["sgd", "adam", "lbfgs"])
def test_one_batch_of_all_rows_is_a_step_of_the_full_fit(optimizer):
    streamed = run(WHOLE, epochs=20, optimizer=optimizer)
    full = fit(regression.loss, START, X, Y, optimizer=optimizer, steps=20)
    for got, wanted in zip(streamed.params, full.params, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(streamed.losses, full.losses, rtol=1e-4)
    assert int(streamed.steps) == 20


def test_each_batch_is_one_step_of_gradient_descent():
    batches = in_batches(120)
    params, losses = START, []
    for x, y in batches * 2:
        losses.append(float(regression.loss(params, x, y)))
        params, _ = regression.step(params, x, y, 0.05)
    result = run(batches, epochs=2)
    for got, wanted in zip(result.params, params, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(result.losses, losses, rtol=1e-5)
    assert float(result.loss) == result.losses[-1]


def test_any_iterable_and_any_function_of_the_epoch_will_do():
    batches = in_batches(100)
    wanted = run(batches, epochs=2)
    assert_same_bits(run(lambda epoch: iter(batches), epochs=2), wanted)
    assert_same_bits(run(iter(batches * 2)), wanted)
    reverse = run(lambda epoch: batches[:: 1 - 2 * epoch], epochs=2)
    assert not np.array_equal(reverse.params.weights, wanted.params.weights)


def test_training_on_a_stream_comes_close_to_the_exact_answer(stream):
    exact = regression.least_squares(X, Y, intercept=True)
    result = run(stream, epochs=40, optimizer=optax.adam(optax.exponential_decay(0.1, 40, 0.7)))
    np.testing.assert_allclose(result.params.weights, exact.params.weights, atol=2e-3)
    np.testing.assert_allclose(result.params.bias, exact.params.bias, atol=2e-3)


def test_float64_parameters_train_in_float64(tmp_path):
    with jax.enable_x64(True):
        start = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), START)
    batches = [(np.float64(X), np.float64(Y))]
    result = fit(regression.loss, start, batches, optimizer=SGD, epochs=3)
    assert {leaf.dtype for leaf in (*result.params, result.losses)} == {jnp.dtype("float64")}
    assert_same_bits(start, jax.tree.map(np.zeros_like, start))  # and stay valid


def cut_off_after(batches, count):
    """Give the first batches, then fail as a reader might."""
    left = iter(range(count))

    def epoch(number):
        for batch in batches:
            if next(left, None) is None:
                raise ConnectionError("cut off")
            yield batch

    return epoch


@pytest.mark.parametrize("done", [0, 1, 2, 4, 5, 6, 14])
@pytest.mark.parametrize("optimizer", [SGD, ADAM], ids=["sgd", "adam"])
def test_a_run_cut_off_ends_bit_for_bit_where_the_whole_one_does(tmp_path, done, optimizer):
    batches = in_batches(100)
    go = partial(run, epochs=3, optimizer=optimizer)
    checkpoint = Checkpoint(tmp_path / "run", seconds=0)
    with pytest.raises(ConnectionError):
        go(cut_off_after(batches, done), checkpoint=checkpoint)
    assert checkpoint.exists() is (done > 0)
    resumed = go(lambda epoch: batches, checkpoint=checkpoint, resume=True)
    assert_same_bits(resumed, go(batches))


class CutOff:
    """A stream whose reader fails after some batches."""

    def __init__(self, stream, count):
        self.stream, self.left = stream, count
        self.fingerprint, self.start = stream.fingerprint, stream.start
        self.dtype = stream.dtype

    def epoch(self, number, position):
        self.batches = self.stream.epoch(number, position)
        return self

    def __next__(self):
        self.left -= 1
        if self.left < 0:
            raise ConnectionError("cut off")
        return next(self.batches)

    @property
    def position(self):
        return self.batches.position

    def close(self):
        self.batches.close()


@pytest.mark.parametrize("memory", [1 << 13, 1 << 16], ids=["several windows", "one window"])
@pytest.mark.parametrize("batch_rows", [7, 10])
def test_a_stream_goes_on_where_it_was(tmp_path, memory, batch_rows):
    """Cut off again and again, each time a few batches further, over window and epoch borders."""
    np.save(tmp_path / "rows.npy", np.column_stack([X, Y]))
    stream = Stream(tmp_path / "rows.npy", "x3", seed=1, batch_rows=batch_rows, memory=memory)
    go = partial(run, epochs=2, checkpoint=Checkpoint(tmp_path / "run", seconds=0), resume=True)
    for count in itertools.count(1):
        try:
            resumed = go(CutOff(stream, 11 + count % 3))
        except ConnectionError:
            continue
        break
    assert count > 8
    assert_same_bits(resumed, run(stream, epochs=2))


def test_a_finished_run_is_not_run_again_and_more_epochs_go_on(tmp_path, stream):
    checkpoint = tmp_path / "run"
    first = run(stream, epochs=1, checkpoint=checkpoint)
    assert_same_bits(run(stream, epochs=1, checkpoint=checkpoint, resume=True), first)
    more = run(stream, epochs=3, checkpoint=checkpoint, resume=True)
    assert_same_bits(more, run(stream, epochs=3))


def test_a_checkpoint_is_not_overwritten_unasked(tmp_path, stream):
    run(stream, checkpoint=tmp_path / "run")
    with pytest.raises(CheckpointError, match=r"already.*go on from it .*, or remove "):
        run(stream, checkpoint=tmp_path / "run")


OTHER_RUNS = {
    "optimizer": ({"optimizer": ADAM}, "state is"),
    "learning rate": ({"optimizer": optax.sgd, "learning_rate": 0.1}, "learning rate is"),
    "a constant": ({"optimizer": optax.sgd(0.06)}, "optimizer, .*step_size is -0.05; here, -0.06"),
    "start": ({"params": Linear(jnp.ones(3), jnp.zeros(()))}, "start is"),
    "data": ({"batches": WHOLE}, "batches is"),
}


@pytest.mark.parametrize("case", OTHER_RUNS)
def test_a_checkpoint_of_another_run_is_refused(tmp_path, stream, case):
    changes, message = OTHER_RUNS[case]
    run(stream, checkpoint=tmp_path / "run")
    changed = {"params": START, "batches": stream, "optimizer": SGD} | changes
    with pytest.raises(CheckpointError, match=f"another run: there, {message}"):
        fit(
            regression.loss,
            changed.pop("params"),
            changed.pop("batches"),
            checkpoint=tmp_path / "run",
            resume=True,
            **changed,
        )


def test_fewer_epochs_than_were_taken_are_refused(tmp_path, stream):
    run(stream, epochs=3, checkpoint=tmp_path / "run")
    with pytest.raises(CheckpointError, match="in epoch 4, which is more than the 2 to take"):
        run(stream, epochs=2, checkpoint=tmp_path / "run", resume=True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("losses", np.zeros((2, 2))),
        ("losses", np.asarray("text")),
        ("epoch", np.asarray(-1)),
        ("rows", np.asarray(1.5)),
        ("state0", np.zeros(7, np.float32)),
        ("state0", np.zeros(3, np.int32)),
        ("position1", np.asarray("text")),
        ("position5", np.zeros((2, 9), np.float32)),
        *((missing, None) for missing in ("state1", "losses", "norm", "within", "position0")),
    ],
)
def test_a_checkpoint_with_a_good_sum_and_a_broken_body_is_refused(tmp_path, stream, name, value):
    checkpoint = Checkpoint(tmp_path / "run", seconds=0)
    with pytest.raises(ConnectionError):
        run(CutOff(stream, 5), checkpoint=checkpoint)
    saved, identities = {}, []

    class Reader(Checkpoint):
        def read(self, identity):
            identities.append(identity)
            return super().read(identity)

    with pytest.raises(ConnectionError):
        run(CutOff(stream, 0), checkpoint=Reader(tmp_path / "run"), resume=True)
    saved = checkpoint.load(identities[0])
    broken = {key: array for key, array in saved.items() if key != name or value is not None}
    if value is not None:
        broken[name] = value
    for _ in range(2):
        checkpoint.save(broken, identities[0])
    with pytest.raises(CheckpointError, match=r"checkpoint (is damaged|holds)"):
        run(stream, checkpoint=checkpoint, resume=True)


def test_a_truncated_checkpoint_falls_back_on_the_one_before_and_ends_the_same(tmp_path):
    batches = in_batches(100)
    checkpoint = Checkpoint(tmp_path / "run", seconds=0)
    with pytest.raises(ConnectionError):
        run(cut_off_after(batches, 4), checkpoint=checkpoint)
    checkpoint.path.write_bytes(checkpoint.path.read_bytes()[:-100])
    with pytest.warns(CheckpointWarning, match="truncated"):
        resumed = run(lambda epoch: batches, checkpoint=checkpoint, resume=True)
    assert_same_bits(resumed, run(batches))


def test_divergence_stops_at_the_last_finite_parameters():
    with pytest.warns(DivergenceWarning, match="turned non-finite after .* in epoch"):
        result = run(in_batches(100), epochs=200, optimizer=optax.sgd(5.0))
    assert result.diverged
    assert np.isfinite(result.params.weights).all()
    assert result.losses.shape == (int(result.steps),)
    assert np.isfinite(result.losses).all()


def test_a_diverged_run_resumed_has_diverged(tmp_path):
    go = partial(run, in_batches(100), epochs=200, optimizer=optax.sgd(5.0))
    with pytest.warns(DivergenceWarning):
        first = go(checkpoint=tmp_path / "run")
    with pytest.warns(DivergenceWarning):
        again = go(checkpoint=tmp_path / "run", resume=True)
    assert_same_bits(first, again)


def test_reports_count_rows_and_know_the_time_left(stream):
    reports = []
    run(stream, epochs=2, progress=reports.append)
    assert reports[-1].rows == 2 * len(X)
    assert reports[-1].seconds_left == 0
    assert all(report.rows_per_second >= 0 for report in reports)
    reports.clear()
    run(in_batches(100), progress=reports.append)
    assert (reports[-1].rows, reports[-1].seconds_left) == (len(X), None)


def test_true_shows_a_bar_of_rows_that_ends_full(stream, capsys):
    pytest.importorskip("tqdm")
    run(stream, epochs=2, progress=True)
    shown = capsys.readouterr().err
    assert "1.00k/1.00k" in shown
    assert "rows/s" in shown


def test_without_tqdm_the_message_says_what_to_do(stream, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(ImportError, match=r"funcgrad\[progress\]"):
        run(stream, progress=True)


BAD = {
    "no batches": ([], {}, ValueError, "no batches"),
    "used up": (iter(WHOLE), {"epochs": 2}, ValueError, "used up after one epoch"),
    "rows as batches": (X, {}, TypeError, "an iterable of pairs .x, y., got ndarray"),
    "a number": (3, {}, TypeError, "an iterable of pairs .x, y., got int"),
    "steps": (
        WHOLE,
        {"steps": 3},
        ValueError,
        "steps: only for data in memory, and y was left out",
    ),
    "mini-batches": (WHOLE, {"steps": 3, "key": 1}, ValueError, "key, steps: only for data"),
    "no pair": ([X], {}, TypeError, "each batch is a pair .x, y., got ndarray"),
    "rows that differ": (
        [(X, Y[:-1])],
        {},
        ValueError,
        r"same number of rows.*\(500, 3\), \(499,\)",
    ),
    "no epochs": (WHOLE, {"epochs": 0}, ValueError, "epochs must be 1 or more, got 0"),
    "auto": (WHOLE, {"optimizer": optax.sgd, "learning_rate": "auto"}, ValueError, "all rows at"),
    "no optimizer": (WHOLE, {"optimizer": "sgd"}, TypeError, "optax optimizer, got 'sgd'"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_fitted_is_refused(case):
    batches, options, error, message = BAD[case]
    with pytest.raises(error, match=message):
        run(batches, **options)


def test_a_source_shorter_than_when_it_was_cut_off_is_refused(tmp_path):
    batches = in_batches(100)
    checkpoint = Checkpoint(tmp_path / "run", seconds=0)
    with pytest.raises(ConnectionError):
        run(cut_off_after(batches, 4), checkpoint=checkpoint)
    with pytest.raises(ValueError, match="4 batches were done, but there are only 2"):
        run(lambda epoch: batches[:2], checkpoint=checkpoint, resume=True)


def test_epochs_are_not_for_data_in_memory_and_a_stream_takes_no_y(stream):
    with pytest.raises(ValueError, match="epochs: only for batches: leave out y"):
        run(X, Y, epochs=2)
    with pytest.raises(ValueError, match="steps must be a whole number"):
        run(X, Y)
    with pytest.raises(ValueError, match="hold the targets as well: leave out y"):
        run(stream, Y, steps=2)


def test_sums_are_data_that_holds_the_targets():
    sums = regression.moments(X, Y)
    assert_same_bits(run(sums, steps=5), run(sums, None, steps=5))
