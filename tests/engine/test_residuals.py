"""Ops that keep residuals for their way back: gradients, errors and memory stay as they were."""

import weakref

import pytest

from funcgrad import engine
from funcgrad.engine import eager
from tests.both_sides import ours, theirs
from tests.torch.nn.samples import check_alike, weights


@pytest.fixture(autouse=True)
def in_the_core():
    with engine.mode("eager"):
        yield


@pytest.fixture
def at_once(monkeypatch):
    """Residuals are kept from the second call of an op on, however small its arrays are."""
    monkeypatch.setattr(eager, "LEAST", -1.0)
    monkeypatch.setattr(eager, "OFTEN", 1)


CALLS = {
    "tanh": lambda torch, x: (x * 2).tanh(),
    "gelu": lambda torch, x: torch.nn.functional.gelu(x),
    "softmax": lambda torch, x: x.softmax(-1),
    "logsumexp": lambda torch, x: x.logsumexp(-1),
    "norms of rows": lambda torch, x: x.norm(dim=-1),
    "layer_norm": lambda torch, x: torch.nn.functional.layer_norm(x, (6,)),
    "batch_norm": lambda torch, x: torch.nn.functional.batch_norm(x, None, None, training=True),
    "attention": lambda torch, x: torch.nn.functional.scaled_dot_product_attention(
        x[None], x[None], x[None] + 1
    ).sin(),
    "power": lambda torch, x: (x * x + 1) ** x,
}


def rows(torch):
    return torch.linspace(-1.5, 2, 24, dtype=torch.float64).reshape(4, 6).requires_grad_()


def residuals(y):
    """The residuals that the node of a result keeps."""
    kept = y.grad_fn.residuals
    return [] if kept is None else kept[1]


@pytest.mark.parametrize("name", CALLS)
def test_gradients_are_pytorchs(at_once, name):
    def run(torch):
        x = rows(torch)
        for _ in range(2):
            y = CALLS[name](torch, x)
            x.grad = None
            y.backward(weights(torch, y))
        y = CALLS[name](torch, x)
        assert torch is theirs or residuals(y)
        (slope,) = torch.autograd.grad(y, x, weights(torch, y), create_graph=True)
        (curve,) = torch.autograd.grad(slope.sin().sum(), x)
        return [y.detach(), x.grad, slope.detach(), curve]

    check_alike(run(ours), run(theirs), name, 5)


@pytest.mark.parametrize("wanted", [[0], [1], [0, 1, 2]])
def test_a_layer_of_several_results_has_gradients_of_any(at_once, wanted):
    def run(torch):
        torch.manual_seed(0)
        layer, x = torch.nn.LSTM(6, 3).double(), rows(torch)
        for those in ([0], [0], wanted):
            output, state = layer(x)
            results = [output, *state]
            x.grad = None
            torch.autograd.backward(
                [results[k] for k in those], [weights(torch, results[k]) for k in those]
            )
        return [x.grad, *[each.grad for each in layer.parameters()]]

    check_alike(run(ours), run(theirs), "LSTM", 5)


def called(torch, times=2):
    """An op that was called often, of an argument and its result."""
    x = rows(torch)
    for _ in range(times):
        torch.nn.functional.gelu(x).sum().backward()
    x.grad = None
    return x, torch.nn.functional.gelu(x)


def test_residuals_are_freed_with_the_saved_values(at_once):
    _, y = called(ours)
    kept = [weakref.ref(each.array) for each in residuals(y)]
    assert kept
    y.sum().backward(retain_graph=True)
    assert all(each() is not None for each in kept)
    y.sum().backward()
    assert all(each() is None for each in kept)
    with pytest.raises(RuntimeError, match="a second time"):
        y.sum().backward()


def test_an_argument_written_in_place_is_refused(at_once):
    for torch in (ours, theirs):
        x, y = called(torch)
        with torch.no_grad():
            x.add_(1)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            y.sum().backward()


def test_saved_tensor_hooks_have_their_way(at_once):
    def run(torch):
        x, _ = called(torch)
        with torch.autograd.graph.saved_tensors_hooks(lambda t: 2 * t, lambda t: t):
            y = torch.nn.functional.gelu(x)
        assert torch is theirs or not residuals(y)
        y.sum().backward()
        return x.grad

    check_alike(run(ours), run(theirs), "gelu", 5)


def test_data_that_is_replaced_is_used(at_once):
    def run(torch):
        x, y = called(torch)
        x.data.mul_(2)
        y.sum().backward()
        return x.grad

    check_alike(run(ours), run(theirs), "gelu", 5)


def test_small_arrays_and_few_calls_keep_nothing():
    for size in (20, 100_000):
        x = ours.linspace(-1, 1, size).requires_grad_()
        for calls in range(eager.OFTEN + 2):
            y = ours.nn.functional.gelu(x)
            assert bool(residuals(y)) == (size > 20 and calls >= eager.OFTEN)
            y.sum().backward()
