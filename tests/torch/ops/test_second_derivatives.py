"""Gradients of gradients, op by op: the shim's are PyTorch's, in float64 and away from kinks."""

import numpy as np
import pytest

from tests.both_sides import SIDES
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
