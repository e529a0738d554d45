"""A line fitted until the loss of held-out rows stops falling, which is looked at every step."""

import torch

torch.manual_seed(0)
x = torch.rand(100, 10)
y = x @ torch.arange(10.0) + 0.1 * torch.randn(100)
w = torch.zeros(10, requires_grad=True)
best, best_w, waited = float("inf"), None, 0
for step in range(2000):
    loss = ((x[:80] @ w - y[:80]) ** 2).mean()
    loss.backward()
    with torch.no_grad():
        w -= 0.02 * w.grad
        w.grad = None
        held_out = ((x[80:] @ w - y[80:]) ** 2).mean().item()
    if held_out < best - 1e-3:
        best, best_w, waited = held_out, w.detach().clone(), 0
    else:
        waited += 1
        if waited == 20:
            break
print(step, f"{best:.4f}", best_w)
