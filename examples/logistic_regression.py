"""Logistic regression: the derivative of a loss of probabilities, by `.backward()` and by `jax.grad`.

    python examples/logistic_regression.py

Two clouds of points, a line between them. One idea: the model predicts a number z, and the loss of the label y is
softplus(z) - y z, the negative logarithm of the probability that the model gives to y.
"""

import jax
import jax.numpy as jnp

import funcgrad.torch as torch
from funcgrad.compare import parity

torch.manual_seed(0)
y = (torch.arange(100) % 2).float()
x = torch.cat(
    [torch.randn(100, 2) + 2 * y[:, None], torch.ones(100, 1)], dim=1
)  # the last column is the bias's


def loss_of(w, x, y):
    z = x @ w
    return torch.mean(torch.nn.functional.softplus(z) - y * z)


def jax_loss_of(w, x, y):
    z = x @ w
    return jnp.mean(jax.nn.softplus(z) - y * z)


w = torch.zeros(3, requires_grad=True)
for step in range(200):
    w.grad = None
    loss = loss_of(w, x, y)
    loss.backward()
    with torch.no_grad():
        w -= 0.5 * w.grad
    if step % 50 == 0:
        print(f"step {step:3}: loss {loss.item():.4f}")

right = ((x @ w > 0).float() == y).float().mean().item()
print(f"w = {w.tolist()}\nright for {right:.0%} of the points")
assert right > 0.85

report = parity(loss_of, jax_loss_of, *(each.detach().numpy() for each in (w, x, y)))
print(report)
report.assert_ok()
