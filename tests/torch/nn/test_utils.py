"""`nn.utils` and `functional_call` on modules do what PyTorch's do."""

import pytest

from tests.torch.nn.sources import assert_prints_the_same

GRADIENTS = """
net = Net()
net(torch.ones(2, 3)).square().sum().backward()
u = nn.utils
"""
PROGRAMS = [
    GRADIENTS + "print(u.clip_grad_norm_(net.parameters(), 1.0)); print(net.first.bias.grad)",
    GRADIENTS
    + "print(u.clip_grad_norm_(net.parameters(), 100.0, norm_type=1)); print(net.first.bias.grad)",
    GRADIENTS
    + "print(u.clip_grad_norm_(net.first.bias, 0.5, float('inf'))); print(net.first.bias.grad)",
    GRADIENTS + "print(u.clip_grad_norm_((p for p in []), 1.0))",
    GRADIENTS + "print(u.clip_grad_norm_([], 1.0))",
    GRADIENTS
    + "net.first.bias.grad[0] = float('nan'); u.clip_grad_norm_(net.parameters(), 1.0, error_if_nonfinite=True)",
    GRADIENTS
    + "u.clip_grad_value_(net.parameters(), 0.1); print(net.first.bias.grad, net.second.weight.grad)",
    GRADIENTS
    + "u.clip_grad_value_(net.first.weight, 0.1); print(net.first.weight.grad, net.first.bias.grad)",
    GRADIENTS + "print(u.clip_grad_norm(net.parameters(), 1.0))",
    GRADIENTS + "print(u.get_total_norm([torch.ones(3), torch.ones(1)]))",
    GRADIENTS
    + "n = u.get_total_norm([p.grad for p in net.parameters()]); u.clip_grads_with_norm_(net.parameters(), 0.1, n); print(net.first.bias.grad)",
    GRADIENTS
    + "v = u.parameters_to_vector(net.parameters()); print(v.shape, v.grad_fn.name(), v[:3])",
    GRADIENTS
    + "v = u.parameters_to_vector(net.parameters()); u.vector_to_parameters(v.detach() * 0 + 1, net.parameters()); print(net.first.bias, net.second.weight.shape, net.first.bias.is_leaf)",
    GRADIENTS + "u.vector_to_parameters([1.0], net.parameters())",
    "for s in (2, 3, 5): m = nn.CrossMapLRN2d(s, alpha=0.5, k=2); print(m, m(torch.arange(56.0).sin().reshape(2, 7, 2, 2)))",
    """
for conv, bn, shape in (
    (nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), (2, 2, 5, 5)),
    (nn.Conv1d(2, 4, 2, bias=False), nn.BatchNorm1d(4, affine=False), (2, 2, 5)),
    (nn.ConvTranspose2d(2, 3, 3), nn.BatchNorm2d(3), (2, 2, 5, 5)),
):
    x = torch.randn(shape)
    bn(conv(x))
    fused = nn.utils.fuse_conv_bn_eval(conv.eval(), bn.eval(), isinstance(conv, nn.ConvTranspose2d))
    print(fused, torch.allclose(fused(x), bn(conv(x)), atol=1e-5), fused.bias)
""",
    """
linear, bn = nn.Linear(3, 4), nn.BatchNorm1d(4)
bn(linear(torch.randn(5, 3)))
print(nn.utils.fuse_linear_bn_eval(linear.eval(), bn.eval()).weight)
nn.utils.fuse_linear_bn_eval(nn.Linear(3, 2).eval(), bn)
""",
    "nn.utils.fuse_conv_bn_eval(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3).eval())",
    """
x, y = torch.zeros(2), torch.ones(3, requires_grad=True)
(y * 2).sum().backward()
x.label = "x"
torch.utils.swap_tensors(x, y)
(x * 3).sum().backward()
print(x, y, x.grad, y.grad, y.label, hasattr(x, "label"))
layer = nn.Linear(2, 2)
weight = layer.weight
torch.utils.swap_tensors(layer.weight, nn.Parameter(torch.full((2, 2), 2.0)))
layer(torch.ones(1, 2)).sum().backward()
print(layer.weight is weight, weight, weight.grad)
""",
    "net = Net(); p = {n: torch.zeros_like(v) for n, v in net.named_parameters()}; print(torch.func.functional_call(net, p, (torch.ones(1, 3),)), net(torch.ones(1, 3)), net.first)",
    "net = nn.Linear(2, 1); p = {n: v.detach() for n, v in net.named_parameters()}; g = torch.func.grad(lambda p, x: torch.func.functional_call(net, p, (x,)).sum())(p, torch.ones(3, 2)); print(g['weight'], g['bias'])",
]


@pytest.mark.parametrize("text", PROGRAMS)
def test_a_program_with_utils_prints_what_it_prints_on_pytorch(text):
    assert_prints_the_same(text)
