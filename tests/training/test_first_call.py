"""The first call of a fit compiles each of its programs once."""

import jax
import numpy as np
import optax
import pytest

from funcgrad import fit, regression
from funcgrad.training.loop import Data, program

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((40, 3))
Y = X @ RANDOM.standard_normal(3) + RANDOM.standard_normal(40)
OPTIMIZERS = {
    "adam": (optax.adam(0.1), {}),
    "mini-batches": (optax.sgd(0.05), {"batch_size": 8, "key": jax.random.key(3)}),
    "L-BFGS": (optax.lbfgs(), {}),
}


@pytest.mark.parametrize(("optimizer", "options"), OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_the_first_call_compiles_two_programs(optimizer, options, caplog):
    # A loss of its own, so that nothing is compiled already.
    loss = lambda params, x, y: regression.loss(params, x, y)  # noqa: E731
    with jax.log_compiles():
        fit(loss, np.zeros(3), X, Y, optimizer=optimizer, steps=20, **options)
    names = [
        line.split("jit(")[1].split(")")[0] for line in caplog.text.splitlines() if "XLA" in line
    ]
    assert [name for name in names if name in ("start", "advance")] == ["start", "advance"]


def test_a_loss_is_compiled_once():
    data = Data(X, Y, None, None, np.float64(-1))
    with jax.enable_x64(True):
        compiled = program(regression.loss, optax.sgd(0.1), None)
        state = compiled.start(np.zeros(3), data, 4)
        halves = compiled.start.lower(np.zeros(3), data, 4), compiled.advance.lower(state, data, 4)
    assert ["dot_general" in half.as_text() for half in halves] == [False, True]
