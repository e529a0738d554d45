"""Sums in the place of rows: against rational arithmetic, the plain loop, and one device's against eight's."""

import json
import operator
import warnings
from fractions import Fraction
from functools import reduce
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funcgrad import fit, regression
from funcgrad.datasets import Stream
from funcgrad.regression import Linear, Moments
from funcgrad.regression import sums as sums_module
from tests.processes import output_of

FIELDS = ("rows", "x_mean", "y_mean", "xx", "xy", "yy")


def data(rows, features=4, outputs=(), seed=0, dtype=np.float32):
    random = np.random.default_rng(seed)
    x = random.normal(3, 2, size=(rows, features)).astype(dtype)
    targets = x @ random.normal(size=(features, *outputs)) + random.normal(size=(rows, *outputs))
    return x, targets.astype(dtype)


def in_numpy(x, y):
    """The sums by their definition, in NumPy's longest floats."""
    x, y = x.astype(np.longdouble), y.astype(np.longdouble)
    x_mean, y_mean = x.mean(axis=0), y.mean(axis=0)
    x, y = x - x_mean, y - y_mean
    return Moments(len(x), x_mean, y_mean, x.T @ x, x.T @ y, (y**2).sum(axis=0))


def assert_moments_agree(got, wanted, tolerance):
    """Within a tolerance relative to the largest that each sum could be."""
    x_size, y_size = np.sqrt(np.diag(wanted.xx)), np.sqrt(wanted.yy)
    sizes = {
        "rows": wanted.rows,
        "x_mean": np.abs(wanted.x_mean),
        "y_mean": np.abs(wanted.y_mean),
        "xx": np.multiply.outer(x_size, x_size),
        "xy": np.multiply.outer(x_size, y_size),
        "yy": wanted.yy,
    }
    for name in FIELDS:
        ours, theirs = (np.asarray(getattr(each, name), np.float64) for each in (got, wanted))
        assert ours.shape == theirs.shape
        error = np.abs(ours - theirs) / np.where(sizes[name] > 0, sizes[name], 1)
        assert error.max() <= tolerance, name


@pytest.mark.parametrize("outputs", [(), (3,)], ids=["one output", "three outputs"])
@pytest.mark.parametrize("rows", [1, 7, 4096, 4097, 10_000])
def test_sums_are_those_of_the_definition(rows, outputs):
    x, y = data(rows, outputs=outputs)
    sums = regression.moments(x, y)
    assert all(getattr(sums, name).dtype == np.float64 for name in FIELDS)
    assert_moments_agree(sums, in_numpy(x, y), 1e-14)


def test_float32_rows_far_from_zero_keep_the_digits_of_rational_arithmetic():
    """In float32 itself, or about zero in float64, the spread would drown in the mean's square."""
    random = np.random.default_rng(0)
    x = (2.0**23 + random.integers(-3, 4, size=(5000, 1))).astype(np.float32)
    y = (2.0**23 + random.integers(-3, 4, size=5000)).astype(np.float32)
    column, targets = ([Fraction(int(v)) for v in array.ravel()] for array in (x, y))
    x_mean, y_mean = sum(column) / 5000, sum(targets) / 5000
    sums = regression.moments(x, y)
    exact = {
        "xx": sum((v - x_mean) ** 2 for v in column),
        "xy": sum((v - x_mean) * (t - y_mean) for v, t in zip(column, targets, strict=True)),
        "yy": sum((t - y_mean) ** 2 for t in targets),
    }
    # Each centred value is rounded to float64's spacing at the mean, 2e-9 of the spread at most.
    for name, value in exact.items():
        np.testing.assert_allclose(
            getattr(sums, name), float(value), atol=1e-9 * float(exact["yy"])
        )


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=2, max_size=5), st.integers(0, 2**32 - 1))
def test_however_the_rows_are_divided_the_sum_of_sums_is_that_of_all(sizes, seed):
    sizes = [4, *sizes]
    x, y = data(sum(sizes), features=2, seed=seed)
    ends = np.cumsum(sizes)
    parts = [
        regression.moments(x[end - size : end], y[end - size : end])
        for end, size in zip(ends, sizes, strict=True)
    ]
    whole = in_numpy(x, y)
    assert_moments_agree(reduce(operator.add, parts), whole, 1e-13)
    assert_moments_agree(reduce(lambda right, left: left + right, reversed(parts)), whole, 1e-13)


def test_sums_add_up_inside_jit_and_over_a_mapped_axis():
    x, y = data(60)
    stacked = jax.jit(jax.vmap(regression.moments))(x.reshape(4, 15, 4), y.reshape(4, 15))
    parts = [jax.tree.map(lambda leaf, i=i: leaf[i], stacked) for i in range(4)]
    total = jax.jit(lambda a, b, c, d: (a + b) + (c + d))(*parts)
    assert_moments_agree(total, in_numpy(x, y), 1e-14)
    assert total.xx.dtype == np.float64


def test_rows_of_weight_zero_count_for_nothing_and_of_weight_two_twice():
    x, y = data(5000)
    weights = np.random.default_rng(1).integers(0, 3, size=5000)
    sums = regression.moments(x, y, weights)
    assert_moments_agree(
        sums, in_numpy(np.repeat(x, weights, axis=0), np.repeat(y, weights)), 1e-14
    )


def test_float32_squares_out_of_range_do_no_harm():
    x, y = data(100)
    huge = regression.moments(x * np.float32(2.0**100), y * np.float32(2.0**100))
    plain = regression.moments(x, y)
    np.testing.assert_array_equal(huge.xx, np.asarray(plain.xx) * 2.0**200)
    assert float(huge.yy) > float(np.finfo(np.float32).max)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e200])
def test_sums_that_are_not_finite_are_warned_of_where_they_were_asked_for(value):
    x, y = data(10, dtype=np.float64)
    x[3, 1] = value
    with pytest.warns(RuntimeWarning, match="not finite") as caught:
        regression.moments(x, y)
    assert [warning.filename for warning in caught] == [__file__]


PARAMS = {
    "weights": lambda w, b: w,
    "weights and bias": Linear,
    "a mapping": lambda w, b: {"weights": w, "bias": b},
}


@pytest.mark.parametrize("outputs", [(), (3,)], ids=["one output", "three outputs"])
@pytest.mark.parametrize("form", PARAMS)
def test_loss_gradient_step_and_curvature_are_those_of_the_rows(form, outputs):
    x, y = data(200, outputs=outputs, dtype=np.float64)
    random = np.random.default_rng(2)
    params = PARAMS[form](random.normal(size=(4, *outputs)), random.normal(size=outputs))
    sums = regression.moments(x, y)
    with jax.enable_x64(True):
        plain = regression.value_and_grad(params, x, y)
        ours = regression.value_and_grad(params, sums, None)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), ours, plain)
        plain = regression.step(params, x, y, 0.01)
        ours = regression.step(params, sums, None, 0.01)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), ours, plain)
        np.testing.assert_allclose(
            regression.largest_eigenvalue(params, sums),
            regression.largest_eigenvalue(params, x),
            rtol=1e-13,
        )


def test_parameters_keep_their_dtype_outside_float64_mode():
    x, y = data(50)
    weights = jnp.ones(4)
    value, grads = regression.value_and_grad(weights, regression.moments(x, y), None)
    plain, plain_grads = regression.value_and_grad(weights, x, y)
    assert value.dtype == grads.dtype == np.float32
    np.testing.assert_allclose(value, plain, rtol=1e-5)
    np.testing.assert_allclose(grads, plain_grads, rtol=1e-5)
    assert not jax.config.jax_enable_x64


@pytest.mark.parametrize("optimizer", [optax.sgd, optax.adam])
@pytest.mark.parametrize("bias", [False, True])
def test_training_on_sums_goes_where_training_on_all_rows_goes(optimizer, bias):
    x, y = data(6000, dtype=np.float64)
    with jax.enable_x64(True):
        rows = jnp.asarray(x), jnp.asarray(y)
        start = Linear(jnp.zeros(4), jnp.zeros(())) if bias else jnp.zeros(4)
    rate = "auto" if optimizer is optax.sgd else 0.05
    options = {"optimizer": optimizer, "learning_rate": rate, "steps": 100}
    plain = fit(regression.loss, start, *rows, **options)
    ours = fit(regression.loss, start, regression.moments(*rows), None, **options)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12),
        (ours.params, ours.losses),
        (plain.params, plain.losses),
    )


def test_loss_of_an_exact_fit_is_not_negative_and_its_gradient_not_lost():
    x = np.random.default_rng(0).normal(size=(50, 4))
    weights = np.array([1.1, -2.3, 3.7, 0.3])
    sums = regression.moments(x, x @ weights)
    with jax.enable_x64(True):
        for change in np.random.default_rng(1).normal(scale=1e-9, size=(20, 4)):
            value, grads = regression.value_and_grad(weights + change, sums, None)
            assert value >= 0
            wanted = 2 * x.T @ (x @ change) / 50
            np.testing.assert_allclose(grads, wanted, atol=1e-4 * np.abs(wanted).max())


def test_batches_of_one_shape_compile_once(caplog):
    x, y = map(jnp.asarray, data(30, features=5))
    with jax.log_compiles():
        sums = regression.moments(x[:10], y[:10])
        sums = sums + regression.moments(x[10:20], y[10:20])
        assert "Finished XLA compilation" in caplog.text
        caplog.clear()
        sums = sums + regression.moments(x[20:], y[20:])
    assert "Finished XLA compilation" not in caplog.text
    assert float(sums.rows) == 30


def test_sums_of_numpys_rows_their_addition_and_their_loss_compile_nothing(caplog):
    x, y = data(31, features=6, dtype=np.float64)
    weights = np.linspace(-1, 1, 6)
    with jax.log_compiles():
        sums = regression.moments(x[:10], y[:10]) + regression.moments(x[10:], y[10:])
        loss = regression.loss(weights, sums, None)
    assert "Finished XLA compilation" not in caplog.text
    np.testing.assert_allclose(loss, np.mean((x @ weights - y) ** 2), rtol=1e-13)


def test_many_rows_of_numpys_have_the_sums_that_a_program_gives(monkeypatch):
    x, y = data(5000, features=6)
    few = regression.moments(x, y)
    monkeypatch.setattr(sums_module, "_MOST_AT_ONCE", 0)
    many = jax.tree.map(np.asarray, regression.moments(x, y))
    assert_moments_agree(few, many, 1e-14)


SUMS = regression.moments(*data(10))
BAD = {
    "x of one dimension": (lambda: regression.moments(np.ones(3), np.ones(3)), "features"),
    "y of other rows": (lambda: regression.moments(np.ones((3, 2)), np.ones(4)), r"\(4,\)"),
    "weights of other rows": (
        lambda: regression.moments(np.ones((3, 2)), np.ones(3), np.ones(2)),
        r"weights must have shape \(3,\)",
    ),
    "sums of other features": (
        lambda: SUMS + regression.moments(np.ones((3, 2)), np.ones(3)),
        "cannot be added",
    ),
    "weights of another shape": (lambda: regression.loss(jnp.ones(3), SUMS, None), r"\(3,\).*\(4,\)"),
    "sums and targets": (lambda: regression.loss(jnp.ones(4), SUMS, np.ones(10)), "give None"),
    "no targets": (lambda: regression.loss(jnp.ones(4), np.ones((10, 4)), None), "moments"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_fit_is_refused(case):
    call, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        call()


def test_complex_data_and_sums_with_numbers_are_refused():
    with pytest.raises(TypeError, match="must be real"):
        regression.moments(np.ones((3, 2), complex), np.ones(3))
    with pytest.raises(TypeError):
        SUMS + 1


@pytest.mark.slow
def test_rows_on_eight_devices_give_the_sums_of_one():
    report = json.loads(output_of(Path(__file__).with_name("eight_devices.py"), devices=8))
    assert report["devices"] == 8
    x, y = data(40_000, outputs=(2,))
    for placement, leaves in report["sums"].items():
        assert_moments_agree(Moments(*map(np.asarray, leaves)), in_numpy(x, y), 1e-14), placement
    # A gather of the rows would hold all of them on each device.
    assert report["largest gathered"] < x.nbytes / 8


def test_no_warning_where_a_trace_hides_the_sums():
    x, y = data(10)
    x[0, 0] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(jax.jit(regression.moments)(x, y).xx[0, 0])


def test_batches_from_anything_iterable_and_from_files_are_summed(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(1000, 3)), rng.normal(size=1000)
    np.save(tmp_path / "rows.npy", np.column_stack([x, y]))
    batches = [(x[i : i + 300], y[i : i + 300]) for i in range(0, 1000, 300)]
    whole = regression.moments(x, y)
    stream = Stream(tmp_path / "rows.npy", "x3", dtype="float64", batch_rows=128)
    for source in (batches, iter(batches), (list(batch) for batch in batches), stream):
        sums = regression.moments(source)
        for got, wanted in zip(jax.tree.leaves(sums), jax.tree.leaves(whole), strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([],), ValueError, "no batches"),
        ((np.ones((3, 2)),), TypeError, "an iterable of batches .x, y., got ndarray"),
        ((3,), TypeError, "an iterable of batches .x, y., got int"),
        (([np.ones((3, 2))],), TypeError, "each batch is a pair .x, y., got ndarray"),
        (([(np.ones((3, 2)), np.ones(3))], None, np.ones(3)), ValueError, "weights are for rows"),
        (([(np.ones((3, 2)), np.ones(2))],), ValueError, "y must have shape"),
    ],
)
def test_what_are_no_batches_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        regression.moments(*arguments)


@pytest.mark.parametrize("weight", [-1.0, -1e-300])
def test_a_negative_weight_is_refused(weight):
    weights = np.array([1.0, weight, 1.0])
    with pytest.raises(ValueError, match="weights must be 0 or more"):
        regression.moments(np.ones((3, 1)), np.ones(3), weights)


def test_a_loss_from_sums_that_is_their_rounding_is_warned_of():
    """The true mean squared error is 0.075, and the sums have it as 0."""
    x, y = np.arange(4.0)[:, None], np.array([0, 1e8, 2e8, 300000001])
    answer = regression.least_squares(x, y, intercept=True)
    sums = regression.moments(x, y)
    with pytest.warns(regression.LostDigitsWarning, match="fewer than three digits") as caught:
        from_sums = regression.loss(answer.params, sums, None)
    assert [warning.filename for warning in caught] == [__file__]
    assert abs(float(from_sums) - 0.075) <= regression.rounding(answer.params, sums)
    np.testing.assert_allclose(regression.loss(answer.params, x, y), 0.075, rtol=1e-6)
    with pytest.warns(regression.LostDigitsWarning) as caught:
        fit(regression.loss, answer.params, sums, optimizer=optax.sgd(0.0), steps=1)
    assert [warning.filename for warning in caught] == [__file__]
