"""A net whose depth the data decides."""

import torch

torch.manual_seed(0)
w = (torch.randn(8, 8) * 0.4).requires_grad_()
v = (torch.randn(8) * 0.4).requires_grad_()
for step in range(300):
    x = torch.rand(8)
    h = x
    depth = 0
    while h.norm() > 0.3 and depth < 6:
        h = torch.tanh(w @ h) if x.sum() > 4 else torch.relu(w @ h + x)
        depth += 1
    loss = (h @ v - x.mean()) ** 2
    loss.backward()
    with torch.no_grad():
        for each in (w, v):
            if each.grad is not None:
                each -= 0.05 * each.grad
                each.grad = None
    if step % 60 == 59:
        print(step, depth, f"{loss.item():.5f}")
