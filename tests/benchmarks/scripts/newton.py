"""Newton's method by a gradient of a gradient."""

import torch

x = torch.linspace(0.5, 3.0, 30, requires_grad=True)
for step in range(30):
    value = (x.exp() - 3 * x**2).sum()
    (slope,) = torch.autograd.grad(value, x, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), x)
    with torch.no_grad():
        x -= 0.5 * slope / curvature.abs().clamp(min=1.0)
    if step % 10 == 9:
        print(step, f"{value.item():.5f}", f"{slope.abs().max().item():.2e}")
print(x[:5])
