"""A script as users write it, with the types that checkers find in it. `mypy` checks this file; nobody runs it."""

from typing import Any, assert_type

import funcgrad.torch as torch
from funcgrad.torch import nn
from funcgrad.torch.nn import functional as F
from funcgrad.torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
x, y_true = torch.rand(2, 2), torch.rand(2)
w = torch.rand(2, requires_grad=True)
assert_type(w, torch.Tensor)
y_pred = x @ w
assert_type(y_pred, torch.Tensor)
loss = ((y_pred - y_true) ** 2).mean()
loss.backward()
assert_type(loss, torch.Tensor)
assert_type(w.grad, torch.Tensor | None)
assert w.grad is not None
w.data -= 0.1 * w.grad
with torch.no_grad():
    w -= 0.1 * w.grad
w.grad.zero_()

rows = torch.zeros(3, 4, dtype=torch.float64).view(2, -1)
assert_type(rows.sum(dim=1, keepdim=True), torch.Tensor)
assert_type(rows.shape, torch.Size)
assert_type(rows.permute(1, 0).reshape((4, 3)).expand(2, 4, 3), torch.Tensor)
assert_type(1 - rows.exp().clamp(min=0), torch.Tensor)
assert_type((rows > 0).any(), torch.Tensor)
assert_type(torch.stack([rows, rows]), torch.Tensor)
assert_type(torch.linalg.vector_norm(rows), torch.Tensor)
values, places = rows.topk(2)
double: torch.dtype = torch.double


class Net(nn.Module):
    """Two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(2, 4)
        self.out = nn.Linear(4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """One number a row."""
        return self.out(F.relu(self.hidden(x))).squeeze(-1)


net = Net()
optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
for batch, target in DataLoader(TensorDataset(x, y_true), batch_size=1, shuffle=True):
    optimizer.zero_grad()
    F.mse_loss(net(batch), target).backward()
    optimizer.step()


class Square(torch.autograd.Function):
    """With a derivative of its own."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        """The square."""
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
        """Its derivative."""
        (x,) = ctx.saved_tensors
        return 2 * x * grad


Square.apply(w).sum().backward()

w.no_such_name()  # type: ignore[attr-defined]
torch.ones(2).sum(keep_dim=True)  # type: ignore[call-arg]
nn.Linear(2, "3")  # type: ignore[arg-type]
