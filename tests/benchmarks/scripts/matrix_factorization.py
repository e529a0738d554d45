"""Ratings completed by factors of low rank, over the known ones."""

import torch

torch.manual_seed(0)
users, films, rank = 60, 40, 4
true = torch.randn(users, rank) @ torch.randn(rank, films)
known = torch.rand(users, films) < 0.4
u = (0.3 * torch.randn(users, rank)).requires_grad_()
v = (0.3 * torch.randn(films, rank)).requires_grad_()
for step in range(400):
    difference = (u @ v.t() - true)[known]
    loss = (difference**2).mean() + 1e-3 * (u.pow(2).mean() + v.pow(2).mean())
    loss.backward()
    with torch.no_grad():
        u -= 4.0 * u.grad
        v -= 4.0 * v.grad
    u.grad, v.grad = None, None
    if step % 100 == 99:
        print(step, f"{loss.item():.4f}")
