"""Very long chains of ops: recorded, run, differentiated and freed, without recursion and in linear time."""

import gc
import sys
from contextlib import contextmanager
from weakref import ref

import numpy as np
import pytest

import funcgrad.torch as torch
from funcgrad import engine
from funcgrad.engine import Node, Storage, Value, Variable


@contextmanager
def low_recursion_limit(room: int = 150):
    depth, frame = 0, sys._getframe()
    while frame is not None:
        depth, frame = depth + 1, frame.f_back
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(depth + room)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


@contextmanager
def garbage_collector_off():
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def chain(start, ops):
    h = start
    for _ in range(ops // 2):
        h = h * 0.5
        h = h + 1.0
    return h


def alive():
    """How many of the engine's objects there are."""
    # By type, since asking some objects of other packages for their class warns.
    kinds = (Node, Storage, Value, Variable)
    return sum(issubclass(type(each), kinds) for each in gc.get_objects())


@pytest.fixture(scope="module", autouse=True)
def compiled_before():
    """The few programs that a chain is made of, compiled where the stack may still be deep."""
    w = torch.ones(2, requires_grad=True)
    for _ in range(3):
        chain(w, 2_000).sum().backward()


def test_a_chain_of_50_000_ops_has_the_right_value_and_gradient_without_recursion():
    w = torch.tensor([1.0, 3.0], dtype=torch.float64, requires_grad=True)
    # Linear in exact powers of two: w / 2**25_000 + 2, whose gradient underflows to zero.
    with low_recursion_limit():
        h = chain(w, 50_000)
        h.sum().backward()
    np.testing.assert_array_equal(h.detach().numpy(), [2.0, 2.0])
    np.testing.assert_array_equal(w.grad.numpy(), [0.0, 0.0])


def test_every_link_of_a_long_chain_carries_the_gradient():
    w = torch.tensor([1.0, 3.0], requires_grad=True)
    h = w
    with low_recursion_limit():
        for _ in range(10_000):
            h = -h
            h = h + w
        h.sum().backward()
    # h = w - h, ten thousand times, beginning with h = w: alternately 0 and w.
    np.testing.assert_array_equal(h.detach().numpy(), [1.0, 3.0])
    np.testing.assert_array_equal(w.grad.numpy(), [1.0, 1.0])


@pytest.mark.parametrize("backward", [False, True], ids=["forward only", "after backward"])
def test_a_chain_of_50_000_ops_is_freed_at_once_without_the_garbage_collector(backward):
    w = torch.ones(2, requires_grad=True)
    with garbage_collector_off():
        before = alive()
        h = chain(w, 50_000)
        if backward:
            h.sum().backward()
            w.grad = None
        node = ref(h.grad_fn)
        assert alive() - before > 50_000
        with low_recursion_limit():
            del h
        assert node() is None
        engine.flush("nothing is to be pending")
        assert alive() - before < 50


def test_the_work_grows_with_the_length_and_not_faster():
    w = torch.ones(2, requires_grad=True)

    def work(ops):
        before = engine.stats()
        chain(w, ops).sum().backward()
        after = engine.stats()
        return after.runs - before.runs, after.ops_run_singly - before.ops_run_singly

    work(10_240)
    short, long = work(10_240), work(61_440)
    assert long[0] <= 6 * short[0] + 10
    assert long[1] <= 6 * short[1] + 1_000


def test_a_gradient_of_a_gradient_through_a_long_chain():
    w = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    with low_recursion_limit(250):
        h = w * w
        for _ in range(5_000):
            h = h * 1.0
            h = h + w * 0.0
        (slope,) = torch.autograd.grad(h, w, create_graph=True)
        (curvature,) = torch.autograd.grad(slope, w)
    assert (slope.item(), curvature.item()) == (4.0, 2.0)
