"""Leaves, history, `backward` and `grad`: each program sees what it sees on PyTorch."""

import copy
import gc
import pickle
import threading
import weakref
from functools import partial

import pytest

from tests.both_sides import assert_same, attempt, ours


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


def data_are_assigned(torch, see):
    w, y = leaf(torch), leaf(torch) * 2
    for data in (
        torch.ones(3),
        torch.ones(2, dtype=torch.float64),
        torch.ones((), dtype=torch.complex64),
        torch.ones(2, dtype=torch.int64),
        torch.ones(2, dtype=torch.bool),
        torch.ones(2, requires_grad=True),
        [1.0],
        None,
    ):
        for target in (w, y):
            see(attempt(setattr, target, "data", data), target, target._version)
    see(attempt(delattr, w, "data"), attempt(delattr, w, "requires_grad"))


def data_of_another_shape(torch, see):
    w = leaf(torch)
    (w * 2).sum().backward()
    w.data = torch.ones(4)
    see(w.grad, attempt((w * 2).sum().backward), w.grad)
    w.grad = None
    w.data = torch.ones(4, dtype=torch.float64)
    (w * 2).sum().backward()
    w.data = torch.ones(4)
    (w * 2).sum().backward()
    see(w.grad)


def gradients_that_cannot_be_added_to(torch, see):
    w = leaf(torch)
    w.grad = torch.ones(1).expand(2)
    see(attempt((w * 2).sum().backward), w.grad)
    memory = torch.zeros(4)
    w.grad = memory[1:3]
    (w * 2).sum().backward()
    see(memory)
    del w.grad
    see(w.grad)


def requires_grad_is_a_bool(torch, see):
    w = leaf(torch)
    for wish in (1, 0, None, "a", torch.tensor(True)):
        see(attempt(setattr, w, "requires_grad", wish), attempt(w.requires_grad_, wish))
    see(w.requires_grad)
    for make in (torch.ones, torch.zeros, torch.empty):
        see(type(attempt(make, 2, requires_grad=1)).__name__)


def made_with_and_without_gradients(torch, see):
    n = torch.ones(2, dtype=torch.int64)
    for make in (
        lambda wish: torch.randint(3, (2,), requires_grad=wish),
        lambda wish: torch.randperm(3, requires_grad=wish),
        lambda wish: torch.eye(2, dtype=torch.int32, requires_grad=wish),
        lambda wish: torch.ones_like(n, requires_grad=wish),
        lambda wish: n.new_ones(2, requires_grad=wish),
        lambda wish: torch.tensor([True], requires_grad=wish),
        lambda wish: torch.rand_like(torch.ones(2), requires_grad=wish).requires_grad,
    ):
        see(attempt(make, True), type(attempt(make, False)).__name__)
    w = leaf(torch)
    see(torch.as_tensor(w) is w, torch.as_tensor(w, dtype=torch.float64))
    see(torch.detach(w), torch.detach_(w * 2))


def old_names(torch, see):
    Variable, x = torch.autograd.Variable, torch.ones(2)
    v = Variable(x, requires_grad=True)
    x.add_(1)
    see(
        v, v._version, isinstance(v, Variable), isinstance(3, Variable), Variable(v * 2), Variable()
    )
    see(attempt(Variable, 3), Variable(x, volatile=True), attempt(torch.autograd.variable, 3))
    see(attempt(Variable, torch.ones(2, dtype=torch.int64), requires_grad=True))
    see(v.output_nr, (v * 2).unbind()[1].output_nr, str(v.grad_dtype))
    see(attempt(lambda: (v * 2).grad_dtype))


def versions_are_counted_by_hand(torch, see):
    increment, w = torch.autograd.graph.increment_version, leaf(torch)
    y = (w * w).sum()
    increment(each for each in [w, w])
    see(w._version, attempt(increment, 3), attempt(increment, [3]), attempt(y.backward))
    with torch.inference_mode():
        x = torch.ones(2)
    see(increment([x, w]), w._version)


def what_is_retained_stays_so(torch, see):
    y = leaf(torch) * 2
    y.retain_grad()
    y.detach_()
    see(y.retains_grad, y.grad)
    (y.requires_grad_() * 2).sum().backward()
    see(y.grad)


def nodes_are_looked_at(torch, see):
    w = leaf(torch)
    y = w * 2
    node = y.grad_fn
    at_leaf, number = node.next_functions[0]
    see(node.name(), at_leaf.name(), number, at_leaf.variable is w, at_leaf._sequence_nr())
    see(node._sequence_nr() < (y * 2).grad_fn._sequence_nr(), at_leaf.next_functions)
    node.metadata["note"] = 1
    see(y.grad_fn.metadata, at_leaf.metadata, isinstance(node, torch.autograd.graph.Node))
    for each in (node, at_leaf, torch.ones(3, 3, requires_grad=True).max(0)[0].grad_fn):
        for known in each._input_metadata:
            see(list(known.shape), str(known.dtype), str(known.device), known.is_nested_tensor)
    see([list(each.shape) for each in y.unbind()[0].grad_fn._input_metadata])
    see(attempt(copy.deepcopy, node), attempt(pickle.dumps, node), attempt(type(node)))


def nodes_are_called(torch, see):
    w = leaf(torch)
    node = (w * 2).sin().grad_fn.next_functions[0][0]
    with torch.no_grad():
        see(node(torch.ones(2)), attempt(node, 3), attempt(node, torch.ones(2), None))
        see(attempt(node, grad=3), attempt(node))
        at_leaf = node.next_functions[0][0]
        see(at_leaf(torch.ones(2)), at_leaf(torch.ones(2)), w.grad)
        several = (w * 2).unbind()[0].grad_fn
        see(several(torch.tensor(1.0), torch.tensor(2.0)), several(torch.tensor(1.0), None))
    y = w * w
    y.sum().backward()
    see(attempt(y.grad_fn, torch.ones(2)))


def threads_add_to_one_leaf(torch, see):
    w = leaf(torch)
    for walks in (
        [(w * k * w).sum().backward for k in range(1, 9)],
        [partial((w * w * w).sum().backward, retain_graph=True)] * 6,
    ):
        w.grad = None
        threads = [threading.Thread(target=walk) for walk in walks]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        see(w.grad)


def gradients_lie_in_memory_as_their_leaves(torch, see):
    w = torch.ones(2, 3).t().requires_grad_()
    (w * 2).sum().backward()
    see(w.grad.stride(), w.grad)
    w.grad.add_(1)
    (w * w).sum().backward()
    see(w.grad.stride(), w.grad)


def zeros_of_complex_gradients_have_their_sign(torch, see):
    z = torch.tensor(1 + 1j, requires_grad=True)
    (z.real * 2).backward()
    see(str(z.grad))
    z.grad = None
    (z * 2).abs().backward()
    see(str(torch.autograd.grad((z * z).real, z)))


def writes_to_views_are_freed(torch, see):
    """Also one that needs nothing for its way back, such as a number added to all of a tensor."""
    for write in (
        lambda y, w: y[:].add_(1),
        lambda y, w: y[0].add_(1),
        lambda y, w: y[:].fill_(w[0, 0]),
        lambda y, w: y[:1].copy_(w),
        lambda y, w: y.squeeze(0).zero_(),
    ):
        w = torch.ones(1, 3, requires_grad=True)
        y = w * 1
        y.register_hook(lambda gradient: see("hook"))
        write(y, w)
        y.sum().backward()
        see(w.grad, attempt(y.sum().backward))


def what_saves_nothing_is_walked_twice(torch, see):
    """And what saves indices that name nothing is not."""
    none = torch.tensor([], dtype=torch.int64)
    for make in (
        lambda x: torch.add(x, x, alpha=3),
        lambda x: torch.sub(x, 1, alpha=2),
        lambda x: x.lerp(x, 0.5),
        lambda x: x.lerp(x, x),
        lambda x: x[x.detach() > 5],
        lambda x: x[none],
        lambda x: x.index_select(0, none),
        lambda x: x.masked_select(x.detach() > 5),
        lambda x: x.index_fill(0, none, 1.0),
    ):
        y = make(torch.ones(3, requires_grad=True).clone()).sum()
        y.backward()
        see(attempt(y.backward))


PROGRAMS = [
    what_saves_nothing_is_walked_twice,
    writes_to_views_are_freed,
    threads_add_to_one_leaf,
    gradients_lie_in_memory_as_their_leaves,
    zeros_of_complex_gradients_have_their_sign,
    data_are_assigned,
    data_of_another_shape,
    gradients_that_cannot_be_added_to,
    requires_grad_is_a_bool,
    made_with_and_without_gradients,
    old_names,
    versions_are_counted_by_hand,
    what_is_retained_stays_so,
    nodes_are_looked_at,
    nodes_are_called,
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
    make(leaf(ours)).sum().backward()  # JAX's first trace of an op leaves frames behind
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
