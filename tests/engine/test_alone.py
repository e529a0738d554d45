"""Ops on large arrays are compiled alone where that is measured faster; results stay the same."""

import threading

import jax
import numpy as np
import pytest

import funcgrad.torch as torch
from funcgrad import engine
from funcgrad.engine import alone, background, eager
from funcgrad.engine.ops import Op

F = torch.nn.functional
CALLS = 2 * alone.TIMED + 6


@pytest.fixture
def small_ops_too(monkeypatch):
    """Every op that NumPy computes is compiled alone after its first call, and found faster."""
    monkeypatch.setattr(eager, "LARGE", 0.0)
    monkeypatch.setattr(alone, "PATIENCE", 0.0)
    monkeypatch.setattr(alone, "PART", 0.0)
    monkeypatch.setattr(alone, "FASTER", float("inf"))
    monkeypatch.setattr(alone.estimate, "learn", lambda *_: None)
    with engine.mode("auto"):
        yield


def all_done():
    """Wait for the other thread."""
    done = threading.Event()
    background.later(done.set)
    assert done.wait(60)


def called_often(function, *arrays):
    """An op's results at its first call and at a later one, and the kernel that it has then."""
    op = Op("tried", function)
    avals = tuple([eager.Value.of(each).aval for each in arrays])
    first = eager.run(op, avals, arrays)
    for _ in range(CALLS):
        all_done()
        last = eager.run(op, avals, arrays)
    return first, last, op.calls[avals].kernel


def is_program(kernel):
    return getattr(kernel, "func", None) is alone._computed


X = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 0.7, -3.5], np.float32)
N = np.array([7, -7, 2**31 - 1, -(2**31)], np.int32)
CASES = {
    "floats": (lambda x: jax.nn.sigmoid(x) * x, X),
    "doubles": (lambda x: jax.nn.softplus(x), X.astype(float)),
    "integers that wrap": (lambda n: n * n + n, N),
    "long integers": (lambda n: n * n, N.astype(np.int64)),
    "truth": (lambda x: x > 0, X),
    "a number": (lambda x: x[3:].sum(), X),
    "several": (lambda x: (x * 2, x.max(), x < 1), X),
}


@pytest.mark.parametrize(("function", "array"), CASES.values(), ids=CASES)
def test_the_program_gives_what_the_kernel_of_numpy_gives(small_ops_too, function, array):
    first, last, kernel = called_often(function, array)
    assert is_program(kernel)
    for a, b in zip(
        *(each if type(each) is tuple else (each,) for each in (first, last)), strict=True
    ):
        assert isinstance(b, np.ndarray | np.generic)
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_the_kernel_of_numpy_stays_where_it_is_faster(small_ops_too, monkeypatch):
    monkeypatch.setattr(alone, "FASTER", 0.0)
    *_, kernel = called_often(lambda x: x * 2, X)
    assert not is_program(kernel)
    assert not isinstance(kernel, alone.Contest)


def test_programs_are_bounded_in_number(small_ops_too, monkeypatch):
    monkeypatch.setattr(engine.settings, "program_limit", 0)
    *_, kernel = called_often(lambda x: x * 2, X)
    assert not is_program(kernel)
    assert not isinstance(kernel, alone.Contest)


def test_what_does_not_compile_stays_as_it_is(small_ops_too, monkeypatch):
    monkeypatch.setattr(alone, "compiled", lambda *_: 1 / 0)
    first, last, kernel = called_often(lambda x: x * 2, X)
    np.testing.assert_array_equal(first, last)
    assert not is_program(kernel)


def test_only_the_automatic_mode_compiles(small_ops_too):
    with engine.mode("eager"):
        *_, kernel = called_often(lambda x: x * 2, X)
    assert kernel._program is None


def test_a_program_computes_at_once_while_jax_traces(small_ops_too):
    *_, kernel = called_often(lambda x: x * 2, X)

    def traced(y):
        assert not isinstance(kernel(X), jax.core.Tracer)
        return y

    jax.jit(traced)(1.0)


@pytest.mark.parametrize("strict", [jax.debug_nans(True), jax.transfer_guard("disallow")])
def test_a_program_runs_under_strict_settings_of_the_user(small_ops_too, strict):
    *_, kernel = called_often(lambda x: x * 2, X)
    assert is_program(kernel)
    with strict:
        np.testing.assert_array_equal(kernel(X), X * 2)


def test_training_goes_on_through_the_change(small_ops_too):
    def train():
        torch.manual_seed(0)
        net = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.GELU(), torch.nn.Linear(7, 1))
        x, y = torch.randn(11, 5), torch.randn(11, 1)
        descent = torch.optim.Adam(net.parameters(), 0.01)
        losses = []
        for k in range(3 * CALLS):
            descent.zero_grad()
            loss = F.smooth_l1_loss(net(x), y)
            loss.backward()
            descent.step()
            losses.append(loss.item())
            if k < 4:
                all_done()
        return losses

    before = engine.stats().kernels_compiled
    losses = train()
    assert engine.stats().kernels_compiled > before
    with engine.mode("eager"):
        np.testing.assert_allclose(losses, train(), rtol=1e-4)
