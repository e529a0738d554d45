"""The regression as one writes it for PyTorch; which `torch` it runs on is its argument.

PyTorch and `funcgrad.torch` are given the very same source: that they both run it is the point.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np

from funcgrad.compare.problem import Parameters, Problem
from funcgrad.compare.session import Session


def prepare(torch: Any, device: str, problem: Problem) -> Session:
    """Place the data on a device, and return the session that trains there.

    Args:
        torch: the module, PyTorch's or ours.
        device: its name of the device.
        problem: the problem to train on.
    """
    x = torch.tensor(problem.x, device=device)
    y = torch.tensor(problem.y, device=device)

    def parameters(start: Parameters) -> tuple[Any, Any]:
        weights = torch.tensor(start.weights, device=device, requires_grad=True)
        bias = torch.tensor(start.bias, device=device, requires_grad=True)
        return weights, bias

    def walk() -> Iterator[tuple[Any, Any]]:
        """The parameters after each step, without end; each step changes them in place."""
        weights, bias = parameters(problem.initial)
        optimizer = problem.optimizer.pytorch(torch, [weights, bias], problem.learning_rate)
        while True:
            optimizer.zero_grad()
            loss = mean_squared_error(weights, bias, x, y)
            loss.backward()
            optimizer.step()
            yield weights, bias

    def train(steps: int) -> Parameters:
        return _numpy(next(islice(walk(), steps - 1, None)))

    def along(every: int, count: int) -> list[Parameters]:
        return [_numpy(each) for each in islice(walk(), every - 1, every * count, every)]

    def value_and_grad(params: Parameters) -> tuple[float, Parameters]:
        weights, bias = parameters(params)
        loss = mean_squared_error(weights, bias, x, y)
        loss.backward()
        return loss.item(), _numpy((weights.grad, bias.grad))

    return Session(train, value_and_grad, along)


def mean_squared_error(weights: Any, bias: Any, x: Any, y: Any) -> Any:
    """Return the loss of a linear model, given tensors."""
    return ((x @ weights + bias - y) ** 2).mean()


def _numpy(tensors: Iterable[Any]) -> Parameters:
    """Copies on the host: PyTorch's arrays share the memory of a tensor that later steps change."""
    return Parameters(*(np.array(each.detach().cpu().numpy()) for each in tensors))
