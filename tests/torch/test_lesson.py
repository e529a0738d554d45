"""The lesson, with only its import changed, prints what PyTorch prints."""

import re
import subprocess
import sys

import numpy as np
import pytest

LESSON = """
import {module} as torch

torch.manual_seed({seed})
x = torch.rand(2, 2)
y_true = torch.rand(2)
w = torch.rand(2, requires_grad=True)
print(x, y_true, w)

y_pred = x @ w
print(y_pred, y_pred.grad_fn, y_pred.requires_grad)
squares = (y_pred - y_true) ** 2
print(squares, squares.grad_fn)
loss = squares.mean()
print(loss, loss.grad_fn, loss.item())
print(w.grad)
loss.backward()
print(w.grad)
w.data -= w.grad
print(w, w.is_leaf)
y_pred = x @ w
new_loss = ((y_pred - y_true) ** 2).mean()
print(new_loss, new_loss.item() < loss.item())
new_loss.backward()
print(w.grad)
with torch.no_grad():
    print((x @ w).requires_grad, y_pred.detach())
for _ in range(20):
    w.grad = None
    loss = (x @ w - y_true).pow(2).mean()
    loss.backward()
    w.data -= 0.1 * w.grad
print(w, loss)
"""


SEEDS = [0, 7, 2024]


@pytest.fixture(scope="module")
def printed():
    """The lines that the lesson prints on the shim, by seed, in one process where no PyTorch can be imported."""
    lessons = [LESSON.format(module="funcgrad.torch", seed=seed) for seed in SEEDS]
    script = "\nprint('NEXT')\n".join(["import sys; sys.modules['torch'] = None", *lessons])
    command = [sys.executable, "-c", script]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(zip(SEEDS, without_addresses(run.stdout).split("NEXT\n")[1:], strict=True))


def without_addresses(text):
    return re.sub(r" object at 0x[0-9a-f]+", "", text)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_lesson_prints_what_pytorch_prints(torch, printed, seed, capsys):
    exec(LESSON.format(module="torch", seed=seed), {})
    assert printed[seed] == without_addresses(capsys.readouterr().out)


def test_the_lesson_needs_no_pytorch(printed):
    # The digits that the lesson is known by: PyTorch 2.13, seed 0.
    assert "tensor([0.2681, 0.4174])" in printed[0]


def test_the_gradient_is_the_one_worked_out_by_hand():
    import funcgrad.torch as torch

    x = [[1.0, 2.0], [3.0, 4.0]]
    y, w = [1.0, 2.0], [0.5, -0.5]
    weights = torch.tensor(w, requires_grad=True)
    loss = ((torch.tensor(x) @ weights - torch.tensor(y)) ** 2).mean()
    loss.backward()
    # x @ w = (-0.5, -0.5), residuals (-1.5, -2.5), loss (2.25 + 6.25) / 2,
    # gradient 2/2 * (-1.5 * (1, 2) - 2.5 * (3, 4)): all exact in binary.
    assert loss.item() == 4.25
    np.testing.assert_array_equal(weights.grad.numpy(), [-9.0, -13.0])
