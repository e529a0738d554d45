"""Hooks on saved tensors, `save_on_cpu`, and where they are refused: each program sees what it sees on PyTorch."""

import pytest

from tests.both_sides import assert_same, ours


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


def unpacked_in_the_order_of_packing(torch, see):
    ops = (
        torch.mul,
        torch.div,
        torch.mm,
        torch.atan2,
        torch.maximum,
        lambda a, b: a * b * (a + b) * b,
    )
    for op in ops:
        a = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
        b = torch.tensor([[0.5, 0.25], [0.125, 2.0]], requires_grad=True)
        calls = []
        pack = lambda t, calls=calls: (calls.append(("pack", t.tolist())), t)[1]  # noqa: E731
        unpack = lambda t, calls=calls: (calls.append(("unpack", t.tolist())), t)[1]  # noqa: E731
        with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
            result = op(a, b).sum()
        result.backward()
        see(calls)


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


def what_is_written_in_place_is_packed_as_it_was(torch, see):
    x, y = leaf(torch), leaf(torch)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda packed: packed):
        z = x * 1
        z.mul_(y)
        z[0].mul_(y[1])
        z[1:].div_(y[:1])
        z *= y
    z.sum().backward()
    see(z, x.grad, y.grad)


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


OPS = {
    "x * y": lambda torch, x, y: x * y,
    "x * ones": lambda torch, x, y: x * torch.ones(2),
    "x / y": lambda torch, x, y: x / y,
    "x ** 2": lambda torch, x, y: x**2,
    "x.square()": lambda torch, x, y: x.square(),
    "x.sin()": lambda torch, x, y: x.sin(),
    "(x * 2).log()": lambda torch, x, y: (x * 2).log(),
    "x.exp()": lambda torch, x, y: x.exp(),
    "x.sigmoid()": lambda torch, x, y: x.sigmoid(),
    "x @ y": lambda torch, x, y: x @ y,
    "matrix @ vector": lambda torch, x, y: torch.outer(x, y) @ x,
    "matrix @ matrix": lambda torch, x, y: torch.outer(x, y) @ torch.outer(y, x),
    "maximum": lambda torch, x, y: torch.maximum(x, y),
    "x.sum()": lambda torch, x, y: x.sum(),
}
NAMES = ("self", "other", "result", "mat2", "vec", "tensor")


def saved_by_name(op):
    def program(torch, see):
        x, y = leaf(torch), leaf(torch)
        z = op(torch, x, y)
        node = z.grad_fn
        for name in NAMES:
            attribute = f"_saved_{name}"
            if attribute in dir(node):
                saved = getattr(node, attribute)
                see(name, saved, saved is x, saved is y)
        z.sum().backward()
        see(x.grad)
        for name in NAMES:
            try:
                getattr(node, f"_saved_{name}")
            except (AttributeError, RuntimeError) as error:
                see(type(error).__name__, str(error))

    return program


def changed_since_it_was_saved(torch, see):
    x = leaf(torch) * 1
    node = (x * x).grad_fn
    x.add_(1)
    node._saved_self  # noqa: B018


def hooks_on_one_saved_tensor(torch, see):
    x, y = leaf(torch), leaf(torch)
    z = x * y
    kept = []
    saved = z.grad_fn._raw_saved_self
    saved.register_hooks(lambda t: kept.append(t) or len(kept) - 1, lambda k: kept[k] * 10)
    see(type(saved).__name__, kept, kept[0] is x, z.grad_fn._saved_self)
    z.sum().backward()
    see(x.grad, y.grad)


def hooks_on_what_a_function_saved(torch, see):
    class My(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, y):
            ctx.save_for_backward(x, None, y)
            return x * y

        @staticmethod
        def backward(ctx, gradient):
            x, _, y = ctx.saved_tensors
            return gradient * y, gradient * x

    x, y = leaf(torch), leaf(torch)
    z = My.apply(x, y)
    first, second, _ = z.grad_fn._raw_saved_tensors
    first.register_hooks(lambda t: t * 10, lambda t: t)
    z.sum().backward(retain_graph=True)
    see(x.grad, y.grad)
    second.register_hooks(lambda t: t, lambda t: t)


def hooks_twice(torch, see):
    z = leaf(torch) * leaf(torch)
    for _ in range(2):
        z.grad_fn._raw_saved_self.register_hooks(lambda t: t, lambda t: t)


def hooks_after_the_walk(torch, see):
    x = leaf(torch)
    y = x * x
    saved = y.grad_fn._raw_saved_self
    y.sum().backward()
    saved.register_hooks(lambda t: t, lambda t: t)


def mutation_is_allowed(torch, see):
    allow = torch.autograd.graph.allow_mutation_on_saved_tensors
    x = leaf(torch)
    with allow():
        y = x * 1
        z = (y * y).sin()
        y.mul_(5)
        z.sum().backward()
        see(x.grad, y)
        try:
            with allow():
                pass
        except RuntimeError as error:
            see(str(error))
        z = (x * x).sum()
    z.backward()


SAVED = [
    changed_since_it_was_saved,
    hooks_on_one_saved_tensor,
    hooks_on_what_a_function_saved,
    hooks_twice,
    hooks_after_the_walk,
    mutation_is_allowed,
    the_tensors_themselves_are_packed,
    what_is_written_in_place_is_packed_as_it_was,
    unpacked_in_the_walks_grad_mode,
    unpacked_in_another_precision,
    packed_and_unpacked,
    unpacked_in_the_order_of_packing,
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


@pytest.mark.parametrize("op", OPS.values(), ids=OPS)
def test_what_an_op_saved_is_there_by_name_as_in_pytorch(op):
    assert_same(saved_by_name(op))


@pytest.mark.parametrize("program", REFUSED_HOOKS.values(), ids=REFUSED_HOOKS)
def test_hooks_on_saved_tensors_are_refused_as_in_pytorch(program):
    assert_same(program)


def test_another_shape_is_refused_when_unpacked():
    with pytest.raises(RuntimeError, match=r"shape \[3\] where one of shape \[2\] was saved"):
        hooks_of(ours, lambda t: t, lambda packed: ours.ones(3))
