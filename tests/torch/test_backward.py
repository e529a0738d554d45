"""Leaves, history, `backward` and `grad`: each program sees what it sees on PyTorch."""

import copy
import gc
import threading
import weakref

import pytest

import funcgrad.torch as ours
from tests.torch.side_by_side import assert_same


def leaf(torch, *elements):
    return torch.tensor(elements or (1.0, 2.0), requires_grad=True)


def leaves_and_results(torch, see):
    w, x = leaf(torch), torch.ones(2)
    y, z = w * x, x * 2
    for each in (w, x, y, z, y.detach(), y.data):
        see(each.requires_grad, each.is_leaf, each.grad_fn, each.retains_grad)
    x.requires_grad_()
    see(x.requires_grad, x.is_leaf, (x * 2).is_leaf)
    x.requires_grad = False
    see(x.requires_grad, x.requires_grad_(False) is x)


def only_floating_and_complex_dtypes_require_grad(torch, see):
    for dtype in ("float16", "bfloat16", "float32", "float64", "complex64", "complex128"):
        see(torch.ones(1, dtype=getattr(torch, dtype)).requires_grad_().requires_grad)
    for dtype in ("bool", "uint8", "int8", "int16", "int32", "int64"):
        try:
            torch.ones(1, dtype=getattr(torch, dtype)).requires_grad_()
        except RuntimeError as error:
            see(str(error))


def gradients_are_assigned(torch, see):
    w = leaf(torch)
    w.grad = torch.tensor([5.0, 6.0])
    (w * 2).sum().backward()
    see(w.grad)
    w.grad = None
    see(w.grad)
    (w * 2).sum().backward()
    see(w.grad)


def gradients_accumulate_in_place(torch, see):
    w = leaf(torch)
    (w * 2).sum().backward()
    held = w.grad
    (w * 3).sum().backward()
    see(held is w.grad, held, held._version)
    (w * w).sum().backward(create_graph=True)
    see(held is w.grad, held, w.grad)


def several_roots(torch, see):
    w = leaf(torch)
    y, z = w * 2, w * w
    torch.autograd.backward([y.sum(), z], [None, torch.tensor([1.0, 10.0])])
    see(w.grad)
    see(torch.autograd.grad([(w * 2).sum(), (w * w).sum()], w))


def cotangents(torch, see):
    w = leaf(torch)
    y = w * w
    y.backward(torch.tensor([1.0, 10.0]), retain_graph=True)
    see(w.grad)
    y.backward(torch.ones(2, dtype=torch.float64), retain_graph=True)
    see(w.grad)
    y.backward(gradient=torch.tensor([1.0, 0.0]))
    see(w.grad)


def only_some_inputs(torch, see):
    w, v = leaf(torch), leaf(torch)
    y = w * v
    z = (y * y).sum()
    z.backward(inputs=[w], retain_graph=True)
    see(w.grad, v.grad)
    z.backward(inputs=[v, y], retain_graph=True)
    see(w.grad, v.grad, y.grad)
    z.backward(inputs=w)
    see(w.grad)


def gradients_of_unused_inputs(torch, see):
    w, v = leaf(torch), leaf(torch)
    y = (w * w).sum()
    see(torch.autograd.grad(y, [w, v], allow_unused=True, retain_graph=True))
    see(torch.autograd.grad(y, [w, v], materialize_grads=True, retain_graph=True))
    see(torch.autograd.grad(y, [w, w], retain_graph=True))
    torch.autograd.grad(y, [w, v])


def gradients_of_gradients(torch, see):
    w = leaf(torch)
    slope = (torch.sin(w) * w**3).sum()
    for _ in range(4):
        (slope,) = torch.autograd.grad(slope.sum(), w, create_graph=True)
        see(slope.detach(), slope.requires_grad)


def gradient_of_a_gradient_by_backward(torch, see):
    w = leaf(torch)
    (w**3).sum().backward(create_graph=True)
    see(w.grad.detach(), w.grad.requires_grad)
    first, w.grad = w.grad, None
    first.sum().backward()
    see(w.grad)


def a_graph_walked_twice(torch, see):
    w = leaf(torch)
    y = (w * w).sum()
    y.backward(retain_graph=True)
    y.backward()
    see(w.grad)
    y.backward()


def a_graph_without_saved_values_walked_twice(torch, see):
    w = leaf(torch)
    y = (w + 1).sum()
    y.backward()
    y.backward()
    see(w.grad)


def part_of_a_graph_walked_twice(torch, see):
    w = leaf(torch)
    shared = w * w
    (shared + 1).sum().backward()
    (shared + 2).sum().backward()


def an_error_leaves_what_was_gathered(torch, see):
    w, v = leaf(torch), leaf(torch)
    squared = w * w
    squared.sum().backward()
    later = v * 3
    try:
        (squared + later).sum().backward()
    except RuntimeError:
        see(v.grad, w.grad)


def an_attribute_loop(torch, see):
    w = leaf(torch)
    y = w * 2
    z = y.detach()
    z.requires_grad_()
    (z * z).sum().backward()
    y.backward(z.grad)
    see(w.grad, z.grad)


def a_leaf_that_wants_no_gradient_any_more(torch, see):
    w, v = leaf(torch), leaf(torch)
    y, z = (w * v).sum(), (w * v * 2).sum()
    w.requires_grad_(False)
    y.backward()
    see(w.grad, v.grad)
    w.mul_(v)
    z = (w * 1).sum()
    see(w.is_leaf)
    z.backward()
    see(v.grad)


def a_leaf_that_wants_a_gradient_again(torch, see):
    w = leaf(torch)
    y = (w * w).sum()
    w.requires_grad_(False)
    w.requires_grad_(True)
    see(torch.autograd.grad(y, w, retain_graph=True))
    y.backward()
    see(w.grad)


def a_leaf_that_has_become_a_result(torch, see):
    w, v = leaf(torch), leaf(torch)
    y = (w + v).sum()
    w.requires_grad_(False)
    w.mul_(v)
    y.backward()


def complex_gradients(torch, see):
    z = torch.tensor([1.0 + 2.0j, 3.0 - 1.0j], requires_grad=True)
    w = leaf(torch)
    y = torch.abs(z * w).sum()
    y.backward()
    see(z.grad.abs(), w.grad)
    (z * 2).sum().backward()


PROGRAMS = [
    leaves_and_results,
    only_floating_and_complex_dtypes_require_grad,
    gradients_are_assigned,
    gradients_accumulate_in_place,
    several_roots,
    cotangents,
    only_some_inputs,
    gradients_of_unused_inputs,
    gradients_of_gradients,
    gradient_of_a_gradient_by_backward,
    a_graph_walked_twice,
    a_graph_without_saved_values_walked_twice,
    part_of_a_graph_walked_twice,
    an_error_leaves_what_was_gathered,
    an_attribute_loop,
    a_leaf_that_wants_no_gradient_any_more,
    a_leaf_that_wants_a_gradient_again,
    a_leaf_that_has_become_a_result,
    complex_gradients,
]

REFUSED = {
    "backward of several elements": lambda torch, see: (leaf(torch) * 2).backward(),
    "backward of a complex number": lambda torch, see: (
        torch.tensor(1j, requires_grad=True) * 2
    ).backward(),
    "backward without a graph": lambda torch, see: torch.ones(1).backward(),
    "backward with another shape": lambda torch, see: (leaf(torch) * 2).backward(torch.ones(3)),
    "backward with a number": lambda torch, see: (leaf(torch) * 2).backward(3),
    "backward with another dtype of kind": lambda torch, see: (leaf(torch) * 2).backward(
        torch.ones(2, dtype=torch.complex64)
    ),
    "backward to no inputs": lambda torch, see: (leaf(torch) * 2).sum().backward(inputs=[]),
    "backward with too few gradients": lambda torch, see: torch.autograd.backward(
        [leaf(torch).sum(), leaf(torch).sum()], [torch.tensor(1.0)]
    ),
    "grad of nothing": lambda torch, see: torch.autograd.grad(leaf(torch).sum(), []),
    "grad with respect to data": lambda torch, see: torch.autograd.grad(
        leaf(torch).sum(), torch.ones(2)
    ),
    "grad materialized and not allowed": lambda torch, see: torch.autograd.grad(
        leaf(torch).sum(), leaf(torch), allow_unused=False, materialize_grads=True
    ),
    "a gradient of another shape": lambda torch, see: setattr(leaf(torch), "grad", torch.ones(3)),
    "a gradient of another dtype": lambda torch, see: setattr(
        leaf(torch), "grad", torch.ones(2, dtype=torch.float64)
    ),
    "a gradient that is no tensor": lambda torch, see: setattr(leaf(torch), "grad", 3),
    "itself as gradient": lambda torch, see: setattr(w := leaf(torch), "grad", w),
    "requires_grad of a result": lambda torch, see: setattr(
        leaf(torch) * 2, "requires_grad", False
    ),
    "a deep copy of a result": lambda torch, see: copy.deepcopy(leaf(torch) * 2),
}


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_backward_as_in_pytorch(program):
    assert_same(program)


@pytest.mark.parametrize("program", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_is_refused_as_in_pytorch(program):
    assert_same(program)


class Held(ours.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        result = x.exp()
        ctx.save_for_backward(x, result)
        return result

    @staticmethod
    def backward(ctx, gradient):
        return gradient * ctx.saved_tensors[1]


def hooked(w):
    y = w * w
    y.register_hook(lambda gradient: gradient * 2)
    y.retain_grad()
    y.grad_fn.register_prehook(lambda gradients: None)
    return y


GRAPHS = {
    "ops": lambda w: (w * w).sin(),
    "a custom function": Held.apply,
    "hooks": hooked,
    "walked": lambda w: (y := (w * w).sum(), y.backward(retain_graph=True))[0],
    "differentiated": lambda w: ours.autograd.grad((w**3).sum(), w, create_graph=True)[0],
    "in place": lambda w: (w * 2).mul_(3).exp_(),
}


@pytest.mark.parametrize("make", GRAPHS.values(), ids=GRAPHS)
def test_a_graph_is_gone_with_its_tensors(make):
    gc.collect()
    gc.disable()
    try:
        w = leaf(ours)
        y = make(w)
        node = weakref.ref(y.grad_fn)
        held = weakref.ref(y)
        y.sum().backward(retain_graph=True)
        del y
        assert held() is None
        assert node() is None
    finally:
        gc.enable()


def test_gathering_a_gradient_with_a_graph_warns_of_the_cycle():
    w = leaf(ours)
    with pytest.warns(UserWarning, match="create_graph=True will create a reference cycle"):
        (w * w).sum().backward(create_graph=True)


def test_a_walk_in_another_thread_gathers_in_the_same_leaf():
    w = leaf(ours)
    y = (w * w).sum()
    thread = threading.Thread(target=y.backward)
    thread.start()
    thread.join()
    assert w.grad.tolist() == [2.0, 4.0]
