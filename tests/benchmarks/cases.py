"""What the benchmarks run: each case is one source, which takes PyTorch or `funcgrad.torch` as its module."""

from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

Run = Callable[[int], Any]
"""Does so many iterations, and returns once their result has been looked at."""

CHANGING_OPS = ("sin", "cos", "tanh", "sigmoid", "relu", "neg", "times w", "plus w", "halved")

FRESH_PROCESS = """
import {module} as torch

torch.manual_seed(0)
x = torch.rand(2, 2)
y_true = torch.rand(2)
w = torch.rand(2, requires_grad=True)
print(x, y_true, w)

y_pred = x @ w
print(y_pred, y_pred.grad_fn)
loss = ((y_pred - y_true) ** 2).mean()
print(loss, loss.item())
print(w.grad)
loss.backward()
print(w.grad)
w.data -= w.grad
print(w)
new_loss = ((x @ w - y_true) ** 2).mean()
print(new_loss.item() < loss.item())
for _ in range(100):
    w.grad = None
    loss = ((x @ w - y_true) ** 2).mean()
    loss.backward()
    w.data -= 0.1 * w.grad
print(w, loss)
"""


def lesson(torch: Any, rows: int, columns: int, rate: float | None = None) -> Run:
    """The lesson's step: prediction, loss, backward, update; with a rate where it would diverge without."""
    torch.manual_seed(0)
    x = torch.rand(rows, columns)
    y_true = torch.rand(rows)
    w = torch.rand(columns, requires_grad=True)

    def run(iterations: int) -> Any:
        for _ in range(iterations):
            y_pred = x @ w
            loss = ((y_pred - y_true) ** 2).mean()
            loss.backward()
            w.data -= w.grad if rate is None else rate * w.grad
            w.grad = None
        return w.detach().numpy()

    return run


def perceptron(torch: Any) -> Run:
    """Two layers, 64-100-10, batch 64, stochastic gradient descent written by hand."""
    torch.manual_seed(0)
    x, y_true = torch.rand(64, 64), torch.rand(64, 10)
    w1, b1 = torch.rand(64, 100) * 0.1, torch.zeros(100)
    w2, b2 = torch.rand(100, 10) * 0.1, torch.zeros(10)
    parameters = [each.detach().requires_grad_() for each in (w1, b1, w2, b2)]

    def run(iterations: int) -> Any:
        w1, b1, w2, b2 = parameters
        for _ in range(iterations):
            hidden = torch.relu(x @ w1 + b1)
            loss = ((hidden @ w2 + b2 - y_true) ** 2).mean()
            loss.backward()
            with torch.no_grad():
                for parameter in parameters:
                    parameter -= 0.01 * parameter.grad
                    parameter.grad = None
        return parameters[0].detach().numpy()

    return run


def changing_graph(torch: Any, deepest: int = 30, length: int = 100) -> Run:
    """A graph that differs every iteration: random depth, random ops, the same sequence for every module."""
    torch.manual_seed(0)
    random = Random(0)
    x, w = torch.rand(length), torch.rand(length, requires_grad=True)

    def apply(op: str, h: Any) -> Any:
        if op == "times w":
            return h * w
        if op == "plus w":
            return h + w
        return h * 0.5 if op == "halved" else getattr(torch, op)(h)

    def run(iterations: int) -> Any:
        for _ in range(iterations):
            h = x * w
            for op in random.choices(CHANGING_OPS, k=random.randint(1, deepest)):
                h = apply(op, h)
            h.sum().backward()
            w.data -= 0.01 * w.grad
            w.grad = None
        return w.detach().numpy()

    return run


def chain(torch: Any, ops: int = 10_000, length: int = 10) -> Run:
    """A chain of ops, forward and backward."""
    torch.manual_seed(0)
    w = torch.rand(length, requires_grad=True)

    def run(iterations: int) -> Any:
        for _ in range(iterations):
            w.grad = None
            h = w
            for _ in range(ops // 2):
                h = torch.sin(h)
                h = h * 1.01
            h.sum().backward()
        return w.grad.numpy()

    return run


def gradient_of_gradient(torch: Any, levels: int = 3, length: int = 1000) -> Run:
    """The gradient of the gradient of the gradient."""
    torch.manual_seed(0)
    x = torch.rand(length, requires_grad=True)

    def run(iterations: int) -> Any:
        kept = []  # so that no module may leave one out
        for _ in range(iterations):
            y = torch.sin(x) * x**3
            for _ in range(levels):
                (y,) = torch.autograd.grad(y.sum(), x, create_graph=True)
            kept.append(y.detach())
        return [each.numpy() for each in kept]

    return run


class Case(NamedTuple):
    """A row of the table.

    Attributes:
        name: as the table says it.
        make: given the module, makes what runs.
        target: the largest ratio of times wanted, ours to PyTorch's.
        iterations: how many make one timing.
        warm_up: how many go before the first timing.
    """

    name: str
    make: Callable[[Any], Run]
    target: float
    iterations: int
    warm_up: int


CASES = (
    Case("lesson's step, 2x2", lambda torch: lesson(torch, 2, 2), 0.7, 200, 2000),
    Case("lesson's step, 1,000x10", lambda torch: lesson(torch, 1000, 10, 0.01), 0.7, 200, 2000),
    Case("lesson's step, 100,000x100", lambda torch: lesson(torch, 100_000, 100, 0.01), 0.6, 3, 30),
    Case("perceptron 64-100-10, batch 64", perceptron, 0.7, 50, 1200),
    Case("graph that differs every iteration", changing_graph, 3.0, 20, 60),
    Case("chain of 10,000 ops", chain, 2.0, 1, 4),
    Case("gradient of a gradient, 3 levels", gradient_of_gradient, 1.0, 20, 400),
)
