"""Mini-batches: every row at most once an epoch, shuffled anew, decided by the key alone."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from funcgrad import fit, regression

ROWS = 10
COUNT, STAY = optax.sgd(1.0), optax.sgd(0.0)


def use_of_rows(counts, rows, _):
    """A loss whose gradient descent at rate one adds one to the count of each row it sees."""
    return -jnp.sum(counts[rows])


def count_uses(batch_size, steps, seed=0):
    result = fit(
        use_of_rows, jnp.zeros(ROWS), jnp.arange(ROWS), None,
        optimizer=COUNT, steps=steps, batch_size=batch_size, key=jax.random.key(seed),
    )  # fmt: skip
    return np.asarray(result.params, int)


@pytest.mark.parametrize(("batch_size", "epochs"), [(1, 1), (2, 1), (5, 1), (10, 1), (5, 3)])
def test_each_row_is_used_once_in_an_epoch_that_divides(batch_size, epochs):
    uses = count_uses(batch_size, epochs * ROWS // batch_size)
    assert uses.tolist() == [epochs] * ROWS


@pytest.mark.parametrize("batch_size", [3, 4, 7])
def test_rows_that_do_not_fill_a_batch_are_left_out_of_the_epoch(batch_size):
    uses = count_uses(batch_size, ROWS // batch_size)
    assert sorted(uses) == [0] * (ROWS % batch_size) + [1] * (ROWS - ROWS % batch_size)


def test_rows_left_out_change_from_epoch_to_epoch():
    """Over 60 epochs of 3 batches of 3, a row is left out about 6 times, never nearly always."""
    uses = count_uses(3, 60 * 3)
    assert uses.sum() == 60 * 9
    assert uses.min() > 40
    assert uses.max() <= 60


def sum_of_rows(w, x, _):
    return w + x.sum()


def losses_by_step(seed, **kwargs):
    """With parameters that do not move, each loss tells which rows were in the batch."""
    arguments = {"optimizer": STAY, "steps": 8, "batch_size": 5} | kwargs
    x = jnp.asarray(2.0 ** np.arange(ROWS))
    result = fit(sum_of_rows, 0.0, x, None, key=jax.random.key(seed), **arguments)
    return np.asarray(result.losses)


def test_each_epoch_is_shuffled_anew():
    epochs = losses_by_step(0).reshape(4, 2)
    assert (epochs.sum(axis=1) == 2**ROWS - 1).all()
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_the_same_key_gives_the_same_batches_and_another_key_others():
    np.testing.assert_array_equal(losses_by_step(1), losses_by_step(1))
    assert not np.array_equal(losses_by_step(1), losses_by_step(2))


def test_segments_for_progress_do_not_change_the_batches():
    reported = losses_by_step(1, progress=lambda reached: None, progress_every=3)
    np.testing.assert_array_equal(reported, losses_by_step(1))


def test_old_and_new_style_keys_are_the_same():
    x = jnp.asarray(2.0 ** np.arange(ROWS))
    run = partial(fit, sum_of_rows, 0.0, x, None, optimizer=STAY, steps=8, batch_size=5)
    new, old = run(key=jax.random.key(3)), run(key=jax.random.PRNGKey(3))
    np.testing.assert_array_equal(new.losses, old.losses)


def test_mini_batches_of_consistent_data_find_the_exact_weights():
    rng = np.random.default_rng(0)
    x, weights = rng.normal(size=(64, 3)).astype(np.float32), np.array([1.0, -2.0, 0.5])
    result = fit(
        regression.loss, jnp.zeros(3), x, (x @ weights).astype(np.float32),
        optimizer=optax.sgd(0.1), steps=400, batch_size=8, key=jax.random.key(0),
    )  # fmt: skip
    np.testing.assert_allclose(result.params, weights, rtol=1e-4)


def test_vmap_over_keys_gives_each_its_own_shuffle():
    x = jnp.asarray(2.0 ** np.arange(ROWS))
    keys = jax.random.split(jax.random.key(0), 3)
    ensemble = jax.vmap(
        lambda key: fit(
            sum_of_rows, 0.0, x, None,
            optimizer=STAY, steps=4, batch_size=5, key=key,
        )
    )(keys)  # fmt: skip
    assert len({tuple(losses.tolist()) for losses in ensemble.losses}) == 3
    np.testing.assert_array_equal(ensemble.losses[:, :2].sum(axis=1), [2.0**ROWS - 1] * 3)
