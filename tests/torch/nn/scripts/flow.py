# A normalizing flow of coupling layers on two moons by hand; masks in buffers, log-determinants.
import math

import torch
import torch.nn as nn

torch.manual_seed(31)


class Coupling(nn.Module):
    def __init__(self, mask, hidden=8):
        super().__init__()
        self.register_buffer("mask", mask)
        self.s = nn.Sequential(
            nn.Linear(2, hidden), nn.LeakyReLU(), nn.Linear(hidden, 2), nn.Tanh()
        )
        self.t = nn.Sequential(nn.Linear(2, hidden), nn.LeakyReLU(), nn.Linear(hidden, 2))

    def forward(self, x):
        x_ = x * self.mask
        s = self.s(x_) * (1 - self.mask)
        t = self.t(x_) * (1 - self.mask)
        return x_ + (1 - self.mask) * (x * torch.exp(s) + t), s.sum(dim=1)

    def inverse(self, y):
        y_ = y * self.mask
        s = self.s(y_) * (1 - self.mask)
        t = self.t(y_) * (1 - self.mask)
        return y_ + (1 - self.mask) * ((y - t) * torch.exp(-s))


class Flow(nn.Module):
    def __init__(self, n=4):
        super().__init__()
        masks = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).repeat(n // 2, 1)
        self.layers = nn.ModuleList(Coupling(m) for m in masks)

    def forward(self, x):
        log_det = x.new_zeros(x.shape[0])
        for layer in self.layers:
            x, ld = layer(x)
            log_det += ld
        return x, log_det

    def sample(self, n):
        z = torch.randn(n, 2)
        for layer in reversed(self.layers):
            z = layer.inverse(z)
        return z


theta = torch.rand(64) * math.pi
data = torch.stack([theta.cos(), theta.sin()], dim=-1)
data[32:] = torch.stack([1 - theta[32:].cos(), 0.5 - theta[32:].sin()], -1)
data += 0.05 * torch.randn_like(data)
flow = Flow()
optimizer = torch.optim.Adam(flow.parameters(), lr=1e-2)
for epoch in range(6):
    z, log_det = flow(data)
    log_prob = -0.5 * (z**2).sum(1) - math.log(2 * math.pi) + log_det
    loss = -log_prob.mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(f"epoch {epoch} nll {loss:.4f}")
with torch.no_grad():
    z, _ = flow(data)
    x = z
    for layer in reversed(flow.layers):
        x = layer.inverse(x)
    print(torch.allclose(x, data, atol=1e-5), flow.sample(3).shape, len(list(flow.buffers())))
