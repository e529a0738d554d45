"""Weights of rows, validation, callbacks, and going on from an optimizer's state: against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from funcgrad import fit, regression
from funcgrad.training import Checkpoint, Reached

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


def test_batches_have_none_of_it():
    with pytest.raises(ValueError, match="patience: only for data in memory"):
        fit(loss, START, [(X, Y)], optimizer=SGD, patience=2)
