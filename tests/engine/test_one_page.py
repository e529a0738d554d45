"""The engine in one page gives the digits of the real one."""

import runpy
from pathlib import Path

import numpy as np

import funcgrad.torch as torch

PAGE = Path(__file__).parents[2] / "examples" / "engine_in_one_page.py"


def test_the_lesson_has_the_same_digits(capsys):
    found = runpy.run_path(str(PAGE))["main"]()

    x, y_true = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([1.0, 2.0])
    w = torch.tensor([0.4, 1.6], requires_grad=True)
    told = []
    for step in range(3):
        loss = ((x @ w - y_true) ** 2).mean()
        loss.backward()
        told.append(f"step {step}: loss {loss.item():.6f}, w.grad {w.grad.numpy()}")
        w.data -= 0.01 * w.grad
        w.grad = None
    np.testing.assert_array_equal(found, w.detach().numpy())
    assert capsys.readouterr().out.splitlines() == told


def test_a_value_used_twice_gathers_both_gradients():
    page = runpy.run_path(str(PAGE))
    x = page["Tensor"]([0.5, 2.0], requires_grad=True)
    ((x * x).sin() + x * 3.0).mean().backward()
    expected = (np.cos(np.float32([0.25, 4.0])) * np.float32([1.0, 4.0]) + 3) / 2
    np.testing.assert_allclose(x.grad, expected, rtol=1e-6)
