"""Optimizers step as PyTorch's do."""

import numpy as np
import pytest

from tests.both_sides import SIDES, ours, theirs

CASES = {
    "sgd": ("SGD", {"lr": 0.05}),
    "sgd, weight decay": ("SGD", {"lr": 0.05, "weight_decay": 0.1}),
    "momentum": ("SGD", {"lr": 0.02, "momentum": 0.9}),
    "dampened momentum": ("SGD", {"lr": 0.02, "momentum": 0.9, "dampening": 0.5}),
    "nesterov": ("SGD", {"lr": 0.02, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    "maximize": ("SGD", {"lr": 1e-4, "maximize": True}),
    "adam": ("Adam", {"lr": 0.1}),
    "adam, other betas": (
        "Adam",
        {"lr": 0.02, "betas": (0.5, 0.9), "eps": 1e-3, "weight_decay": 0.1},
    ),
    "adam, maximize": ("Adam", {"lr": 1e-3, "maximize": True}),
}


def train(torch, name, options, dtype, steps=40):
    torch.manual_seed(3)
    x = torch.rand(6, 3, dtype=getattr(torch, dtype))
    y = torch.rand(6, dtype=getattr(torch, dtype))
    w = torch.rand(3, dtype=getattr(torch, dtype), requires_grad=True)
    b = torch.zeros(1, dtype=getattr(torch, dtype), requires_grad=True)
    optimizer = getattr(torch.optim, name)([w, b], **options)
    for _ in range(steps):
        optimizer.zero_grad()
        ((x @ w + b - y) ** 2).mean().backward()
        optimizer.step()
    return w.detach().numpy(), b.detach().numpy()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES)
def test_forty_steps_end_where_pytorchs_do(case, dtype):
    name, options = CASES[case]
    for mine, reference in zip(
        train(ours, name, options, dtype), train(theirs, name, options, dtype), strict=True
    ):
        np.testing.assert_allclose(mine, reference, rtol=5e-5 if dtype == "float32" else 1e-12)


@pytest.mark.parametrize(
    ("name", "params", "options"),
    [
        ("SGD", [], {}),
        ("SGD", "tensor", {}),
        ("SGD", "leaf", {"lr": -1.0}),
        ("SGD", "leaf", {"momentum": -1.0}),
        ("SGD", "leaf", {"nesterov": True}),
        ("SGD", "result", {}),
        ("Adam", "leaf", {"betas": (1.0, 0.9)}),
        ("Adam", "leaf", {"eps": -1.0}),
    ],
)
def test_bad_options_are_refused_in_pytorchs_words(name, params, options):
    raised = []
    for torch in SIDES:
        leaf = torch.ones(2, requires_grad=True)
        given = (
            {"tensor": leaf, "leaf": [leaf], "result": [leaf * 2]}.get(params, []) if params else []
        )
        with pytest.raises((TypeError, ValueError)) as info:
            getattr(torch.optim, name)(given, **options)
        raised.append((info.type, str(info.value)))
    if params == "tensor":
        raised = [(kind, text.split(", but got")[0]) for kind, text in raised]
    assert raised[0] == raised[1]


def test_zero_grad_forgets_or_fills_with_zeros():
    w = ours.ones(2, requires_grad=True)
    optimizer = ours.optim.SGD([w], lr=0.1)
    (w * 2).sum().backward()
    optimizer.zero_grad(set_to_none=False)
    assert w.grad.tolist() == [0.0, 0.0]
    optimizer.zero_grad()
    assert w.grad is None
