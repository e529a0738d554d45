"""A perceptron of two layers trained by `torch.optim.Adam` on two spirals."""

import torch

torch.manual_seed(0)
t = torch.linspace(0, 6, 100)
arms = [torch.stack([t * torch.cos(t + s), t * torch.sin(t + s)], 1) for s in (0.0, 3.14)]
x = torch.cat(arms) / 6
y = torch.cat([torch.zeros(100), torch.ones(100)])
shapes = [(2, 32), (32,), (32, 1), (1,)]
parameters = [(0.5 * torch.randn(shape)).requires_grad_() for shape in shapes]
optimizer = torch.optim.Adam(parameters, lr=0.02)
for step in range(500):
    w1, b1, w2, b2 = parameters
    logits = (torch.tanh(x @ w1 + b1) @ w2 + b2).squeeze(1)
    loss = torch.log1p(torch.exp(-(2 * y - 1) * logits)).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 100 == 99:
        print(step, f"{loss.item():.4f}")
