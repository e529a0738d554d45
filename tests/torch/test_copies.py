"""Copies of tensors are as independent as PyTorch's."""

import copy
import pickle

import pytest

import funcgrad.torch as ours

theirs = pytest.importorskip("torch")


@pytest.mark.parametrize("torch", [ours, theirs], ids=["funcgrad", "pytorch"])
def test_a_deep_copy_is_a_leaf_of_its_own(torch):
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    (w * 3).sum().backward()
    twin = copy.deepcopy(w)
    assert twin.requires_grad
    assert twin.is_leaf
    assert twin.grad.tolist() == [3.0, 3.0]
    (twin * 4).sum().backward()
    twin.data -= 1
    assert (w.tolist(), w.grad.tolist()) == ([1.0, 2.0], [3.0, 3.0])
    assert (twin.tolist(), twin.grad.tolist()) == ([0.0, 1.0], [7.0, 7.0])
    with pytest.raises(RuntimeError, match="Only Tensors created explicitly by the user"):
        copy.deepcopy(w * 2)


@pytest.mark.parametrize("torch", [ours, theirs], ids=["funcgrad", "pytorch"])
def test_a_pickled_leaf_comes_back_as_a_leaf(torch):
    w = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    twin = pickle.loads(pickle.dumps(w))
    assert (twin.tolist(), twin.dtype, twin.requires_grad) == ([1.0, 2.0], torch.float64, True)
    (twin * 2).sum().backward()
    assert twin.grad.tolist() == [2.0, 2.0]
    assert w.grad is None


@pytest.mark.parametrize("torch", [ours, theirs], ids=["funcgrad", "pytorch"])
def test_a_shallow_copy_shares_the_elements(torch):
    x = torch.tensor([1.0, 2.0])
    copy.copy(x).add_(1)
    assert x.tolist() == [2.0, 3.0]
