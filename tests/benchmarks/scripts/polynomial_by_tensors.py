"""A polynomial fitted to a sine, its gradients written by hand."""

import math

import torch

torch.manual_seed(0)
x = torch.linspace(-math.pi, math.pi, 2000)
y = torch.sin(x)
a, b, c, d = torch.randn(()), torch.randn(()), torch.randn(()), torch.randn(())
for t in range(2000):
    y_pred = a + b * x + c * x**2 + d * x**3
    loss = (y_pred - y).pow(2).sum().item()
    if t % 500 == 499:
        print(t, loss)
    slope = 2.0 * (y_pred - y)
    a -= 1e-6 * slope.sum()
    b -= 1e-6 * (slope * x).sum()
    c -= 1e-6 * (slope * x**2).sum()
    d -= 1e-6 * (slope * x**3).sum()
print(f"y = {a.item():.4f} + {b.item():.4f} x + {c.item():.4f} x^2 + {d.item():.4f} x^3")
