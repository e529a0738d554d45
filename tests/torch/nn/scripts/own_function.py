# Functions with derivatives of one's own inside modules: a binary weight passed straight through, and Swish.
import torch
import torch.nn as nn


class Binarize(torch.autograd.Function):
    @staticmethod
    def forward(ctx, input):
        ctx.save_for_backward(input)
        return input.sign()

    @staticmethod
    def backward(ctx, grad_output):
        (input,) = ctx.saved_tensors
        grad_input = grad_output.clone()
        grad_input[input.abs() > 1] = 0
        return grad_input


class SwishFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, i, beta=1.0):
        ctx.beta = beta
        ctx.save_for_backward(i)
        return i * torch.sigmoid(beta * i)

    @staticmethod
    def backward(ctx, grad_output):
        i = ctx.saved_tensors[0]
        s = torch.sigmoid(ctx.beta * i)
        return grad_output * (s * (1 + ctx.beta * i * (1 - s))), None


class BinaryLinear(nn.Linear):
    def forward(self, x):
        return nn.functional.linear(x, Binarize.apply(self.weight), self.bias)


class Swish(nn.Module):
    def forward(self, x):
        return SwishFunction.apply(x)


torch.manual_seed(2)
model = nn.Sequential(BinaryLinear(4, 8), Swish(), BinaryLinear(8, 1, bias=False))
print(model)
x = torch.randn(32, 4)
y = (x[:, :1] > 0).float()
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True)
for step in range(8):
    loss = nn.functional.binary_cross_entropy_with_logits(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        for m in model.modules():
            if isinstance(m, BinaryLinear):
                m.weight.clamp_(-1, 1)
    if step % 2 == 0:
        print(step, "%.4f" % loss.item(), model[0].weight.grad.norm())
print(model(x[:1]).grad_fn.name(), Swish()(x).shape)
print(
    torch.autograd.gradcheck(
        SwishFunction.apply, torch.randn(3, dtype=torch.double, requires_grad=True)
    )
)
