"""A cubic fitted to a sine, with an op of one's own: its forward and its backward written by hand.

    python examples/polynomial_sine.py

The cubic is a + b P3(c + d x) with the Legendre polynomial P3(t) = (5 t³ - 3 t) / 2. One idea: `torch.autograd.Function`
takes a derivative that you know, and `gradcheck` proves it against differences.
"""

import math

import funcgrad.torch as torch


class LegendreP3(torch.autograd.Function):
    @staticmethod
    def forward(ctx, t):
        ctx.save_for_backward(t)
        return (5 * t**3 - 3 * t) / 2

    @staticmethod
    def backward(ctx, gradient):
        (t,) = ctx.saved_tensors
        return gradient * (15 * t**2 - 3) / 2


p3 = LegendreP3.apply
assert torch.autograd.gradcheck(p3, torch.linspace(-1, 1, 5, dtype=torch.float64).requires_grad_())

x = torch.linspace(-math.pi, math.pi, 200)
y_true = torch.sin(x)
a, b, c, d = (torch.tensor(value, requires_grad=True) for value in (0.0, -1.0, 0.0, 0.3))
for step in range(1501):
    loss = ((a + b * p3(c + d * x) - y_true) ** 2).mean()
    loss.backward()
    with torch.no_grad():
        for each in (a, b, c, d):
            each -= 0.01 * each.grad
            each.grad = None
    if step % 500 == 0:
        print(f"step {step:4}: loss {loss.item():.5f}")
print(f"sin x is close to {a.item():.3f} + {b.item():.3f} P3({c.item():.3f} + {d.item():.3f} x)")
assert loss.item() < 0.006
