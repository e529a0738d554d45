"""The arguments of `backward` and `grad`, right and wrong: each program sees what it sees on PyTorch."""

from collections import OrderedDict
from functools import partial

import pytest

from tests.both_sides import assert_same, attempt


def leaf(torch, *elements):
    return torch.tensor(elements or (1.0, 2.0), requires_grad=True)


COTANGENTS = {
    "a number": lambda torch: 3,
    "a string": lambda torch: "a",
    "numbers": lambda torch: [1.0, 2.0],
    "None in a list": lambda torch: [None],
    "nothing": lambda torch: (),
    "a dict": lambda torch: {},
    "a bool": lambda torch: True,
    "integers": lambda torch: torch.ones(2, dtype=torch.int64),
    "bools": lambda torch: torch.ones(2, dtype=torch.bool),
    "halves": lambda torch: torch.ones(2, dtype=torch.float16),
    "doubles": lambda torch: torch.ones(2, dtype=torch.float64),
    "complex": lambda torch: torch.ones(2, dtype=torch.complex64),
    "one element": lambda torch: torch.ones(1),
    "a scalar": lambda torch: torch.ones(()),
    "a column": lambda torch: torch.ones(2, 1),
    "a list": lambda torch: [torch.ones(2)],
    "too many": lambda torch: [torch.ones(2), torch.ones(2)],
    "one that requires grad": lambda torch: torch.ones(2, requires_grad=True),
    "nothing at all": lambda torch: None,
}


@pytest.mark.parametrize("make", COTANGENTS.values(), ids=COTANGENTS)
def test_cotangents_are_taken_as_in_pytorch(make):
    def program(torch, see):
        w = leaf(torch)
        for roots in (lambda: w * 2, lambda: [w * 2], lambda: (w * 2, (w * 3).sum())):
            see(attempt(torch.autograd.backward, roots(), make(torch)), w.grad)
            see(attempt(torch.autograd.grad, roots(), w, make(torch)))
        see(attempt((w * 2).backward, make(torch)), w.grad)

    assert_same(program)


ROOTS = {
    "nothing": lambda torch: [],
    "None": lambda torch: None,
    "a number": lambda torch: 3,
    "numbers": lambda torch: [3],
    "None in a list": lambda torch: [None],
    "a string": lambda torch: "ab",
    "data": lambda torch: torch.ones(2),
    "a scalar of data": lambda torch: [torch.ones(())],
    "a list in a list": lambda torch: [[torch.ones(())]],
    "an empty dict": lambda torch: {},
}


@pytest.mark.parametrize("make", ROOTS.values(), ids=ROOTS)
def test_roots_and_inputs_are_taken_as_in_pytorch(make):
    def program(torch, see):
        w = leaf(torch)
        see(attempt(torch.autograd.backward, make(torch)))
        see(attempt(torch.autograd.grad, make(torch), [w]))
        see(attempt(torch.autograd.grad, (w * 2).sum(), make(torch)))
        see(attempt(torch.autograd.backward, (w * 2).sum(), inputs=make(torch)), w.grad)

    assert_same(program)


FLAGS = (True, False, None, 0, 2, "a", 1.0)


@pytest.mark.parametrize(
    "name", ["retain_graph", "create_graph", "allow_unused", "materialize_grads"]
)
def test_flags_are_taken_as_in_pytorch(name):
    def program(torch, see):
        w = leaf(torch)
        y = (w * 2).sum()
        for flag in FLAGS:
            see(attempt(torch.autograd.grad, y, w, **{name: flag}))
            if name in ("retain_graph", "create_graph"):
                w.grad = None
                see(attempt(y.backward, **{name: flag}))
                see(None if w.grad is None else w.grad.requires_grad)

    assert_same(program)


def names_of_arguments(torch, see):
    w = leaf(torch)
    y = (w * w).sum()
    one = torch.tensor(1.0)
    see(attempt(y.backward, foo=1))
    see(attempt(y.backward, None, True, False, [w], 3))
    see(attempt(torch.autograd.backward, y, None, True, False, None, [w]))
    see(attempt(torch.autograd.backward, y, grad_variables=one, retain_graph=True))
    see(attempt(torch.autograd.backward, y, one, grad_variables=one))
    see(attempt(torch.autograd.grad, y, w, only_inputs=False, retain_graph=True))
    see(attempt(torch.autograd.grad, y, w, None, True, False, True, None, False, True))
    see(w.grad)


def inputs_in_a_dict(torch, see):
    w, v = leaf(torch), leaf(torch)
    y = (w * 3).sum()
    see(torch.autograd.grad(y, {"w": w, "v": v}, allow_unused=True, retain_graph=True))
    y.backward(inputs={"w": w, "v": v})
    see(w.grad, v.grad)
    see(attempt(torch.autograd.grad, y, OrderedDict(w=w)), attempt(y.backward, inputs={}))
    see(attempt(y.backward, inputs=OrderedDict(w=w)))


def the_graph_freed_and_differentiable(torch, see):
    w = leaf(torch)
    y = (w * w * w).sum()
    (slope,) = torch.autograd.grad(y, w, retain_graph=False, create_graph=True)
    see(slope.detach(), attempt(torch.autograd.grad, slope.sum(), w))


def roots_repeat(torch, see):
    w = leaf(torch)
    y = w * w
    ones = torch.ones(2)
    cotangents = [ones, ones * 2, ones * 3]
    see(torch.autograd.grad([y, w, y], [w, y, w, y], cotangents, retain_graph=True))
    torch.autograd.backward([y, w, w], cotangents)
    see(w.grad)


def a_root_is_a_leaf(torch, see):
    w, v = torch.tensor(2.0, requires_grad=True), torch.tensor(3.0, requires_grad=True)
    w.backward()
    w.backward(v)
    see(w.grad, torch.autograd.grad(w, w), attempt(torch.autograd.grad, w, v))
    w.backward(inputs=[w, w])
    see(w.grad)
    w.grad = None
    w.backward(v, create_graph=True)
    see(w.grad, w.grad is v)


def a_root_is_an_input(torch, see):
    w = leaf(torch)
    y = (w * w).sum()
    see(torch.autograd.grad(y, [y, w], torch.tensor(2.0)), torch.autograd.grad(y, y))


def inputs_that_are_results(torch, see):
    w = leaf(torch)
    a = w * w
    y = (a * a).sum()
    y.backward(inputs=[a, a], retain_graph=True)
    see(a.grad, a.retains_grad, w.grad)
    y.backward(retain_graph=True)
    see(a.grad, w.grad)
    y.backward(inputs=[a])
    see(a.grad, attempt(a.sum().backward))  # its own node was visited, so what it saved is freed


def inputs_elsewhere(torch, see):
    w, v = leaf(torch), leaf(torch)
    y, z = (w * 2).sum(), v * 2
    see(attempt(torch.autograd.grad, y, [w, z]))
    see(torch.autograd.grad(y, [w, z], materialize_grads=True, create_graph=True))
    y.backward(inputs=[v, z])
    see(v.grad, z.grad, w.grad)


def edges(torch, see):
    graph = torch.autograd.graph
    w, v = leaf(torch), leaf(torch)
    a = w * 2
    y = (a * a).sum()
    at_w, at_a, at_y, at_v = map(graph.get_gradient_edge, (w, a, y, v))
    grad = partial(torch.autograd.grad, retain_graph=True)
    see(grad(y, [at_w, at_a, at_y, at_w]), grad(at_y, w), attempt(grad, at_a, w))
    for cotangent in (torch.tensor(2.0), torch.ones(3), torch.tensor(2.0, dtype=torch.float64), 3):
        see(attempt(grad, at_y, w, cotangent), attempt(grad, [at_y, at_a], w, cotangent))
    backward = partial(torch.autograd.backward, retain_graph=True)
    see(backward(at_y), w.grad, backward(y, inputs=[at_a]), a.retains_grad)
    see(backward(y, inputs=(at_w, w)), w.grad)
    see(attempt(grad, y, (a.grad_fn, 0)), attempt(grad, y, at_v))
    see(grad(y, at_v, allow_unused=True), attempt(grad, y, at_v, materialize_grads=True))
    see(attempt(graph.get_gradient_edge, torch.ones(2)))


def an_edge_of_several(torch, see):
    w = torch.ones(3, requires_grad=True)
    a, b, c = (w * 2).unbind()
    edge = torch.autograd.graph.get_gradient_edge(b)
    see(edge.output_nr, torch.autograd.grad(a * b * c, [edge, a], retain_graph=True))
    see(torch.autograd.grad(edge, w, torch.tensor(5.0)))


def batches_of_cotangents(torch, see):
    w, v = leaf(torch), leaf(torch)
    y = w * w
    grad = partial(torch.autograd.grad, retain_graph=True, is_grads_batched=True)
    eye, ones = torch.eye(2), torch.ones
    for cotangents in (eye, None, ones(2), ones(2, 3), ones(3, 2), ones(()), eye.double(), 3):
        see(attempt(grad, y, w, cotangents))
    for second in (ones(2), ones(3), None):
        see(attempt(grad, (y, y.sum()), w, (eye, second)))
    see(attempt(grad, y, [], eye), attempt(grad, y, ones(2), eye), attempt(grad, y, [w, v], eye))
    see(grad(y, [w, v], eye, materialize_grads=True))


def a_gradient_with_a_graph_is_a_copy(torch, see):
    w = leaf(torch)
    (w**3).sum().backward(create_graph=True)
    see(w.grad.grad_fn.name(), len(w.grad.grad_fn.next_functions))
    w.grad.sum().backward()
    see(w.grad.detach())


PROGRAMS = [
    names_of_arguments,
    inputs_in_a_dict,
    the_graph_freed_and_differentiable,
    roots_repeat,
    a_root_is_a_leaf,
    a_root_is_an_input,
    inputs_that_are_results,
    inputs_elsewhere,
    edges,
    an_edge_of_several,
    batches_of_cotangents,
    a_gradient_with_a_graph_is_a_copy,
]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_backward_and_grad_as_in_pytorch(program):
    assert_same(program)
