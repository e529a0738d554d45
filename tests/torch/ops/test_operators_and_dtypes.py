"""Operators in all three forms, numbers as operands, dtypes of reductions and of `out=`: one expression after another, next to PyTorch."""

import math
import warnings
from math import inf, nan

import pytest

from tests.both_sides import ours, theirs

EXPRESSIONS = """
i ** torch.tensor([-8, -1])
torch.tensor([1, -1, 2, 0, -1]) ** torch.tensor([-3, -3, -2, -1, -2])
torch.pow(2, torch.tensor([-1]))
i.pow(-1)
torch.add(2, x)
torch.sub(2, x)
torch.mul(2, x)
torch.div(2, x)
torch.float_power(2, x)
torch.true_divide(2, x)
torch.floor_divide(2, x)
torch.maximum(x, 2)
torch.maximum(2, x)
torch.atan2(x, 2)
torch.eq(x, 2)
torch.rsub(x, 2)
torch.logical_and(x, 2)
torch.logical_and(2, x)
~i
~b
~x
~u
i & 3
b & True
b & i
b | 2
x & x
i & 2.5
c & 1
3 & i
i | 1
i ^ 5
3 ^ i
u & 300
u & -1
u + 300
i << 1
1 << i.abs()
i << 2.0
i << 64
i << -1
i >> 1
i >> 64
i >> -1
u << 4
u >> 1
b << 1
torch.bitwise_and(3, i)
torch.bitwise_not(b)
torch.bitwise_left_shift(1, i)
i.bitwise_xor(b)
x // 2
x // 0
x // y
7 // x
i // -4
i // 0
i // torch.tensor([0, 1])
u // 3
i.to(torch.int8) // -3
b // b
c // 2
torch.tensor(1.5) // torch.tensor([1, 2])
torch.tensor([5.0, -5.0]) // float("inf")
torch.tensor([5.0, -5.0]) % float("inf")
torch.tensor([float("inf"), float("nan"), -0.0]) % 2
x % y
x % -2
x % 0
i % -4
i % 0
i % torch.tensor([0, 1])
u % -3
b % b
c % 2
torch.fmod(x, 2)
torch.fmod(x, y)
torch.fmod(i, 4)
torch.fmod(i, 0)
x.half() % y.half()
torch.div(x, 2, rounding_mode="floor")
torch.div(x, y, rounding_mode="trunc")
torch.div(i, 4, rounding_mode="floor")
torch.div(i, 4, rounding_mode="trunc")
torch.div(i, 0, rounding_mode="floor")
torch.div(i, 2.5, rounding_mode="floor")
torch.div(x, 2, rounding_mode="x")
torch.divide(x, 2)
torch.multiply(x, 2)
torch.subtract(x, 2, alpha=3)
torch.positive(x)
+b
divmod(x, 2)
u.sum()
u.sum(dtype=torch.uint8)
u.sum(dtype=torch.int32)
u.prod(dtype=torch.bool)
u.prod(dtype=torch.uint8)
u.any()
u.all()
torch.any(u, dim=0)
u.mean(dtype=torch.int64)
u.mean(dtype=torch.float32)
i.sum(dtype=torch.float16)
b.prod()
b.sum(dtype=torch.bool)
torch.cumsum(u, 0)
torch.cumsum(u, 0, dtype=torch.uint8)
torch.sum(x, dtype=torch.float64)
torch.norm(x, dtype=torch.float64)
torch.ones(70000, dtype=torch.float16).sum()
torch.ones(70000, dtype=torch.float16).mean()
torch.linspace(-300, 300, 3000).half().cumsum(0)[:3]
torch.linspace(-300, 300, 3000).half().var()
torch.full((3000,), 7, dtype=torch.bfloat16).sum()
torch.ones(2, 2).masked_scatter(m, torch.ones(4))
torch.ones(2, 2).masked_fill(m, 2)
torch.ones(3, 2).index_add(0, torch.tensor([0, 1]), torch.ones(1, 2))
torch.ones(3, 2).index_add(0, torch.tensor([0, 1]), torch.ones(2))
torch.ones(3, 2).index_copy(0, torch.tensor([0, 1]), torch.ones(1, 2))
torch.ones(3, 2).index_copy(0, torch.tensor([0, 1]), torch.ones(2, 1))
torch.meshgrid()
torch.meshgrid([])
torch.meshgrid(torch.ones(2), torch.ones(2, dtype=torch.int64))
torch.as_strided(torch.ones(4), (2,), (-1,), 3)
torch.as_strided(torch.ones(4), (-2,), (1,))
torch.as_strided(torch.ones(4), (2,), (1,), -1)
torch.gather(x, 0, torch.tensor([1]), out=wide(1))
torch.nonzero(i, out=torch.zeros(2, 1))
torch.nonzero(i, out=torch.zeros(2, 1, dtype=torch.int32))
torch.max(torch.ones(2, 2), 0, out=(wide(2), torch.zeros(2, dtype=torch.int64)))
torch.max(torch.ones(2, 2), 0, out=(torch.zeros(2), torch.zeros(2)))
torch.sort(torch.ones(2), out=(wide(2), torch.zeros(2, dtype=torch.int64)))
torch.topk(torch.ones(2), 1, out=(wide(1), torch.zeros(1, dtype=torch.int64)))
torch.argmax(torch.ones(2), out=torch.zeros((), dtype=torch.int32))
torch.index_select(torch.ones(2), 0, torch.tensor([0]), out=wide(1))
torch.take(torch.ones(2), torch.tensor([0]), out=wide(1))
torch.cumsum(torch.ones(2), 0, out=wide(2))
torch.sum(torch.ones(2), 0, out=wide())
torch.prod(torch.ones(2), 0, out=wide())
torch.exp(torch.zeros(2), out=wide(2))
torch.cat([torch.ones(2)], out=wide(2))
torch.stack([torch.ones(2)], out=wide(1, 2))
torch.where(b, torch.ones(2), torch.ones(2), out=wide(2))
torch.masked_select(torch.ones(2), b, out=wide(1))
torch.softmax(torch.ones(2), 0, out=wide(2))
torch.norm(torch.ones(2), out=wide())
torch.matmul(torch.ones(2), torch.ones(2), out=wide())
torch.mm(torch.ones(2, 2), torch.ones(2, 2), out=wide(2, 2))
torch.amax(torch.ones(2), 0, out=wide())
torch.std(torch.ones(2), 0, out=wide())
torch.clamp(torch.ones(2), 0, out=wide(2))
torch.scatter(torch.ones(2), 0, torch.tensor([0]), 1.0, out=wide(2))
torch.pow(torch.ones(2), 2, out=wide(2))
torch.tril(torch.ones(2, 2), out=wide(2, 2))
torch.diag(torch.ones(2), out=wide(2, 2))
torch.all(b, out=torch.zeros(()))
torch.eq(b, b, out=torch.zeros(2))
torch.bucketize(2, y.detach())
torch.view_as_real(c ** 3j)
torch.view_as_real(c ** (2 - 1j))
torch.view_as_real(x ** 3j)
torch.view_as_real(i ** -2j)
torch.view_as_real(c.float_power(2j))
c ** (2 + 0j)
torch.autograd.grad((y.abs() ** (1 + 3j)).real.sum(), y)
b.masked_fill(b, torch.tensor(2j))
u >> 8
u >> torch.tensor(40)
torch.gcd(e, e * 2 + 6)
torch.lcm(e, e + 1)
torch.gcd(i[:, None], torch.tensor([8, 0, 27], dtype=torch.int32))
torch.heaviside(torch.tensor([nan, -1.0, 0.0, -0.0, 2.0, inf]), torch.tensor(0.5))
torch.heaviside(h, h.flip(0))
torch.nextafter(h, h.new_tensor(inf))
torch.nextafter(h, h.new_tensor(-inf))
torch.nextafter(h.bfloat16(), h.bfloat16() * 0)
torch.nextafter(h[:2], h.new_tensor(nan))
h.bfloat16().unique(return_inverse=True, return_counts=True)
c.unique()
c.unique(dim=0)
torch.nonzero_static(torch.tensor([[1, 0], [0, 2]]), size=3)
torch.nonzero_static(torch.tensor(3.0), size=2, fill_value=7)
torch.nonzero_static(torch.ones(3), size=1)
torch.nonzero_static(torch.ones(2), size=-1)
torch.histogramdd(torch.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]]), [2, 3], weight=torch.tensor([1.0, 2.0, 4.0]))
torch.histogramdd(torch.tensor([[0.0, 0.0], [1.0, 1.0]]), 2, range=[0.0, 1.0, 0.0, 1.0], density=True).hist
torch.histogramdd(torch.ones(2), [2])
torch.histogramdd(torch.ones(2, 2), [2])
torch.histogramdd(torch.ones(2, 2), [2, 2], range=[1.0])
torch.empty_permuted((2, 3, 5), (1, 0, 2)).stride()
torch.empty_permuted((2, 3), (0, 0))
torch.native_layer_norm(torch.arange(6.0).reshape(2, 3), [3], torch.ones(3), None, 0.1)
torch.native_group_norm(torch.arange(12.0).reshape(2, 3, 2), None, None, 2, 3, 2, 1, 0.1)
torch.native_batch_norm(torch.arange(6.0).reshape(2, 3), None, None, None, None, True, 0.1, 0.1)
torch.native_batch_norm(torch.arange(6.0).reshape(2, 3), None, None, torch.ones(3), torch.ones(3), False, 0.1, 0.1)
torch.native_channel_shuffle(torch.arange(4).reshape(1, 4, 1), 2)
torch.norm_except_dim(torch.arange(6.0).reshape(2, 3), 2, 1)
torch.frobenius_norm(torch.arange(6.0).reshape(2, 3), 1)
torch.alias_copy(torch.ones(2))
torch.histogram(torch.zeros(0), 2)
torch.histogram(torch.tensor([1.0, inf]), 2)
torch.histc(torch.tensor([1.0, inf]), 2)
torch.histc(torch.tensor([1.0, nan]), 2, 0, 3)
torch.zeros(0).argmax(0)
torch.zeros(0, 3).argmin(0)
torch.zeros(0, 3).argmax(1)
torch.zeros(0).norm(inf)
torch.zeros(0, 3).norm(inf, dim=1)
torch.linalg.vector_norm(torch.zeros(0, 3), -1, dim=(0, 1))
torch.linalg.vector_norm(torch.zeros(0, 3), -inf)
torch.searchsorted(torch.zeros(0, 3), torch.zeros(0, 3))
torch.unique_consecutive(torch.zeros(0), return_inverse=True, return_counts=True)
torch.renorm(i[None], 2, 0, 1)
torch.add(1.5, x, alpha=2)
torch.sub(1, i, alpha=2)
torch.add(1, i, alpha=2.5)
torch.add(x, x, alpha=True)
torch.add(b, b, alpha=True)
torch.add(i, 1, alpha=torch.tensor(2.5))
torch.sub(x, 1, alpha=torch.tensor(2j))
torch.add(x, x, alpha=torch.tensor(2))
i.add_(1, alpha=torch.tensor(2.5))
torch.rsub(x, 1, alpha=True)
torch.addr(torch.tensor(1), torch.arange(2.0), torch.arange(3.0), beta=0.6, alpha=0.2)
torch.addr(torch.tensor(1), i, i, beta=2.6)
torch.diff(y.detach(), 0, -1, x, x)
torch.polygamma(100, y.detach())
torch.unravel_index(u, (4, 500))
torch.diagonal_scatter(m, torch.tensor([-1.5, -3.0]))
torch.select_scatter(m, torch.tensor([-1.5, 300.0]), 0, 0)
torch.slice_scatter(m, torch.tensor([[-1.5, -3.0]]), 0, 0, 1)
torch.index_fill(x, 0, torch.tensor([0]), torch.tensor(2j))
torch.kron(h, torch.tensor(2.0))
torch.kron(m, torch.tensor(2))
torch.softmax(x, 0, torch.float64)
torch.special.softmax(x, 0, torch.float64)
torch.zeros(2, 3).gather(0, torch.tensor([]))
torch.zeros(2, 3).scatter(0, torch.tensor([]), torch.ones(2, 3))
torch.zeros(2, 3).scatter(0, torch.tensor([]), 1.0, reduce="add")
torch.zeros(2, 3).scatter_add(0, torch.tensor([]), torch.ones(2, 3))
torch.zeros(2, 3).scatter_reduce(0, torch.tensor([]), torch.ones(2, 3), "sum", include_self=False)
torch.linalg.lstsq(torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.0, 0.0]]), torch.ones(3, 1), 2, driver="gels")[:2]
torch.nn.functional.avg_pool1d(torch.arange(9.0)[None], 3, stride=i.numpy()[0])
torch.nn.functional.max_pool2d(m.float()[None], 2, i.abs().numpy()[1])
torch.tensor_split(y.detach(), i.abs().numpy()[1])
torch.hsplit(i, i.abs().numpy()[1])
""".strip().split("\n")


def described(value):
    """A value as plain data: elements, dtypes, the graph node's name."""
    if isinstance(value, (tuple, list)):
        return [described(each) for each in value]
    if not hasattr(value, "grad_fn"):
        return value
    node = None if value.grad_fn is None else type(value.grad_fn).__name__
    return value.tolist(), str(value.dtype), tuple(value.shape), node


def outcome(torch, expression):
    scope = {
        "torch": torch,
        "x": torch.tensor([1.0, -2.0, 3.0], requires_grad=True),
        "y": torch.tensor([2.0, 2.0, -2.0], requires_grad=True),
        "i": torch.tensor([6, -2]),
        "b": torch.tensor([True, False]),
        "c": torch.tensor([1 + 2j]),
        "u": torch.tensor([200, 100], dtype=torch.uint8),
        "m": torch.tensor([[1, 0], [1, 1]], dtype=torch.uint8),
        "e": torch.tensor([0, 1, 3, 7, 127, -128], dtype=torch.int8),
        "h": torch.tensor([1, -1, 0, -0.0, 65504, inf, nan, 6e-8, -6e-8], dtype=torch.float16),
        "nan": nan,
        "inf": inf,
        "wide": lambda *size: torch.zeros(size, dtype=torch.float64),
    }
    if "out=" in expression:
        scope["x"] = scope["x"].detach()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return described(eval(expression, scope))
        except Exception as error:
            return type(error), str(error)


def equal(a, b):
    """Equality in which NaN equals itself, to float32's rounding."""
    if isinstance(a, (tuple, list)) and isinstance(b, (tuple, list)):
        return len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=2e-7) or (math.isnan(a) and math.isnan(b))
    return a == b


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_expression_gives_what_pytorch_gives(expression):
    mine, expected = outcome(ours, expression), outcome(theirs, expression)
    assert equal(mine, expected), (mine, expected)


AUGMENTED = ["//=", "%=", "&=", "|=", "^=", "<<=", ">>=", "**=", "+=", "-=", "*=", "/="]


@pytest.mark.parametrize("operator", AUGMENTED)
@pytest.mark.parametrize(
    "data", [[5, -3], [5.0, -3.0], [True, False]], ids=["int", "float", "bool"]
)
def test_augmented_assignment_is_in_place(operator, data):
    def outcome(torch):
        scope = {"a": torch.tensor(data)}
        before = scope["a"]
        try:
            exec(f"a {operator} 2", scope)
        except Exception as error:
            return type(error), str(error)
        return scope["a"].tolist(), str(scope["a"].dtype), scope["a"] is before

    assert outcome(ours) == outcome(theirs)


HALF = [
    "h.max()",
    "h.amax()",
    "h.min()",
    "h.amin()",
    "h.median()",
    "h.nanmedian()",
    "h.logsumexp(0)",
    "(h * 0.1).logsumexp(0)",
    "h.mean()",
    "h.mean(0)",
    "h.softmax(0).amax()",
    "(h * h).norm()",
]


@pytest.mark.parametrize("expression", HALF)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_accumulates_in_float32(expression, dtype):
    def gradient(torch):
        h = torch.ones(70000, dtype=getattr(torch, dtype), requires_grad=True)
        eval(expression, {"h": h}).backward()
        return h.grad[:3].tolist()

    assert gradient(ours) == pytest.approx(gradient(theirs), rel=1e-2)


@pytest.mark.parametrize(
    "call",
    [
        "x // 2",
        "torch.floor_divide(x, x)",
        "7 // x",
        "torch.histogram(x, 2)[0]",
        "torch.histogram(x, 2)[1]",
        "torch.histogram(x.detach(), 2, weight=x)[0]",
        "torch.histogram(x.detach(), x)[0]",
        "torch.bincount(torch.tensor([0, 1]), x)",
        "torch.unique(x)",
    ],
)
def test_a_walk_to_an_op_without_derivative_is_refused(call):
    def outcome(torch):
        x = torch.tensor([1.0, 2.0], requires_grad=True)
        result = eval(call, {"torch": torch, "x": x})
        with pytest.raises(RuntimeError) as caught:
            result.sum().backward()
        return result.requires_grad, str(caught.value)

    assert outcome(ours) == outcome(theirs)


def test_ops_seen_before_follow_the_default_dtype():
    def outcome(torch):
        numbers = torch.tensor([1, 2, 3])
        found = []
        for name in ("float32", "float64", "float32"):
            torch.set_default_dtype(getattr(torch, name))
            try:
                results = (numbers * 0.1, numbers / 7, numbers.exp(), numbers**0.5, 0.1 - numbers)
                found.append([(str(each.dtype), each.tolist()) for each in results])
            finally:
                torch.set_default_dtype(torch.float32)
        return found

    for mine, expected in zip(outcome(ours), outcome(theirs), strict=True):
        for (dtype, values), (wanted, right) in zip(mine, expected, strict=True):
            assert dtype == wanted
            assert values == pytest.approx(right, rel=3e-7 if dtype == "torch.float32" else 1e-15)
