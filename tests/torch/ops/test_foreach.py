"""`torch._foreach_*` and the groups that optimizers make: loops here, with PyTorch's results and errors."""

import pytest

from tests.both_sides import assert_same, theirs

NAMES = [each for each in dir(theirs) if each.startswith("_foreach")]
# PyTorch's products of lists of matrices, and its sums of powers.
LEFT_OUT = {"_foreach_mm", "_foreach_powsum"}
WITH_A_LIST = [
    "add",
    "clamp_max",
    "clamp_min",
    "copy",
    "div",
    "maximum",
    "minimum",
    "mul",
    "pow",
    "sub",
]


@pytest.mark.parametrize("name", [each for each in NAMES if each not in LEFT_OUT])
def test_an_op_on_lists_is_pytorchs(name):
    plain = name.removeprefix("_foreach_").removesuffix("_")

    def program(torch, see):
        a = [torch.tensor([0.25, 0.5]), torch.tensor([[0.75], [0.125]])]
        b = [torch.tensor([2.0, 4.0]), torch.tensor([[0.5], [3.0]])]
        op = getattr(torch, name)
        if plain in ("addcmul", "addcdiv"):
            calls = [
                (a, b, b),
                (a, b, b, 2.0),
                (a, b, b, [2.0, 3.0]),
                (a, b, b, torch.tensor([1.0, 2.0])),
            ]
        elif plain == "lerp":
            calls = [(a, b, 0.25), (a, b, b)]
        elif plain == "copy":
            calls = [(a, b)]
        elif plain in WITH_A_LIST:
            calls = [(a, 2.0), (a, b), (a, [2.0, 3.0])]
        elif plain == "norm":
            calls = [(a,), (a, 1)]
        else:
            calls = [(a,)]
        for args in calls:
            made = op([each.clone() for each in args[0]], *args[1:])
            see(type(made).__name__, *made)

    assert_same(program, rtol=1e-5)


@pytest.mark.parametrize(
    "text",
    [
        "torch._foreach_add(a, a, alpha=2)",
        "torch._foreach_pow(2.0, a)",
        "torch._foreach_mul(a, torch.tensor(3.0))",
        "torch._foreach_add([], 1.0)",
        "torch._foreach_add(a, [1.0])",
        "torch._foreach_add(a, a[:1])",
        "sorted(str(k) + str(v) for k, v in torch.utils._foreach_utils._group_tensors_by_device_and_dtype([[*a, a[0].double()], [*a, a[0]]], with_indices=True).items())",
    ],
)
def test_a_call_on_lists_is_pytorchs(text):
    def program(torch, see):
        a = [torch.ones(2), torch.arange(3.0)]
        made = eval(text, {"torch": torch, "a": a})
        see(*[str(each) for each in made])

    assert_same(program)
