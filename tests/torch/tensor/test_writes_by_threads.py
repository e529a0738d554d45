"""Threads that write in place to one memory, each to elements of its own: no write is lost, as in PyTorch."""

import sys
import threading

import pytest

import funcgrad.torch as torch

THREADS = 4
TIMES = 60


@pytest.fixture(autouse=True)
def threads_switch_often():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def in_threads(step, times=TIMES):
    """Call `step(k)` so many times in each thread, with the thread's number."""
    errors = []
    start = threading.Barrier(THREADS)

    def work(number):
        try:
            start.wait()
            for _ in range(times):
                step(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(k,), daemon=True) for k in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads), "deadlock"
    for error in errors:
        raise error


def row(w, k):
    w[k] += 1


def row_without_history(w, k):
    w.data[k] += 1


def detached_row(w, k):
    w[k].detach().add_(1)


def row_of_the_transpose(w, k):
    w.t()[0, k] += 1


def assigned_row(w, k):
    w[k : k + 1] = w[k : k + 1] + 1


def row_without_a_graph(w, k):
    with torch.no_grad():
        w[k].add_(1)


def all_rows(w, k):
    w.add_((torch.arange(THREADS) == k).to(torch.float32).view(THREADS, 1))


def all_rows_by_an_operator(w, k):
    w += (torch.arange(THREADS) == k).to(torch.float32).view(THREADS, 1)


def all_by_one_and_rows_by_others(w, k):
    (all_rows if k == 0 else row)(w, k)


@pytest.mark.parametrize(
    "write",
    [
        row,
        row_without_history,
        detached_row,
        row_of_the_transpose,
        assigned_row,
        row_without_a_graph,
        all_rows,
        all_rows_by_an_operator,
        all_by_one_and_rows_by_others,
    ],
)
def test_no_write_is_lost(write):
    w = torch.zeros(THREADS, 1)
    in_threads(lambda k: write(w, k))
    assert w.tolist() == [[TIMES]] * THREADS


def test_writes_leave_one_graph():
    leaf = torch.ones(THREADS, 1, requires_grad=True)
    w = leaf * 1

    def double(k):
        w[k] *= 2

    in_threads(double, 8)
    w.sum().backward()
    assert w.tolist() == [[2.0**8]] * THREADS
    assert leaf.grad.tolist() == [[2.0**8]] * THREADS


def test_each_write_counts_as_a_version():
    w = torch.zeros(THREADS)

    def fill(k):
        w[k].fill_(k)

    in_threads(fill)
    assert w._version == THREADS * TIMES


def test_optimizers_of_one_parameter_take_each_of_their_steps():
    w = torch.zeros(3, requires_grad=True)
    w.grad = torch.ones(3)
    optimizers = [torch.optim.SGD([w], lr=1.0) for _ in range(THREADS)]
    in_threads(lambda k: optimizers[k].step())
    assert w.tolist() == [-THREADS * TIMES] * 3
