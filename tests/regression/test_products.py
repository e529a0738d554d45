"""The prediction and its derivatives do not depend on how the rows are blocked."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from funcgrad import regression
from funcgrad.regression.products import linear_prediction


def data(rows, dtype):
    random = np.random.default_rng(0)
    return tuple(random.normal(size=s).astype(dtype) for s in (3, (rows, 3), rows))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rows", [4096, 10_000, 10_007])
def test_prediction_and_gradient_are_numpys(rows, dtype):
    w, x, y = data(rows, dtype)
    with jax.enable_x64(dtype is np.float64):
        np.testing.assert_allclose(
            regression.predict(w, x), x @ w, atol=20 * np.finfo(dtype).eps * np.abs(x @ w).max()
        )
        value, grads = regression.value_and_grad(w, x, y)
    wide = [array.astype(np.longdouble) for array in (w, x, y)]
    residuals = wide[1] @ wide[0] - wide[2]
    # A sum over the rows one after another is off by about the root of their number.
    tolerance = np.sqrt(rows) * float(np.finfo(dtype).eps)
    np.testing.assert_allclose(value, float(np.mean(residuals**2)), rtol=tolerance)
    np.testing.assert_allclose(
        grads, (2 / rows * wide[1].T @ residuals).astype(np.float64), atol=tolerance
    )


def test_derivatives_of_any_order_and_mode_are_those_of_the_plain_product():
    """For a loss that is not the squared error: of Poisson regression."""
    w, x, y = data(8000, np.float32)

    def loss(product):
        def of(w, x):
            prediction = product(x, w)
            return jnp.mean(jnp.exp(prediction) - y * prediction)

        return of

    ours, plain = loss(linear_prediction), loss(jnp.matmul)
    for transform in (jax.grad, jax.hessian, lambda f: jax.jacfwd(jax.jacfwd(f))):
        np.testing.assert_allclose(
            jax.jit(transform(ours))(w, x), jax.jit(transform(plain))(w, x), rtol=1e-4, atol=1e-5
        )
    by_rows = jax.jit(jax.grad(ours, argnums=1))(w, x)
    np.testing.assert_allclose(by_rows, jax.grad(plain, argnums=1)(w, x), rtol=1e-4, atol=1e-7)


def test_a_mapped_axis_of_weights_or_data_is_each_alone():
    w, x, y = data(8192, np.float32)
    several = np.stack([w, 2 * w, -w])
    mapped = jax.vmap(regression.value_and_grad, in_axes=(0, None, None))(several, x, y)
    for i, each in enumerate(several):
        value, grads = regression.value_and_grad(each, x, y)
        np.testing.assert_allclose(mapped[0][i], value, rtol=1e-5)
        np.testing.assert_allclose(mapped[1][i], grads, atol=1e-5)
    x_twice = np.stack([x, 3 * x])
    mapped = jax.vmap(regression.predict, in_axes=(None, 0))(w, x_twice)
    np.testing.assert_allclose(mapped[1], 3 * x @ w, rtol=1e-4, atol=1e-5)
