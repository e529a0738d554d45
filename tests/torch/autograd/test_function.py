"""Custom functions, `torch.autograd.Function`: each program sees what it sees on PyTorch."""

import pytest

from tests.both_sides import assert_same
from tests.torch.autograd.custom_functions import function, leaf


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
    "integers": returning(lambda torch, g: torch.tensor([1, 2])),
    "a complex gradient": returning(lambda torch, g: g * 1j),
}


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
    # In float64: each factor of 2 doubles the rounding of a sine as well.
    x = leaf(torch).detach().double().requires_grad_()
    h = x
    for _ in range(5):
        h = My.apply(torch.sin(h)) * x
    h.sum().backward()
    see(h, x.grad)


def differentiable_once_and_nothing_else(torch, see):
    once = torch.autograd.function.once_differentiable
    x, gradient = leaf(torch), leaf(torch)
    y = function(torch, once(lambda ctx, g: g * 2)).apply(x)
    (slope,) = torch.autograd.grad(y, x, gradient, create_graph=True)
    see(slope, slope.grad_fn.name())
    slope.sum().backward()


def grad_mode_changed_on_the_way_back(torch, see):
    x = leaf(torch)

    def backward(ctx, gradient):
        torch.set_grad_enabled(True)
        return gradient * x

    function(torch, backward).apply(x * 1).sum().backward()
    see(x.grad, torch.is_grad_enabled())


PROGRAMS = [
    differentiable_once_and_nothing_else,
    grad_mode_changed_on_the_way_back,
    saved_result,
    saved_tensor_changed,
    walked_twice,
    gradients_of_gradients,
    differentiable_once,
    without_grad,
    vjp_in_place_of_backward,
    vjp_and_backward,
    no_backward,
    no_forward,
    saved_number,
    error_in_backward,
    backward_within_backward,
    a_chain_of_functions_and_ops,
]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_custom_functions_as_in_pytorch(program):
    assert_same(program)


@pytest.mark.parametrize("program", RETURNED.values(), ids=RETURNED)
def test_what_backward_returns_is_taken_or_refused_as_in_pytorch(program):
    assert_same(program)
