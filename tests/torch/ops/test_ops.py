"""Every op of the tables next to PyTorch: values, dtypes, gradients, node names; and the errors it raises."""

import numpy as np
import pytest

from tests.both_sides import SIDES, ours, theirs
from tests.torch.ops.tables import BINARY, REDUCTIONS, UNARY, called, sample

FLOATS = ["float32", "float64"]
# PyTorch's derivative of `digamma` is a short series; `test_gamma.py` holds ours against exact values.
ROUGH = {"digamma": 1 << 28}


def assert_like_reference(mine, reference, steps: int = 4):
    """Same shape, dtype, flags and node, and values within `steps` of the dtype's spacing."""
    assert tuple(mine.shape) == tuple(reference.shape)
    assert str(mine.dtype) == str(reference.dtype)
    assert mine.requires_grad == reference.requires_grad
    name = type(reference.grad_fn).__name__
    if name != "NotImplemented":
        assert type(mine.grad_fn).__name__ == name
    expected = reference.numpy(force=True)
    if expected.dtype.kind in "fc":
        eps = np.finfo(expected.dtype).eps
        np.testing.assert_allclose(
            mine.detach().numpy(), expected, rtol=steps * eps, atol=steps * eps
        )
    else:
        np.testing.assert_array_equal(mine.numpy(), expected)


def check(function, *arrays, dtype: str = "float64", steps: int = 4, grad: bool = True):
    """Run `function(torch, *tensors)` on both sides and compare its result and the gradients of its arguments."""
    sides = []
    for torch in SIDES:
        tensors = [torch.tensor(array, dtype=getattr(torch, dtype)) for array in arrays]
        if grad:
            tensors = [tensor.requires_grad_() for tensor in tensors]
        result = function(torch, *tensors)
        sides.append((tensors, result))
    (mine, my_result), (reference, their_result) = sides
    assert_like_reference(my_result, their_result, steps)
    if their_result.requires_grad:
        for result in (my_result, their_result):
            result.sum().backward()
        for a, b in zip(mine, reference, strict=True):
            assert (a.grad is None) == (b.grad is None)
            if b.grad is not None:
                assert_like_reference(a.grad, b.grad, steps)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("row", UNARY, ids=lambda row: row.name)
def test_unary_op_gives_pytorchs_values_and_gradients(row, dtype):
    check(
        lambda torch, x: called(torch, row.name)(x),
        sample(row.name, (3, 4)),
        dtype=dtype,
        steps=ROUGH.get(row.name, 16) if dtype == "float64" else 16,
    )


@pytest.mark.parametrize(
    "row", [row for row in BINARY if row.name != "rsub"], ids=lambda row: row.name
)
def test_binary_op_broadcasts_as_pytorch_does(row):
    check(
        lambda torch, a, b: called(torch, row.name)(a, b),
        sample("", (3, 1)),
        sample(row.name, (4,), 1),
        steps=8,
    )


@pytest.mark.parametrize("number", [2, 2.5, -3, True], ids=repr)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "bool"])
@pytest.mark.parametrize(
    "expression",
    [
        "x + n",
        "n + x",
        "x - n",
        "n - x",
        "x * n",
        "n * x",
        "x / n",
        "n / x",
        "x ** n",
        "x == n",
        "x < n",
        "n >= x",
    ],
)
def test_python_numbers_promote_as_in_pytorch(expression, dtype, number):
    outcomes = []
    for torch in SIDES:
        x = torch.tensor([1.0, 2.0, 3.0], dtype=getattr(torch, dtype))
        try:
            outcomes.append(eval(expression, {"x": x, "n": number}))
        except RuntimeError as error:
            outcomes.append(str(error))
    mine, reference = outcomes
    if isinstance(reference, str):
        assert mine == reference
    else:
        assert_like_reference(mine, reference)


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, -1, -2, 0.5, -0.5, 1.7, 40, 2.0])
def test_power_by_a_number(exponent):
    check(lambda torch, x: x**exponent, sample("log", (5,)), steps=64)


def test_power_by_a_tensor_and_of_a_number():
    check(lambda torch, x, y: x**y, sample("log", (5,)), sample("", (5,), 1), steps=16)
    check(lambda torch, x: 2.5**x, sample("", (5,)), steps=16)


# Dimensions in PyTorch's signatures: some reductions want one or all, one wants dimensions always.
ONE_DIMENSION = {"prod", "all", "any"}
CALLS = [
    pytest.param(row, arguments, id=f"{row.name}-{arguments}")
    for row in REDUCTIONS
    for arguments in (
        {},
        *(
            {"dim": dims, "keepdim": keepdim}
            for dims in (0, -1, (0, 2), [])
            for keepdim in (False, True)
        ),
    )
    if not (row.name in ONE_DIMENSION and not isinstance(arguments.get("dim", 0), int))
    and not (row.name == "logsumexp" and arguments.get("dim") in (None, []))
]


@pytest.mark.parametrize(("row", "arguments"), CALLS)
def test_reduction_over_dimensions(row, arguments):
    check(
        lambda torch, x: getattr(torch, row.name)(x, **arguments), sample("", (2, 3, 4)), steps=16
    )


def test_integers_sum_in_int64():
    for dtype in ("bool", "uint8", "int32"):
        x = np.ones((2, 3), dtype)
        assert_like_reference(ours.tensor(x).sum(), theirs.tensor(x).sum())
        assert_like_reference(ours.tensor(x).sum(0), theirs.tensor(x).sum(0))


@pytest.mark.parametrize(
    "shapes",
    [
        ((3,), (3,)),
        ((2, 3), (3,)),
        ((2, 3), (3, 4)),
        ((3,), (3, 4)),
        ((5, 2, 3), (5, 3, 4)),
        ((5, 2, 3), (3,)),
    ],
    ids=str,
)
def test_matrix_product_by_dimensions(shapes):
    check(lambda torch, a, b: a @ b, sample("", shapes[0]), sample("", shapes[1], 1), steps=16)


COMPLAINTS = {
    "shapes that do not broadcast": lambda t: t.ones(2) + t.ones(3),
    "shapes that do not broadcast, deeper": lambda t: t.ones(4, 2, 1) * t.ones(3, 1),
    "mv sizes": lambda t: t.ones(2, 3) @ t.ones(2),
    "mm sizes": lambda t: t.ones(2, 3) @ t.ones(2, 3),
    "dot sizes": lambda t: t.ones(3) @ t.ones(2),
    "vector by matrix": lambda t: t.ones(2) @ t.ones(3, 2),
    "mv dtypes": lambda t: t.ones(2, 3) @ t.ones(3, dtype=t.float64),
    "mm dtypes": lambda t: t.ones(2, 3) @ t.ones(3, 2, dtype=t.float64),
    "dot dtypes": lambda t: t.ones(3) @ t.ones(3, dtype=t.float64),
    "0-d operand of @": lambda t: t.tensor(1.0) @ t.ones(2),
    "mm of a vector": lambda t: t.mm(t.ones(2), t.ones(2, 2)),
    "operator with a string": lambda t: t.ones(2) + "s",
    "function with a string": lambda t: t.add(t.ones(2), "s"),
    "in-place on a leaf": lambda t: t.ones(2, requires_grad=True).add_(1),
    "in-place that would broadcast": lambda t: t.ones(2).add_(t.ones(2, 2)),
    "in-place that would lose a fraction": lambda t: t.ones(2, dtype=t.int64).add_(1.5),
    "backward of several elements": lambda t: t.ones(2, requires_grad=True).backward(),
    "backward without a graph": lambda t: t.ones(2).sum().backward(),
    "backward with a wrong cotangent": lambda t: (
        t.ones(2, requires_grad=True).sum().backward(t.ones(3))
    ),
    "numpy() of a tensor that requires grad": lambda t: t.ones(2, requires_grad=True).numpy(),
    "item() of several": lambda t: t.ones(2).item(),
    "bool() of several": lambda t: bool(t.ones(2)),
    "float() of several": lambda t: float(t.ones(2)),
    "an integer leaf": lambda t: t.ones(2, dtype=t.int64, requires_grad=True),
    "requires_grad_ of integers": lambda t: t.ones(2, dtype=t.int64).requires_grad_(),
    "requires_grad_(False) of a result": lambda t: (
        t.ones(2, requires_grad=True) * 2
    ).requires_grad_(False),
    "mean of integers": lambda t: t.ones(2, dtype=t.int64).mean(),
    "a dimension that is not there": lambda t: t.ones(2).sum(5),
    "a dimension twice": lambda t: t.ones(2, 2).sum((0, 0)),
    "a gradient of another shape": lambda t: setattr(
        t.ones(2, requires_grad=True), "grad", t.ones(3)
    ),
    "a gradient that is no tensor": lambda t: setattr(t.ones(2, requires_grad=True), "grad", 3),
    "data that is no tensor": lambda t: setattr(t.ones(2), "data", 3),
    "len() of 0-d": lambda t: len(t.tensor(1.0)),
    "ragged data": lambda t: t.tensor([[1, 2], [3]]),
    "text as data": lambda t: t.tensor("s"),
    "a negative size": lambda t: t.rand(-1),
    "bool - bool": lambda t: t.ones(2, dtype=t.bool) - t.ones(2, dtype=t.bool),
    "int - bool": lambda t: t.ones(2, dtype=t.int32) - True,
    "an integer to a negative power": lambda t: t.ones(2, dtype=t.int64) ** -1,
    "an unknown attribute": lambda t: t.ones(2).foo,
}


COMPLAINT_TYPES = (RuntimeError, TypeError, ValueError, IndexError, AttributeError)


@pytest.mark.parametrize("case", COMPLAINTS)
def test_complaint_is_pytorchs(case):
    raised = []
    for torch in SIDES:
        with pytest.raises(COMPLAINT_TYPES) as info:
            COMPLAINTS[case](torch)
        raised.append((info.type, str(info.value)))
    assert raised[0] == raised[1]


def test_a_gradient_of_another_dtype_is_refused():
    for torch in SIDES:
        w = torch.ones(2, requires_grad=True)
        with pytest.raises(
            RuntimeError, match="attempting to assign a gradient with dtype 'double'"
        ):
            w.grad = torch.ones(2, dtype=torch.float64)
        assert w.grad is None


def test_cross_without_a_dimension_warns_as_pytorch_does():
    a, b = ours.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]]), ours.ones(3, 3)
    with pytest.warns(UserWarning, match="Using torch.cross without specifying the dim arg"):
        found = ours.cross(a, b)
    assert found.tolist() == ours.cross(a, b, dim=0).tolist()
