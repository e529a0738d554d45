"""The regression as one writes it for PyTorch; which `torch` it runs on is its argument.

PyTorch and `funcgrad.torch` are given the very same source: that they both run it is the point.
"""

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

    def train(steps: int) -> Parameters:
        weights, bias = parameters(problem.initial)
        optimizer = problem.optimizer.pytorch(torch, [weights, bias], problem.learning_rate)
        for _ in range(steps):
            optimizer.zero_grad()
            loss = ((x @ weights + bias - y) ** 2).mean()
            loss.backward()
            optimizer.step()
        return Parameters(_numpy(weights), _numpy(bias))

    def value_and_grad(params: Parameters) -> tuple[float, Parameters]:
        weights, bias = parameters(params)
        loss = ((x @ weights + bias - y) ** 2).mean()
        loss.backward()
        return loss.item(), Parameters(_numpy(weights.grad), _numpy(bias.grad))

    return Session(train, value_and_grad)


def _numpy(tensor: Any) -> np.ndarray:
    return tensor.detach().cpu().numpy()
