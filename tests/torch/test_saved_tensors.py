"""Hooks on saved tensors, `save_on_cpu`, and where they are refused: each program sees what it sees on PyTorch."""

import pytest

import funcgrad.torch as ours
from tests.torch.side_by_side import assert_same


def leaf(torch):
    return torch.tensor([1.0, 2.0], requires_grad=True)


def packed_and_unpacked(torch, see):
    kept = []

    def pack(tensor):
        kept.append(tensor)
        see(torch.is_grad_enabled())
        return len(kept) - 1

    def unpack(number):
        see("unpack")
        return kept[number]

    x, y = leaf(torch), leaf(torch) * 3
    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        z = x * y
        z = z.sum()
    z = z * 2
    see(sorted(kept, key=lambda tensor: tensor.sum().item()))
    z.backward()
    see(x.grad)


def packed_in_a_list_of_tensors(torch, see):
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t.detach() * 10, lambda t: t):
        x = leaf(torch)
        y = (x * x).sum()
    y.backward()
    see(x.grad)


def hooks_nest(torch, see):
    hooks = torch.autograd.graph.saved_tensors_hooks
    x = leaf(torch)
    with hooks(lambda t: see("outer"), lambda _: x):
        with hooks(lambda t: see("inner"), lambda _: x):
            x * x
        x * x


def packed_custom_function(torch, see):
    class My(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * 2

        @staticmethod
        def backward(ctx, gradient):
            return gradient * ctx.saved_tensors[0]

    x = leaf(torch)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t * 5, lambda t: t):
        y = My.apply(x)
    y.sum().backward()
    see(x.grad)


def packed_and_changed_in_place(torch, see):
    x, y = leaf(torch), torch.ones(2)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t.clone(), lambda t: t):
        z = x * y
    y.mul_(2)
    z.sum().backward()
    see(x.grad)


def packed_gradients_of_gradients(torch, see):
    x = leaf(torch)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t.detach().clone(), lambda t: t):
        y = x * x * x
        (slope,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    see(torch.autograd.grad(slope.sum(), x))


def saved_on_cpu(torch, see):
    x = leaf(torch)
    with torch.autograd.graph.save_on_cpu():
        y = (x * x * x).sum()
    y.backward()
    see(x.grad)


def the_tensors_themselves_are_packed(torch, see):
    x, y = leaf(torch), leaf(torch) * 3
    pairs = torch.ones(2, 2, requires_grad=True)

    def pack(tensor):
        packed.append([tensor is x, tensor is y, tensor is pairs, tensor.is_leaf])
        return tensor

    for op in (lambda: x * y, lambda: y.log(), lambda: pairs @ x, lambda: y * y):
        packed = []
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda packed: packed):
            op()
        see(sorted(packed))


def unpacked_in_the_walks_grad_mode(torch, see):
    def unpack(packed):
        see(torch.is_grad_enabled())
        return packed * 1

    x = leaf(torch)
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: (see(torch.is_grad_enabled()), t)[1], unpack
    ):
        y = (x**3).sum()
    (slope,) = torch.autograd.grad(y, x, create_graph=True)
    see(torch.autograd.grad(slope.sum(), x))
    see(slope.requires_grad)


def unpacked_in_another_precision(torch, see):
    x = leaf(torch)
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: t.half(), lambda packed: packed.double()
    ):
        y = (x * x).sum()
    y.backward()
    see(x.grad)


SAVED = [
    the_tensors_themselves_are_packed,
    unpacked_in_the_walks_grad_mode,
    unpacked_in_another_precision,
    packed_and_unpacked,
    packed_in_a_list_of_tensors,
    hooks_nest,
    packed_custom_function,
    packed_and_changed_in_place,
    packed_gradients_of_gradients,
    saved_on_cpu,
]


def hooks_of(torch, pack, unpack=lambda packed: packed):
    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        x = leaf(torch)
        y = x * x
    y.sum().backward()


def disabled(torch, inside):
    graph = torch.autograd.graph
    hooks, off = graph.saved_tensors_hooks, graph.disable_saved_tensors_hooks
    first, second = (off("no hooks"), hooks(id, id)) if inside else (hooks(id, id), off("no hooks"))
    with first, second:
        pass


REFUSED_HOOKS = {
    "unpacks a number": lambda torch, see: hooks_of(torch, lambda t: 3),
    "unpacks integers": lambda torch, see: hooks_of(torch, lambda t: t, lambda p: p.int()),
    "no functions": lambda torch, see: torch.autograd.graph.saved_tensors_hooks(1, 2).__enter__(),
    "packs in place": lambda torch, see: hooks_of(torch, lambda t: t.mul_(2)),
    "disabled": lambda torch, see: disabled(torch, True),
    "disabled under hooks": lambda torch, see: disabled(torch, False),
}


@pytest.mark.parametrize("program", SAVED, ids=lambda program: program.__name__)
def test_hooks_on_saved_tensors_as_in_pytorch(program):
    assert_same(program)


@pytest.mark.parametrize("program", REFUSED_HOOKS.values(), ids=REFUSED_HOOKS)
def test_hooks_on_saved_tensors_are_refused_as_in_pytorch(program):
    assert_same(program)


def test_another_shape_is_refused_when_unpacked():
    with pytest.raises(RuntimeError, match=r"shape \[3\] where one of shape \[2\] was saved"):
        hooks_of(ours, lambda t: t, lambda packed: ours.ones(3))
