"""Where one program has tensors of both libraries: what is refused says which import to change."""

import operator

import pytest

from tests.both_sides import ours, theirs

OPERATORS = (operator.add, operator.mul, operator.truediv, operator.matmul, operator.eq, operator.lt, operator.pow)  # fmt: skip


@pytest.mark.parametrize("apply", OPERATORS, ids=lambda each: each.__name__)
def test_an_operator_of_both_is_refused(apply):
    with pytest.raises(TypeError, match="a tensor of PyTorch itself") as raised:
        apply(ours.ones(2, 2), theirs.ones(2, 2))
    assert "from funcgrad.torch import nn" in raised.value.__notes__[0]
    with pytest.raises(TypeError):
        apply(theirs.ones(2, 2), ours.ones(2, 2))


def test_an_operator_in_place_is_refused_and_changes_nothing():
    x = ours.ones(2)
    with pytest.raises(TypeError, match="a tensor of PyTorch itself"):
        x += theirs.ones(2)
    assert x.tolist() == [1.0, 1.0]


CALLS = {
    "a layer": lambda x: theirs.nn.Linear(2, 1)(x),
    "a function": lambda x: theirs.sum(x),
    "a loss": lambda x: theirs.nn.MSELoss()(x, x),
    "a method": lambda x: theirs.ones(2, 2).add_(x),
    "a list": lambda x: theirs.stack([x, x]),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_pytorchs_functions_refuse_our_tensors_with_the_cure(call):
    with pytest.raises(TypeError, match="is PyTorch's own, and was given a tensor of funcgrad") as raised:  # fmt: skip
        call(ours.ones(2, 2))
    assert "Every import of torch has to change" in raised.value.__notes__[0]


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool"])
def test_a_tensor_is_made_of_pytorchs(dtype):
    given = theirs.tensor([[0, 1], [2, 3]], dtype=getattr(theirs, dtype))
    for make in (ours.tensor, ours.as_tensor, ours.asarray):
        made = make(given)
        assert made.dtype is getattr(ours, dtype)
        assert made.tolist() == given.tolist()
    leaf = theirs.ones(2, requires_grad=True)
    assert not ours.tensor(leaf * 2).requires_grad
