"""A long fit runs in pieces: Ctrl-C ends it within seconds, and the pieces change no digit."""

import os
import signal
import threading

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from funcgrad import fit, regression
from funcgrad.training import pieces
from funcgrad.training.pieces import PIECE_SECONDS, Pace

X = np.random.default_rng(0).normal(size=(1000, 100)).astype(np.float32)
Y = X.sum(axis=1)


@pytest.mark.skipif(os.name == "nt", reason="Windows sends Ctrl-C to whole process groups")
@pytest.mark.usefixtures("interruptible")
def test_interrupt_ends_a_fit_of_many_minutes_with_the_piece_that_runs(monkeypatch):
    ended, under_way = [], threading.Event()
    took = Pace.took

    def noted(self, steps, seconds):
        took(self, steps, seconds)
        ended.append(steps)
        if len(ended) == 3:
            under_way.set()

    def interrupt():
        under_way.wait()
        os.kill(os.getpid(), signal.SIGINT)
        ended_when_sent.append(len(ended))

    monkeypatch.setattr(Pace, "took", noted)
    ended_when_sent = []
    thread = threading.Thread(target=interrupt, daemon=True)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        fit(regression.loss, jnp.zeros(100), X, Y, optimizer=optax.sgd(1e-6), steps=20_000_000)
    thread.join()
    assert len(ended) <= ended_when_sent[0] + 1


def test_pieces_change_no_digit(monkeypatch):
    def run():
        return fit(regression.loss, jnp.zeros(100), X, Y, optimizer=optax.adam(1e-2), steps=300)

    in_few, reached = run(), []
    monkeypatch.setattr(Pace, "took", lambda self, steps, seconds: reached.append(steps))
    monkeypatch.setattr(pieces, "_FIRST_PIECE", 7)
    in_many = run()
    assert reached == [7] * (300 // 7)
    np.testing.assert_array_equal(in_few.params, in_many.params)
    np.testing.assert_array_equal(in_few.losses, in_many.losses)


@pytest.mark.parametrize("seconds", [1e-6, 1e-3, 2.0, 30.0])
def test_pieces_settle_at_about_a_second(seconds):
    """The time of a step does not matter, even if a single one takes longer than a piece should."""
    pace = Pace()
    for _ in range(12):
        pace.took(pace.steps, pace.steps * seconds)
    wanted = max(1, PIECE_SECONDS / seconds)
    assert pace.steps == pytest.approx(wanted, rel=1e-3)
