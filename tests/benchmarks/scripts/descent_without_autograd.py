"""Gradient descent on a line, its gradient written by hand, with momentum and a rate that decays."""

import torch

torch.manual_seed(0)
x = torch.randn(200, 5)
y = x @ torch.tensor([1.0, -2.0, 3.0, 0.5, 0.0]) + 0.1 * torch.randn(200)
w, velocity, rate = torch.zeros(5), torch.zeros(5), 0.1
for step in range(1000):
    error = x @ w - y
    velocity = 0.9 * velocity + 2 * x.t() @ error / len(y)
    w = w - rate * velocity
    rate *= 0.999
    if step % 250 == 249:
        print(step, f"{(error**2).mean().item():.6f}")
print(w)
