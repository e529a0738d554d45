"""The problem that backends share is the one asked for, and stable where it is said to be."""

import jax
import numpy as np
import optax
import pytest

from funcgrad import regression
from funcgrad.compare import BACKENDS, OPTIMIZERS, OptionError
from funcgrad.compare.devices import devices, find_device, pytorch_name
from funcgrad.compare.problem import make_problem
from funcgrad.datasets import DataError, load_diabetes


def test_features_are_standardised_and_the_target_is_left_alone():
    data = load_diabetes()
    problem = make_problem(data.x, data.y, data.feature_names, dtype="float64")
    np.testing.assert_allclose(problem.x.mean(axis=0), 0, atol=1e-14)
    np.testing.assert_allclose(problem.x.std(axis=0), 1, rtol=1e-14)
    np.testing.assert_array_equal(problem.y, data.y)


@pytest.mark.parametrize("scale", [1e-300, 1e-12, 1e12, 1e300])
def test_units_of_the_features_do_not_matter(scale):
    data = load_diabetes()
    plain = make_problem(data.x, data.y).x
    np.testing.assert_allclose(make_problem(data.x * scale, data.y).x, plain, rtol=1e-6, atol=1e-7)


def test_initial_parameters_follow_the_seed_and_not_the_dtype():
    data = load_diabetes()
    narrow, wide, other = (
        make_problem(data.x, data.y, dtype=dtype, seed=seed).initial
        for dtype, seed in (("float32", 1), ("float64", 1), ("float64", 2))
    )
    assert narrow.weights.dtype == narrow.bias.dtype == np.float32
    assert wide.weights.dtype == wide.bias.dtype == np.float64
    np.testing.assert_array_equal(narrow.weights, wide.weights.astype(np.float32))
    np.testing.assert_array_equal(narrow.bias, wide.bias.astype(np.float32))
    assert not np.isin(other.weights, wide.weights).any()
    assert np.abs(wide.vector).max() <= 1 / np.sqrt(10)


def test_curvature_is_the_largest_eigenvalue_of_the_hessian():
    data = load_diabetes()
    problem = make_problem(data.x, data.y, dtype="float64")
    hessian = 2 / len(data.y) * problem.design.T @ problem.design
    assert problem.curvature == pytest.approx(np.linalg.eigvalsh(hessian)[-1], rel=1e-12)
    with jax.enable_x64(True):
        params = regression.Linear(*problem.exact)
        gradient = jax.grad(regression.loss)(params, problem.x, problem.y)
    np.testing.assert_allclose(gradient.weights, 0, atol=1e-11)


@pytest.mark.parametrize("name", [name for name, row in OPTIMIZERS.items() if row.stable])
def test_stable_rate_is_the_border_between_convergence_and_divergence(name):
    row, curvature = OPTIMIZERS[name], 4.0
    assert row.stable is not None

    def distance_after(rate):
        optimizer = row.optax(rate, **row.constants)
        param = jax.numpy.float32(1)
        state = optimizer.init(param)
        for _ in range(200):
            update, state = optimizer.update(curvature * param, state)
            param = optax.apply_updates(param, update)
        return abs(float(param))

    assert distance_after(0.98 * row.stable(curvature)) < 0.1
    assert not distance_after(1.02 * row.stable(curvature)) < 10  # it may have become a NaN


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_automatic_learning_rate_comes_near_the_exact_answer(optimizer):
    random = np.random.default_rng(5)
    x = random.normal(size=(60, 3))
    y = 1000 + x @ np.array([1.0, -2.0, 3.0]) + random.normal(size=60)
    problem = make_problem(x, y, optimizer=optimizer, dtype="float64", steps=500)
    trained = BACKENDS["jax-loop"].prepare(problem).train(problem.steps)
    np.testing.assert_allclose(trained.vector, problem.exact.vector, rtol=0, atol=1e-2)


GOOD_X, GOOD_Y = np.array([[1.0, 0.0], [2.0, 1.0], [4.0, 5.0]]), np.array([1.0, 2.0, 4.0])


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (GOOD_X[:1], GOOD_Y[:1], "at least two rows; there is 1"),
        (
            GOOD_X[:2],
            GOOD_Y[:2],
            r"more parameters \(2 features and an intercept\) than rows \(2\)",
        ),
        (GOOD_X * [1, 0], GOOD_Y, "constant columns.*'b'"),
        (GOOD_X * 0 + 7, GOOD_Y, "constant columns.*'a', 'b'"),
        (GOOD_X, GOOD_Y * 0 + 3, r"target is the same in every row \(3\)"),
        (GOOD_X * [np.nan, 1], GOOD_Y, "must not hold a NaN"),
        (GOOD_X, GOOD_Y * np.inf, "must not hold a NaN or an infinity"),
        (GOOD_X, GOOD_Y * 1e30, "too large for float32"),
        (GOOD_X, GOOD_Y[:2], r"x should have shape \(rows, features\)"),
        (GOOD_X[:, 0], GOOD_Y, r"they have shapes \(3,\) and \(3,\)"),
    ],
)
def test_data_without_a_unique_finite_answer_is_refused(x, y, message):
    with pytest.raises(DataError, match=message):
        make_problem(x, y, ["a", "b"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": "lbfgs"}, "unknown optimizer 'lbfgs'; there are: sgd, momentum, adam"),
        ({"dtype": "float16"}, "unknown dtype 'float16'; there are: float32, float64"),
        ({"device": "abacus"}, "no device 'abacus' here; there are: .*cpu"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"seed": -1}, "seed must not be negative"),
        ({"learning_rate": 0.0}, "must be positive"),
        ({"learning_rate": -1.0}, "must be positive"),
        ({"learning_rate": float("nan")}, "must be positive"),
        ({"learning_rate": 1.0}, "sgd diverges .* of 1; the largest stable rate .* is 0.502577"),
        ({"learning_rate": 1.0, "optimizer": "momentum"}, "momentum diverges .* is 0.954897"),
    ],
)
def test_what_cannot_be_done_is_refused_with_what_can(options, message):
    with pytest.raises(OptionError, match=message):
        make_problem(GOOD_X, GOOD_Y, **options)


def test_devices_have_one_name_for_jax_and_pytorch():
    assert find_device(None) == jax.devices()[0]
    cpu = find_device("cpu")
    assert find_device("CPU:0") == cpu
    assert pytorch_name(cpu) == "cpu"
    assert all(find_device(name) == device for name, device in devices().items())
