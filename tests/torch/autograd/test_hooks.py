"""Hooks on tensors and nodes, and `retain_grad`: each program sees what it sees on PyTorch."""

import gc
import weakref

import pytest

from tests.both_sides import assert_same, ours


def leaf(torch):
    return torch.tensor([1.0, 2.0], requires_grad=True)


def hook_returning(make):
    def program(torch, see):
        w = leaf(torch)
        w.register_hook(lambda gradient: make(torch, gradient))
        (w * 2).sum().backward()
        see(w.grad)

    return program


def node_hook_returning(make):
    def program(torch, see):
        w = leaf(torch)
        y = w * w
        y.grad_fn.register_hook(lambda inputs, outputs: make(torch, inputs))
        y.sum().backward()
        see(w.grad)

    return program


def prehook_returning(make):
    def program(torch, see):
        w = leaf(torch)
        y = w * w
        y.grad_fn.register_prehook(lambda outputs: make(torch, outputs))
        y.sum().backward()
        see(w.grad)

    return program


def order_of_all_hooks(torch, see):
    w = leaf(torch)
    y = w * 2
    y.grad_fn.register_hook(lambda inputs, outputs: see("after", inputs, outputs))
    y.grad_fn.register_prehook(lambda outputs: see("before", outputs))
    y.register_hook(lambda gradient: see("tensor", gradient))
    gather = y.grad_fn.next_functions[0][0]
    gather.register_hook(lambda inputs, outputs: see("gathered", inputs, outputs))
    gather.register_prehook(lambda outputs: see("gathering", outputs))
    w.register_post_accumulate_grad_hook(lambda leaf: see("accumulated", leaf.grad))
    w.register_hook(lambda gradient: see("leaf", gradient))
    y.sum().backward()
    (w * 3).sum().backward()


def hooks_in_order_of_registration(torch, see):
    w = leaf(torch)
    y = w * 2
    y.retain_grad()
    y.register_hook(lambda gradient: gradient * 2)
    y.register_hook(lambda gradient: gradient + 1)
    y.sum().backward()
    see(w.grad, y.grad)


def a_handle_removes_its_hook(torch, see):
    w = leaf(torch)
    kept = w.register_hook(lambda gradient: gradient * 2)
    removed = w.register_hook(lambda gradient: gradient * 100)
    removed.remove()
    removed.remove()
    with w.register_hook(lambda gradient: gradient * 1000):
        pass
    (w * 2).sum().backward()
    see(w.grad)
    kept.remove()
    (w * 2).sum().backward()
    see(w.grad)


def hooks_run_again_in_every_walk(torch, see):
    w = leaf(torch)
    calls = []
    w.register_hook(lambda gradient: calls.append(1))
    for _ in range(4):
        (w * w).sum().backward()
    see(len(calls), w.grad)


def hooks_in_autograd_grad(torch, see):
    w = leaf(torch)
    y = w * w
    y.register_hook(lambda gradient: gradient * 3)
    y.grad_fn.register_prehook(lambda outputs: see("before"))
    w.register_hook(lambda gradient: gradient + 1)
    see(torch.autograd.grad(y.sum(), w, retain_graph=True))
    see(torch.autograd.grad(y.sum(), y, retain_graph=True))
    see(torch.autograd.grad(y.sum(), [w, y]))
    see(w.grad)


def retained_gradients_accumulate(torch, see):
    w = leaf(torch)
    y = w * 2
    y.retain_grad()
    y.retain_grad()
    w.retain_grad()
    see(y.retains_grad, w.retains_grad, y.is_leaf)
    (y * y).sum().backward(retain_graph=True)
    see(y.grad)
    (y * 3).sum().backward()
    see(y.grad, w.grad)


def retaining_moves_with_an_in_place_write(torch, see):
    w = leaf(torch)
    y = w.sin()
    y.retain_grad()
    y.register_hook(lambda gradient: see("before the write", gradient))
    y.mul_(2)
    y.register_hook(lambda gradient: see("after the write", gradient))
    y.sum().backward()
    see(y.grad, y.retains_grad, w.grad)


def a_hook_that_differentiates(torch, see):
    w = leaf(torch)
    v = torch.tensor([3.0, 4.0], requires_grad=True)
    w.register_hook(lambda gradient: (v * v).sum().backward())
    (w * w).sum().backward()
    see(w.grad, v.grad)


def a_hook_that_raises(torch, see):
    w = leaf(torch)

    def refuse(gradient):
        raise ValueError("not today")

    handle = w.register_hook(refuse)
    try:
        (w * w).sum().backward()
    except ValueError as error:
        see(str(error))
    see(w.grad, torch.is_grad_enabled())
    handle.remove()
    (w * w).sum().backward()
    see(w.grad)


def hooks_and_gradients_of_gradients(torch, see):
    w = leaf(torch)
    y = w**3
    y.register_hook(lambda gradient: gradient * w)
    (slope,) = torch.autograd.grad(y.sum(), w, create_graph=True)
    see(slope.requires_grad, slope.detach())
    see(torch.autograd.grad(slope.sum(), w))


def an_optimizer_in_a_post_accumulate_hook(torch, see):
    w = leaf(torch)

    def update(leaf):
        with torch.no_grad():
            leaf -= 0.1 * leaf.grad
        leaf.grad = None

    w.register_post_accumulate_grad_hook(update)
    for _ in range(3):
        (w * w).sum().backward()
    see(w, w.grad)


def gradient_of_a_result_warns(torch, see):
    see((leaf(torch) * 2).grad)


def hooks_of_a_tensor_detached_in_place(torch, see):
    for detached in (leaf(torch), leaf(torch) * 2):
        handle = detached.register_hook(lambda gradient: see("before", gradient))
        detached.detach_()
        detached.requires_grad_()
        detached.register_hook(lambda gradient: see("after", gradient))
        detached.sum().backward()
        handle.remove()
        detached.sum().backward()


def hooks_of_a_tensor_written_and_detached_in_place(torch, see):
    w = leaf(torch)
    y = w * 2
    y.register_hook(lambda gradient: see("before the write", gradient))
    y.mul_(2)
    y.register_hook(lambda gradient: see("after the write", gradient))
    z = y * 2
    y.detach_()
    y.requires_grad_()
    y.register_hook(lambda gradient: see("of the leaf", gradient))
    z.sum().backward()
    y.sum().backward()


def hooks_of_leaves_that_want_no_gradient_for_a_while(torch, see):
    for w in (torch.ones(2), torch.ones(2, 2)[0]):
        w.requires_grad_()
        w.register_hook(lambda gradient: see("hook", gradient))
        (w * 2).sum().backward()
        w.requires_grad_(False)
        w.requires_grad_(False)
        w.requires_grad_()
        (w * 3).sum().backward()
        see(w.grad)


def hooks_of_a_leaf_that_was_given_history(torch, see):
    w = leaf(torch)
    w.register_hook(lambda gradient: see("before", gradient))
    w.requires_grad_(False)
    w.mul_(leaf(torch))
    w.register_hook(lambda gradient: see("between", gradient))
    w.sum().backward()
    w.detach_()
    w.requires_grad_()
    w.sum().backward()


def no_gradient(torch):
    """A function whose way back gives none."""

    class NoGradient(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, gradient):
            return None

    return NoGradient


def hooks_where_no_gradient_arrives(torch, see):
    w = leaf(torch)
    y = w * 2
    y.register_hook(lambda gradient: see("tensor", gradient))
    y.grad_fn.register_prehook(lambda outputs: see("before", outputs))
    y.grad_fn.register_hook(lambda inputs, outputs: see("after", inputs, outputs))
    w.register_hook(lambda gradient: see("leaf", gradient))
    w.register_post_accumulate_grad_hook(lambda leaf: see("accumulated", leaf.grad))
    no_gradient(torch).apply(y).sum().backward()
    see(w.grad)


def hooks_of_one_of_several_results(torch, see):
    w = leaf(torch)
    first, second = (w * 1).unbind()
    for k in range(2):
        for name, result in (("second", second), ("first", first)):
            result.register_hook(lambda gradient, at=(k, name): see(*at, gradient))
    first.grad_fn.register_prehook(lambda outputs: see("before", outputs))
    first.backward()
    see(w.grad)


def what_a_hook_does_in_place_counts(torch, see):
    w = leaf(torch)
    y = w * 2
    y.register_hook(lambda gradient: gradient.mul_(2) and None)
    y.register_hook(lambda gradient: see(gradient))
    y.grad_fn.register_prehook(lambda outputs: see(outputs[0].add_(1)))
    y.grad_fn.register_hook(lambda inputs, outputs: see(inputs[0].mul_(10)))
    gradient = torch.tensor([1.0, 2.0])
    y.backward(gradient)
    see(w.grad, gradient)


def hooks_where_only_some_gather(torch, see):
    w = leaf(torch)
    y = w * 2
    z = y * 3
    for name, tensor in (("w", w), ("y", y), ("z", z)):
        node = tensor.grad_fn or y.grad_fn.next_functions[0][0]
        tensor.register_hook(lambda gradient, name=name: (see(name), gradient * 10)[1])
        node.register_prehook(lambda outputs, name=name: see("before", name))
        node.register_hook(lambda inputs, outputs, name=name: see("after", name))
    w.register_post_accumulate_grad_hook(lambda leaf: see("accumulated"))
    for inputs in ([y], [w], [w, y], [y, y], w):
        z.sum().backward(inputs=inputs, retain_graph=True)
        see(w.grad, y.grad, y.retains_grad)


def a_gradient_retained_with_its_graph(torch, see):
    w = leaf(torch)
    y = w**2
    y.retain_grad()
    (y * y).sum().backward(create_graph=True)
    see(y.grad)
    w.grad = None
    y.grad.sum().backward()
    see(w.grad)


def a_result_that_gathers_keeps_doing_so(torch, see):
    w = leaf(torch)
    y = w * 2
    y.retain_grad()
    (y * 3).sum().backward(inputs=[y])
    see(y.grad, w.grad)
    y.detach_()
    see(y.retains_grad, y.is_leaf)


def hooks_removed_and_added_on_the_way(torch, see):
    w = leaf(torch)
    y = w * 2

    def first(gradient):
        see("first")
        later.remove()
        y.register_hook(lambda gradient: see("added to y"))
        w.register_hook(lambda gradient: see("added to w"))
        y.grad_fn.register_hook(lambda inputs, outputs: see("added after"))

    y.register_hook(first)
    later = y.register_hook(lambda gradient: see("later"))
    y.sum().backward(retain_graph=True)
    y.sum().backward()


def a_leaf_that_nobody_holds(torch, see):
    w = leaf(torch)
    w.note = "mine"
    w.register_hook(lambda gradient: gradient * 2)
    w.register_post_accumulate_grad_hook(lambda leaf: see("accumulated", leaf, leaf.grad))
    y = w * 3
    del w
    gather = y.grad_fn.next_functions[0][0]
    gather.register_prehook(lambda outputs: see("before", outputs))
    y.sum().backward(retain_graph=True)
    see(gather.variable, gather.variable.is_leaf, gather.variable.note, gather.variable.grad)
    found = gather.variable
    y.sum().backward()
    see(found.grad, gather.variable is found, (found * 2).grad_fn.next_functions[0][0] is gather)


def a_leaf_that_nobody_holds_was_changed(torch, see):
    w = leaf(torch)
    y = w.exp() * 2
    w.data = torch.tensor([5.0, 6.0])
    w.requires_grad_(False)
    w.requires_grad_(True)
    w.grad = torch.ones(2)
    gather = (w * 3).grad_fn.next_functions[0][0]
    del w
    see(gather.variable, gather.variable.grad)
    y.sum().backward()
    see(gather.variable.grad)


def hooks_of_views_come_in_the_order_of_the_writes(torch, see):
    w = leaf(torch)
    x = w * torch.ones(2)
    view = x[:1]
    view.mul_(2)
    y = x * 3
    # Looked at only now, the view's node is older than that of `y` all the same.
    view.grad_fn.register_hook(lambda inputs, outputs: see("view", outputs))
    y.grad_fn.register_hook(lambda inputs, outputs: see("after", outputs))
    (y + view).sum().backward()
    see(w.grad)


PROGRAMS = [
    hooks_of_views_come_in_the_order_of_the_writes,
    a_leaf_that_nobody_holds,
    a_leaf_that_nobody_holds_was_changed,
    hooks_where_no_gradient_arrives,
    hooks_of_one_of_several_results,
    what_a_hook_does_in_place_counts,
    hooks_where_only_some_gather,
    a_gradient_retained_with_its_graph,
    a_result_that_gathers_keeps_doing_so,
    hooks_removed_and_added_on_the_way,
    hooks_of_leaves_that_want_no_gradient_for_a_while,
    hooks_of_a_tensor_detached_in_place,
    hooks_of_a_tensor_written_and_detached_in_place,
    hooks_of_a_leaf_that_was_given_history,
    order_of_all_hooks,
    hooks_in_order_of_registration,
    a_handle_removes_its_hook,
    hooks_run_again_in_every_walk,
    hooks_in_autograd_grad,
    retained_gradients_accumulate,
    retaining_moves_with_an_in_place_write,
    a_hook_that_differentiates,
    a_hook_that_raises,
    hooks_and_gradients_of_gradients,
    an_optimizer_in_a_post_accumulate_hook,
    gradient_of_a_result_warns,
]

RETURNED = {
    "another gradient": hook_returning(lambda torch, gradient: gradient * 10),
    "a number": hook_returning(lambda torch, gradient: 3),
    "another shape": hook_returning(lambda torch, gradient: torch.ones(3)),
    "another dtype": hook_returning(lambda torch, gradient: gradient.double()),
    "a complex gradient": hook_returning(lambda torch, gradient: gradient * 1j),
    "a mask": hook_returning(lambda torch, gradient: gradient > 0),
    "in half precision": hook_returning(lambda torch, gradient: gradient.bfloat16()),
    "one where none arrives": lambda torch, see: (
        (w := leaf(torch)).register_hook(lambda gradient: torch.ones(2)),
        no_gradient(torch).apply(w).sum().backward(),
    ),
    "before a node, one where none arrives": lambda torch, see: (
        (first := leaf(torch).unbind()[0]).grad_fn.register_prehook(lambda outputs: outputs * 2),
        first.backward(),
    ),
    "by a node, a number": node_hook_returning(lambda torch, inputs: 3),
    "by a node, a tensor": node_hook_returning(lambda torch, inputs: inputs[0]),
    "by a node, too few": node_hook_returning(lambda torch, inputs: (inputs[0],)),
    "by a node, others": node_hook_returning(lambda torch, inputs: (inputs[0] * 5, None)),
    "before a node, a number": prehook_returning(lambda torch, outputs: 3),
    "before a node, a tensor": prehook_returning(lambda torch, outputs: outputs[0]),
    "before a node, others": prehook_returning(lambda torch, outputs: (outputs[0] * 5,)),
    "on a tensor without grad": lambda torch, see: torch.ones(2).register_hook(see),
    "after accumulation, on a result": lambda torch, see: (
        leaf(torch) * 2
    ).register_post_accumulate_grad_hook(see),
    "after accumulation, without grad": lambda torch, see: torch.ones(
        2
    ).register_post_accumulate_grad_hook(see),
    "after accumulation, a number": lambda torch, see: (
        (w := leaf(torch)).register_post_accumulate_grad_hook(lambda leaf: 3),
        (w * 2).sum().backward(),
    ),
    "retain_grad without grad": lambda torch, see: torch.ones(2).retain_grad(),
}


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_hooks_as_in_pytorch(program):
    assert_same(program)


@pytest.mark.parametrize("program", RETURNED.values(), ids=RETURNED)
def test_what_a_hook_returns_is_taken_or_refused_as_in_pytorch(program):
    assert_same(program)


def test_what_hooks_hold_goes_with_the_graph():
    class Thing:
        pass

    def hooked():
        thing = Thing()
        y = leaf(ours) * 2
        y.register_hook(lambda gradient: thing and None)
        y.grad_fn.register_hook(lambda inputs, outputs: thing and None)
        y.grad_fn.register_prehook(lambda outputs: thing and None)
        y.grad_fn.metadata["thing"] = thing
        y.sum().backward()
        return weakref.ref(thing)

    hooked()  # JAX's first trace of an op leaves frames behind
    gc.disable()
    try:
        assert hooked()() is None
    finally:
        gc.enable()


def test_a_leaf_and_its_graph_are_no_cycle():
    def used():
        w = leaf(ours)
        storage, node = weakref.ref(w._storage), weakref.ref((w * 2).grad_fn.next_functions[0][0])
        w.register_hook(lambda gradient: None)
        w.register_post_accumulate_grad_hook(lambda leaf: None)
        w.requires_grad_(False)
        w.requires_grad_(True)
        (w * w).sum().backward()
        node().variable  # noqa: B018
        return storage, node

    used()  # JAX's first trace of an op leaves frames behind
    gc.disable()
    try:
        assert [reference() for reference in used()] == [None, None]
    finally:
        gc.enable()
