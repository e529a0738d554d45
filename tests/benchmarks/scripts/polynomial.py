"""A polynomial fitted to a sine, with autograd."""

import math

import torch

torch.manual_seed(0)
x = torch.linspace(-math.pi, math.pi, 2000)
y = torch.sin(x)
parameters = [torch.randn((), requires_grad=True) for _ in range(4)]
for t in range(2000):
    a, b, c, d = parameters
    y_pred = a + b * x + c * x**2 + d * x**3
    loss = (y_pred - y).pow(2).sum()
    if t % 500 == 499:
        print(t, loss.item())
    loss.backward()
    with torch.no_grad():
        for each in parameters:
            each -= 1e-6 * each.grad
            each.grad = None
