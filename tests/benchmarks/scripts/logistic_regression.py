"""Logistic regression in mini-batches, with the accuracy looked at every epoch."""

import torch

torch.manual_seed(1)
n = 1000
x = torch.randn(n, 2)
y = ((x[:, 0] + 2 * x[:, 1] + 0.3 * torch.randn(n)) > 0).float()
w = torch.zeros(2, requires_grad=True)
b = torch.zeros(1, requires_grad=True)
for epoch in range(20):
    order = torch.randperm(n)
    for start in range(0, n, 50):
        rows = order[start : start + 50]
        p = torch.sigmoid(x[rows] @ w + b)
        loss = -(y[rows] * torch.log(p) + (1 - y[rows]) * torch.log(1 - p)).mean()
        loss.backward()
        with torch.no_grad():
            w -= 0.5 * w.grad
            b -= 0.5 * b.grad
        w.grad.zero_()
        b.grad.zero_()
    with torch.no_grad():
        right = ((torch.sigmoid(x @ w + b) > 0.5).float() == y).float().mean()
    if epoch % 5 == 4:
        print(f"epoch {epoch}: loss {loss.item():.4f}, accuracy {right.item():.3f}")
