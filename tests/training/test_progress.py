"""Reports from a long fit: what they say, and that listening changes nothing."""

import sys
from functools import partial

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from funcgrad import fit, regression
from funcgrad.training import Progress

X = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
Y = X.sum(axis=1)
SGD = optax.sgd(0.1)
run = partial(fit, regression.loss, jnp.zeros(3), X, Y, optimizer=SGD)


def test_reports_come_every_so_many_steps_and_at_the_end():
    reports = []
    result = run(steps=25, progress=reports.append, progress_every=10)
    assert [report.step for report in reports] == [10, 20, 25]
    assert {report.steps for report in reports} == {25}
    assert reports[0].loss == pytest.approx(float(result.losses[10]))
    assert reports[-1] == Progress(25, 25, float(result.loss))


def test_about_a_hundred_reports_unless_told_otherwise():
    reports = []
    run(steps=1000, progress=reports.append)
    assert len(reports) == 100


def test_reports_end_where_the_fit_converges():
    reports = []
    result = run(steps=10_000, tolerance=1e-4, progress=reports.append, progress_every=50)
    assert result.converged
    assert reports[-1].step == int(result.steps)
    assert len({report.step for report in reports}) == len(reports)


def test_listening_changes_no_digit():
    silent, told = run(steps=30), run(steps=30, progress=lambda reached: None, progress_every=7)
    np.testing.assert_array_equal(silent.params, told.params)
    np.testing.assert_array_equal(silent.losses, told.losses)


def test_an_error_in_the_listener_reaches_the_caller():
    def stop(reached):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(steps=30, progress=stop)


def test_true_shows_a_bar_that_ends_full(capsys):
    pytest.importorskip("tqdm")
    run(steps=40, progress=True)
    shown = capsys.readouterr().err
    assert "40/40" in shown
    assert "loss=" in shown


def test_without_tqdm_the_message_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(ImportError, match=r"funcgrad\[progress\]"):
        run(steps=40, progress=True)
