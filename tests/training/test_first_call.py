"""The first call of a fit: what it compiles, and that a program which compiles quickly trains alike."""

import jax
import numpy as np
import optax
import pytest

from funcgrad import fit, regression
from funcgrad.training import in_memory, loop

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((40, 3))
Y = X @ RANDOM.standard_normal(3) + RANDOM.standard_normal(40)
OPTIMIZERS = {
    "adam": (optax.adam(0.1), {}),
    "mini-batches": (optax.sgd(0.05), {"batch_size": 8, "key": jax.random.key(3)}),
    "L-BFGS": (optax.lbfgs(), {}),
}


def trained(optimizer, **options):
    # A loss of its own, so that nothing is compiled already.
    loss = lambda params, x, y: regression.loss(params, x, y)  # noqa: E731
    return fit(loss, np.zeros(3), X, Y, optimizer=optimizer, steps=20, **options)


@pytest.mark.parametrize(("optimizer", "options"), OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_the_first_call_compiles_two_programs_and_its_quick_ones_train_alike(
    optimizer, options, monkeypatch, caplog
):
    with jax.log_compiles():
        quick = trained(optimizer, **options)
    names = [
        line.split("jit(")[1].split(")")[0] for line in caplog.text.splitlines() if "XLA" in line
    ]
    assert [name for name in names if name in ("start", "advance")] == ["start", "advance"]
    monkeypatch.setattr(in_memory, "_SHORT_WORK", 0)
    optimised = trained(optimizer, **options)
    np.testing.assert_allclose(quick.params, optimised.params, rtol=1e-9)
    np.testing.assert_allclose(quick.losses, optimised.losses, rtol=1e-9)


def test_options_that_this_compiler_does_not_know_are_left_out(monkeypatch):
    known = loop._quick_options()
    monkeypatch.setattr(loop, "_QUICK", {**known, "xla_of_another_version": 1})
    loop._quick_options.cache_clear()
    try:
        assert loop._quick_options() == known
        trained(optax.adam(0.1))
    finally:
        loop._quick_options.cache_clear()


def test_a_long_training_and_one_with_a_checkpoint_are_optimised(tmp_path, monkeypatch):
    """A run that goes on with more steps has the numbers of one that was never interrupted."""
    asked = []
    monkeypatch.setattr(
        in_memory,
        "program",
        lambda *a, quick, **k: asked.append(quick) or loop.program(*a, quick=quick, **k),
    )
    trained(optax.sgd(0.1))
    trained(optax.sgd(0.1), checkpoint=tmp_path / "run")
    monkeypatch.setattr(in_memory, "_SHORT_WORK", 40 * 3 * 20 - 1)
    trained(optax.sgd(0.1))
    assert asked == [True, False, False]
