"""Source run on PyTorch and on the shim, and all that can be seen of the tensors it leaves behind."""

import warnings

import numpy as np
import pytest

import funcgrad.torch as ours

theirs = pytest.importorskip("torch")

COMPLAINTS = (RuntimeError, TypeError, ValueError, IndexError, AttributeError)

START = """
l = torch.arange(1.0, 25.0).reshape(2, 3, 4).clone().requires_grad_()
w = torch.tensor([0.5, -1.5, 2.0], requires_grad=True)
x = l * 1
n = torch.arange(24.0).reshape(2, 3, 4).clone()
i = torch.tensor([1, 0])
m = torch.tensor([[True, False, True], [False, True, False]])
"""


def elements(tensor):
    """The elements as NumPy has them, which knows no bfloat16."""
    tensor = tensor.detach()
    return (tensor.float() if "bfloat16" in str(tensor.dtype) else tensor).numpy()


def seen(tensor, named=()):
    """All of a tensor that does not depend on which library made it."""
    node = tensor.grad_fn
    base = tensor._base
    return {
        "shape": tuple(tensor.shape),
        "dtype": str(tensor.dtype),
        "stride": tensor.stride(),
        "storage_offset": tensor.storage_offset(),
        "contiguous": tensor.is_contiguous(),
        "elements": elements(tensor),
        "requires_grad": tensor.requires_grad,
        "leaf": tensor.is_leaf,
        "node": None if node is None else node.name(),
        "version": tensor._version,
        "view": tensor._is_view(),
        "base": next((name for name, each in named if each is base), base is not None),
    }


def run(torch, source, start=START):
    """What a program leaves behind: every tensor it names, and the gradients after `.backward()` of all that have one."""
    scope = {"torch": torch, "np": np}
    exec(start, scope)
    known = {name: value for name, value in scope.items() if isinstance(value, torch.Tensor)}
    error = None
    try:
        exec(source, scope)
    except COMPLAINTS as raised:
        error = (type(raised).__name__, str(raised))
    named = [(name, value) for name, value in scope.items() if isinstance(value, torch.Tensor)]
    for name, value in list(scope.items()):
        if isinstance(value, (tuple, list)):
            named += [
                (f"{name}[{k}]", each)
                for k, each in enumerate(value)
                if isinstance(each, torch.Tensor)
            ]
    tensors, gradients = {}, {}
    for name, tensor in named:
        try:
            tensors[name] = seen(tensor, named)
        except RuntimeError as raised:
            tensors[name] = (type(raised).__name__, str(raised))
    total = torch.zeros(())
    for name, tensor in named:
        try:
            if tensor.requires_grad and not tensor.is_leaf and name != "l":
                weights = (
                    torch.arange(1.0, tensor.numel() + 1).reshape(tensor.shape).to(tensor.dtype)
                )
                total = total + (tensor * weights).sum()
        except RuntimeError as raised:
            gradients[name] = (type(raised).__name__, str(raised))
    try:
        if total.requires_grad:
            total.backward()
    except RuntimeError as raised:
        gradients["backward"] = str(raised)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in known:
            grad = scope[name].grad if scope[name].is_leaf else None
            gradients[name] = None if grad is None else grad.numpy()
    return {"error": error, "tensors": tensors, "gradients": gradients}


def assert_same(source, start=START):
    """Run a program on both sides and compare all of it."""
    mine, reference = run(ours, source, start), run(theirs, source, start)
    assert mine["error"] == reference["error"]
    assert mine["tensors"].keys() == reference["tensors"].keys()
    for name, expected in reference["tensors"].items():
        found = mine["tensors"][name]
        if isinstance(expected, dict) and isinstance(found, dict):
            np.testing.assert_allclose(
                found.pop("elements"), expected.pop("elements"), rtol=1e-5, err_msg=name
            )
        assert found == expected, name
    assert mine["gradients"].keys() == reference["gradients"].keys()
    for name, expected in reference["gradients"].items():
        found = mine["gradients"][name]
        if isinstance(expected, np.ndarray):
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5, err_msg=name)
        else:
            assert found is None if expected is None else found == expected, name
