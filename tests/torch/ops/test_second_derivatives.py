"""Gradients of gradients, op by op: the shim's are PyTorch's, in float64 and away from kinks."""

import numpy as np
import pytest

from tests.both_sides import SIDES, assert_same
from tests.torch.ops.tables import BINARY, REDUCTIONS, UNARY, called

X = [[0.31, 0.72, 0.45], [0.58, 0.17, 0.86]]
Y = [[0.64, 0.23, 0.91], [0.39, 0.77, 0.52]]
# PyTorch's derivative of `digamma` is a short series; `test_gamma.py` holds ours against exact values.
ROUGH = {"digamma": 1e-8, "lgamma": 1e-8}
COTANGENT = [0.7, -1.3, 2.1, 0.4, -0.6, 1.9]


def of(name):
    return lambda torch, *tensors: called(torch, name)(*tensors)


OPS = {
    **{row.name: of(row.name) for row in UNARY},
    **{row.name: of(row.name) for row in BINARY},
    **{
        f"{row.name} along": (lambda torch, x, name=row.name: getattr(torch, name)(x, 1))
        for row in REDUCTIONS
    },
    "matmul": lambda torch, x, y: x @ y.t(),
    "pow": lambda torch, x, y: x**y,
    "norm": lambda torch, x: x.norm(3, 1),
    "softmax": lambda torch, x: x.softmax(1),
    "log_softmax": lambda torch, x: x.log_softmax(1),
    "logcumsumexp": lambda torch, x: x.logcumsumexp(1),
    "cumprod": lambda torch, x: x.cumprod(1),
    "std": lambda torch, x: x.std(1),
    "lerp": lambda torch, x, y: x.lerp(y, x),
    "addcmul": lambda torch, x, y: x.addcmul(x, y, value=2),
    "addcdiv": lambda torch, x, y: x.addcdiv(x, y, value=2),
    "index_fill": lambda torch, x, y: (x * x).index_fill(1, torch.tensor([0, 0]), y[0, 0] ** 2),
    "index_add": lambda torch, x, y: (x * x).index_add(1, torch.tensor([1, 1, 0]), y * y),
    "index_copy": lambda torch, x, y: (x * x).index_copy(1, torch.tensor([0, 2, 1]), y * y),
    "clamp": lambda torch, x, y: (x * x).clamp(y * 0.1, y),
    "sort": lambda torch, x: (x * x).sort(1)[0],
}
OF_TWO = {row.name for row in BINARY} | {
    name for name in OPS if OPS[name].__code__.co_varnames[:3] == ("torch", "x", "y")
}


def derivatives(torch, op, count):
    """The gradients of a weighted sum of the results, and of a weighted sum of the gradients; None counts as zero."""
    tensors = [torch.tensor(each, dtype=torch.float64, requires_grad=True) for each in (X, Y)]
    tensors = tensors[:count]

    def weighted(result):
        weights = torch.tensor(COTANGENT[: result.numel()], dtype=torch.float64)
        return (result.reshape(-1) * weights).sum()

    result = op(torch, *tensors)
    if not result.requires_grad:
        return []
    first = torch.autograd.grad(weighted(result), tensors, create_graph=True)
    total = sum(weighted(each) for each in first)
    second = [None] * count
    if total.requires_grad:
        second = torch.autograd.grad(total, tensors, allow_unused=True)
    return [
        # PyTorch has zeros without elements, of which NumPy wants a copy.
        np.zeros((2, 3)) if each is None else (each.detach() + 0).numpy()
        for each in (*first, *second)
    ]


@pytest.mark.parametrize("name", OPS)
def test_second_derivatives_are_pytorchs(name):
    count = 2 if name in OF_TWO else 1
    mine, expected = (derivatives(torch, OPS[name], count) for torch in SIDES)
    assert len(mine) == len(expected)
    for a, b in zip(mine, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=ROUGH.get(name, 1e-10), atol=1e-12)


@pytest.mark.parametrize(
    "function",
    [
        lambda torch, x: x**1,
        lambda torch, x: x**-1,
        lambda torch, x: torch.nn.functional.elu(x, 2.0),
        lambda torch, x: torch.nn.functional.celu(x, 2.0),
        lambda torch, x: torch.nn.functional.selu(x),
    ],
    ids=["x ** 1", "x ** -1", "elu", "celu", "selu"],
)
def test_second_derivatives_at_zero_are_pytorchs(function):
    def program(torch, see):
        x = torch.tensor([0.0, -0.0, 2.0, -3.0], dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(function(torch, x).sum(), x, create_graph=True)
        (second,) = torch.autograd.grad(slope.sum(), x)
        see(slope.detach(), second)

    assert_same(program)


def losses_of_full_matrices(torch, U, S, Vh):
    """Losses of the thin part, which do not change with the signs of the vectors."""
    thin = (U[:, :2] * S) @ Vh[:2]
    yield (thin**3).sum()
    yield (U.abs() ** 3).sum()
    yield (Vh.abs() ** 3).sum() + (S**2).sum()


@pytest.mark.parametrize("loss", range(3))
@pytest.mark.parametrize(
    ("shape", "dtype"), [((3, 2), "float64"), ((3, 2), "complex128"), ((2, 4), "complex128")]
)
def test_full_matrices_have_the_gradient_of_the_thin_ones(shape, dtype, loss):
    def program(torch, see):
        numbers = np.random.default_rng(0)
        start = numbers.normal(size=shape) + 1j * numbers.normal(size=shape)
        start = start if dtype == "complex128" else start.real
        A = torch.tensor(start, dtype=getattr(torch, dtype), requires_grad=True)
        made = torch.linalg.svd(A, full_matrices=True)
        value = list(losses_of_full_matrices(torch, *made))[loss].real
        (first,) = torch.autograd.grad(value, A, create_graph=True)
        (second,) = torch.autograd.grad((first.abs() ** 2).sum(), A)
        see(first.detach(), second)

    assert_same(program, atol=1e-8)
