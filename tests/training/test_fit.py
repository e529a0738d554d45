"""`fit` agrees with closed forms, handwritten loops, and the exact answer."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from funcgrad import fit, regression
from funcgrad.regression import Linear
from funcgrad.training import ConvergenceWarning

SGD = optax.sgd(0.1)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 3)).astype(np.float32)
    y = (x @ np.array([1.0, -2.0, 0.5]) + rng.normal(size=40)).astype(np.float32)
    return x, y


def test_gradient_descent_follows_its_closed_form(data):
    """The error after k steps is (I - r H)^k times the first one."""
    x, y = (a.astype(np.float64) for a in data)
    with jax.enable_x64(True):
        exact = np.asarray(regression.least_squares(x, y).params)
        result = fit(regression.loss, np.ones(3), x, y, optimizer=SGD, steps=50)
    shrink = np.eye(3) - 0.1 * 2 / len(x) * x.T @ x
    expected = exact + np.linalg.matrix_power(shrink, 50) @ (np.ones(3) - exact)
    np.testing.assert_allclose(result.params, expected, rtol=1e-13)


def test_result_is_that_of_the_loop_written_by_hand(data):
    x, y = data
    optimizer = optax.adam(0.1)
    params = Linear(jnp.zeros(3), jnp.zeros(()))
    result = fit(regression.loss, params, x, y, optimizer=optimizer, steps=20)

    state, losses = optimizer.init(params), []
    for _ in range(20):
        value, grads = regression.value_and_grad(params, x, y)
        updates, state = optimizer.update(grads, state, params)
        params = optax.apply_updates(params, updates)
        losses.append(value)
    value, grads = regression.value_and_grad(params, x, y)

    close = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
    jax.tree.map(close, result.params, params)
    jax.tree.map(close, result.optimizer_state, state)
    close(result.losses, losses)
    close(result.loss, value)
    close(result.gradient_norm, optax.tree.norm(grads))
    assert int(result.steps) == 20
    assert not result.converged
    assert not result.diverged


def test_any_pure_loss_trains_any_pytree(data):
    """Logistic regression with parameters in a dict: it ends where the gradient vanishes."""
    x, y = data
    labels = (y > 0).astype(np.float32)

    def logistic(params, x, labels):
        logits = x @ params["weights"] + params["bias"]
        return jnp.mean(optax.sigmoid_binary_cross_entropy(logits, labels))

    params = {"weights": jnp.zeros(3), "bias": 0.0}
    result = fit(logistic, params, x, labels, optimizer=optax.sgd(1.0), steps=2000, tolerance=1e-4)
    assert result.converged
    # The score equations of logistic regression: the residuals are orthogonal to every column.
    residuals = jax.nn.sigmoid(x @ result.params["weights"] + result.params["bias"]) - labels
    assert np.linalg.norm([*(residuals @ x), residuals.sum()]) / len(x) <= 1.1e-4


def test_lbfgs_reaches_the_exact_answer_in_a_few_steps(data):
    x, y = data
    result = fit(
        regression.loss, jnp.zeros(3), x, y, optimizer=optax.lbfgs(), steps=50, tolerance=1e-5
    )
    assert result.converged
    assert int(result.steps) < 15
    exact = regression.least_squares(x, y)
    np.testing.assert_allclose(result.params, exact.params, rtol=1e-4)


def test_tolerance_stops_at_the_first_gradient_that_small(data):
    x, y = data
    run = partial(fit, regression.loss, jnp.zeros(3), x, y, optimizer=SGD)
    result = run(steps=500, tolerance=1e-3)
    assert result.converged
    assert float(result.gradient_norm) <= 1e-3
    assert len(result.losses) == int(result.steps) < 500
    with pytest.warns(ConvergenceWarning, match="above the tolerance of 0.001") as caught:
        one_less = run(steps=int(result.steps) - 1, tolerance=1e-3)
    assert [warning.filename for warning in caught] == [__file__]
    assert not one_less.converged
    assert float(one_less.gradient_norm) > 1e-3


def test_a_start_at_the_minimum_takes_no_step():
    x = np.eye(3, dtype=np.float32)
    result = fit(regression.loss, jnp.ones(3), x, x.sum(1), optimizer=SGD, steps=9, tolerance=0.0)
    assert result.converged
    assert int(result.steps) == 0
    assert result.losses.shape == (0,)


def test_zero_steps_evaluates_the_start(data):
    x, y = data
    result = fit(regression.loss, jnp.zeros(3), x, y, optimizer=SGD, steps=0)
    np.testing.assert_array_equal(result.params, np.zeros(3))
    np.testing.assert_allclose(result.loss, np.mean(y**2), rtol=1e-6)
    assert not result.converged


def test_parameters_given_stay_valid(data):
    x, y = data
    start = jnp.zeros(3)
    for _ in range(2):
        fit(regression.loss, start, x, y, optimizer=SGD, steps=5)
    np.testing.assert_array_equal(start, np.zeros(3))


@pytest.mark.parametrize(
    "optimizer",
    [optax.lbfgs(), optax.contrib.schedule_free_sgd(0.1), optax.inject_hyperparams(optax.sgd)(0.1)],
    ids=["lbfgs", "schedule_free", "inject_hyperparams"],
)
def test_optimizers_that_keep_the_parameters_in_their_state_run_in_segments(data, optimizer):
    """Donating a buffer that occurs twice in the state would be an error."""
    x, y = data
    run = partial(fit, regression.loss, jnp.zeros(3), x, y, optimizer=optimizer, steps=12)
    whole, segments = run(), run(progress=lambda reached: None, progress_every=5)
    np.testing.assert_array_equal(whole.params, segments.params)


def test_learning_rate_as_a_number_is_the_optimizers_own(data):
    x, y = data
    run = partial(fit, regression.loss, jnp.zeros(3), x, y, steps=30)
    given = run(optimizer=optax.adam, learning_rate=0.05)
    np.testing.assert_allclose(given.params, run(optimizer=optax.adam(0.05)).params, rtol=1e-6)


def test_auto_is_one_over_the_largest_eigenvalue(data):
    x, y = data
    params = Linear(jnp.zeros(3), jnp.zeros(()))
    run = partial(fit, regression.loss, params, x, y, optimizer=optax.sgd, steps=30)
    rate = 1 / regression.largest_eigenvalue(params, x)
    auto, given = run(learning_rate="auto"), run(learning_rate=rate)
    jax.tree.map(np.testing.assert_array_equal, auto.params, given.params)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
@pytest.mark.parametrize("outputs", [(), (2,)], ids=["one output", "two outputs"])
def test_auto_descends_at_every_step_whatever_the_datas_scale(scale, outputs):
    rng = np.random.default_rng(1)
    with jax.enable_x64(True):
        x = scale * rng.normal(3.0, 1.0, size=(30, 4))
        y = rng.normal(size=(30, *outputs))
        params = Linear(np.zeros((4, *outputs)), np.zeros(outputs))
        result = fit(
            regression.loss, params, x, y, optimizer=optax.sgd, learning_rate="auto", steps=200
        )
    assert not result.diverged
    assert np.all(np.diff(result.losses) <= 1e-12)
    assert result.losses[-1] < result.losses[0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtype_of_the_arrays_is_the_dtype_of_the_result(dtype):
    """float64 arrays train in float64 although JAX's default, outside, stays float32."""
    with jax.enable_x64(True):
        x, y = jnp.eye(3, dtype=dtype), jnp.ones(3, dtype)
        params = jnp.zeros(3, dtype)
    result = fit(regression.loss, params, x, y, optimizer=optax.adam(0.1), steps=5)
    for leaf in (result.params, result.loss, result.losses, result.gradient_norm):
        assert leaf.dtype == dtype
    assert jnp.ones(1).dtype == np.float32


def test_large_gradients_do_not_overflow_their_norm():
    """1e25 squared is beyond float32, the norm itself is not."""
    result = fit(
        lambda w, x, y: jnp.sum(w * 1e25), jnp.zeros(4), None, None,
        optimizer=optax.sgd(1e-25), steps=3,
    )  # fmt: skip
    assert not result.diverged
    np.testing.assert_allclose(result.gradient_norm, 2e25, rtol=1e-6)


def test_vmap_over_learning_rates_is_each_fit_alone(data):
    x, y = data
    run = partial(fit, regression.loss, jnp.zeros(3), x, y, optimizer=optax.sgd, steps=20)
    rates = jnp.array([0.01, 0.1, 0.3])
    sweep = jax.jit(jax.vmap(lambda rate: run(learning_rate=rate)))(rates)
    for i, rate in enumerate(rates):
        alone = run(learning_rate=rate)
        np.testing.assert_allclose(sweep.params[i], alone.params, rtol=1e-5)
        np.testing.assert_allclose(sweep.losses[i], alone.losses, rtol=1e-5)


def test_inside_vmap_each_member_stops_on_its_own(data):
    """One converges, one diverges; their losses end in NaN from there on, and nothing warns."""
    x, y = data
    rates = jnp.array([0.3, 30.0])
    sweep = jax.vmap(
        lambda rate: fit(
            regression.loss, jnp.zeros(3), x, y,
            optimizer=optax.sgd, learning_rate=rate, steps=200, tolerance=1e-3,
        )
    )(rates)  # fmt: skip
    assert sweep.converged.tolist() == [True, False]
    assert sweep.diverged.tolist() == [False, True]
    taken = np.isfinite(sweep.losses).sum(axis=1)
    assert taken.tolist() == sweep.steps.tolist()
    assert sweep.losses.shape == (2, 200)
