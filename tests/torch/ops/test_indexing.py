"""Square brackets, read and written, against PyTorch: a table of kinds, and expressions made up by hypothesis."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from funcgrad import engine
from tests.both_sides import assert_same, ours, theirs

INDICES = [
    "m",
    "m, 0",
    "m, [0, 1, 2]",
    "m, 1:2",
    "[[0, 1], [1, 0]]",
    "[0, 1]",
    "(0, 1)",
    "[0, slice(None)]",
    "np.array([0, 1])",
    "np.int64(1)",
    "np.array(1)",
    "[True, False]",
    "[]",
    "()",
    "0, :, i",
    "i, :, i",
    ":, i, i",
    "i, None, i",
    "None, i",
    "False",
    "True",
    "True, 0",
    "0, True",
    "torch.tensor(1)",
    "torch.tensor(True)",
    "i.int()",
    "torch.tensor([-1])",
    "-3",
    "1:0",
    "5:",
    "-1:",
    ":, -2:, ::3",
    "0:2:0",
    "::-1",
    "1.0:2",
    "torch.tensor(0):torch.tensor(1)",
    "..., 0",
    "..., None",
    "0, 1, 2, 3",
    "0, 0, 0",
    "0, 0, 0, ...",
    "{}",
    "'a'",
    "'a', 0",
    "0.5",
    "[0.5]",
    "i.double()",
    "i, torch.tensor([0, 1, 2])",
    "m[:1]",
    ":, m",
    ":, m[0]",
    "m[0]",
    "m, m",
    "None",
    "None, None",
    "...",
    ":",
    ":, :",
    ":, -3:",
    ":, 0:9",
    "2:, 1:",
    "2:1",
    "i, ..., i",
    "torch.zeros(0, dtype=torch.int64)",
    "torch.tensor([[0, 1]])",
    "range(2)",
    "i, 1:",
    "5",
    "0, 5",
    ":, [3]",
    "[2]",
    "torch.tensor([5])",
    "slice(0, 1), slice(None)",
]

DEPRECATED = pytest.mark.filterwarnings("ignore:Using a non-tuple sequence")


@DEPRECATED
@pytest.mark.parametrize("index", INDICES)
def test_what_is_read(index):
    assert_same(f"y = x[{index}]")


@DEPRECATED
@pytest.mark.parametrize("index", INDICES)
def test_what_is_written(index):
    assert_same(f"x[{index}] = w[0]")


VALUES = [
    "x[i] = 2.5",
    "x[i] = torch.ones(5)",
    "x[i] = torch.ones(1, 1, 2, 3, 4)",
    "x[i, 0] = l[:, 0] * 2",
    "x[m] = l[m] * 2",
    "x[m] = torch.ones(2, 4)",
    "x[n > 5] = 0.0",
    "x[n > 5] = w[0]",
    "x[n > 5] = l[n > 5] * 2",
    "x[i] = torch.ones(3, 4, dtype=torch.float64)",
    "x[0, 0] = torch.ones(4, dtype=torch.complex64)",
    "x[0] = 1j",
    "x[i] = [1, 2]",
    "x[i] = np.float32(2)",
    "x[i[:1]] = x[0]",
    "x[i] = x",
    "x[torch.tensor([0, 0])] = l * 2",
    "x[i] += w[0]",
    "x[m] *= 2",
    "x[:, i] -= l[:, :2]",
    "n[i] = l",
    "n[0][i] = l[0, :2]",
    "x.transpose(0, 1)[i] = 3.0",
    "l[i] = 1",
    "x.index_put_((i, i), w[:2, None])",
    "x.index_put_((i, i), w[:2, None], accumulate=True)",
    "x.index_put_((torch.tensor([1, 1]),), l * 2, accumulate=True)",
    "n[0, :1].expand(3, 4)[[0]] = 7",
    "n[:, :1].expand(2, 3, 4)[i] = torch.arange(24.0).reshape(2, 3, 4)",
    "n[:, :, :1].expand(2, 3, 4)[:, m[0]] = torch.arange(16.0).reshape(2, 2, 4)",
    "n[0, :1].expand(3, 4).index_put_((i,), torch.ones(2, 4), accumulate=True)",
    "y = x[0, 0, 0].expand(1)\nx[0, 0, :1] = y",
    "x[0, 0, :1].copy_(x[0, 0, 0].expand(1))",
    "x[:, 0, 0][x[:, 0, 0].detach() >= 0] = x[:, 0, 0].detach()",
    "y = n[:0]\ny[y > 0] = y",
    "y = n[0, :1].expand(3, 4)\ny.copy_(y.detach())",
    "y = n[:0]\ny[y > 0] = n[:0]",
    "y = x[:0]\ny /= y",
    "y = x[:0]\ny.mul_(y)",
]


@pytest.mark.filterwarnings("ignore:Casting complex values to real")
@pytest.mark.filterwarnings("ignore:Use of index_put_ on expanded tensors is deprecated")
@pytest.mark.parametrize("source", VALUES)
def test_what_is_assigned(source):
    assert_same(source)


# An index is a list of items, each as code that both sides understand.
numbers = st.integers(-4, 4).map(str)
bounds = st.one_of(st.just(""), numbers)
slices = st.builds("{}:{}:{}".format, bounds, bounds, st.sampled_from(["", "1", "2", "3"]))
lists = st.lists(st.integers(-3, 2), min_size=0, max_size=3).map(
    lambda found: f"torch.tensor({found}, dtype=torch.int64)"
)
squares = st.lists(st.integers(-2, 1), min_size=2, max_size=2).map(
    lambda found: f"torch.tensor([{found}, {found[::-1]}])"
)
masks = st.sampled_from(["m", "m[0]", "m[:, 0]", "n > 5", "True", "False"])
items = st.one_of(numbers, slices, slices, st.just("..."), st.just("None"), lists, squares, masks)
expressions = (
    st.lists(items, min_size=1, max_size=4)
    .filter(lambda parts: parts.count("...") < 2)
    .map(lambda parts: ", ".join(parts) + ("," if len(parts) == 1 else ""))
)
changes = st.sampled_from(["", ".transpose(0, 1)", "[:, 1:]", "[:, :, ::2]", ".unsqueeze(1)"])


def outcome(torch, source):
    """The elements, the node, the version and the gradient that a program leaves, or its error."""
    scope = {
        "torch": torch,
        "l": torch.tensor(np.arange(24.0).reshape(2, 3, 4), requires_grad=True),
        "n": torch.tensor(np.arange(24.0).reshape(2, 3, 4)),
        "m": torch.tensor([[True, False, True], [False, True, False]]),
        "v": torch.tensor(0.5, dtype=torch.float64, requires_grad=True),
    }
    try:
        exec(source, scope)
    except (IndexError, RuntimeError, TypeError, ValueError) as error:
        return type(error).__name__, str(error)
    y = scope["y"]
    weights = torch.tensor(np.arange(1.0, y.numel() + 1).reshape(tuple(y.shape)))
    (y * weights).sum().backward()
    grads = [None if each.grad is None else each.grad.numpy() for each in (scope["l"], scope["v"])]
    node = type(y.grad_fn).__name__
    # Nobody sees the strides of no elements.
    stride = y.stride() if y.numel() else None
    return y.detach().numpy(), stride, node, y._version, y._is_view(), *grads


def assert_source_alike(source):
    with engine.mode("eager"):
        mine = outcome(ours, source)
    expected = outcome(theirs, source)
    assert len(mine) == len(expected), (mine, expected)
    for a, b in zip(mine, expected, strict=True):
        if isinstance(b, np.ndarray):
            np.testing.assert_allclose(a, b, rtol=1e-12)
        else:
            assert a == b


made_up = settings(
    max_examples=50,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


@made_up
@given(changes, expressions)
def test_any_index_reads_what_it_reads_in_pytorch(change, expression):
    assert_source_alike(f"x = l * 1\ny = x{change}[{expression}]")


@made_up
@given(changes, expressions, st.sampled_from(["2.5", "v", "x.detach().clone()[0, 0, 0]"]))
def test_any_index_writes_what_it_writes_in_pytorch(change, expression, value):
    assert_source_alike(f"x = y = l * 1\nx{change}[{expression}] = {value}")
