"""Correct backends agree, whatever the optimizer, the dtype and the data."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from funcgrad.compare import BACKENDS, OPTIMIZERS, compare
from funcgrad.compare.devices import find_device
from funcgrad.compare.problem import make_problem
from funcgrad.datasets import load_diabetes

pytestmark = pytest.mark.usefixtures("short_warm_up")

DTYPES = ["float32", "float64"]


def runnable() -> list[str]:
    return [row.name for row in BACKENDS.values() if not row.unavailable(find_device("cpu"))]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_all_backends_agree_on_the_diabetes_study(optimizer, dtype):
    data = load_diabetes()
    report = compare(data.x, data.y, optimizer=optimizer, dtype=dtype, steps=50, rounds=1)
    assert [row.backend for row in report.rows] == runnable()
    assert {"shim", "jax", "jax-loop"} <= set(runnable())
    assert report.agree, str(report)


@pytest.mark.parametrize(
    ("rows", "features", "optimizer", "steps"),
    [
        (2, 1, "sgd", 30),
        (3, 1, "adam", 1),
        (40, 30, "momentum", 50),
        (40, 39, "adam", 50),
        (5000, 3, "sgd", 30),
    ],
)
def test_all_backends_agree_on_other_shapes(rows, features, optimizer, steps):
    random = np.random.default_rng(rows)
    x = random.normal(5, 2, (rows, features))
    y = x @ random.normal(size=features) + random.normal(size=rows)
    report = compare(x, y, optimizer=optimizer, steps=steps, rounds=1)
    assert report.agree, str(report)


@pytest.mark.parametrize("name", BACKENDS)
def test_every_backend_takes_the_steps_that_exact_arithmetic_takes(name):
    if name not in runnable():
        pytest.skip(BACKENDS[name].unavailable(find_device("cpu")))
    random = np.random.default_rng(3)
    x, y = random.normal(size=(5, 2)), random.normal(size=5)
    problem = make_problem(x, y, dtype="float64")
    design = [[*map(Fraction, row), Fraction(1)] for row in problem.x.tolist()]
    targets = list(map(Fraction, problem.y.tolist()))
    params = list(map(Fraction, problem.initial.vector.tolist()))
    rate = Fraction(problem.learning_rate)
    for _ in range(3):
        residuals = [
            sum(a * p for a, p in zip(row, params, strict=True)) - target
            for row, target in zip(design, targets, strict=True)
        ]
        grads = [
            2 * sum(row[j] * r for row, r in zip(design, residuals, strict=True)) / len(design)
            for j in range(len(params))
        ]
        params = [p - rate * g for p, g in zip(params, grads, strict=True)]
    trained = BACKENDS[name].prepare(problem).train(3).vector
    np.testing.assert_allclose(trained, list(map(float, params)), rtol=1e-14, atol=1e-14)


@pytest.mark.usefixtures("torch")
def test_pytorch_and_the_shim_run_the_very_same_source():
    problem = make_problem(np.array([[1.0], [2.0], [4.0]]), np.array([1.0, 3.0, 5.0]))
    pytorch, shim = (BACKENDS[name].prepare(problem) for name in ("pytorch", "shim"))
    assert pytorch.train.__code__ is shim.train.__code__
    assert pytorch.value_and_grad.__code__ is shim.value_and_grad.__code__


def test_float64_leaves_jax_as_it_was():
    data = load_diabetes()
    report = compare(data.x, data.y, dtype="float64", steps=2, rounds=1)
    assert report.settings["dtype"] == "float64"
    assert not jax.config.jax_enable_x64
    assert jnp.zeros(()).dtype == jnp.float32


def test_the_exact_answer_does_not_depend_on_standardising():
    data = load_diabetes()
    report = compare(data.x, data.y, backends=["jax-loop"], dtype="float64", steps=10, rounds=1)
    design = np.column_stack([data.x, np.ones(len(data.y))])
    residual = design @ np.linalg.lstsq(design, data.y)[0] - data.y
    assert report.gap.exact_loss == pytest.approx(np.mean(residual**2), rel=1e-12)
    final_loss = report.rows[0].final_loss
    assert report.gap.loss == pytest.approx(final_loss - report.gap.exact_loss, rel=1e-9)


def test_the_gap_to_the_exact_answer_closes_with_steps():
    random = np.random.default_rng(0)
    x = random.normal(size=(50, 3))
    y = x @ np.array([1.0, -2.0, 3.0]) + random.normal(size=50)

    def gap(steps):
        names = ["a", "b", "c"]
        report = compare(
            x, y, feature_names=names, backends=["jax-loop"], dtype="float64", steps=steps, rounds=1
        )
        return report.gap

    assert gap(1).parameter_name in {"a", "b", "c", "the intercept"}
    assert gap(1).parameter > 0.1
    assert gap(1000).parameter < 1e-12
    assert gap(1000).loss < 1e-24


def test_dependent_columns_have_no_single_answer_to_be_far_from():
    column = np.array([1.0, 2.0, 4.0, 7.0])
    report = compare(
        np.column_stack([column, 2 * column]),
        column**2,
        backends=["jax", "jax-loop"],
        steps=10,
        rounds=1,
    )
    assert report.agree
    assert report.gap.parameter is None
    assert "other weights have that loss too" in str(report)
