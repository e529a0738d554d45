"""Derivatives where there is none: at zeros, ties and bounds the shim takes what PyTorch takes."""

import numpy as np
import pytest

from tests.both_sides import SIDES
from tests.torch.ops.tables import BINARY, UNARY, called

POINTS = [0.0, 1.0, -1.0, 0.5, -2.0]
BEYOND = [float("nan"), float("inf"), -float("inf"), 0.0, 1.0]
BEYOND_PAIRS = [(a, b) for a in BEYOND for b in BEYOND]
PAIRS = [(a, b) for a in POINTS for b in POINTS]
# The squares of the divisors are zero.
SMALL = list(zip(*[(a, b) for a in (0.0, 1e-170, 1.0) for b in (1e-170, -1e-200)], strict=True))
# Zero to a negative power is infinite, and so are its slopes.
POWERS = [(a, b) for a, b in PAIRS if a != 0 or b >= 0]
NAN, INFINITE = float("nan"), float("inf")
WITH_NAN = [1.0, NAN, 2.0]
TIES = [[1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [2.0, 1.0, 2.0], [-1.0, -1.0, -1.0]]

OPS = {
    **{
        row.name: (lambda torch, x, name=row.name: called(torch, name)(x), [POINTS])
        for row in UNARY
    },
    **{
        row.name: (
            lambda torch, x, y, name=row.name: called(torch, name)(x, y),
            list(zip(*PAIRS, strict=True)),
        )
        for row in BINARY
        if row.name != "rsub"
    },
    "pow": (lambda torch, x, y: x**y, list(zip(*POWERS, strict=True))),
    **{
        f"power {n}": (lambda torch, x, n=n: x**n, [POINTS])
        for n in (0, 1, 2, 3, -1, -2, 0.5, 1.5, 0.0)
    },
    **{f"power of {b}": (lambda torch, x, b=b: b**x, [[0.0, 1.0, 2.0]]) for b in (0.0, 1.0, 2.0)},
    **{
        f"{name} {arguments}": (
            lambda torch, x, name=name, arguments=arguments: getattr(torch, name)(x, *arguments),
            [TIES],
        )
        for name in ("amax", "amin", "prod", "std", "var")
        for arguments in ((0,), (1,))
    },
    **{
        f"norm {order}": (lambda torch, x, order=order: x.norm(order, 1), [TIES])
        for order in (0.5, 1, 1.5, 2, 3, -1, -0.5, float("inf"))
    },
    **{
        f"renorm {order}": (lambda torch, x, order=order: x.renorm(order, 0, 1.5), [TIES])
        for order in (0.5, 1, 2, 3, float("inf"))
    },
    # Vectors of equal values have no derivative, and nobody asks for it.
    **{
        f"{name} of equal values": (lambda torch, x, f=f: f(torch.linalg, x), [[[2.0, 0], [0, 2]]])
        for name, f in {
            "singular values": lambda linalg, x: linalg.svd(x).S,
            "singular values of a wide matrix": lambda linalg, x: linalg.svd(x[:1]).S,
            "eigenvalues": lambda linalg, x: linalg.eigh(x).eigenvalues,
        }.items()
    },
    **{
        f"{row.name} at infinity": (
            lambda torch, x, name=row.name: called(torch, name)(x),
            [BEYOND],
        )
        for row in UNARY
    },
    **{
        f"{row.name} at infinity": (
            lambda torch, x, y, name=row.name: called(torch, name)(x, y),
            list(zip(*BEYOND_PAIRS, strict=True)),
        )
        for row in BINARY
        if row.name != "rsub"
    },
    **{
        f"div {mode} at infinity": (
            lambda torch, x, y, mode=mode: torch.div(x, y, rounding_mode=mode),
            list(zip(*BEYOND_PAIRS, strict=True)),
        )
        for mode in ("floor", "trunc")
    },
    "div by small numbers": (lambda torch, x, y: x / y, SMALL),
    "addcdiv by small numbers": (lambda torch, x, y: torch.addcdiv(x, x, y, value=2), SMALL),
    "clamp at infinity": (lambda torch, x: x.clamp(0, 1), [BEYOND]),
    "clamp by nan": (lambda torch, x: x.clamp(min=float("nan")), [BEYOND]),
    "lerp at infinity": (
        lambda torch, x, y: x.lerp(y, 0.5),
        list(zip(*BEYOND_PAIRS, strict=True)),
    ),
    "clamp": (lambda torch, x: x.clamp(0, 1), [POINTS]),
    "clamp from below": (lambda torch, x: x.clamp(min=0), [POINTS]),
    "clamp from above": (lambda torch, x: x.clamp(max=1), [POINTS]),
    "cumprod": (lambda torch, x: x.cumprod(1), [TIES]),
    "max": (lambda torch, x: x.max(), [TIES]),
    **{
        f"{name} of nan": (lambda torch, x, name=name: getattr(torch, name)(x), [WITH_NAN])
        for name in ("max", "min", "median", "nanmedian", "amax", "amin")
    },
    **{
        f"{name} {way}": (
            lambda torch, x, name=name, way=way: getattr(torch, name)(
                x, torch.tensor([0.0, 0.3, 1.0], dtype=x.dtype), 1, interpolation=way
            ),
            [[WITH_NAN, [3.0, 1.0, 2.0], [INFINITE, 5.0, -INFINITE], [NAN, NAN, NAN]]],
        )
        for name in ("quantile", "nanquantile")
        for way in ("linear", "lower", "higher", "midpoint", "nearest")
    },
    "max along": (lambda torch, x: x.max(1)[0], [TIES]),
}


# PyTorch's derivative is a short series, and finite at the poles; `test_gamma.py` holds ours against exact values.
for _name in ("digamma", "digamma at infinity"):
    del OPS[_name]


def _numbers(thing):
    return thing.numpy(force=True) if hasattr(thing, "numpy") else thing


@pytest.mark.parametrize(("function", "arguments"), OPS.values(), ids=OPS)
def test_the_derivative_at_a_kink_is_pytorchs(function, arguments):
    seen = []
    for torch in SIDES:
        tensors = [
            torch.tensor(each, dtype=torch.float64, requires_grad=True) for each in arguments
        ]
        result = function(torch, *tensors)
        if result.requires_grad:
            result.sum().backward()
        seen.append([result.detach().numpy(), *[tensor.grad for tensor in tensors]])
    for mine, expected in zip(*seen, strict=True):
        assert (mine is None) == (expected is None)
        if expected is not None:
            np.testing.assert_allclose(np.asarray(mine), _numbers(expected), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", [row.name for row in UNARY])
def test_zero_and_minus_zero_give_the_zeros_and_infinities_of_pytorch(name):
    mine, expected = (
        called(torch, name)(torch.tensor([0.0, -0.0], dtype=torch.float64)).numpy()
        for torch in SIDES
    )
    if expected.dtype == bool:
        np.testing.assert_array_equal(mine, expected)
    else:
        np.testing.assert_array_equal(np.isnan(mine), np.isnan(expected))
        finite = ~np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(mine[finite]), np.signbit(expected[finite]))


# A zero derivative times an infinite or undefined cotangent is undefined, where PyTorch multiplies.
SLOPES = {
    **{
        name: lambda torch, x, name=name: getattr(torch, name)(x)
        for name in ("abs", "rsqrt", "sign", "relu", "nan_to_num", "floor", "frac", "sgn")
    },
    "clamp": lambda torch, x: x.clamp(0, 1),
    "copysign": lambda torch, x: torch.copysign(x, torch.tensor(1.0)),
    "atan2": lambda torch, x: torch.atan2(x, torch.tensor(0.0)),
    "xlogy": lambda torch, x: torch.xlogy(x, torch.tensor(2.0)),
}


@pytest.mark.parametrize("cotangent", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", SLOPES)
def test_a_cotangent_that_is_not_finite_comes_through_as_in_pytorch(name, cotangent):
    seen = []
    for torch in SIDES:
        x = torch.tensor([*POINTS, -0.0, *BEYOND], dtype=torch.float64, requires_grad=True)
        made = SLOPES[name](torch, x)
        along = torch.full_like(made, cotangent)
        seen.append(torch.autograd.grad(made, x, along)[0].numpy(force=True))
    np.testing.assert_array_equal(*seen)
