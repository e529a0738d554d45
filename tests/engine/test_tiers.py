"""Code moves between the core and compiled programs by itself; its results are the same in both, and nothing is lost."""

import threading
import time

import jax
import numpy as np
import pytest

import funcgrad.torch as torch
from funcgrad import engine
from funcgrad.engine import background, programs, tiers
from funcgrad.engine.recording import local


@pytest.fixture
def eager_to_compile(monkeypatch):
    """Code that repeats is recorded and compiled, and never found slower."""
    monkeypatch.setattr(tiers, "WEIGHT", 0.0)
    monkeypatch.setattr(tiers.estimate, "factor", 1e-9)
    monkeypatch.setattr(tiers.estimate, "learn", lambda *_: None)
    monkeypatch.setattr(tiers, "median", lambda seconds: 1.0 if seconds else 0.0)
    with engine.mode("auto"):
        monkeypatch.setattr(local.recorder, "loop", None)
        yield
    monkeypatch.setattr(local.recorder, "loop", None)


def all_done():
    """Wait for the other thread."""
    done = threading.Event()
    background.later(done.set)
    assert done.wait(60)


def training(steps, change_at=None, rows=20):
    rng = np.random.default_rng(0)
    x, y = (
        torch.tensor(rng.normal(size=shape).astype(np.float32)) for shape in ((rows, 3), (rows,))
    )
    w = torch.zeros(3, requires_grad=True)
    losses = []
    for k in range(steps):
        loss = ((x @ w - y) ** 2).mean()
        if change_at is not None and k >= change_at:
            for _ in range(k - change_at):
                loss = loss * 0.9 + w[k % 3] ** 2
        loss.backward()
        with torch.no_grad():
            w -= 0.1 * w.grad
        w.grad = None
        losses.append(loss.item())
        if k % 20 == 19:
            all_done()
    return losses, w.tolist()


def test_a_loop_is_compiled_and_goes_on_as_before(eager_to_compile):
    before = engine.stats()
    losses, w = training(150)
    after = engine.stats()
    assert after.programs_compiled > before.programs_compiled
    assert after.cache_hits - before.cache_hits > 50
    with engine.mode("eager"):
        expected, expected_w = training(150)
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    np.testing.assert_allclose(w, expected_w, rtol=1e-4)


def test_turns_that_are_timed_wait_for_their_results(eager_to_compile, monkeypatch):
    """XLA returns before it has computed: a program would look faster than it is."""
    timed, wait = [], jax.block_until_ready
    monkeypatch.setattr(tiers, "TIMED_TURNS", 8)

    def waiting(arrays):
        timed.append(local.recorder.loop.left)
        return wait(arrays)

    monkeypatch.setattr(jax, "block_until_ready", waiting)
    training(150, rows=21)  # which no other test has compiled
    assert timed == [8, 7, 6, 5, 4, 3, 2, 1]  # once it is decided nothing waits


def test_a_loop_that_changes_goes_back_to_the_core(eager_to_compile):
    losses, w = training(150, change_at=100)
    assert local.recorder.trace.eager
    with engine.mode("eager"):
        expected, expected_w = training(150, change_at=100)
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    np.testing.assert_allclose(w, expected_w, rtol=1e-4)


def test_small_steps_stay_in_the_core():
    with engine.mode("auto"):
        before = engine.stats()
        training(300)
        after = engine.stats()
    assert after.programs_compiled == before.programs_compiled
    assert after.runs == before.runs


def test_what_is_found_slower_goes_back_to_the_core(eager_to_compile, monkeypatch):
    # The turns of the program, which are few, seem to take longer.
    monkeypatch.setattr(tiers, "median", lambda seconds: 1.0 if len(seconds) < 10 else 1e-9)
    before = engine.stats()
    training(150)
    assert engine.stats().cache_hits > before.cache_hits
    assert local.recorder.trace.eager


def test_eager_mode_records_nothing():
    with engine.mode("eager"):
        before = engine.stats()
        a = torch.ones(3) * 2 + 1
        assert engine.stats().pending_ops == 0
        assert a.tolist() == [3.0, 3.0, 3.0]
        assert engine.stats().runs == before.runs


def test_a_program_that_fails_to_compile_leaves_the_loop_in_the_core(eager_to_compile, monkeypatch):
    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(programs.Program, "compile_for", fail)
    losses, _ = training(100)
    with engine.mode("eager"):
        expected, _ = training(100)
    np.testing.assert_allclose(losses, expected, rtol=1e-4)


def test_background_work_is_done_in_its_order():
    done = []
    background.later(lambda: (time.sleep(0.01), done.append(1)))
    background.later(lambda: done.append(2))
    all_done()
    assert done == [1, 2]


def test_where_arrays_are_not_in_the_cpus_memory_everything_is_recorded(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(engine.settings, "core", True)
    with engine.mode("auto"):
        before = engine.stats()
        losses, _ = training(10, rows=29)
        assert not engine.settings.core
        assert engine.stats().runs > before.runs
        monkeypatch.undo()
    with engine.mode("eager"):
        expected, _ = training(10, rows=29)
    np.testing.assert_allclose(losses, expected, rtol=1e-4)


def test_a_kernel_of_xlas_may_call_ops_itself():
    # A callback of the host's is called while the kernel runs, in this thread or in another.
    def doubled(x):
        return (torch.tensor(x) * 2).numpy()

    def function(x):
        return jax.pure_callback(doubled, jax.ShapeDtypeStruct(x.shape, x.dtype), x)

    with engine.mode("eager"):
        op = torch.from_jax(function)
        assert op(torch.tensor([1.0, 2.0])).tolist() == [2.0, 4.0]
