"""The benchmarks' cases: each is one source, which takes PyTorch or `funcgrad.torch` as its module."""

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


def watched(torch: Any, rows: int = 100, columns: int = 10) -> Run:
    """The lesson's step under a rate that decays, with a look at the loss in every step."""
    torch.manual_seed(0)
    x = torch.rand(rows, columns)
    y_true = torch.rand(rows)
    w = torch.rand(columns, requires_grad=True)
    done = 0

    def run(iterations: int) -> Any:
        nonlocal done
        losses = []
        for _ in range(iterations):
            done += 1
            loss = ((x @ w - y_true) ** 2).mean()
            loss.backward()
            w.data -= 0.1 / (1 + 0.001 * done) * w.grad
            w.grad = None
            losses.append(loss.item())
        return losses

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


def trained(torch: Any, model: Any, optimizer: Any, loss_function: Any, x: Any, y: Any) -> Run:
    """The loop that everybody writes around a module and an optimizer."""

    def run(iterations: int) -> Any:
        for _ in range(iterations):
            optimizer.zero_grad()
            loss = loss_function(model(x), y)
            loss.backward()
            optimizer.step()
        return loss.item()

    return run


def logistic(torch: Any) -> Run:
    """Logistic regression by `nn.Linear` and `optim.SGD`, 100x10."""
    torch.manual_seed(0)
    x = torch.rand(100, 10)
    y = (x.sum(1, keepdim=True) > 5).float()
    model = torch.nn.Sequential(torch.nn.Linear(10, 1), torch.nn.Sigmoid())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return trained(torch, model, optimizer, torch.nn.BCELoss(), x, y)


def perceptron_of_modules(torch: Any) -> Run:
    """Two layers, 64-100-10, batch 64, by `nn` and `optim.Adam`."""
    torch.manual_seed(0)
    nn = torch.nn
    x, y = torch.rand(64, 64), torch.rand(64, 10)
    model = nn.Sequential(nn.Linear(64, 100), nn.ReLU(), nn.Linear(100, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    return trained(torch, model, optimizer, nn.MSELoss(), x, y)


def convolutions(torch: Any) -> Run:
    """A small convolutional network, batch 32, 28x28, two convolutions."""
    torch.manual_seed(0)
    nn = torch.nn
    x, y = torch.rand(32, 1, 28, 28), torch.arange(32) % 10
    model = nn.Sequential(
        *(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(16 * 7 * 7, 10)),
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    return trained(torch, model, optimizer, nn.CrossEntropyLoss(), x, y)


def recurrent(torch: Any) -> Run:
    """An LSTM with 32 hidden units over 50 steps, batch 16."""
    torch.manual_seed(0)
    nn = torch.nn
    x, y = torch.rand(16, 50, 8), torch.rand(16, 1)

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(8, 32, batch_first=True)
            self.head = nn.Linear(32, 1)

        def forward(self, x: Any) -> Any:
            states, _ = self.lstm(x)
            return self.head(states[:, -1])

    model = Model()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    return trained(torch, model, optimizer, nn.MSELoss(), x, y)


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
    Case("lesson's step, 100,000x100", lambda torch: lesson(torch, 100_000, 100, 0.01), 0.7, 3, 30),
    Case("loss looked at, rate decays, 100x10", watched, 0.7, 200, 2000),
    Case("perceptron 64-100-10, batch 64", perceptron, 0.7, 50, 1200),
    Case("graph that differs every iteration", changing_graph, 1.0, 20, 60),
    Case("chain of 10,000 ops", chain, 1.0, 1, 4),
    Case("gradient of a gradient, 3 levels", gradient_of_gradient, 0.7, 20, 400),
    Case("nn: logistic regression, SGD, 100x10", logistic, 0.8, 50, 1200),
    Case("nn: perceptron 64-100-10, Adam", perceptron_of_modules, 0.8, 50, 1200),
    Case("nn: two convolutions, 32x28x28", convolutions, 0.8, 5, 100),
    Case("nn: LSTM, 50 steps, batch 16", recurrent, 0.8, 5, 100),
)
