"""Threads: values made in one, used and differentiated in others; and every way in which two can meet, one by one.

FUNCGRAD_STRESS multiplies how long the threads run.
"""

import os
import random
import sys
import threading
from collections import deque
from itertools import count

import numpy as np
import pytest

import funcgrad.torch as torch
from funcgrad import engine
from funcgrad.engine import Aval, recording

pytestmark = pytest.mark.slow

SCALE = int(os.environ.get("FUNCGRAD_STRESS", "1"))
SECONDS = 120  # no thread takes so long unless it waits for ever


@pytest.fixture(autouse=True)
def threads_switch_often():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def in_threads(*functions):
    """Run the functions at the same time, each in its own thread, and raise what any of them raised."""
    errors = []
    start = threading.Barrier(len(functions))

    def guarded(function):
        try:
            start.wait()
            function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(each,), daemon=True) for each in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert not any(thread.is_alive() for thread in threads), "deadlock"
    for error in errors:
        raise error


def elsewhere(function):
    """The result of a function that is called in another thread."""
    results = []
    in_threads(lambda: results.append(function()))
    return results[0]


def test_a_pending_value_of_another_thread_can_be_looked_at():
    x = elsewhere(lambda: torch.tensor([1.0, 2.0]) * 2)
    assert x.tolist() == [2.0, 4.0]


def test_a_thread_can_end_with_values_pending():
    x, y = elsewhere(lambda: (torch.ones(2) + 1, torch.ones(2) + 2))
    assert (x * y).tolist() == [6.0, 6.0]


def test_a_graph_of_one_thread_is_differentiated_in_another():
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    loss = elsewhere(lambda: (w * w * w).sum())
    elsewhere(loss.backward)
    assert w.grad.tolist() == [3.0, 12.0]


def test_a_graph_across_threads_is_freed_in_a_third():
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    held = [elsewhere(lambda: w * 2)]
    held.append(elsewhere(lambda: held[0] * w))
    elsewhere(held.clear)
    (w * 3).sum().backward()
    assert w.grad.tolist() == [3.0, 3.0]


def test_gradients_from_several_threads_gather_in_one_leaf_one_after_the_other():
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    for k in range(1, 5):
        elsewhere((w * float(k)).sum().backward)
    assert w.grad.tolist() == [10.0, 10.0]


def test_grad_mode_is_each_thread_s_own():
    with torch.no_grad():
        assert elsewhere(torch.is_grad_enabled)
        assert not torch.is_grad_enabled()

    entered, looked = threading.Event(), threading.Event()

    def without():
        with torch.no_grad():
            entered.set()
            assert looked.wait(SECONDS)

    def beside():
        assert entered.wait(SECONDS)
        assert (torch.ones(1, requires_grad=True) * 2).requires_grad
        looked.set()

    in_threads(without, beside)


def test_two_equal_types_are_one_object_whichever_thread_is_first():
    made = [[] for _ in range(4)]

    def make(here):
        here.extend(Aval((length, 7), np.float32) for length in range(1_000, 2_000))

    in_threads(*[lambda here=here: make(here) for here in made])
    for types in zip(*made, strict=True):
        assert len(set(map(id, types))) == 1


def test_a_leaf_that_another_thread_uses_meanwhile_keeps_its_gradient():
    a = torch.tensor([1.0, 2.0])

    def gradients(v, w, meanwhile=lambda: None):
        product = v * a
        meanwhile()
        (product + w * a).sum().backward()
        return v.grad.tolist(), w.grad.tolist()

    two = [torch.tensor([3.0, 4.0], requires_grad=True) for _ in range(2)]
    assert gradients(*two) == ([1.0, 2.0], [1.0, 2.0])
    one = torch.tensor([3.0, 4.0], requires_grad=True)
    both = gradients(one, one, lambda: elsewhere(lambda: (one * 2).sum().tolist()))
    assert both == ([2.0, 4.0], [2.0, 4.0])


def schedules(first, second, limit=3_000):
    """Run `first`, with all of `second` in another thread at the k-th line of the engine's code that `first` executes.

    Yields once for each k, until `first` has no line left; so every meeting with one switch there and back takes place.
    """
    for k in range(limit):
        lines, met = 0, False

        def at_line(frame, event, _, k=k):
            nonlocal lines, met
            if event == "line" and not met:
                if lines == k:
                    met = True
                    in_threads(second)
                lines += 1
            return at_line

        def at_call(frame, event, _, at_line=at_line):
            return at_line if "funcgrad" in frame.f_code.co_filename else None

        sys.settrace(at_call)
        try:
            first()
        finally:
            sys.settrace(None)
        if not met:
            assert k > 50
            return
        yield k


def test_values_shared_at_any_moment_are_right_in_both_threads():
    start, shared = torch.tensor([1.0, 2.0]), {}

    def first():
        shared["x"] = x = start * 2
        y = x + 1
        z = x * y
        assert (z.tolist(), y.tolist(), x.tolist()) == ([6.0, 20.0], [3.0, 5.0], [2.0, 4.0])

    def second():
        if "x" in shared:
            assert (shared["x"] * 3).tolist() == [6.0, 12.0]

    first()
    for _ in schedules(first, second):
        shared.clear()


def test_gradients_of_a_leaf_shared_at_any_moment_are_right_in_both_threads():
    a, v = torch.tensor([1.0, 2.0]), torch.tensor([1.0, 1.0], requires_grad=True)
    w = torch.tensor([3.0, 4.0], requires_grad=True)

    def first():
        ((w * a).sum() + (w * v).sum()).backward()
        assert (w.grad.tolist(), v.grad.tolist()) == ([2.0, 3.0], [3.0, 4.0])

    def second():
        (gradient,) = torch.autograd.grad((w * 2 + w * v).sum(), w)
        assert gradient.tolist() == [3.0, 3.0]

    for _ in range(3):
        first()
        second()
        w.grad = v.grad = None
    for _ in schedules(first, second):
        w.grad = v.grad = None


def test_a_graph_used_by_two_threads_at_any_moment_is_right_in_both():
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    shared = {}

    def first():
        shared["y"] = y = w * 2
        z = y + w
        z.sum().backward(retain_graph=True)  # the other thread walks a part of the same graph
        assert w.grad.tolist() == [3.0, 3.0]

    def second():
        if "y" in shared:
            (gradient,) = torch.autograd.grad((shared["y"] + w).sum(), w, retain_graph=True)
            assert gradient.tolist() == [3.0, 3.0]

    for _ in range(3):
        first()
        w.grad = None
    for _ in schedules(first, second):
        w.grad = None
        shared.clear()


def test_a_thread_can_record_at_any_moment_of_another_s_pruning(monkeypatch, recorded):
    monkeypatch.setattr(engine.settings, "state_limit", 1)
    start, lengths = torch.tensor([1.0, 2.0]), count(1)

    def first():
        assert (start * 2).tolist() == [2.0, 4.0]

    def second():
        torch.ones(next(lengths)).neg()

    first()
    for _ in schedules(first, second):
        assert recording.tree.size < 200


def test_a_program_can_be_evicted_at_any_moment(monkeypatch, recorded):
    monkeypatch.setattr(engine.settings, "program_limit", 1)
    start = torch.tensor([1.0, 2.0])

    def first():
        assert (start * 2).tolist() == [2.0, 4.0]

    def second():
        assert (start + start).tolist() == [2.0, 4.0]

    with engine.mode("compiled"):
        first()
        for _ in schedules(first, second):
            pass


# -- eight threads at once ---------------------------------------------------------------------------------------------

LENGTH = 3
SHARED = [np.arange(float(LENGTH)) + k for k in range(3)]


def random_program(choose, leaves):
    """Values as (tensor, the same by NumPy, its element-by-element derivative with respect to each leaf by NumPy).

    All numbers are small multiples of powers of two, so that whatever order they are added in, the result is exact.
    """
    unit = np.eye(3)[:, :, None] * np.ones(LENGTH)
    values = [(leaf, SHARED[k], unit[k]) for k, leaf in enumerate(leaves)]
    for _ in range(choose.randint(1, 10)):
        (t, a, da), (u, b, db) = choose.choice(values), choose.choice(values)
        values.append(
            choose.choice(
                [
                    lambda t=t, a=a, da=da, u=u, b=b, db=db: (t + u, a + b, da + db),
                    lambda t=t, a=a, da=da, u=u, b=b, db=db: (t - u, a - b, da - db),
                    lambda t=t, a=a, da=da: (-t, -a, -da),
                    lambda t=t, a=a, da=da: (t * 0.5, a * 0.5, da * 0.5),
                    lambda t=t, a=a, da=da: (
                        t * leaves[1],
                        a * SHARED[1],
                        da * SHARED[1] + a * unit[1],
                    ),
                ]
            )()
        )
    return values


def check(value, leaves):
    tensor, array, derivative = value
    if tensor.requires_grad:
        gradients = torch.autograd.grad(
            tensor.sum(), leaves, retain_graph=True, materialize_grads=True
        )
        np.testing.assert_array_equal([each.numpy() for each in gradients], derivative)
    np.testing.assert_array_equal(tensor.detach().numpy(), array)


def test_eight_threads_with_random_programs_on_shared_leaves_get_the_values_of_numpy():
    leaves = [torch.tensor(each, requires_grad=True) for each in SHARED]
    post = deque(maxlen=16)

    def work(number):
        choose = random.Random(number)
        for k in range(40 * SCALE):
            # Every third program comes back, so that both ways of running are taken.
            program = random.Random(k % 10 if k % 3 == 0 else number * 1_000_003 + k)
            values = random_program(program, leaves)
            post.append(choose.choice(values))
            check(values[-1], leaves)
            try:
                check(post.popleft(), leaves)
            except IndexError:
                continue

    in_threads(*[lambda number=number: work(number) for number in range(8)])


def test_eight_threads_training_each_their_own_weights_go_where_one_thread_goes():
    x, y = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([1.0, 2.0])

    def train(start):
        w = torch.tensor([start, -start], requires_grad=True)
        for _ in range(60):
            loss = ((x @ w - y) ** 2).mean()
            loss.backward()
            with torch.no_grad():
                w -= 0.01 * w.grad
            w.grad = None
        return w.tolist()

    alone = [train(k / 8) for k in range(8)]
    together = [None] * 8

    def work(k):
        together[k] = train(k / 8)

    in_threads(*[lambda k=k: work(k) for k in range(8)])
    np.testing.assert_allclose(together, alone, rtol=1e-5)
