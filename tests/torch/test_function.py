"""Custom functions, `torch.autograd.Function`: each program sees what it sees on PyTorch."""

import pytest

import funcgrad.torch as ours
from tests.torch.side_by_side import assert_same


def leaf(torch):
    return torch.tensor([1.0, 2.0], requires_grad=True)


def function(
    torch, backward=lambda ctx, *gradients: gradients[0], forward=lambda ctx, x, *rest: x * 2
):
    """A function named My of these two."""
    return type(
        "My",
        (torch.autograd.Function,),
        {"forward": staticmethod(forward), "backward": staticmethod(backward)},
    )


def returning(make, *more):
    """A program whose backward returns what `make` says."""

    def program(torch, see):
        x = leaf(torch)
        arguments = [leaf(torch) if each == "leaf" else each for each in more]
        My = function(torch, lambda ctx, gradient: make(torch, gradient))
        My.apply(x, *arguments).sum().backward()
        see(x.grad)

    return program


RETURNED = {
    "the gradient": returning(lambda torch, g: g * 3),
    "too few": returning(lambda torch, g: g, "leaf"),
    "too many": returning(lambda torch, g: (g, g, g), "leaf"),
    "trailing Nones": returning(lambda torch, g: (g, None, None, None), "leaf"),
    "one for a number": returning(lambda torch, g: (g, g), 3),
    "None for a number": returning(lambda torch, g: (g, None), 3),
    "None": returning(lambda torch, g: None),
    "a number": returning(lambda torch, g: 3),
    "another shape": returning(lambda torch, g: torch.ones(3)),
    "a scalar": returning(lambda torch, g: torch.tensor(3.0)),
    "a shape to be summed": returning(lambda torch, g: torch.ones(4, 2)),
    "another dtype": returning(lambda torch, g: torch.ones(2, dtype=torch.float64)),
}


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


def several_results(torch, see):
    def backward(ctx, *gradients):
        see(gradients)
        return gradients[0]

    x = leaf(torch)
    first, second = function(torch, backward, lambda ctx, x: (x * 2, x * 3)).apply(x)
    see(first, second)
    first.sum().backward()
    see(x.grad)


def gradients_that_are_not_materialized(torch, see):
    def forward(ctx, x):
        ctx.set_materialize_grads(False)
        return x * 2, x * 3

    def backward(ctx, *gradients):
        see(gradients)
        return gradients[1]

    x = leaf(torch)
    function(torch, backward, forward).apply(x)[1].sum().backward()
    see(x.grad)


def results_without_gradient(torch, see):
    def forward(ctx, x):
        a, b = x * 2, x * 3
        ctx.mark_non_differentiable(b)
        return a, b, (x * 2).int(), 5, "five", None, [x]

    def backward(ctx, *gradients):
        see(gradients[:2], len(gradients), gradients[3:])
        return gradients[0]

    x = leaf(torch)
    results = function(torch, backward, forward).apply(x)
    see(results)
    results[0].sum().backward()
    see(x.grad)


def an_argument_returned(torch, see):
    x = leaf(torch)
    y = function(torch, lambda ctx, g: g * 5, lambda ctx, x: x).apply(x)
    see(y is x, y, y._version)
    y.sum().backward()
    see(x.grad)


def an_argument_changed_in_place(torch, see):
    def forward(ctx, x):
        ctx.mark_dirty(x)
        return x.mul_(2)

    w = leaf(torch)
    x = w * 1
    y = function(torch, lambda ctx, g: g * 5, forward).apply(x)
    see(y is x, x, x._version)
    x.sum().backward()
    see(w.grad)
    function(torch, lambda ctx, g: g, forward).apply(leaf(torch))


def an_argument_changed_and_not_returned(torch, see):
    def forward(ctx, x):
        ctx.mark_dirty(x)
        x.mul_(2)
        return x * 3

    function(torch, forward=forward).apply(leaf(torch) * 1)


def a_tensor_from_outside_returned(torch, see):
    held = torch.zeros(2)
    y = function(torch, forward=lambda ctx, x: held).apply(leaf(torch))
    see(y is held, held)


def saved_result(torch, see):
    def forward(ctx, x):
        result = x.exp()
        ctx.save_for_backward(result)
        return result

    def backward(ctx, gradient):
        (result,) = ctx.saved_tensors
        see(result, result.grad_fn is not None)
        return gradient * result

    x = leaf(torch)
    function(torch, backward, forward).apply(x).sum().backward()
    see(x.grad)


def saved_tensor_changed(torch, see):
    def forward(ctx, x, y):
        ctx.save_for_backward(y)
        return x * y

    x, y = leaf(torch), torch.ones(2)
    z = function(torch, lambda ctx, g: (g * ctx.saved_tensors[0], None), forward).apply(x, y)
    y.mul_(2)
    z.sum().backward()


def walked_twice(torch, see):
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * 2

    x = leaf(torch)
    y = function(torch, lambda ctx, g: g * ctx.saved_tensors[0], forward).apply(x)
    y.sum().backward(retain_graph=True)
    y.sum().backward()
    see(x.grad)
    y.sum().backward()


def gradients_of_gradients(torch, see):
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return gradient * 3 * x**2

    x = leaf(torch)
    slope = function(torch, backward, forward).apply(x)
    for _ in range(3):
        (slope,) = torch.autograd.grad(slope.sum(), x, create_graph=True)
        see(slope.detach())


def differentiable_once(torch, see):
    once_differentiable = torch.autograd.function.once_differentiable

    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**2

    def backward(ctx, gradient):
        see(torch.is_grad_enabled())
        return 2 * ctx.saved_tensors[0] * gradient

    x = leaf(torch)
    y = function(torch, once_differentiable(backward), forward).apply(x) * x
    (slope,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    see(slope.detach(), slope.requires_grad)
    slope.sum().backward()


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


def without_grad(torch, see):
    My = function(torch)
    with torch.no_grad():
        see(My.apply(leaf(torch)))
    see(My.apply(torch.ones(2)))


def vjp_in_place_of_backward(torch, see):
    class My(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def vjp(ctx, gradient):
            return gradient * 7

    x = leaf(torch)
    My.apply(x).sum().backward()
    see(x.grad)


def vjp_and_backward(torch, see):
    class My(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def vjp(ctx, gradient):
            return gradient

        @staticmethod
        def backward(ctx, gradient):
            return gradient

    My.apply(leaf(torch)).sum().backward()


def no_backward(torch, see):
    class My(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

    My.apply(leaf(torch)).sum().backward()


def no_forward(torch, see):
    class My(torch.autograd.Function):
        pass

    My.apply(leaf(torch))


def saved_number(torch, see):
    def forward(ctx, x):
        ctx.save_for_backward(3)
        return x * 2

    function(torch, forward=forward).apply(leaf(torch))


def error_in_backward(torch, see):
    def backward(ctx, gradient):
        raise ValueError("mine")

    x = leaf(torch)
    y = (x * x) * function(torch, backward).apply(x)
    try:
        y.sum().backward(retain_graph=True)
    except ValueError as error:
        see(str(error), x.grad, torch.is_grad_enabled())
    (x * 2).sum().backward()
    see(x.grad)


def backward_within_backward(torch, see):
    def backward(ctx, gradient):
        with torch.enable_grad():
            y = torch.tensor([3.0, 4.0], requires_grad=True)
            (y * y).sum().backward()
        return gradient * y.grad

    x = leaf(torch)
    function(torch, backward).apply(x).sum().backward()
    see(x.grad)


def a_chain_of_functions_and_ops(torch, see):
    My = function(torch, lambda ctx, g: g * 2)
    x = leaf(torch)
    h = x
    for _ in range(5):
        h = My.apply(torch.sin(h)) * x
    h.sum().backward()
    see(h, x.grad)


def hooks_on_the_node(torch, see):
    x = leaf(torch)
    y = function(torch).apply(x, 3, torch.ones(2))
    y.grad_fn.register_hook(lambda inputs, outputs: see(inputs, outputs))
    y.sum().backward()


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


PROGRAMS = [
    what_the_context_knows,
    several_results,
    gradients_that_are_not_materialized,
    results_without_gradient,
    an_argument_returned,
    an_argument_changed_in_place,
    an_argument_changed_and_not_returned,
    a_tensor_from_outside_returned,
    saved_result,
    saved_tensor_changed,
    walked_twice,
    gradients_of_gradients,
    differentiable_once,
    setup_context,
    without_grad,
    vjp_in_place_of_backward,
    vjp_and_backward,
    no_backward,
    no_forward,
    saved_number,
    error_in_backward,
    backward_within_backward,
    a_chain_of_functions_and_ops,
    hooks_on_the_node,
    names_like_a_nodes_own,
]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_custom_functions_as_in_pytorch(program):
    assert_same(program)


@pytest.mark.parametrize("program", RETURNED.values(), ids=RETURNED)
def test_what_backward_returns_is_taken_or_refused_as_in_pytorch(program):
    assert_same(program)


def test_calling_an_instance_is_refused():
    class My(ours.autograd.Function):
        pass

    with pytest.raises(RuntimeError, match="Legacy autograd function"):
        My()(leaf(ours))
