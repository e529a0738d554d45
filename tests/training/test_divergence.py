"""A fit that blows up: where it stops, what it says, what the result holds."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from funcgrad import fit, regression
from funcgrad.training import DivergenceWarning

SGD = optax.sgd(0.1)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 3)).astype(np.float32)
Y = RNG.normal(size=20).astype(np.float32)


def test_divergence_stops_at_the_last_finite_parameters():
    with pytest.warns(DivergenceWarning, match="turned non-finite after"):
        result = fit(regression.loss, jnp.ones(3), X, Y, optimizer=optax.sgd(10.0), steps=1000)
    steps = int(result.steps)
    assert result.diverged
    assert not result.converged
    assert 0 < steps < 1000
    assert np.isfinite(result.params).all()
    assert np.isfinite(regression.loss(result.params, X, Y))
    assert result.losses.shape == (steps,)
    assert np.isfinite(result.losses).all()

    # The step not taken is the one that leads to a loss or gradient that is not finite.
    value, grads = regression.value_and_grad(result.params, X, Y)
    beyond = regression.update(result.params, grads, 10.0)
    value, grads = regression.value_and_grad(beyond, X, Y)
    assert not (np.isfinite(value) and np.isfinite(grads).all())


def test_warning_names_the_largest_stable_learning_rate():
    bound = float(regression.largest_stable_learning_rate(jnp.ones(3), X))
    with pytest.warns(DivergenceWarning, match=f"rates below {bound:.4g}; this was 10") as caught:
        fit(
            regression.loss, jnp.ones(3), X, Y,
            optimizer=optax.sgd, learning_rate=10.0, steps=1000,
        )  # fmt: skip
    assert caught[0].filename == __file__


@pytest.mark.parametrize(("factor", "diverges"), [(0.99, False), (1.01, True)])
def test_rate_named_is_the_edge(factor, diverges):
    """In float64 there is room for a divergence this slow to reach overflow."""
    with jax.enable_x64(True), warnings.catch_warnings():
        warnings.simplefilter("ignore", DivergenceWarning)
        x, y = X.astype(np.float64), Y.astype(np.float64)
        bound = regression.largest_stable_learning_rate(np.ones(3), x)
        result = fit(
            regression.loss, np.ones(3), x, y,
            optimizer=optax.sgd, learning_rate=factor * bound, steps=40_000,
        )  # fmt: skip
    assert bool(result.diverged) is diverges


def test_loss_that_is_not_this_regression_gets_no_learning_rate():
    with pytest.warns(DivergenceWarning) as caught:
        fit(
            lambda w, x, y: jnp.sum(w**4), jnp.ones(3), None, None,
            optimizer=optax.sgd(10.0), steps=99,
        )  # fmt: skip
    assert "stable" not in str(caught[0].message)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("where", ["x", "y"])
def test_data_that_is_not_finite_is_named(where, value):
    x, y = X.copy(), Y.copy()
    (x if where == "x" else y)[4, ...] = value
    with pytest.warns(DivergenceWarning, match=f"no step was taken. {where} holds values"):
        result = fit(regression.loss, jnp.ones(3), x, y, optimizer=SGD, steps=9)
    assert result.diverged
    assert int(result.steps) == 0
    np.testing.assert_array_equal(result.params, np.ones(3))


def test_gradient_that_is_not_finite_stops_although_the_loss_is():
    """The square root has a finite value and an infinite slope at zero."""
    with pytest.warns(DivergenceWarning, match="initial parameters"):
        result = fit(
            lambda w, x, y: jnp.sqrt(w), jnp.zeros(()), None, None,
            optimizer=SGD, steps=9,
        )  # fmt: skip
    assert float(result.params) == 0
    assert float(result.loss) == 0


def test_a_loss_undefined_beyond_a_point_stops_before_it():
    """-log(1 - w) descends away from the pole, its negative runs into NaN past w = 1."""
    with pytest.warns(DivergenceWarning):
        result = fit(
            lambda w, x, y: jnp.log(1 - w), jnp.float32(0.0), None, None,
            optimizer=optax.sgd(0.3), steps=100,
        )  # fmt: skip
    assert 0 < float(result.params) < 1
    assert np.isfinite(result.losses).all()


def test_a_fit_that_goes_well_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = fit(regression.loss, jnp.ones(3), X, Y, optimizer=SGD, steps=100)
    assert not result.diverged
