"""Weights of rows, validation, callbacks, and going on from an optimizer's state: against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from funcgrad import fit, regression
from funcgrad.training import Checkpoint, ConvergenceWarning, Reached
from tests.training.leaves import assert_same_bits

# One parameter: from 0, each step of learning rate 0.05 leaves nine tenths of the way to the mean of y.
X, Y = jnp.zeros((4, 1)), jnp.full(4, 10.0)
START = jnp.zeros(())
SGD = optax.sgd(0.05)


def loss(param, x, y):
    return jnp.mean((param - y) ** 2)


def after(steps):
    return 10 * (1 - 0.9**steps)


def run(**options):
    return fit(loss, START, X, Y, **{"optimizer": SGD, "steps": 16, "progress_every": 1} | options)


def test_the_best_on_validation_data_is_kept_and_patience_ends_the_fit():
    result = run(validation=(X, jnp.full(4, 3.0)), patience=2)
    # After 3 steps 2.71, after 4 steps 3.44: the third is the best, the fifth the second that is no better.
    np.testing.assert_allclose(result.params, after(3), rtol=1e-6)
    np.testing.assert_allclose(result.loss, (after(3) - 10) ** 2, rtol=1e-5)
    assert int(result.steps) == 5
    expected = [[k, (after(k) - 3) ** 2] for k in range(1, 6)]
    np.testing.assert_allclose(result.validation_losses, expected, rtol=1e-4)


def test_validation_without_patience_takes_all_steps():
    result = run(validation=(X, jnp.full(4, 3.0)))
    assert (int(result.steps), len(result.validation_losses)) == (16, 16)
    np.testing.assert_allclose(result.params, after(3), rtol=1e-6)


def test_a_callback_sees_the_parameters_and_may_stop():
    seen: list[Reached] = []

    def callback(reached):
        seen.append(reached)
        return reached.step == 4

    result = run(callback=callback)
    assert int(result.steps) == 4
    np.testing.assert_allclose([r.params for r in seen], [after(k) for k in range(1, 5)], rtol=1e-6)
    np.testing.assert_allclose(
        [r.loss for r in seen], [(after(k) - 10) ** 2 for k in range(1, 5)], rtol=1e-5
    )
    assert np.isnan(seen[0].validation_loss)


def test_an_optimizers_state_goes_on_as_if_nothing_had_happened():
    momentum = optax.sgd(0.05, momentum=0.9)
    whole = run(optimizer=momentum, steps=10)
    half = run(optimizer=momentum, steps=5)
    rest = fit(
        loss, half.params, X, Y,
        optimizer=momentum, steps=5, optimizer_state=half.optimizer_state,
    )  # fmt: skip
    np.testing.assert_array_equal(rest.params, whole.params)
    assert float(rest.params) != float(run(optimizer=momentum, steps=5).params)
    with pytest.raises(ValueError, match="not of this optimizer and these params"):
        run(optimizer_state=half.optimizer_state)


@pytest.mark.parametrize("ours", [False, True], ids=["any loss", "the regression's"])
def test_weights_of_rows_count_as_repeated_rows_do(ours):
    x, y = np.array([[1.0], [2.0], [3.0]]), np.array([1.0, 5.0, 2.0])
    weights = np.array([2.0, 0.0, 1.0])

    def squares(params, x, y):
        return jnp.mean((x @ params - y) ** 2)

    result = fit(
        regression.loss if ours else squares, np.zeros(1), x, y,
        sample_weight=weights, optimizer=optax.sgd(0.1), steps=200,
    )  # fmt: skip
    # Σ w x y / Σ w x² and Σ w (y - p x)² / Σ w, by hand.
    np.testing.assert_allclose(result.params, [8 / 11], rtol=1e-12)
    np.testing.assert_allclose(result.loss, (2 * (3 / 11) ** 2 + (2 / 11) ** 2) / 3, rtol=1e-10)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"validation": X}, TypeError, r"validation is a pair \(x, y\)"),
        ({"patience": 2}, ValueError, "patience counts validations"),
        ({"callback": 3}, TypeError, "callback is a function"),
        ({"sample_weight": np.ones(3)}, ValueError, r"weights must be real, of shape \(4,\)"),
        ({"sample_weight": -np.ones(4)}, ValueError, "weights must be finite, 0 or more"),
        (
            {"callback": print, "checkpoint": Checkpoint("never")},
            ValueError,
            "a checkpoint holds none",
        ),
    ],
)
def test_wrong_use_says_what_to_do(options, error, said):
    with pytest.raises(error, match=said):
        run(**options)


def test_a_loss_that_is_no_mean_takes_no_weights():
    with pytest.raises(ValueError, match="sample_weight needs a loss that is a mean over rows"):
        fit(
            lambda p, x, y: jnp.sum((p - y) ** 2), START, X, Y,
            sample_weight=np.ones(4), optimizer=SGD, steps=1,
        )  # fmt: skip


def test_looking_from_outside_is_refused_inside_a_trace():
    with pytest.raises(ValueError, match=r"not inside jax\.jit"):
        jax.jit(lambda y: fit(loss, START, X, y, optimizer=SGD, steps=1, callback=print).params)(Y)


BATCHES = [(X[:3], Y[:3]), (X[3:], Y[3:])]


def run_batches(batches=BATCHES, **options):
    return fit(loss, START, batches, **{"optimizer": SGD, "epochs": 8} | options)


@pytest.mark.parametrize("every", [None, 1], ids=["by epoch", "by step"])
def test_batches_keep_the_best_on_validation_data_too(every):
    result = run_batches(validation=(X, jnp.full(4, 3.0)), patience=2, progress_every=every)
    # An epoch has two steps. By steps as in memory; by epochs the fourth step is the nearest to 3 by 2.
    best, stopped, seen = (3, 5, range(1, 6)) if every else (4, 8, range(2, 9, 2))
    if every is None:
        best = min(seen, key=lambda k: abs(after(k) - 3))
        stopped = best + 4
        seen = range(2, stopped + 1, 2)
    np.testing.assert_allclose(result.params, after(best), rtol=1e-6)
    np.testing.assert_allclose(result.loss, (after(best - 1) - 10) ** 2, rtol=1e-5)
    assert int(result.steps) == stopped
    expected = [[k, (after(k) - 3) ** 2] for k in seen]
    np.testing.assert_allclose(result.validation_losses, expected, rtol=1e-4)


def test_a_callback_may_stop_batches():
    seen: list[Reached] = []

    def callback(reached):
        seen.append(reached)
        return reached.step == 3

    result = run_batches(callback=callback, progress_every=1)
    assert int(result.steps) == 3
    np.testing.assert_allclose([r.params for r in seen], [after(k) for k in range(1, 4)], rtol=1e-6)
    np.testing.assert_allclose(
        [r.loss for r in seen], [(after(k) - 10) ** 2 for k in range(3)], rtol=1e-5
    )


def test_batches_go_on_from_an_optimizers_state():
    momentum = optax.sgd(0.05, momentum=0.9)
    whole = run_batches(optimizer=momentum, epochs=4)
    half = run_batches(optimizer=momentum, epochs=2)
    rest = fit(
        loss, half.params, BATCHES,
        optimizer=momentum, epochs=2, optimizer_state=half.optimizer_state,
    )  # fmt: skip
    np.testing.assert_array_equal(rest.params, whole.params)


# Targets of 8 and 12: the full gradient at p is 2 (p - 10), while a batch's is 2 (p - 8) or 2 (p - 12).
TWO = jnp.array([8.0, 12.0])
DECAYING = optax.sgd(lambda step: 0.5 / (step + 1))  # the parameter is the mean of the targets seen


def test_batches_stop_where_the_gradient_over_all_of_them_is_within_the_tolerance():
    batches = [(X[:1], TWO[:1]), (X[:1], TWO[1:])]
    seen = fit(loss, START, batches, optimizer=DECAYING, epochs=9, tolerance=1e-5)
    assert (int(seen.steps), bool(seen.converged)) == (2, True)
    np.testing.assert_allclose([seen.params, seen.loss], [10, 4], rtol=1e-6)
    assert float(seen.gradient_norm) <= 1e-5
    with pytest.warns(ConvergenceWarning, match="after 3 epochs the full gradient's norm is 2"):
        missed = fit(
            loss, START, [(X[:1], TWO[:1]), (X[:3], jnp.full(3, 12.0))],
            optimizer=DECAYING, epochs=3, tolerance=0.1,
        )  # fmt: skip
    # The rows' mean is 11, the batches' mean is 10.
    np.testing.assert_allclose([missed.params, missed.gradient_norm], [10, 2], rtol=1e-6)
    assert not missed.converged


def test_mini_batches_stop_where_the_gradient_over_all_rows_is_within_the_tolerance():
    options = {"optimizer": DECAYING, "batch_size": 1, "key": jax.random.key(0)}
    result = fit(loss, START, X[:2], TWO, steps=9, tolerance=1e-5, **options)
    assert (int(result.steps), bool(result.converged)) == (2, True)
    np.testing.assert_allclose([result.params, result.loss], [10, 4], rtol=1e-6)
    with pytest.warns(ConvergenceWarning, match="after 1 steps the gradient's norm is 4"):
        fit(loss, START, X[:2], TWO, steps=1, tolerance=1e-5, **options)
    # At the optimum the parameter is the mean of the targets, whatever led there.
    slopes = jax.grad(
        lambda y: fit(loss, START, X[:2], y, steps=9, tolerance=1e-5, **options).params
    )
    np.testing.assert_allclose(slopes(TWO), [0.5, 0.5], rtol=1e-6)


def test_a_converged_run_over_batches_is_over_when_it_is_resumed(tmp_path):
    batches = [(X[:1], TWO[:1]), (X[:1], TWO[1:])]
    options = {"optimizer": DECAYING, "tolerance": 1e-5, "checkpoint": tmp_path / "c"}
    first = fit(loss, START, batches, epochs=4, **options)
    again = fit(loss, START, batches, epochs=8, resume=True, **options)
    assert_same_bits(again, first)


@pytest.mark.parametrize(
    ("batches", "options", "said"),
    [
        (BATCHES, {"sample_weight": np.ones(4)}, "sample_weight: only for data in memory"),
        (BATCHES, {"patience": 2}, "patience counts validations"),
        (BATCHES, {"progress_every": 2}, "progress_every: with batches, only for validation"),
        (iter(BATCHES), {"tolerance": 0.1}, "these come from an iterator, which is used up"),
        (BATCHES, {"optimizer_state": (1,)}, "not of this optimizer"),
    ],
)
def test_wrong_use_of_batches_says_what_to_do(batches, options, said):
    with pytest.raises(ValueError, match=said):
        run_batches(batches, **options)
