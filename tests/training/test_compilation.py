"""Compilations of `fit`, counted in JAX's own log."""

import gc
import weakref
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from funcgrad import fit, regression
from funcgrad.training.loop import program

X = np.random.default_rng(0).normal(size=(23, 3)).astype(np.float32)
Y = X.sum(axis=1)
OPTIMIZER = optax.sgd(0.01)


@pytest.fixture
def compilations(caplog):
    """Return a function that counts the programs compiled while it calls another."""

    def count(function):
        caplog.clear()
        with jax.log_compiles():
            function()
        return sum("Finished XLA compilation" in record.message for record in caplog.records)

    return count


def test_a_second_fit_compiles_nothing(compilations):
    optimizer = optax.adam(0.1)
    run = partial(fit, regression.loss, optimizer=optimizer, steps=20)
    assert compilations(lambda: run(jnp.zeros(3), X, Y)) > 0
    assert compilations(lambda: run(jnp.ones(3), 2 * X, Y + 1)) == 0


@pytest.mark.filterwarnings("ignore::funcgrad.training.ConvergenceWarning")
def test_nor_does_another_learning_rate_tolerance_or_number_of_steps(compilations):
    run = partial(fit, regression.loss, jnp.zeros(3), X, Y, optimizer=optax.sgd)
    run(learning_rate=0.1, steps=100, tolerance=1e-9)
    assert compilations(lambda: run(learning_rate=0.2, steps=70, tolerance=1e-3)) == 0


def test_nor_another_key(compilations):
    optimizer = optax.sgd(0.1)
    run = partial(fit, regression.loss, jnp.zeros(3), X, Y, optimizer=optimizer, batch_size=5)
    first, second = jax.random.key(0), jax.random.key(1)
    run(steps=9, key=first)
    assert compilations(lambda: run(steps=12, key=second)) == 0


def test_nor_a_progress_report(compilations):
    optimizer = optax.sgd(0.1)
    run = partial(fit, regression.loss, jnp.zeros(3), X, Y, optimizer=optimizer, steps=20)
    run()
    assert compilations(lambda: run(progress=lambda reached: None, progress_every=3)) == 0


def test_the_loss_is_traced_a_fixed_number_of_times_whatever_the_steps():
    traces = []

    def loss(w, x, y):
        traces.append(1)
        return regression.loss(w, x, y)

    counts = []
    for steps in (1, 1, 1000):
        fit(loss, jnp.zeros(3), X, Y, optimizer=OPTIMIZER, steps=steps)
        counts.append(len(traces))
        traces.clear()
    assert 0 < counts[0] < 10
    assert counts[1] == 0
    assert counts[2] <= counts[0]


def test_a_loss_that_cannot_be_hashed_still_trains():
    class Ridge:
        __hash__ = None

        def __call__(self, w, x, y):
            return regression.loss(w, x, y) + 0.1 * jnp.sum(w**2)

    result = fit(Ridge(), jnp.zeros(3), X, Y, optimizer=optax.sgd(0.1), steps=500)
    ridge = np.linalg.solve(X.T @ X / len(X) + 0.1 * np.eye(3), X.T @ Y / len(X))
    np.testing.assert_allclose(result.params, ridge, rtol=1e-5)


def test_only_a_bounded_cache_keeps_a_loss_alive():
    """A loss that closes over data must not keep it for ever."""

    def loss(w, x, y):
        return (w - 1.0) ** 2

    watched = weakref.ref(loss)
    fit(loss, 0.0, None, None, optimizer=OPTIMIZER, steps=1)
    del loss
    gc.collect()
    assert watched() is not None
    assert program.cache_info().maxsize is not None
    program.cache_clear()
    gc.collect()
    assert watched() is None
