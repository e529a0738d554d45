"""The largest eigenvalue against the full Hessian, and what it promises about convergence."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from funcgrad import regression
from funcgrad.regression import Linear

PARAMS = {
    "weights": lambda d: jnp.zeros(d),
    "weights and bias": lambda d: Linear(jnp.zeros(d), jnp.zeros(())),
    "outputs": lambda d: jnp.zeros((d, 3)),
    "outputs and biases": lambda d: Linear(jnp.zeros((d, 3)), jnp.zeros(3)),
    "mapping": lambda d: {"weights": jnp.zeros(d), "bias": jnp.zeros(())},
}


@pytest.mark.parametrize("params", PARAMS.values(), ids=PARAMS)
@pytest.mark.parametrize("shape", [(20, 4), (4, 4), (3, 6), (1, 1)], ids=str)
def test_largest_eigenvalue_is_the_full_hessians(params, shape):
    params = params(shape[1])
    x = np.random.default_rng(0).normal(1.0, 1.0, size=shape).astype(np.float32)
    flat, unravel = ravel_pytree(params)
    y = jnp.zeros_like(regression.predict(params, x))
    hessian = jax.jit(jax.hessian(lambda w: regression.loss(unravel(w), x, y)))(flat)
    expected = np.linalg.eigvalsh(np.asarray(hessian, np.float64))[-1]
    np.testing.assert_allclose(regression.largest_eigenvalue(params, x), expected, rtol=1e-5)


def test_gradient_descent_converges_just_below_the_bound_and_not_above():
    x = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)
    y = x @ np.array([1.0, -2.0, 3.0], np.float32)
    bound = regression.largest_stable_learning_rate(jnp.zeros(3), x)

    def loss_after(learning_rate):
        return jax.lax.fori_loop(
            0, 2000, lambda _, w: regression.step(w, x, y, learning_rate)[0], jnp.zeros(3)
        )

    start = regression.loss(jnp.zeros(3), x, y)
    assert regression.loss(loss_after(0.98 * bound), x, y) < 1e-6 * start
    assert not regression.loss(loss_after(1.02 * bound), x, y) < 1e6 * start


def test_float64_data_gives_a_float64_eigenvalue():
    with jax.enable_x64(True):
        x = np.diag([3.0, 1.0])
        eigenvalue = regression.largest_eigenvalue(jnp.zeros(2), x)
    assert eigenvalue.dtype == np.float64
    assert float(eigenvalue) == pytest.approx(9.0, rel=1e-15)


@pytest.mark.parametrize(
    ("params", "x", "message"),
    [
        (np.zeros(3), np.zeros((5, 2)), "2 features, the weights have 3"),
        (np.zeros(3), np.zeros((0, 3)), r"\(0, 3\)"),
        (np.zeros(3), np.zeros(3), r"\(rows, features\).*\(3,\)"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(params, x, message):
    with pytest.raises(ValueError, match=message):
        regression.largest_eigenvalue(params, x)
