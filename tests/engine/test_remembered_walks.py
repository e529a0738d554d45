"""Walks that come back are remembered: they give what they gave the first time, and what PyTorch gives."""

import random
import threading

import numpy as np
import pytest

import funcgrad.torch as ours
from funcgrad import engine
from funcgrad.engine import remembered

pytestmark = pytest.mark.usefixtures("recorded")

ROUNDS = 5  # the first is walked, the second noted, the rest are done again


@pytest.fixture
def replays(monkeypatch):
    """How many walks were done again from memory."""
    engine.flush("a test begins")
    count = {"plain": 0, "graph": 0}

    def counting(kind, replay):
        def counted(*args):
            count[kind] += 1
            return replay(*args)

        return counted

    monkeypatch.setattr(remembered, "_replay", counting("plain", remembered._replay))
    monkeypatch.setattr(remembered, "_replay_graph", counting("graph", remembered._replay_graph))
    return count


X = np.linspace(0.2, 0.9, 4)


def derivatives(torch, seed):
    """Derivatives of a random function, to a random depth, for random choices of the leaves."""
    chosen = random.Random(seed)
    leaves = [torch.tensor(X + k / 10, requires_grad=True) for k in range(3)]
    values = list(leaves)
    for _ in range(chosen.randint(2, 8)):
        a, b = chosen.choice(values), chosen.choice(values)
        values.append(
            chosen.choice(
                [
                    lambda a=a, b=b: a * b,
                    lambda a=a: a.sin(),
                    lambda a=a: a**3,
                    lambda a=a, b=b: a + b,
                ]
            )()
        )
    found, y = [], values[-1]
    for level in range(chosen.randint(1, 3)):
        wanted = [leaf for leaf in leaves if chosen.random() < 0.7] or leaves[:1]
        gradients = torch.autograd.grad(
            (y * (level + 1)).sum(), wanted, create_graph=True, allow_unused=True
        )
        found += gradients
        there = [each for each in gradients if each is not None and each.requires_grad]
        if not there:
            break
        y = there[0] * there[-1]
    if y.requires_grad:
        found += torch.autograd.grad(y.sum(), leaves, allow_unused=True)
    # Whether a zero gradient is there or not is told apart elsewhere.
    return [np.zeros(4) if each is None else each.detach().numpy() for each in found]


@pytest.mark.parametrize("seed", range(24))
def test_derivatives_of_derivatives_are_the_same_every_time_and_pytorch_s(torch, seed, replays):
    expected = derivatives(torch, seed)
    for _ in range(ROUNDS):
        found = derivatives(ours, seed)
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert sum(replays.values()) > 0


def test_a_remembered_graph_can_be_freed_hooked_and_changed_in_place(replays):
    w = ours.tensor([1.0, 2.0], requires_grad=True)

    def slope(**options):
        return ours.autograd.grad((w**3).sum(), w, create_graph=True, **options)[0]

    for _ in range(ROUNDS):
        assert ours.autograd.grad(slope().sum(), w)[0].tolist() == [6.0, 12.0]
    assert replays["graph"] > 0

    loss = (w**3).sum()
    ours.autograd.grad(loss, w, create_graph=True, retain_graph=False)
    with pytest.raises(RuntimeError, match="a second time"):
        loss.backward()

    seen = []
    made = slope()
    made.register_hook(lambda gradient: seen.append(gradient.tolist()))
    made.sum().backward()
    assert seen == [[1.0, 1.0]]
    w.grad = None

    made = slope()
    with ours.no_grad():
        w += 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        made.sum().backward()
    assert slope().tolist() == [12.0, 27.0]


def test_only_what_leads_to_the_wanted_leaves_is_freed(replays):
    v, w = (ours.tensor([k, k + 1.0], requires_grad=True) for k in (1.0, 2.0))
    for _ in range(ROUNDS):
        first, second = (v * v).sum(), (w * w).sum()
        total = first + second
        assert ours.autograd.grad(total, v)[0].tolist() == [2.0, 4.0]
        assert ours.autograd.grad(second, w)[0].tolist() == [4.0, 6.0]
        with pytest.raises(RuntimeError, match="a second time"):
            ours.autograd.grad(first, v)
    assert replays["plain"] > 0


def test_a_hook_set_on_a_graph_that_was_remembered_is_called_every_time():
    w = ours.tensor([1.0, 2.0], requires_grad=True)
    calls = []
    for k in range(2 * ROUNDS):
        h = w * 2
        if k >= ROUNDS:
            h.register_hook(lambda gradient: calls.append(1) or gradient * 10)
        h.sum().backward()
        assert w.grad.tolist() == ([2.0, 2.0] if k < ROUNDS else [20.0, 20.0])
        w.grad = None
    assert len(calls) == ROUNDS


def test_a_number_that_another_thread_used_meanwhile_is_not_taken_for_another():
    """Equal numbers are one value, which stands twice in a trace where another thread had it in between."""

    def elsewhere():
        thread = threading.Thread(target=lambda: (ours.ones(4) * 1).tolist())
        thread.start()
        thread.join()

    def gradient_of_product(a, b, meanwhile=lambda: None):
        w = ours.ones(4, requires_grad=True)
        y = w * a
        meanwhile()
        (y * b).sum().backward()
        return w.grad.tolist()

    for _ in range(4):
        assert gradient_of_product(1, 1, elsewhere) == [1.0] * 4
    assert gradient_of_product(2, 3) == [6.0] * 4
