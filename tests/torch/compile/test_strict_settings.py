"""Settings that make JAX strict with the user's own code leave the shim as it is."""

import jax
import pytest

import funcgrad.torch as torch
from funcgrad import engine
from funcgrad.engine.settings import MODES

SETTINGS = {
    "rank": lambda: jax.numpy_rank_promotion("raise"),
    "dtype": lambda: jax.numpy_dtype_promotion("strict"),
    "nan": lambda: jax.debug_nans(True),
    "leaks": lambda: jax.check_tracer_leaks(True),
}


def trained():
    torch.manual_seed(0)
    x, y = torch.rand(4, 3), torch.rand(4)
    w, b = torch.rand(3, requires_grad=True), torch.zeros(1, requires_grad=True)
    for _ in range(3):
        loss = ((x * w).sum(1) + b - y).pow(2).mean() + 0 * w.double().sum()
        loss.backward()
        with torch.no_grad():
            w -= 0.1 * w.grad
            b -= 0.1 * b.grad
        w.grad = b.grad = None
    x[x > 0.5] = 0
    x[0] += torch.ones(3)
    scaled = torch.func.vmap(lambda row: row * w)(x)
    inner = torch.func.grad(lambda v: (x * v + torch.ones(2, 1, 3)).sum())(w.detach())
    missing = (torch.zeros(2) / 0).isnan().tolist()
    return [loss.item(), *w.tolist(), *x.sum(0).tolist(), scaled.sum().item(), *inner.tolist(), *missing]  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", SETTINGS)
def test_strict_setting_changes_nothing(name, mode):
    with engine.mode(mode):
        expected = trained()
        with SETTINGS[name]():
            assert trained() == pytest.approx(expected, rel=1e-6)
