"""The results and marks of custom functions: each program sees what it sees on PyTorch."""

import pytest

from tests.both_sides import assert_same
from tests.torch.autograd.custom_functions import function, leaf


def marked(torch, mark, forward=lambda x: x.mul_(2)):
    """A function that marks its argument."""

    def marking(ctx, x):
        getattr(ctx, mark)(x)
        return forward(x)

    return function(torch, forward=marking)


def an_argument_without_gradient_returned(torch, see):
    for x in (leaf(torch), leaf(torch) * 1, torch.ones(2)):
        y = marked(torch, "mark_non_differentiable", lambda x: x).apply(x)
        see(y is x, y, x)


def an_argument_marked_without_a_graph(torch, see):
    x = leaf(torch)
    with torch.no_grad():
        y = marked(torch, "mark_dirty").apply(x)
    see(y is x, x, y.requires_grad, x._version)


def an_argument_marked_twice_over(torch, see):
    def forward(ctx, x):
        ctx.mark_dirty(x)
        ctx.mark_non_differentiable(x)
        return x.mul_(2)

    x = leaf(torch) * 1
    y = function(torch, forward=forward).apply(x)
    see(y is x, x, y.requires_grad)


def a_result_marked_as_changed(torch, see):
    def forward(ctx, x):
        y = x * 2
        ctx.mark_dirty(y)
        return y

    see(function(torch, forward=forward).apply(leaf(torch) * 1))


def a_view_changed_beside_another_result(torch, see):
    def forward(ctx, x):
        ctx.mark_dirty(x)
        return x.mul_(2), x * 2

    function(torch, forward=forward).apply((leaf(torch) * 1)[0:1])


def a_result_with_a_graph_of_its_own(torch, see):
    def forward(ctx, x):
        with torch.enable_grad():
            return x * 2

    My = function(torch, forward=forward)
    see(My.apply(leaf(torch)))
    with torch.no_grad():
        see(My.apply(leaf(torch)))


def zeros_for_results_without_gradient(torch, see):
    for materialize in (True, False):

        def forward(ctx, x, materialize=materialize):
            a, b = x * 2, x * 3
            ctx.mark_non_differentiable(b)
            ctx._materialize_non_diff_grads = materialize
            return a, b

        def backward(ctx, *gradients):
            see(gradients)
            return gradients[0]

        function(torch, backward, forward).apply(leaf(torch))[0].sum().backward()


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


def a_view_changed_in_place_and_walked_twice(torch, see):
    def forward(ctx, x):
        ctx.mark_dirty(x)
        return x.mul_(2)

    for retain_graph in (True, False):
        w = leaf(torch)
        x = w + 1
        y = function(torch, lambda ctx, g: g * 5, forward).apply(x[:1])
        see(y, x, x.grad_fn.next_functions[0][0] is None)
        x.sum().backward(retain_graph=retain_graph)
        see(w.grad)
        for root in (y, x):
            root.sum().backward()
            see(w.grad)


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


def a_result_that_views_what_is_changed(torch, see):
    for forward in (lambda ctx, x: x.view_as(x), lambda ctx, x: x):
        x = leaf(torch) * 1
        y = function(torch, forward=forward).apply(x)
        loss = (y * y).sum()
        with torch.no_grad():
            x.mul_(2)
        try:
            loss.backward()
        except RuntimeError as error:
            see(str(error))


PROGRAMS = [
    a_result_that_views_what_is_changed,
    an_argument_without_gradient_returned,
    an_argument_marked_without_a_graph,
    an_argument_marked_twice_over,
    a_result_marked_as_changed,
    a_view_changed_beside_another_result,
    a_result_with_a_graph_of_its_own,
    zeros_for_results_without_gradient,
    several_results,
    gradients_that_are_not_materialized,
    results_without_gradient,
    an_argument_returned,
    an_argument_changed_in_place,
    a_view_changed_in_place_and_walked_twice,
    an_argument_changed_and_not_returned,
    a_tensor_from_outside_returned,
]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_results_of_custom_functions_as_in_pytorch(program):
    assert_same(program)
