"""`torch.Tensor(...)`, its subclasses and `torch.FloatTensor(...)` make what they make in PyTorch."""

import numpy as np
import pytest

import funcgrad.torch as ours
from tests.both_sides import assert_alike_results, outcome, theirs

CALLS = [
    "torch.Tensor()",
    "torch.Tensor(2, 3).shape",
    "torch.Tensor(2).shape",
    "torch.Tensor(0)",
    "torch.Tensor([1, 2])",
    "torch.Tensor([1.0, 2.0])",
    "torch.Tensor((2, 3))",
    "torch.Tensor([])",
    "torch.Tensor([True])",
    "torch.Tensor([[1, 2], [3, 4.5]])",
    "torch.Tensor(range(3))",
    "torch.Tensor(np.array([1, 2]))",
    "torch.Tensor(np.int64(3)).shape",
    "torch.Tensor(torch.Size([2, 3])).shape",
    "torch.Tensor(torch.tensor([1, 2]))",
    "torch.Tensor(torch.tensor(3))",
    "torch.Tensor(torch.tensor([1.0, 2.0], requires_grad=True))",
    "torch.Tensor([torch.tensor(1.0), torch.tensor(2.0)])",
    "torch.Tensor(size=(2, 3)).shape",
    "torch.Tensor(data=[1.0, 2.0])",
    "torch.Tensor(other=torch.ones(2))",
    "torch.Tensor(2, device='cpu').shape",
    "torch.Tensor([2], device='cuda')",
    "torch.Tensor(2.5)",
    "torch.Tensor(True)",
    "torch.Tensor(None)",
    "torch.Tensor({1})",
    "torch.Tensor({1: 2})",
    "torch.Tensor([1j])",
    "torch.Tensor([[1, 2], [3]])",
    "torch.Tensor(-1)",
    "torch.Tensor(2, -1)",
    "torch.Tensor(2, 3.5)",
    "torch.FloatTensor([1, 2])",
    "torch.FloatTensor(3, 2).shape",
    "torch.LongTensor([1.5])",
    "torch.LongTensor(2).shape",
    "torch.LongTensor(torch.tensor([1]))",
    "torch.LongTensor([2**63])",
    "torch.ByteTensor([1, -1])",
    "torch.ByteTensor([300])",
    "torch.BoolTensor([1, 0, 2])",
    "torch.HalfTensor([1.5])",
    "torch.DoubleTensor([0.1])",
    "torch.IntTensor(torch.Size([2])).shape",
    "torch.ShortTensor([3])",
    "torch.CharTensor([3])",
    "torch.BFloat16Tensor([1.5]).type()",
    "isinstance(torch.ones(2), torch.FloatTensor)",
    "isinstance(torch.ones(2).double(), torch.FloatTensor)",
    "isinstance(3, torch.FloatTensor)",
    "issubclass(torch.FloatTensor, torch.Tensor)",
    "torch.FloatTensor.dtype is torch.float32",
    "str(torch.FloatTensor)",
    "torch.tensor([1.0]).new([1, 2])",
    "torch.tensor([1]).new([1.5])",
    "torch.tensor([1]).new(2, 3).shape",
    "torch.tensor([1]).new()",
    "torch.tensor([1.0]).new(torch.ones(2))",
    "torch.ones(2).type(torch.LongTensor)",
    "torch.ones(2).type('torch.DoubleTensor')",
    "torch.ones(2).double().type(torch.Tensor)",
    "torch.ones(2).type('foo')",
    "torch.ones(2).type(3)",
    "torch.ones(2, dtype=torch.complex64).type()",
]


@pytest.mark.parametrize("call", CALLS)
def test_an_old_constructor_makes_what_it_makes_in_pytorch(call):
    def program(torch):
        made = eval(call, {"torch": torch, "np": np})
        return tuple(made) if isinstance(made, tuple) else made

    assert_alike_results(outcome(program, ours), outcome(program, theirs))


@pytest.mark.parametrize(
    "call",
    [
        "torch.Tensor([1], dtype=torch.int32)",
        "torch.Tensor([1, 2], [3])",
        "torch.Tensor(torch.ones(1), 2)",
        "torch.Tensor('a')",
        "torch.LongTensor(torch.tensor([1.0]))",
    ],
)
def test_arguments_of_no_form_are_refused(call):
    for torch in (theirs, ours):
        with pytest.raises(TypeError):
            eval(call, {"torch": torch})


def test_a_made_tensor_is_whole():
    x = ours.Tensor([1.0, 2.0])
    assert repr(x) == "tensor([1., 2.])"
    x.requires_grad_()
    (x * x).sum().backward()
    assert x.grad.tolist() == [2.0, 4.0]


def test_a_tensor_of_a_tensor_shares_its_elements_and_its_graph():
    def program(torch):
        a = torch.tensor([1.0, 2.0], requires_grad=True)
        b = torch.Tensor(a * 1)
        (b * 3).sum().backward()
        c = torch.tensor([1.0, 2.0])
        torch.Tensor(c).add_(1)
        return a.grad, c, type(b.grad_fn).__name__

    assert_alike_results(program(ours), program(theirs))


def test_subclasses_are_made_by_it():
    def program(torch):
        class Plain(torch.Tensor):
            pass

        class Named(torch.Tensor):
            def __new__(cls, data, name):
                return super().__new__(cls, data)

            def __init__(self, data, name):
                self.label = name

        class Leaf(torch.Tensor):
            def __new__(cls, data):
                return torch.Tensor._make_subclass(cls, data, True)

        plain, named, leaf = Plain([1.0, 2.0]), Named([3.0], "n"), Leaf(torch.ones(2))
        (leaf * torch.tensor([1.0, 2.0])).sum().backward()
        of = torch.ones(2, requires_grad=True).as_subclass(Plain)
        kinds = [type(each).__name__ for each in (plain, named, leaf, of)]
        return (
            kinds,
            named.label,
            plain.tolist(),
            Plain(2, 3).shape,
            leaf.grad.tolist(),
            leaf.is_leaf,
            of.requires_grad,
        )

    mine, reference = program(ours), program(theirs)
    assert [*mine[:3], tuple(mine[3]), *mine[4:]] == [
        *reference[:3],
        tuple(reference[3]),
        *reference[4:],
    ]


@pytest.mark.parametrize("made", ["as_subclass", "constructed"])
@pytest.mark.parametrize("written", ["base", "subclass"])
def test_a_subclass_of_a_tensor_that_is_written_is_a_view_of_it(made, written):
    def program(torch):
        class Plain(torch.Tensor):
            pass

        w = torch.ones(3, requires_grad=True)
        base = w * 2
        part = base.as_subclass(Plain) if made == "as_subclass" else Plain(base)
        (base if written == "base" else part).mul_(3)
        (base.sum() + part.sum()).backward()
        return part.tolist(), w.grad, part._is_view(), part._base is base, isinstance(part, Plain)

    assert_alike_results(program(ours), program(theirs))
