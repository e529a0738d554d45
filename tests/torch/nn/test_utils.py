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
    "net = Net(); p = {n: torch.zeros_like(v) for n, v in net.named_parameters()}; print(torch.func.functional_call(net, p, (torch.ones(1, 3),)), net(torch.ones(1, 3)), net.first)",
    "net = nn.Linear(2, 1); p = {n: v.detach() for n, v in net.named_parameters()}; g = torch.func.grad(lambda p, x: torch.func.functional_call(net, p, (x,)).sum())(p, torch.ones(3, 2)); print(g['weight'], g['bias'])",
]


@pytest.mark.parametrize("text", PROGRAMS)
def test_a_program_with_utils_prints_what_it_prints_on_pytorch(text):
    assert_prints_the_same(text)
