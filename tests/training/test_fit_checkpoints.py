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
from tests.training.leaves import assert_same_bits

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
    assert_same_bits(go(resume=True), run(**options))


def test_a_finished_run_is_not_run_again(tmp_path):
    first = run(checkpoint=tmp_path / "run")
    steps = []
    again = run(checkpoint=tmp_path / "run", resume=True, progress=steps.append)
    assert_same_bits(first, again)
    assert {report.step for report in steps} == {100}


def test_a_converged_run_resumed_has_converged(tmp_path):
    go = partial(run, steps=10_000, tolerance=1e-3, checkpoint=tmp_path / "run")
    first = go()
    assert first.converged
    assert_same_bits(go(resume=True), first)


@pytest.mark.parametrize("options", [{}, BATCHES], ids=["full batch", "mini-batches"])
@pytest.mark.parametrize("steps", [(60, 64), (100, 300), (100, 101)])
def test_more_steps_go_on_to_where_as_many_at_once_come(tmp_path, steps, options):
    first, more = steps
    run(steps=first, checkpoint=tmp_path / "run", **options)
    resumed = run(steps=more, checkpoint=tmp_path / "run", resume=True, **options)
    assert_same_bits(resumed, run(steps=more, **options))


def scaled(factor):
    return lambda params, x, y: factor * regression.loss(params, x, y)


def clipped(bound):
    return optax.chain(optax.clip(bound), optax.sgd(0.1))


OTHER_RUNS = {
    "unasked": ({}, {"resume": False}, r"already.*go on from it .*, or remove "),
    "fewer steps": ({}, {"steps": 99}, "after 100 steps, which is more than the 99 to take"),
    "another optimizer": ({}, {"optimizer": optax.sgd(0.1)}, "another run: there, state is"),
    "its rate": ({}, {"optimizer": optax.adam(0.1)}, "step_size is -0.05; here, -0.1"),
    "its decay": ({}, {"optimizer": optax.adam(0.05, b1=0.8)}, "b1 is 0.9; here, 0.8"),
    "a bound within it": (
        {"optimizer": clipped(1.0)},
        {"optimizer": clipped(2.0)},
        "max_delta is 1.0; here, 2.0",
    ),
    "its schedule": (
        {"optimizer": optax.sgd(optax.exponential_decay(0.1, 40, 0.7))},
        {"optimizer": optax.sgd(optax.exponential_decay(0.1, 41, 0.7))},
        "transition_steps is 40; here, 41",
    ),
    "a rate given apart": (
        {"optimizer": optax.adam, "learning_rate": 0.05},
        {"optimizer": optax.adam, "learning_rate": 0.1},
        "there, learning rate is 0.05.*; here, 0.1",
    ),
    "the loss": (
        {"loss": regression.loss},
        {"loss": regression.mean_loss(lambda p, y: (p - y) ** 2)},
        "loss",
    ),
    "a number in the loss": (
        {"loss": scaled(1.0)},
        {"loss": scaled(2.0)},
        "factor is 1.0; here, 2",
    ),
    "the features": ({}, {"x": X + 1}, "there, x is"),
    "one target": ({}, {"y": np.where(np.arange(60) == 59, 9, Y)}, "there, y is"),
    "the start": ({}, {"params": Linear(jnp.ones(3), jnp.zeros(()))}, "there, start is"),
    "the order": (BATCHES, BATCHES | {"key": jax.random.key(4)}, "there, key is"),
    "the batches": (BATCHES, BATCHES | {"batch_size": 15}, "batch size is 16; here, 15"),
    "the tolerance": ({}, {"tolerance": 1e-9}, "tolerance is None; here, 1e-09"),
}


@pytest.mark.parametrize("case", OTHER_RUNS)
def test_another_runs_checkpoint_is_refused_with_what_changed(tmp_path, case):
    before, changes, message = OTHER_RUNS[case]

    def go(loss=regression.loss, params=START, x=X, y=Y, **options):
        options = {"optimizer": ADAM, "steps": 100} | options
        return fit(loss, params, x, y, checkpoint=tmp_path / "run", **options)

    go(**before)
    with pytest.raises(CheckpointError, match=message):
        go(**{"resume": True} | before | changes)


def test_a_run_that_is_under_way_keeps_others_from_its_checkpoint(tmp_path):
    def second(reached):
        with pytest.raises(CheckpointError, match="another run is using the checkpoint"):
            run(checkpoint=tmp_path / "run", resume=True)

    run(checkpoint=tmp_path / "run", progress=second, progress_every=50)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    run(checkpoint=tmp_path / "run", resume=True)
