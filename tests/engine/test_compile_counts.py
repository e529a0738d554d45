"""Each of the benchmarks' cases compiles a few programs while it warms up, and nothing from then on."""

import math
from functools import partial

import pytest

import funcgrad.torch as torch
from funcgrad import engine
from funcgrad.engine import programs
from tests.benchmarks.cases import CASES, chain, changing_graph

pytestmark = pytest.mark.usefixtures("recorded")

# Turns that end with a look at the result, and how many iterations each has.
WARM_UP, TURNS, ITERATIONS = 6, 4, 5
# Each case by its name; a turn of a chain of 10,000 ops takes a second.
MAKERS = {
    case.name: partial(chain, ops=300) if case.make is chain else case.make
    for case in CASES
    if case.make is not changing_graph
}


@pytest.fixture(autouse=True)
def no_clock(monkeypatch):
    """Only what comes back is compiled: what has cost much time meanwhile depends on the machine."""
    engine.flush("a test begins")
    monkeypatch.setattr(programs, "PATIENCE", math.inf)


def compiled_in(run, turns, iterations):
    before = engine.stats()
    for _ in range(turns):
        run(iterations)
    after = engine.stats()
    return (
        after.programs_compiled - before.programs_compiled,
        after.kernels_compiled - before.kernels_compiled,
    )


@pytest.mark.parametrize("name", MAKERS)
def test_a_loop_compiles_a_few_programs_and_then_nothing(name):
    run = MAKERS[name](torch)
    compiled, _ = compiled_in(run, WARM_UP, ITERATIONS)
    assert 1 <= compiled <= 6
    assert compiled_in(run, TURNS, ITERATIONS) == (0, 0)


def test_graphs_that_all_differ_compile_each_op_once_and_nothing_from_then_on():
    run = changing_graph(torch)
    _, kernels = compiled_in(run, WARM_UP, 20)
    assert kernels <= 40  # nine ops, the start, the sum and the update, their derivatives
    assert compiled_in(run, TURNS, 20) == (0, 0)


def test_a_rate_that_decays_and_a_counter_compile_nothing():
    x, y, w = torch.rand(6, 3), torch.rand(6), torch.rand(3, requires_grad=True)

    def run(iterations):
        nonlocal k
        for _ in range(iterations):
            k += 1
            loss = (((x @ w - y) ** 2).mean() + k) / k
            loss.backward()
            w.data -= 0.5 / k * w.grad
            w.grad = None
        loss.item()

    k = 0
    compiled_in(run, WARM_UP, ITERATIONS)
    assert compiled_in(run, TURNS, ITERATIONS) == (0, 0)


def test_a_compiled_step_is_traced_once_and_then_compiles_nothing():
    x, y, w = torch.rand(6, 3), torch.rand(6), torch.rand(3, requires_grad=True)
    traced = []

    @torch.compile
    def step():
        traced.append(1)
        loss = ((x @ w - y) ** 2).mean()
        loss.backward()
        w.data -= 0.1 * w.grad
        w.grad = None
        return loss

    for _ in range(5):
        step()
    settled = len(traced), engine.stats().programs_compiled
    for _ in range(20):
        step()
    assert (len(traced), engine.stats().programs_compiled) == settled
