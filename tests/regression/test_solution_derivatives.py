"""Derivatives through an answer: against central differences of the answer itself, in float64."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from funcgrad import fit, regression
from funcgrad.regression import Linear

ROWS, FEATURES = 12, 3
_RNG = np.random.default_rng(0)
X = _RNG.normal(size=(ROWS, FEATURES))
Y = X @ [1.0, -2.0, 0.5] + 0.3 * _RNG.normal(size=ROWS)
COUNTS = _RNG.uniform(0.5, 2.0, ROWS)
COUNTS[4] = 0.0
PENALTY = 0.7


def numbers_of(answer):
    return jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(answer)])


def least_squares(x, y, weights, penalty):
    targets = jnp.stack([y, y**2], 1)
    answer = regression.least_squares(x, targets, intercept=True, weights=weights)
    return numbers_of(answer._replace(rank=None))


def dependent_columns(x, y, weights, penalty):
    """The smallest answer, of more features than rows: a matrix of full rank, so that it is smooth."""
    wide = jnp.hstack([x, x**2])[:4]
    return numbers_of(regression.least_squares(wide, y[:4], intercept=True).params)


def ridge(x, y, weights, penalty):
    return numbers_of(regression.ridge((x, y), penalty, intercept=True, weights=weights))


def ridge_of_sums(x, y, weights, penalty):
    return numbers_of(regression.ridge(regression.moments(x, y, weights), penalty, intercept=True))


def lasso(x, y, weights, penalty):
    sums = regression.moments(x, y, weights)
    return numbers_of(regression.lasso(sums, 0.5 * penalty, intercept=True))


def logistic(x, y, weights, penalty):
    error = optax.losses.sigmoid_binary_cross_entropy

    def loss(params, x, y):
        prediction = regression.predict(params, x)
        return jnp.mean(weights * error(prediction, y)) + penalty * jnp.sum(params.weights**2)

    start = Linear(jnp.zeros(FEATURES), jnp.zeros(()))
    targets = jax.nn.sigmoid(y)
    result = fit(loss, start, x, targets, optimizer=optax.lbfgs(), steps=200, tolerance=1e-11)
    return numbers_of((result.params, result.loss))


CASES = [least_squares, dependent_columns, ridge, ridge_of_sums, lasso, logistic]
POINT = (X, Y, COUNTS, np.asarray(PENALTY))
STEP = 1e-5


@pytest.mark.parametrize("function", CASES, ids=lambda f: f.__name__)
def test_gradients_are_those_of_the_answer_also_under_vmap_and_jit(function):
    rng = np.random.default_rng(1)
    directions = []
    for position, leaf in enumerate(POINT):
        directions.append([np.zeros_like(leaf) for leaf in POINT])
        directions[-1][position] = rng.normal(size=leaf.shape)
    directions[2][2][4] = 0.0  # a weight of zero has no smaller one
    points = [POINT]
    for direction in directions:
        points += [
            [leaf + sign * STEP * along for leaf, along in zip(POINT, direction, strict=True)]
            for sign in (1, -1)
        ]
    with jax.enable_x64(True):
        several = [np.stack(leaves) for leaves in zip(*points, strict=True)]
        size = jax.eval_shape(function, *POINT).shape
        cotangent = rng.normal(size=size)

        def seen(*point):
            return function(*point) @ cotangent

        program = jax.jit(jax.vmap(jax.value_and_grad(seen, argnums=(0, 1, 2, 3))))
        values, grads = map(partial(jax.tree.map, np.asarray), program(*several))
    expected = (values[1::2] - values[2::2]) / (2 * STEP)
    found = [
        sum(np.sum(grad[0] * along) for grad, along in zip(grads, direction, strict=True))
        for direction in directions
    ]
    np.testing.assert_allclose(found, expected, rtol=5e-7, atol=5e-8)


@pytest.mark.parametrize("function", [ridge_of_sums, lasso], ids=lambda f: f.__name__)
def test_derivatives_keep_float64_where_the_default_is_float32(function, monkeypatch):
    """Of float32 arrays: the work between is in float64, and so are its derivatives, forwards and backwards."""
    monkeypatch.setattr(f"{__name__}.numbers_of", lambda answer: jax.tree.leaves(answer))
    point = [np.asarray(leaf, np.float32) for leaf in POINT]

    def seen(*point):
        return sum((leaf.astype(np.float32) ** 2).sum() for leaf in function(*point))

    def both(*point):
        _, forwards = jax.jvp(seen, point, tuple(jnp.ones_like(leaf) for leaf in point))
        return forwards, jax.grad(seen, (0, 1, 2, 3))(*point)

    forwards, grads = jax.jit(both)(*point)
    assert {leaf.dtype for leaf in grads} == {np.dtype(np.float32)}
    pulled = sum(np.sum(np.asarray(grad, np.float64)) for grad in grads)
    np.testing.assert_allclose(forwards, pulled, rtol=1e-5)


def test_fit_that_has_not_converged_has_no_derivative():
    def reached(penalty, steps):
        def loss(params, x, y):
            return regression.loss(params, x, y) + penalty * jnp.sum(params**2)

        result = fit(
            loss, jnp.zeros(FEATURES), jnp.asarray(X), jnp.asarray(Y),
            optimizer=optax.sgd(0.1), steps=steps, tolerance=1e-5,
        )  # fmt: skip
        return result.params.sum()

    unfinished, finished = (jax.jit(jax.grad(partial(reached, steps=n)))(0.1) for n in (1, 500))
    assert np.isnan(unfinished)
    gram, right = X.T @ X / ROWS + 0.1 * np.eye(FEATURES), X.T @ Y / ROWS
    weights = np.linalg.solve(gram, right)
    exact = -np.linalg.solve(gram, weights).sum()
    np.testing.assert_allclose(finished, exact, rtol=1e-3)
    # And a sweep over what the loss closes over.
    swept = jax.vmap(partial(reached, steps=500))(jnp.array([0.1, 0.2]))
    np.testing.assert_allclose(swept[0], weights.sum(), rtol=1e-3)
