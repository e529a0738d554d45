"""`torch.autograd.graph`: nodes, gradient edges and multi-grad hooks: each program sees what it sees on PyTorch."""

import pytest

from tests.both_sides import assert_same


def leaf(torch):
    return torch.tensor([1.0, 2.0], requires_grad=True)


def multi_grad_hooks(torch, see):
    w, v = leaf(torch), leaf(torch)
    register = torch.autograd.graph.register_multi_grad_hook
    handle = register((w, v), lambda gradients: see("all", gradients))
    any_handle = register((w, v), lambda gradient: see("any", gradient), mode="any")
    (w * 2).sum().backward()
    (w * v).sum().backward()
    handle.remove()
    any_handle.remove()
    (w * v).sum().backward()


def multi_grad_hook_in_no_mode(torch, see):
    torch.autograd.graph.register_multi_grad_hook((leaf(torch),), see, mode="some")


def multi_grad_hook_without_grad(torch, see):
    torch.autograd.graph.register_multi_grad_hook((torch.ones(2),), see)


def node_interface(torch, see):
    w = leaf(torch)
    y = w * 2
    node = y.grad_fn
    see(node.name(), node.next_functions, node.next_functions[0][0].variable is w, node.metadata)
    node.metadata["note"] = 1
    see(y.grad_fn.metadata["note"], node is y.grad_fn)
    see(isinstance(node, torch.autograd.graph.Node), node.next_functions[0][0].next_functions)
    for other in (w + 1, w**2, torch.ones(2, 2) @ w, w - 1, w / 2, 1 / w, y.sum(), torch.sin(w)):
        see(other.grad_fn.next_functions)


def gradient_edges(torch, see):
    w = leaf(torch)
    y = w * w
    edge = torch.autograd.graph.get_gradient_edge
    see(edge(y)._node, edge(y).output_nr, edge(w)._node)
    see(torch.autograd.grad(y.sum(), edge(w), retain_graph=True))
    see(torch.autograd.grad(edge(y), w, grad_outputs=torch.ones(2), retain_graph=True))
    torch.autograd.backward(edge(y.sum()), torch.tensor(2.0))
    see(w.grad)


def edge_without_grad(torch, see):
    torch.autograd.graph.get_gradient_edge(torch.ones(2))


def multi_grad_hooks_of_results_of_one_op(torch, see):
    first, second = (leaf(torch) * 1).unbind()
    register = torch.autograd.graph.register_multi_grad_hook
    register([first, second], lambda gradients: see("all", gradients))
    register([first, second], lambda gradient: see("any", gradient), mode="any")
    register([torch.ones(2), second], lambda gradient: see("other", gradient), mode="any")
    (second * 2).backward()


def names_of_nodes(torch, see):
    w = leaf(torch)
    y = w * 1
    y[0].mul_(2)
    see(y.grad_fn.name(), y.grad_fn.next_functions[0][0].name())
    see((w * 1).grad_fn.next_functions[0][0].name())


def increment_version(torch, see):
    increment = torch.autograd.graph.increment_version
    x = torch.ones(2)
    increment(x)
    increment([x, x[0]])
    see(x._version)
    with torch.inference_mode():
        increment(torch.ones(2))
    for wrong in (3, [3]):
        try:
            increment(wrong)
        except RuntimeError as error:
            see(str(error))


PROGRAMS = [
    multi_grad_hooks,
    multi_grad_hook_in_no_mode,
    multi_grad_hook_without_grad,
    node_interface,
    gradient_edges,
    edge_without_grad,
    multi_grad_hooks_of_results_of_one_op,
    names_of_nodes,
    increment_version,
]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_graphs_as_in_pytorch(program):
    assert_same(program)
