"""The context of a custom function, which is its node, and its arguments: each program sees what it sees on PyTorch."""

import copy
import gc
import weakref

import pytest

from tests.both_sides import assert_same
from tests.torch.autograd.custom_functions import function, leaf


def the_context_is_the_node(torch, see):
    contexts = []

    def forward(ctx, x):
        contexts.append(ctx)
        see(ctx.name(), ctx.next_functions, ctx.metadata, ctx.requires_grad, ctx.saved_tensors)
        ctx.metadata["note"] = 1
        ctx.register_hook(lambda inputs, outputs: see("after", inputs, outputs))
        ctx.register_prehook(lambda outputs: see("before", outputs))
        ctx.name, ctx.edges, ctx.outputs = "mine", 2, 3
        ctx.save_for_backward(x)
        return x * 2

    def backward(ctx, gradient):
        see(ctx is contexts[0], ctx.name, ctx.edges, ctx.outputs, ctx.metadata["note"])
        ctx.times = getattr(ctx, "times", 0) + 1
        return gradient

    x = leaf(torch)
    y = function(torch, backward, forward).apply(x)
    node, kind = y.grad_fn, torch.autograd.graph.Node
    see(node is contexts[0], isinstance(node, kind), issubclass(type(node), kind))
    see(type(node).__name__, type(node).__mro__[1].__name__, type(node).__module__)
    see(isinstance(node, torch.autograd.function.FunctionCtx))
    see((y * 2).grad_fn.next_functions[0][0] is node)
    see(torch.autograd.graph.get_gradient_edge(y)._node is node, y.output_nr)
    see(node.to_save, node.dirty_tensors, node.non_differentiable, node.saved_tensors[0] is x)
    node.added = 7
    torch.autograd.backward(torch.autograd.graph.GradientEdge(node, 0), torch.ones(2))
    y.sum().backward(retain_graph=True)
    see(x.grad, node.times, node.added)
    copy.copy(node)


def attributes_last_as_long_as_the_graph(torch, see):
    def forward(ctx, x):
        ctx.number = 5
        return x * 2

    y = function(torch, forward=forward).apply(leaf(torch))
    node = y.grad_fn
    del y
    see(node.number, node.next_functions)
    z = function(torch, forward=forward).apply(leaf(torch)) + 1
    z.grad_fn.next_functions[0][0].number += 1
    see(z.grad_fn.next_functions[0][0].number)


def the_context_without_grad(torch, see):
    def forward(ctx, x):
        see(ctx.needs_input_grad, ctx.next_functions, ctx.requires_grad, ctx.name())
        ctx.save_for_backward(x)
        contexts.append(ctx)
        return x * 2

    contexts = []
    My = function(torch, forward=forward)
    with torch.no_grad():
        My.apply(leaf(torch))
    My.apply(torch.ones(2))
    see([ctx.saved_tensors for ctx in contexts], [ctx.to_save for ctx in contexts])


def old_names(torch, see):
    def forward(ctx, x):
        ctx.mark_shared_storage((x, x))
        ctx.save_for_backward(x)
        return x * 2

    def backward(ctx, gradient):
        see(ctx.saved_variables)
        return gradient

    function(torch, backward, forward).apply(leaf(torch)).sum().backward()


def what_the_context_knows(torch, see):
    def forward(ctx, x, n, y):
        see(ctx.needs_input_grad, type(ctx).__name__, torch.is_grad_enabled())
        ctx.n = n
        ctx.save_for_backward(x, None, y)
        return x * n + y

    def backward(ctx, gradient):
        see(ctx.saved_tensors, ctx.needs_input_grad, torch.is_grad_enabled())
        return gradient * ctx.n, None, None

    x = leaf(torch)
    y = function(torch, backward, forward).apply(x, 3, torch.ones(2))
    see(y, y.grad_fn.name(), y.grad_fn.next_functions, y.grad_fn.n)
    y.sum().backward()
    see(x.grad)


def names_like_a_nodes_own(torch, see):
    def forward(ctx, x):
        ctx.saved, ctx.count, ctx.edges, ctx.inputs = 1, 2, 3, 4
        return x * 2

    def backward(ctx, gradient):
        see(ctx.saved, ctx.count, ctx.edges, ctx.inputs)
        return gradient

    x = leaf(torch)
    function(torch, backward, forward).apply(x).sum().backward()
    see(x.grad)


def no_cycles(torch, see):
    def dirty(ctx, x):
        ctx.mark_dirty(x)
        return x.mul_(2)

    def saving(ctx, x):
        y = x * 2
        ctx.save_for_backward(x, y)
        ctx.mark_non_differentiable(torch.ones(2))
        return y

    (leaf(torch) * 1)[0].mul_(2)  # JAX's first trace of an op leaves frames behind
    gc.collect()
    gc.disable()
    try:
        for forward in (dirty, saving):
            for x in (leaf(torch) * 1, (leaf(torch) * 1)[0]):
                y = function(torch, forward=forward).apply(x)
                y.grad_fn  # noqa: B018
                references = weakref.ref(x), weakref.ref(y)
                del x, y
                see([reference() is None for reference in references])
    finally:
        gc.enable()


def hooks_on_the_node(torch, see):
    x = leaf(torch)
    y = function(torch).apply(x, 3, torch.ones(2))
    y.grad_fn.register_hook(lambda inputs, outputs: see(inputs, outputs))
    y.sum().backward()


def made_an_object(torch, see):
    class My(torch.autograd.Function):
        pass

    class Writing(torch.autograd.function.InplaceFunction):
        pass

    see(Writing(inplace=True).inplace)
    My()(leaf(torch))


def arguments_by_name(torch, see):
    My = function(torch, forward=lambda ctx, x, a=1, b=2: x * a * b)
    for arguments, named in (
        ((), {"x": leaf(torch), "a": 3}),
        ((leaf(torch),), {"a": 3, "b": 5}),
        ((leaf(torch),), {"b": 3}),
        ((leaf(torch), 2), {"a": 3}),
        ((leaf(torch),), {"c": 3}),
        ((leaf(torch),), {"ctx": 3}),
    ):
        try:
            y = My.apply(*arguments, **named)
            see(y, y.grad_fn.needs_input_grad)
        except TypeError as error:
            see(str(error))


def arguments_by_name_alone(torch, see):
    function(torch, forward=lambda ctx, x, *, a=1: x * a).apply(leaf(torch), a=3)


def setup_context(torch, see):
    class Scaled(torch.autograd.Function):
        @staticmethod
        def forward(x, n=3):
            return x * n

        @staticmethod
        def setup_context(ctx, inputs, output):
            see(inputs, output)
            ctx.n = inputs[1]

        @staticmethod
        def backward(ctx, gradient):
            return gradient * ctx.n, None

    for arguments, named in (((), {}), ((4,), {}), ((), {"n": 5})):
        x = leaf(torch)
        Scaled.apply(x, *arguments, **named).sum().backward()
        see(x.grad)


PROGRAMS = [
    the_context_is_the_node,
    attributes_last_as_long_as_the_graph,
    the_context_without_grad,
    old_names,
    what_the_context_knows,
    names_like_a_nodes_own,
    no_cycles,
    hooks_on_the_node,
    made_an_object,
    arguments_by_name,
    arguments_by_name_alone,
    setup_context,
]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_context_of_custom_functions_as_in_pytorch(program):
    assert_same(program)
