# A layer of one's own with parameters, a buffer and an extra_repr; saved and loaded.
import math

import torch
import torch.nn as nn


class MyLinear(nn.Module):
    def __init__(self, n_in, n_out):
        super().__init__()
        self.n_in, self.n_out = n_in, n_out
        self.weight = nn.Parameter(torch.empty(n_out, n_in))
        self.bias = nn.Parameter(torch.zeros(n_out))
        self.scale = nn.Parameter(torch.tensor(1.0))
        self.register_buffer("calls", torch.tensor(0))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))

    def forward(self, x):
        self.calls += 1
        return self.scale * (x @ self.weight.t() + self.bias)

    def extra_repr(self):
        return f"n_in={self.n_in}, n_out={self.n_out}"


class Residual(nn.Module):
    def __init__(self, size, depth):
        super().__init__()
        self.blocks = nn.ModuleList([MyLinear(size, size) for _ in range(depth)])
        self.heads = nn.ModuleDict({"mean": nn.Linear(size, 1), "std": nn.Linear(size, 1)})

    def forward(self, x):
        for block in self.blocks:
            x = x + torch.tanh(block(x))
        return self.heads["mean"](x), nn.functional.softplus(self.heads["std"](x))


torch.manual_seed(12)
model = Residual(3, 2)
print(model)
x, y = torch.randn(20, 3), torch.randn(20, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
for _ in range(10):
    mean, std = model(x)
    loss = nn.functional.gaussian_nll_loss(mean, y, std**2)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"{loss.item():.4f}", model.blocks[0].calls, model.blocks[1].scale)
for name, tensor in model.state_dict().items():
    print(name, tuple(tensor.shape), tensor.dtype)
other = Residual(3, 2)
print(other.load_state_dict(model.state_dict()))
print((other(x)[0] == model(x)[0]).all().item())
try:
    Residual(3, 3).load_state_dict(model.state_dict())
except RuntimeError as error:
    print(error)
