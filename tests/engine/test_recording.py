"""Recording runs nothing early, computes only values that are held, and compiles structures that return once."""

import gc

import jax
import numpy as np
import pytest

import funcgrad.torch as torch
from funcgrad import engine
from funcgrad.engine import programs, recording
from tests.processes import Program

pytestmark = pytest.mark.usefixtures("recorded")


@pytest.fixture(autouse=True)
def nothing_pending():
    engine.flush("a test begins")
    engine.reset_stats()


def step(x, y, w, rate=0.1):
    loss = ((x @ w - y) ** 2).mean()
    loss.backward()
    w.data -= rate * w.grad
    w.grad = None
    return loss


def lesson(rows=3, columns=2, seed=0):
    torch.manual_seed(seed)
    return torch.rand(rows, columns), torch.rand(rows), torch.rand(columns, requires_grad=True)


def test_an_op_runs_when_its_value_is_looked_at_and_not_before():
    a = torch.ones(3) * 2 + 1
    assert engine.stats().runs == 0
    assert engine.stats().pending_ops == 2
    assert a.tolist() == [3.0, 3.0, 3.0]
    assert engine.stats().runs == 1
    assert engine.stats().pending_ops == 0


def test_a_wrong_shape_raises_on_the_line_that_has_it_and_leaves_the_rest_pending():
    a = torch.ones(3) * 2
    with pytest.raises(RuntimeError, match="must match the size"):
        a + torch.ones(2)
    assert engine.stats().runs == 0
    assert a.tolist() == [2.0, 2.0, 2.0]


def test_only_held_values_are_results():
    a = torch.ones(3)
    b = ((a * 2) + 1) * 3
    assert b.tolist() == [9.0, 9.0, 9.0]
    assert "3 ops, " in engine.explain()
    assert "1 results wanted" in engine.explain()


def test_what_nobody_holds_is_not_computed():
    a = torch.ones(3)
    a.exp().tolist()
    gc.collect()  # frames that JAX's first trace of the op left behind
    engine.reset_stats()
    a.exp()
    b = a + 1
    assert b.tolist() == [2.0, 2.0, 2.0]
    assert engine.stats().runs == 1
    assert "1 recorded ops were left out" in engine.explain()


def test_a_training_loop_compiles_a_few_programs_and_then_no_more():
    data = lesson()
    for _ in range(5):
        step(*data)
    settled = engine.stats()
    for _ in range(50):
        step(*data)
    assert engine.stats().programs_compiled == settled.programs_compiled <= 3
    assert engine.stats().cache_hits - settled.cache_hits == 50


def test_a_step_is_one_run():
    data = lesson()
    for _ in range(5):
        step(*data)
    before = engine.stats().runs
    step(*data)
    assert engine.stats().runs == before + 1


def test_gradients_of_gradients_are_one_run_with_what_is_made_of_them():
    x = torch.tensor([1.0, 2.0], requires_grad=True)

    def third_derivative():
        y = x**5
        for _ in range(3):
            (y,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        return y.tolist()

    for _ in range(5):
        assert third_derivative() == [60.0, 240.0]
    settled = engine.stats()
    for _ in range(20):
        third_derivative()
    now = engine.stats()
    assert now.runs - settled.runs == now.cache_hits - settled.cache_hits == 20


def test_gradients_of_gradients_that_nobody_looks_at_do_not_pile_up():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    for _ in range(100):
        (slope,) = torch.autograd.grad((x**5).sum(), x, create_graph=True)
        torch.autograd.grad(slope.sum(), x, create_graph=True)
        assert engine.stats().pending_ops <= engine.settings.buffer_size // 2
    assert engine.stats().runs > 1


def test_numbers_that_vary_compile_nothing():
    data = lesson(4)
    for k in range(5):
        step(*data, rate=0.1 / (k + 1))
    settled = engine.stats()
    for k in range(50):
        step(*data, rate=0.1 / (k + 6))
    now = engine.stats()
    assert now.programs_compiled == settled.programs_compiled
    assert now.kernels_compiled == settled.kernels_compiled


def test_negative_zero_is_not_taken_for_zero():
    x = torch.ones(1)
    for _ in range(3):
        assert np.signbit((x * 0.0).item()) == np.False_
        assert np.signbit((x * -0.0).item()) == np.True_


def test_structures_that_keep_changing_run_op_by_op_without_compiling():
    x = torch.tensor([0.1, 0.2, 0.3])
    ops = [torch.sin, torch.cos, torch.exp, torch.tanh]
    rng = np.random.default_rng(0)

    def different():
        y = x
        for choice in rng.integers(0, 4, 12):
            y = ops[choice](y)
        return y.sum().item()

    for _ in range(20):
        different()
    before = engine.stats()
    for _ in range(50):
        different()
    now = engine.stats()
    assert now.programs_compiled == before.programs_compiled
    assert now.kernels_compiled == before.kernels_compiled
    assert now.ops_run_singly - before.ops_run_singly == 50 * 13


@pytest.mark.parametrize("mode", ["auto", "eager", "recorded", "op_by_op", "compiled"])
def test_every_mode_computes_the_same(mode):
    with engine.mode("op_by_op"):
        x, y, w = lesson(5, 3, seed=1)
        expected = [step(x, y, w).item() for _ in range(6)]
    with engine.mode(mode):
        x, y, w = lesson(5, 3, seed=1)
        np.testing.assert_allclose([step(x, y, w).item() for _ in range(6)], expected, rtol=1e-6)


def test_a_mode_is_kept_to():
    with engine.mode("op_by_op"):
        data = lesson(6)
        for _ in range(6):
            step(*data)
        assert engine.stats().programs_compiled == 0
        assert "the mode is 'op_by_op'" in engine.explain()
    with engine.mode("compiled"):
        before = engine.stats().ops_run_singly
        torch.ones(2).exp().sin().tolist()
        assert engine.stats().ops_run_singly == before
    with (
        pytest.raises(ValueError, match="auto, eager, recorded, op_by_op, compiled"),
        engine.mode("fast"),
    ):
        pass


def test_explain_tells_why():
    data = lesson(7)
    for _ in range(4):
        loss = step(*data)
    assert engine.explain().startswith("Ran because backward ended: ")
    assert "compiled" in engine.explain()
    loss.item()
    engine.flush("the test wants nothing pending")
    x = torch.ones(2) + 1
    print(x)
    assert engine.explain().startswith("Ran because a value was looked at: 1 ops")


def test_a_full_buffer_runs(monkeypatch):
    monkeypatch.setattr(engine.settings, "buffer_size", 20)
    x = torch.zeros(1)
    for _ in range(50):
        x = x + 1
    assert engine.stats().runs >= 2
    assert x.item() == 50


def test_the_caches_are_bounded(monkeypatch):
    monkeypatch.setattr(engine.settings, "state_limit", 500)
    monkeypatch.setattr(engine.settings, "program_limit", 2)
    rng = np.random.default_rng(0)
    x = torch.ones(2)
    for _ in range(100):
        y = x
        for choice in rng.integers(0, 2, 10):
            y = [torch.sin, torch.cos][choice](y)
        y.tolist()
        assert recording.tree.size <= 500 + 20
    data = lesson(3)
    with engine.mode("compiled"):
        for _ in range(3):
            step(*data)
            (torch.ones(2) + 1).tolist()
            (torch.ones(2) * 2).sin().tolist()
            assert len(programs._recent) <= 2


def test_64_bit_types_are_kept_without_touching_jax():
    x = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    (x**3).sum().backward()
    assert x.grad.dtype is torch.float64
    assert x.grad.tolist() == [3.0, 12.0]
    assert (torch.tensor(2**40) + 1).item() == 2**40 + 1
    assert not jax.config.jax_enable_x64


def test_the_environment_chooses_the_mode():
    script = "from funcgrad import engine; print(engine.settings.mode)"

    def run(mode):
        return Program("-c", script, FUNCGRAD_ENGINE=mode).communicate(timeout=600)

    assert run("op_by_op") == ("op_by_op\n", "")
    assert "the engine's mode is one of auto, eager, recorded, op_by_op, compiled" in run("fast")[1]


@pytest.mark.parametrize(("mode", "size"), [("op_by_op", 1000), ("compiled", 400)])
def test_backward_does_not_wait_for_the_device(mode, size):
    # A fifth of a second of products on two cores; handing them over takes a hundredth. XLA takes longer over a
    # product in a program, and much longer if that has more rows.
    matrix = torch.ones(size, size)
    w = torch.ones(size, size, requires_grad=True)
    with engine.mode(mode):
        for _ in range(2):
            w.grad = None
            loss = (matrix @ (matrix @ (matrix @ w))).mean()
            loss.backward()
            ready = w.grad._array().is_ready()
            assert loss.item() == pytest.approx(size**3, rel=1e-6)
    assert not ready
