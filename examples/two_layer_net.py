"""A net of two layers by hand: a hidden layer lets a linear model bend.

    python examples/two_layer_net.py

It learns the sign of a product, which no line can separate (the "exclusive or"). One idea: the same loop as for a line, with
more leaves; the chain rule goes through `tanh` by itself.
"""

import funcgrad.torch as torch

torch.manual_seed(0)
x = 2 * torch.rand(200, 2) - 1
y_true = (x[:, 0] * x[:, 1] > 0).float()

w1, b1 = torch.randn(2, 8, requires_grad=True), torch.zeros(8, requires_grad=True)
w2, b2 = torch.randn(8, requires_grad=True), torch.zeros((), requires_grad=True)
leaves = (w1, b1, w2, b2)


def predict(x):
    return torch.tanh(x @ w1 + b1) @ w2 + b2


for step in range(601):
    loss = ((predict(x) - y_true) ** 2).mean()
    loss.backward()
    with torch.no_grad():
        for leaf in leaves:
            leaf -= 0.2 * leaf.grad
            leaf.grad = None
    if step % 150 == 0:
        print(f"step {step:3}: loss {loss.item():.4f}")

right = ((predict(x) > 0.5).float() == y_true).float().mean().item()
print(f"right for {right:.0%} of the points; a line would be right for about half")
assert right > 0.9
