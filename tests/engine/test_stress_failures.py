"""A run that fails loses nothing: what was pending can still be computed, and the next step is right.

FUNCGRAD_STRESS multiplies how many interrupts there are.
"""

import os
import random
import signal
import sys
import threading
import time

import jax
import numpy as np
import pytest

import funcgrad.torch as torch
from funcgrad import engine
from funcgrad.torch._tensor.operands import call

SCALE = int(os.environ.get("FUNCGRAD_STRESS", "1"))
MODES = ("recorded", "op_by_op", "compiled")


class OutOfMemory(RuntimeError):
    pass


class Fragile:
    """An op that gives what it is given, but fails at run time as often as it is told to; compiled or not."""

    def __init__(self):
        self.failures = 0

        def on_host(x):
            if self.failures:
                self.failures -= 1
                raise OutOfMemory("no memory left")
            return x

        def function(x):
            return jax.pure_callback(on_host, jax.ShapeDtypeStruct(x.shape, x.dtype), x)

        self.op = engine.Op("fragile", function)

    def __call__(self, tensor):
        return call(self.op, tensor)

    def fails(self, times=1):
        self.failures = times
        # JAX raises the one where it finds the compiled function the quick way, the other elsewhere.
        return pytest.raises((ValueError, jax.errors.JaxRuntimeError), match="no memory left")


class Lesson:
    """The lesson in float64, and where an undisturbed run of it goes."""

    RATE = 0.01
    LENGTH = 300

    def __init__(self):
        self.x = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64)
        self.y = torch.tensor([1.0, 2.0], dtype=torch.float64)
        self.restart()

    def restart(self):
        self.w = torch.tensor([0.5, -0.5], dtype=torch.float64, requires_grad=True)
        self.loss = None

    def step(self, through=lambda x: x):
        self.loss = ((through(self.x) @ self.w - self.y) ** 2).mean()
        self.loss.backward()
        self.w.data -= self.RATE * self.w.grad
        self.w.grad = None

    @classmethod
    def path(cls):
        """Weights before each step, and the loss of each step, by NumPy."""
        x, y = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1.0, 2.0])
        weights, losses = [np.array([0.5, -0.5])], []
        for _ in range(cls.LENGTH):
            residual = x @ weights[-1] - y
            losses.append((residual**2).mean())
            weights.append(weights[-1] - cls.RATE * (x.T @ residual))
        return np.array(weights), np.array(losses)


WEIGHTS, LOSSES = Lesson.path()


def same(a, b):
    return np.allclose(a, b, rtol=1e-10, atol=0)


@pytest.fixture(params=MODES)
def in_mode(request):
    with engine.mode(request.param):
        yield request.param


@pytest.fixture
def fragile(capfd):
    yield Fragile()
    capfd.readouterr()  # JAX prints what went wrong


def test_values_of_a_run_that_failed_can_still_be_computed(in_mode, fragile):
    x = fragile(torch.tensor([1.0, 2.0]))
    a = x * 2
    b = a + 1
    c = a * b
    with fragile.fails():
        c.tolist()
    assert c.tolist() == [6.0, 20.0]
    assert b.tolist() == [3.0, 5.0]
    assert (a + c).tolist() == [8.0, 24.0]


def test_a_value_can_be_asked_for_until_there_is_memory(in_mode, fragile):
    a = fragile(torch.tensor([1.0, 2.0])) * 2
    with fragile.fails(times=3):
        a.tolist()
    for left in (2, 1):
        with fragile.fails(times=left):
            a.tolist()
    assert a.tolist() == [2.0, 4.0]


def test_the_step_after_one_that_ran_out_of_memory_is_right(in_mode, fragile):
    lesson = Lesson()
    for k in range(12):
        if k % 3 == 2:
            with fragile.fails():
                lesson.step(fragile)
            # It failed at the end of backward(), before the update.
            lesson.w.grad = None
        lesson.step(fragile)
        assert same(lesson.loss.item(), LOSSES[k])
    assert same(lesson.w.tolist(), WEIGHTS[12])


def test_a_gradient_whose_run_failed_is_there_when_it_is_asked_for(in_mode, fragile):
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    loss = (w**3 * fragile(torch.ones(2))).sum()
    with fragile.fails():
        loss.backward()
    assert w.grad.tolist() == [3.0, 12.0]
    assert loss.item() == 9.0


@pytest.mark.parametrize("where", ["forward", "backward"])
def test_an_error_raised_by_a_custom_function_loses_nothing(in_mode, where):
    class Sometimes(torch.autograd.Function):
        failing = ""

        @staticmethod
        def forward(ctx, x):
            if Sometimes.failing == "forward":
                raise OutOfMemory("mine")
            return x * 1.0

        @staticmethod
        def backward(ctx, gradient):
            if Sometimes.failing == "backward":
                raise OutOfMemory("mine")
            return gradient * 1.0

    lesson = Lesson()
    for k in range(8):
        pending = lesson.w.detach() * 2
        before = lesson.loss
        Sometimes.failing = where
        with pytest.raises(OutOfMemory, match="mine"):
            lesson.step(lambda x: Sometimes.apply(x + 0 * lesson.w))
        assert torch.is_grad_enabled()
        assert same(pending.tolist(), 2 * WEIGHTS[k])
        if where == "forward" and before is not None:
            assert lesson.loss is before
        Sometimes.failing = ""
        lesson.w.grad = None
        lesson.step(lambda x: Sometimes.apply(x + 0 * lesson.w))
        assert same(lesson.loss.item(), LOSSES[k])
    assert same(lesson.w.tolist(), WEIGHTS[8])


def test_an_op_whose_kernel_fails_leaves_the_others_alone(monkeypatch):
    with engine.mode("op_by_op"):
        x = torch.tensor([1.0, 2.0])
        healthy = x + 10
        op = engine.Op("sometimes", lambda x: x * 2)
        ill = call(op, x)
        kernel = op.kernel

        def no_memory(*arrays):
            raise OutOfMemory

        op._kernel = no_memory
        after = ill + 1
        with pytest.raises(OutOfMemory):
            after.tolist()
        assert healthy.tolist() == [11.0, 12.0]
        with pytest.raises(OutOfMemory):
            ill.tolist()
        op._kernel = kernel
        assert after.tolist() == [3.0, 5.0]


def test_what_does_not_depend_on_the_failed_op_can_be_computed_while_it_still_fails(
    in_mode, fragile
):
    before = torch.tensor([1.0, 2.0]) + 1
    ill = fragile(before)
    beside = before * 3
    with fragile.fails(times=1_000):
        ill.tolist()
    assert beside.tolist() == [6.0, 9.0]
    assert before.tolist() == [2.0, 3.0]
    assert (beside + 1).tolist() == [7.0, 10.0]
    with fragile.fails(times=1):
        ill.tolist()
    assert ill.tolist() == [2.0, 3.0]


def test_a_full_buffer_that_fails_to_run_loses_nothing(monkeypatch, in_mode, fragile):
    monkeypatch.setattr(engine.settings, "buffer_size", 16)
    h = torch.tensor([0.0], dtype=torch.float64)
    links = []
    with fragile.fails():
        while len(links) < 100:
            h = fragile(h) + 1
            links.append(h)
    while len(links) < 100:
        h = fragile(h) + 1
        links.append(h)
    assert [link.item() for link in links] == [k + 1.0 for k in range(100)]


@pytest.mark.parametrize("held", ["every link", "heads of one chain"])
def test_all_that_a_failed_run_leaves_pending_is_computed_in_linear_time(in_mode, fragile, held):
    links = 60
    h = fragile(torch.tensor([0.0]))
    values = []
    for _ in range(links):
        h = h + 1
        if held == "every link":
            values.append(h)
    if held == "heads of one chain":
        values = [h * k for k in range(links)]
    with fragile.fails():
        values[0].tolist()
    before = engine.stats().ops_run_singly
    found = [each.item() for each in reversed(values)][::-1]
    assert found == [k + 1 if held == "every link" else links * k for k in range(links)]
    assert engine.stats().ops_run_singly - before <= 3 * (links + 1)


class Interrupt(BaseException):
    pass


def interrupted(function, where):
    """Call a function and interrupt it at the engine's `where`-th call: the places where Python lets a signal in.

    Returns:
        Whether it came so far.
    """
    seen = 0

    def profile(frame, event, _):
        nonlocal seen
        if event in ("call", "c_return") and "funcgrad" in frame.f_code.co_filename:
            seen += 1
            if seen == where + 1:
                raise Interrupt

    sys.setprofile(profile)
    try:
        function()
    except Interrupt:
        pass
    finally:
        sys.setprofile(None)
    return seen > where


def steps_done(lesson, before):
    """How many steps are done after an interrupt of the one after `before`: it took place or it did not."""
    assert torch.is_grad_enabled()
    weights = lesson.w.tolist()
    found = [k for k in (before, before + 1) if same(weights, WEIGHTS[k])]
    assert found, (weights, WEIGHTS[before], WEIGHTS[before + 1])
    if lesson.loss is not None:
        # That of the step before where the interrupt came between two steps.
        near = LOSSES[max(before - 1, 0) : before + 1]
        assert any(same(lesson.loss.item(), each) for each in near)
    lesson.w.grad = None
    return found[0]


def test_a_step_interrupted_anywhere_is_done_or_not_done_and_the_next_is_right(in_mode):
    lesson, done, where = Lesson(), 0, 0
    for _ in range(
        3
    ):  # kernels and programs are compiled, so that interrupts fall on the engine and not on JAX's compiler
        lesson.step()
    lesson.restart()
    while True:
        lesson.loss = None
        if not interrupted(lesson.step, where):
            break
        done = steps_done(lesson, done)
        lesson.step()
        assert same(lesson.loss.item(), LOSSES[done])
        done += 1
        assert same(lesson.w.tolist(), WEIGHTS[done])
        where += 1
        if done > Lesson.LENGTH - 5:
            lesson.restart()
            done = 0
    assert where > 50


@pytest.mark.skipif(
    not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread(),
    reason="needs a timer's signals, which only Unix has",
)
def test_a_training_loop_survives_hundreds_of_interrupts_at_random_moments():
    chance = random.Random(0)
    lesson, done, interrupts = Lesson(), 0, 0
    for _ in range(5):
        lesson.step()
    lesson.restart()
    armed = False

    def interrupt(*_):
        nonlocal armed
        if armed:
            armed = False
            raise KeyboardInterrupt

    # A function of its own: Python 3.13's `try` does not cover the jump of a loop inside it.
    def train():
        nonlocal armed, done
        armed = True
        signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-5, 1e-3))
        while done < Lesson.LENGTH - 10:
            lesson.loss = None
            lesson.step()
            done += 1
        time.sleep(0.01)
        armed = False

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        while interrupts < 500 * SCALE:
            try:
                train()
            except KeyboardInterrupt:
                interrupts += 1
            done = steps_done(lesson, done)
            if done >= Lesson.LENGTH - 10:
                lesson.restart()
                done = 0
        lesson.step()
        assert same(lesson.w.tolist(), WEIGHTS[done + 1])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if jax.config.jax_enable_x64:
            # The interrupt came in JAX's own `enable_x64.__exit__`, before it had put the setting back.
            jax.enable_x64(False).__enter__()
