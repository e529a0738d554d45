"""Copies of tensors are as independent as PyTorch's: each program sees what it sees on PyTorch."""

import copy
import pickle

import pytest

from tests.both_sides import assert_same


def leaf(torch):
    return torch.tensor([1.0, 2.0], requires_grad=True)


def pickled(thing):
    return pickle.loads(pickle.dumps(thing))


def a_deep_copy_is_a_leaf_of_its_own(torch, see):
    w = leaf(torch)
    (w * 3).sum().backward()
    twin = copy.deepcopy(w)
    see(twin, twin.is_leaf, twin.grad, twin.grad is w.grad)
    (twin * 4).sum().backward()
    twin.data -= 1
    see(w, w.grad, twin, twin.grad)
    with torch.no_grad():
        see(copy.deepcopy(w))


def a_shallow_copy_shares_the_elements(torch, see):
    x = torch.tensor([1.0, 2.0])
    copy.copy(x).add_(1)
    see(x, copy.copy(leaf(torch)))


def a_pickled_leaf_comes_back_as_a_leaf(torch, see):
    w = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    (w * 3).sum().backward()
    twin = pickled(w)
    see(twin, twin.is_leaf, twin.grad)
    (twin * 2).sum().backward()
    see(twin.grad, w.grad)


def a_result_is_not_copied(torch, see):
    y = leaf(torch) * 2
    see(copy.copy(y).is_leaf, pickled(y.detach()))
    copy.deepcopy(y)


def attributes_come_along(torch, see):
    w = leaf(torch)
    w.note = [1]
    for make in (copy.copy, copy.deepcopy, pickled):
        twin = make(w)
        see(twin.note, twin.note is w.note)


def layouts_come_along(torch, see):
    memory = torch.arange(12.0)
    for x in (memory.view(3, 4).t(), memory[::2], memory.view(3, 4)[1:, 1:], memory[3:5]):
        for make in (copy.deepcopy, pickled):
            twin = make(x)
            see(twin, twin.stride(), twin.is_contiguous())
            twin.fill_(0)
        see(memory)


def views_share_in_the_copy_too(torch, see):
    x = torch.arange(4.0)
    whole, part, again = copy.deepcopy([x, x[1:3], x])
    part.fill_(9)
    see(whole, x, again is whole)


def hooks_stay_behind(torch, see):
    w = leaf(torch)
    w.register_hook(lambda gradient: gradient * 100)
    w.register_post_accumulate_grad_hook(lambda leaf: see("accumulated"))
    twin = copy.deepcopy(w)
    (twin * 2).sum().backward()
    see(twin.grad)


def a_pickled_tensors_hooks_are_warned_of(torch, see):
    w = leaf(torch)
    w.register_hook(torch.utils.hooks.unserializable_hook(lambda gradient: None))
    w.register_hook(lambda gradient: None).remove()
    see(pickled(w))
    w.register_hook(abs)
    see(pickled(w))


def a_node_is_not_copied(torch, see):
    for make in (copy.copy, copy.deepcopy, pickle.dumps):
        for node in ((leaf(torch) * 2).grad_fn, leaf(torch).sum().grad_fn.next_functions[0][0]):
            try:
                make(node)
            except TypeError as error:
                see(str(error))


PROGRAMS = [
    a_deep_copy_is_a_leaf_of_its_own,
    a_shallow_copy_shares_the_elements,
    a_pickled_leaf_comes_back_as_a_leaf,
    a_result_is_not_copied,
    attributes_come_along,
    layouts_come_along,
    views_share_in_the_copy_too,
    hooks_stay_behind,
    a_pickled_tensors_hooks_are_warned_of,
    a_node_is_not_copied,
]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_copies_as_in_pytorch(program):
    assert_same(program)
