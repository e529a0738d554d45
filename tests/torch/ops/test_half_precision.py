"""Half precision: numbers, products and sums are rounded where PyTorch's kernels round, bit for bit."""

import numpy as np
import pytest

from tests.both_sides import assert_same

# PyTorch rounds the elements after the last multiple of 32 in another way.
NUMBERS = np.random.default_rng(0).standard_normal((3, 192)) * [[5], [1], [1]]


def program(expression):
    def run(torch, see):
        for dtype in (torch.float16, torch.bfloat16):
            x, y, z = (torch.tensor(row).to(dtype) for row in NUMBERS)
            see(eval(expression, {"torch": torch, "x": x, "y": y, "z": z}))

    return run


@pytest.mark.parametrize(
    "expression",
    [
        "x * 3.14",
        "3.14 * x",
        "x / 3.14",
        "3.14 / x",
        "x // 3.14",
        "x + 3.14",
        "x - 3.14",
        "x % 3.14",
        "x * torch.tensor(3.14)",
        "x + torch.tensor(3.14)",
        "x[0] * 3.14",
        "x.clone().mul_(3.14)",
        "x.clone().div_(3.14)",
        "x.sub(y, alpha=2.7)",
        "torch.addcmul(x, y, z, value=3.14)",
        "torch.addcdiv(x, y, z, value=3.14)",
        "torch.lerp(x, y, 0.314)",
        "torch.lerp(x, y, z)",
        "x.sigmoid()",
        "torch.addmm(x.reshape(24, 8)[:, :1], y.reshape(24, 8), z.reshape(8, 24), beta=3.4445, alpha=-4.775)",
        "torch.baddbmm(x[:1], y.reshape(2, 12, 8), z.reshape(2, 8, 12), beta=3.4445, alpha=-4.775)",
        "torch.addr(x.reshape(6, 32), y[:6], z[:32], beta=3.4445, alpha=-4.775)",
        "torch.addmv(x[:24], y.reshape(24, 8), z[:8], beta=3.4445, alpha=-4.775)",
        "torch.addbmm(x.reshape(12, 16)[:, :12], y.reshape(2, 12, 8), z.reshape(2, 8, 12), beta=3.4445, alpha=-4.775)",
        "torch.addbmm(x[:12], y.reshape(2, 12, 8), z.reshape(2, 8, 12), beta=0)",
        "torch.nn.functional.linear(x.reshape(24, 8), y.reshape(24, 8), z[:24])",
        "torch.nn.functional.linear(x.reshape(2, 12, 8), y.reshape(24, 8), z[:24])",
        "y.abs() ** 1.7",
        "torch.nn.functional.hardswish(x)",
        "torch.nn.functional.hardsigmoid(x)",
        "torch.nn.functional.leaky_relu(x)",
        "torch.frexp(x)",
        "torch.autograd.grad((x.requires_grad_() * 3.14), x, y)[0]",
    ],
)
def test_half_precision_is_rounded_as_in_pytorch(expression):
    assert_same(program(expression), rtol=0)


@pytest.mark.parametrize("expression", ["i / 2", "i * 0.5", "i.div(3)", "(i > 1) / 2", "i ** 0.5"])
def test_integers_take_a_default_dtype_of_half_precision(expression):
    def run(torch, see):
        i = torch.tensor([1, 2, 3])
        torch.set_default_dtype(torch.bfloat16)
        try:
            see(eval(expression, {"i": i}))
        finally:
            torch.set_default_dtype(torch.float32)

    assert_same(run, rtol=0)


def test_a_number_beside_a_0d_tensor_does_not_widen_it():
    assert_same("h = torch.tensor(1.5, dtype=torch.float16) * 3.14\nk = h / 2.7")


@pytest.mark.parametrize(
    "expression",
    [
        "h > 1e9",
        "h < 1e9",
        "h == 1e9",
        "torch.ones(2) < 1e39",
        "h.bfloat16() > 1e39",
        "torch.where(h > 0, h, 1e9)",
        "torch.where(h > 0, 1e9, h)",
        "h * 1e9",
        "h + 1e9",
        "h.masked_fill(h > 0, -1e9)",
        "h.clamp(max=1e9)",
        "h.clone().fill_(1e9)",
    ],
)
def test_a_number_beyond_the_range_is_infinite_or_refused_as_in_pytorch(expression):
    assert_same(f"h = torch.ones(2, dtype=torch.float16)\nr = {expression}")
