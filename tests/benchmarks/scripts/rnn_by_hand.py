"""A recurrent net written by hand, on pieces of a sine of different lengths."""

import torch

torch.manual_seed(0)
hidden = 16
wx = (torch.randn(1, hidden) * 0.3).requires_grad_()
wh = (torch.randn(hidden, hidden) * 0.3).requires_grad_()
wo = (torch.randn(hidden, 1) * 0.3).requires_grad_()
for step in range(120):
    length = 5 + step % 12
    start = torch.rand(1).item() * 6
    sine = torch.sin(start + 0.3 * torch.arange(length + 1, dtype=torch.float32))
    h = torch.zeros(1, hidden)
    loss = 0.0
    for k in range(length):
        h = torch.tanh(sine[k].view(1, 1) @ wx + h @ wh)
        loss = loss + ((h @ wo).squeeze() - sine[k + 1]) ** 2
    loss = loss / length
    loss.backward()
    with torch.no_grad():
        for each in (wx, wh, wo):
            each -= 0.05 * each.grad
            each.grad = None
    if step % 30 == 29:
        print(step, f"{loss.item():.5f}")
