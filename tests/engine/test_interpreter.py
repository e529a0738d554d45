"""The interpreter: small ops of structures that never come back run in one dispatch, and give what they give one by one."""

import random
from itertools import permutations

import numpy as np
import pytest

import funcgrad.torch as torch
from funcgrad import engine
from funcgrad.engine import interpreter, recording
from tests.engine.test_stress_threads import in_threads


@pytest.fixture(autouse=True)
def no_patience(monkeypatch):
    """The first run whose kernels are all there brings an interpreter."""
    engine.flush("a test begins")
    monkeypatch.setattr(interpreter, "_candidates", {})
    monkeypatch.setattr(interpreter, "SECONDS", 0.0)
    engine.reset_stats()


X, V = np.linspace(0.1, 0.9, 5), np.linspace(-1.0, 1.0, 25).reshape(5, 5)
UNARY = ("sin", "tanh", "relu", "neg")


def losses_and_gradients(count, dtype=torch.float32, seed=0, kinds=(0, 1, 4, 5)):
    chosen = random.Random(seed)
    x, v = torch.tensor(X).to(dtype), torch.tensor(V).to(dtype)
    w = torch.tensor(X[::-1].copy()).to(dtype).requires_grad_()
    results = []
    for _ in range(count):
        w.grad = None
        h = x * w
        for _ in range(chosen.randint(3, 9)):
            kind = chosen.choice(kinds)
            if kind == 0:
                h = h + w
            elif kind == 1:
                h = h * 0.5
            elif kind == 2:
                h = v @ h * 0.1 + h
            elif kind == 3:
                h = h.exp() - (h > 0.1) * w
            else:
                h = getattr(torch, chosen.choice(UNARY))(h)
        loss = (h * h).mean()
        loss.backward()
        results.append([loss.item(), *w.grad.tolist()])
    return np.array(results)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_graphs_that_all_differ_give_what_they_give_op_by_op(dtype):
    with engine.mode("op_by_op"):
        expected = losses_and_gradients(30, dtype, kinds=(0, 1, 2, 4, 5))
    assert engine.stats().interpreters_compiled == engine.stats().runs_interpreted == 0
    found = losses_and_gradients(30, dtype, kinds=(0, 1, 2, 4, 5))
    assert engine.stats().runs_interpreted > 15
    np.testing.assert_allclose(found, expected, rtol=1e-5 if dtype is torch.float32 else 1e-13)


def test_a_run_of_the_interpreter_is_told():
    losses_and_gradients(30)
    now = engine.stats()
    assert now.runs_interpreted <= now.runs_op_by_op <= now.runs
    w = torch.rand(5, requires_grad=True)
    h = w
    for name in ("tanh", "sin", "neg", "tanh", "sin"):
        h = getattr(torch, name)(h)
    (h * h).mean().backward()
    assert engine.stats().runs_interpreted == now.runs_interpreted + 1
    assert "op by op, in one dispatch of an interpreter" in engine.explain()


def test_what_an_interpreter_has_not_room_for_runs_one_by_one():
    losses_and_gradients(20)
    before = engine.stats().runs_interpreted
    assert before > 0

    def differing(length):
        values = []
        for k in range(12):
            h = torch.ones(length) * 0.1
            for j in range(6):
                h = getattr(torch, UNARY[(k * 7 + j * j) % len(UNARY)])(h)
            values.append(h.sum().item())
        return values

    with engine.mode("op_by_op"):
        expected = differing(3000)
    np.testing.assert_allclose(differing(3000), expected, rtol=1e-6)
    assert engine.stats().runs_interpreted == before


def test_longer_programs_than_an_interpreter_was_compiled_for_bring_a_longer_one():
    x = torch.tensor(X).to(torch.float32)

    def chain(length):
        h = x
        for k in range(length):
            h = h.sin() if k % 2 else h.neg()
        return h.tolist()

    for length in (8, 20, 60, 150):
        with engine.mode("op_by_op"):
            expected = chain(length - 1)
        chain(length)
        before = engine.stats().runs_interpreted
        np.testing.assert_allclose(chain(length - 1), expected, rtol=1e-5)
        assert engine.stats().runs_interpreted == before + 1
    assert engine.stats().interpreters_compiled == 4


def test_ops_of_other_types_go_with_those_of_one_type_one_by_one():
    with engine.mode("op_by_op"):
        expected = losses_and_gradients(20, kinds=(0, 1, 3, 4))
    np.testing.assert_allclose(losses_and_gradients(20, kinds=(0, 1, 3, 4)), expected, rtol=1e-5)


def test_an_op_that_cannot_be_in_an_interpreter_keeps_the_others_working(monkeypatch):
    def no_memory(*_):
        raise MemoryError

    monkeypatch.setattr(interpreter, "Interpreter", no_memory)
    monkeypatch.setattr(interpreter, "_simple", {})
    with engine.mode("op_by_op"):
        expected = losses_and_gradients(20)
    np.testing.assert_allclose(losses_and_gradients(20), expected, rtol=1e-5)
    assert engine.stats().runs_interpreted == 0


def test_eight_threads_may_interpret_at_once():
    with engine.mode("op_by_op"):
        expected = [losses_and_gradients(15, seed=seed) for seed in range(8)]
    losses_and_gradients(15)
    found = [None] * 8

    def work(seed):
        found[seed] = losses_and_gradients(15, seed=seed)

    in_threads(*[lambda seed=seed: work(seed) for seed in range(8)])
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert engine.stats().runs_interpreted > 20


def test_what_was_met_before_the_bound_leaves_no_types_behind(monkeypatch):
    """The longest values may belong to ops that are given up: they are no longer inputs either."""
    monkeypatch.setattr(interpreter, "_simple", {})
    monkeypatch.setattr(interpreter, "SECONDS", 1e9)
    monkeypatch.setattr(interpreter, "OPS", 8)

    orders = permutations(["sin", "cos", "tanh", "exp", "neg"])

    def chain(length):
        h = torch.tensor([0.5] * length)
        for name in next(orders):
            h = getattr(h, name)()
        return h.tolist()

    with engine.mode("op_by_op"):
        for length in (100, 5):
            chain(length)
    for length in (100, 5):
        chain(length)
    monkeypatch.setattr(interpreter, "SECONDS", 0.0)
    chain(5)
    before = engine.stats()
    chain(5)
    assert (before.interpreters_compiled, before.runs_interpreted) == (1, 0)
    assert engine.stats().runs_interpreted == 1


def test_the_ops_of_an_interpreter_are_bounded(monkeypatch):
    monkeypatch.setattr(interpreter, "OPS", 12)
    with engine.mode("op_by_op"):
        expected = losses_and_gradients(20)
    np.testing.assert_allclose(losses_and_gradients(20), expected, rtol=1e-5)
    for candidate in interpreter._candidates.values():
        assert len(candidate.kinds) <= 40
    assert recording.tree.size <= engine.settings.state_limit + 1_000
