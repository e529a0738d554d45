"""`fit` with a checkpoint: cut off after any piece, it ends bit for bit where the whole run does."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from funcgrad import fit, regression
from funcgrad.regression import Linear
from funcgrad.training import Checkpoint, CheckpointError
from funcgrad.training.pieces import Pace
from tests.training.leaves import assert_same

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3)).astype(np.float32)
Y = RNG.normal(size=60).astype(np.float32)
START = Linear(jnp.zeros(3), jnp.zeros(()))
ADAM = optax.adam(0.05)
BATCHES = {"batch_size": 16, "key": jax.random.key(3)}
run = partial(fit, regression.loss, START, X, Y, optimizer=ADAM, steps=100)


@pytest.fixture
def pieces_of_seven(monkeypatch):
    monkeypatch.setattr(Pace, "__init__", lambda self: setattr(self, "steps", 7))
    monkeypatch.setattr(Pace, "took", lambda self, steps, seconds: None)


def cut_off_at(step):
    def listener(reached):
        if reached.step == step:
            raise ConnectionError("cut off")

    return listener


@pytest.mark.parametrize("options", [{}, BATCHES], ids=["full batch", "mini-batches"])
@pytest.mark.parametrize("step", [7, 35, 98, 100])
def test_a_run_cut_off_ends_where_the_whole_one_does(tmp_path, pieces_of_seven, step, options):
    go = partial(run, checkpoint=Checkpoint(tmp_path / "run", seconds=0), **options)
    with pytest.raises(ConnectionError):
        go(progress=cut_off_at(step), progress_every=7)
    saved = Checkpoint(tmp_path / "run").exists()
    assert saved is (step > 7)
    assert_same(go(resume=True), run(**options))


def test_a_finished_run_is_not_run_again(tmp_path):
    first = run(checkpoint=tmp_path / "run")
    steps = []
    again = run(checkpoint=tmp_path / "run", resume=True, progress=steps.append)
    assert_same(first, again)
    assert {report.step for report in steps} == {100}


def test_a_converged_run_resumed_has_converged(tmp_path):
    go = partial(run, steps=10_000, tolerance=1e-3, checkpoint=tmp_path / "run")
    first = go()
    assert first.converged
    assert_same(go(resume=True), first)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"resume": False}, r"already.*resume from it, or remove it"),
        ({"steps": 101}, "another run: there, steps is 100; here, 101"),
        ({"optimizer": optax.sgd(0.1)}, "another run: there, state is"),
        (
            {"optimizer": optax.adam, "learning_rate": 0.1},
            "there, learning rate is None; here, 0.1",
        ),
    ],
)
def test_another_runs_checkpoint_is_refused(tmp_path, changes, message):
    run(checkpoint=tmp_path / "run")
    with pytest.raises(CheckpointError, match=message):
        run(**{"checkpoint": tmp_path / "run", "resume": True} | changes)
