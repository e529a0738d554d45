"""What rounding is allowed covers every order of adding, and no more than a little else."""

import numpy as np
import optax
import pytest

from funcgrad.compare import OPTIMIZERS, Parameters
from funcgrad.compare.problem import make_problem
from funcgrad.compare.tolerance import allowance, training_allowance
from funcgrad.datasets import load_diabetes


def diabetes(**options):
    data = load_diabetes()
    return make_problem(data.x, data.y, data.feature_names, **options)


def evaluated(problem, params, order):
    """Loss and gradient in the problem's dtype, adding one term after the other in an order."""
    x, y = problem.x[order], problem.y[order]
    terms = np.concatenate([x * params.weights, np.full_like(x[:, :1], params.bias)], axis=1)
    residual = np.cumsum(terms, axis=1)[:, -1] - y
    rows = problem.dtype.type(len(y))
    loss = np.cumsum(residual * residual)[-1] / rows
    products = np.concatenate([x, np.ones_like(x[:, :1])], axis=1) * residual[:, None]
    gradient = np.cumsum(products, axis=0)[-1] * (2 / rows)
    assert loss.dtype == gradient.dtype == problem.dtype
    return float(loss), gradient.astype(np.float64)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_allowance_covers_any_order_of_adding(dtype):
    problem = diabetes(dtype=dtype)
    random = np.random.default_rng(0)
    near = Parameters(*(np.asarray(a, dtype) for a in problem.exact))
    for params in (problem.initial, near):
        allowed = allowance(problem, params)
        orders = [
            np.arange(len(problem.y)),
            *(random.permutation(len(problem.y)) for _ in range(20)),
        ]
        orders.append(np.argsort(problem.y))
        losses, gradients = zip(
            *(evaluated(problem, params, order) for order in orders), strict=True
        )
        assert np.ptp(losses) <= allowed.loss
        assert np.ptp(gradients, axis=0).max() <= allowed.gradient


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_training_allowance_covers_any_order_of_adding(optimizer):
    problem = diabetes(optimizer=optimizer, steps=60)
    row = problem.optimizer
    random = np.random.default_rng(0)

    def trained(order):
        algorithm = row.optax(problem.learning_rate, **row.constants)
        vector = problem.initial.vector.astype(np.float32)
        state = algorithm.init(vector)
        for _ in range(problem.steps):
            _, gradient = evaluated(problem, Parameters(vector[:-1], vector[-1]), order)
            updates, state = algorithm.update(gradient.astype(np.float32), state)
            vector = np.asarray(optax.apply_updates(vector, updates))
        return vector

    results = [trained(random.permutation(len(problem.y))) for _ in range(3)]
    assert np.ptp(results, axis=0).max() <= training_allowance(problem, problem.steps)


def test_allowance_is_a_small_part_of_what_it_bounds():
    problem = diabetes()
    design, y = problem.design, problem.y.astype(np.float64)
    residual = design @ problem.initial.vector - y
    gradient = 2 / len(y) * design.T @ residual
    allowed = allowance(problem, problem.initial)
    assert allowed.loss < 2e-5 * np.mean(residual**2)
    assert allowed.gradient < 2e-5 * np.abs(gradient).max()
    assert training_allowance(problem, 5) < 2e-5 * np.abs(problem.exact.vector).max()
    assert training_allowance(problem, 1000) < 2e-4 * np.abs(problem.exact.vector).max()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_allowance_shrinks_with_the_dtypes_precision(optimizer):
    narrow, wide = (diabetes(optimizer=optimizer, dtype=each) for each in ("float32", "float64"))
    ratio = np.finfo(np.float32).eps / np.finfo(np.float64).eps
    assert training_allowance(narrow, 50) / training_allowance(wide, 50) == pytest.approx(
        ratio, rel=0.2
    )
    assert allowance(narrow, narrow.initial).gradient / allowance(
        wide, wide.initial
    ).gradient == pytest.approx(ratio, rel=1e-3)
