"""One trace of an op serves all lengths: a new length traces nothing, and gives what it gives where it is traced."""

from threading import Thread

import numpy as np
import pytest

import funcgrad.torch as torch
from funcgrad import engine
from funcgrad.engine import derivatives, ops, templates
from funcgrad.engine.templates import pattern_of
from funcgrad.engine.values import Aval

LENGTHS = (5, 7, 1, 3, 0, 4)


def data(*shape, seed=0):
    return torch.tensor(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def regression(n):
    x, y, w = data(n, 3), data(n, seed=1), data(3, seed=2).requires_grad_()
    loss = ((x @ w - y) ** 2).mean()
    loss.backward()
    return loss, w.grad


def perceptron(n):
    x, v, w = data(n, 3), data(3, 4, seed=1).requires_grad_(), data(4, 2, seed=2).requires_grad_()
    out = (x @ v).clamp(min=0) @ w
    (out.log_softmax(1)[:, 0]).sum().backward()
    return out, v.grad, w.grad


def masked(n):
    x = data(n, 3).requires_grad_()
    kept = x[x[:, 0] > 0]
    (kept**2).sum().backward()
    return kept, x.grad


def assigned(n):
    x = data(n, 3).requires_grad_()
    y = x * 1
    y[x > 0.5] = 2.0
    y[:, 0] = 0.0
    (y * x).sum().backward()
    return y, x.grad


def recurrent(n):
    w, h = data(4, 4).requires_grad_(), torch.zeros(4)
    for k in range(n):
        h = torch.tanh(w @ h + data(n, 4)[k])
    (h.sum() + 0 * w.sum()).backward()
    return h, w.grad


def reshaped(n):
    x = data(n, 2, 3).requires_grad_()
    parts = torch.cat([x.reshape(-1), x.transpose(0, 2).flatten(), x.flip(0).cumsum(0).view(-1)])
    parts.sin().sum().backward()
    return parts, x.grad


def sorted_and_looked_up(n):
    x = data(n, 3).requires_grad_()
    values, places = x.sort(0)
    picked = x.gather(0, places) * torch.arange(n)[:, None]
    (picked.exp().sum() + values.std(1).sum()).backward()
    return values, picked, x.grad


def square(n):
    x = data(n, n).requires_grad_()
    y = x @ x.T + x.sum(0) + torch.eye(n) - x.mean(1, keepdim=True)
    y.tril().sum().backward()
    return y, x.grad


def second_derivative(n):
    x = data(n).requires_grad_()
    (slope,) = torch.autograd.grad((x**3).sum(), x, create_graph=True)
    slope.sum().backward()
    return slope, x.grad


PROGRAMS = [
    regression,
    perceptron,
    masked,
    assigned,
    recurrent,
    reshaped,
    sorted_and_looked_up,
    square,
    second_derivative,
]


@pytest.mark.filterwarnings("ignore:.*degrees of freedom:UserWarning")
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_every_length_gives_what_xla_gives_for_it(program):
    for n in LENGTHS:
        with engine.mode("eager"):
            found = [each.detach().numpy() for each in program(n)]
        with engine.mode("compiled"):
            expected = [each.detach().numpy() for each in program(n)]
        for mine, theirs in zip(found, expected, strict=True):
            assert (mine.shape, mine.dtype) == (theirs.shape, theirs.dtype)
            np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("program", [regression, perceptron, masked], ids=lambda p: p.__name__)
def test_a_third_length_traces_nothing(program, monkeypatch):
    traced = []
    with engine.mode("eager"):
        for n in (21, 22, 23):
            program(n)
        for module in (ops, derivatives, templates):
            monkeypatch.setattr(module, "jaxpr_of", lambda *given: traced.append(given))
        for n in (31, 44, 57):
            program(n)
    assert traced == []


def test_a_loop_over_a_new_length_gives_what_its_steps_give():
    weights = data(4, 3), data(4, 4, seed=1), torch.zeros(4), torch.zeros(4)
    of_input, of_state = weights[0].numpy(), weights[1].numpy()
    for n in (5, 7, 3):
        x, h = data(n, 2, 3), np.zeros((2, 4), np.float32)
        with engine.mode("eager"):
            start = torch.zeros(1, 2, 4)
            out, _ = torch.rnn_tanh(x, start, weights, True, 1, 0.0, False, False, False)
        for each, found in zip(x.numpy(), out.numpy(), strict=True):
            h = np.tanh(each @ of_input.T + h @ of_state.T)
            np.testing.assert_allclose(found, h, rtol=1e-5, atol=1e-6)


def test_two_threads_may_ask_for_the_same_part_of_a_derivative(monkeypatch):
    types = [(Aval((n, 3), np.dtype("float32")),) for n in (51, 52, 53)]
    op = ops.Op("square", lambda x: x * x)
    ways = [derivatives.rule_of(op, each, (True,)).full for each in types]
    make, found, others = ops.Op.__init__, [], []

    def interrupted(self, *args, **kwargs):
        others.append(Thread(target=lambda: found.append(ways[-1].name)))
        others[0].start()
        others[0].join(0.1)
        make(self, *args, **kwargs)

    monkeypatch.setattr(ops.Op, "__init__", interrupted)
    assert ways[-1].name == "square_vjp"
    others[0].join()
    assert found == ["square_vjp"]
    assert len(others) == 1


def test_a_wrong_shape_raises_whatever_the_lengths():
    for n in (3, 4, 5):
        with pytest.raises(RuntimeError, match=f"size of tensor a \\({n}\\) must match"):
            data(n) + data(n + 1)


def test_equal_lengths_share_a_symbol_and_one_is_none():
    def pattern(*shapes):
        return pattern_of(tuple([Aval(shape, np.dtype("float32")) for shape in shapes]))

    assert pattern((5, 3), (3,)) == (pattern((7, 4), (4,))[0], (5, 3))
    assert pattern((5, 3), (3,))[0] != pattern((5, 3), (4,))[0]
    assert pattern((5, 1))[0] != pattern((5, 2))[0]
    assert pattern((0,))[0] != pattern((1,))[0]
    assert pattern((5, 5))[0] != pattern((5, 6))[0]
