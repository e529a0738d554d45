"""`mesh=`: a loss that is no mean over rows is refused, whatever it looks like at the start."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import Mesh

from funcgrad import fit, regression
from funcgrad.datasets import Stream

MESH = Mesh(jax.devices()[:1], ("rows",))
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(8, 2)).astype(np.float32)
Y = RANDOM.normal(size=8).astype(np.float32)
SAME = np.ones(8, np.float32)
SGD = optax.sgd(0.1)


def squares(w, x, y):
    return jnp.square(x @ w - y)


NO_MEAN = {
    "a sum": (lambda w, x, y: squares(w, x, y).sum(), Y),
    "a root of a mean": (lambda w, x, y: jnp.sqrt(squares(w, x, y).mean()), Y),
    "a root of a mean, equal at the start": (
        lambda w, x, y: jnp.sqrt(squares(w, x, y).mean()),
        SAME,
    ),
    "rows normalised together": (lambda w, x, y: squares(w, x - x.mean(0), y).mean(), Y),
    "a largest error": (lambda w, x, y: squares(w, x, y).max(), Y),
    "a variance, not defined for one row": (lambda w, x, y: jnp.var(x @ w - y, ddof=1), Y),
}
MEAN = {
    "the regression's": regression.loss,
    "a mean": lambda w, x, y: squares(w, x, y).mean(),
    "with a penalty": lambda w, x, y: squares(w, x, y).mean() + 0.1 * jnp.square(w).sum(),
    "of losses that are not finite": lambda w, x, y: jnp.mean(squares(w, x, y) * jnp.inf),
}
DATA = {"rows": lambda y: ((X, y), {"steps": 3}), "batches": lambda y: (([(X, y)],), {})}


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("case", NO_MEAN)
def test_a_loss_that_is_no_mean_over_rows_is_refused(case, data):
    loss, y = NO_MEAN[case]
    arrays, options = DATA[data](y)
    with pytest.raises(ValueError, match="mesh needs a loss that is a mean over rows"):
        fit(loss, np.zeros(2, np.float32), *arrays, optimizer=optax.sgd(0.1), mesh=MESH, **options)


@pytest.mark.filterwarnings("ignore::funcgrad.training.DivergenceWarning")
@pytest.mark.parametrize("dtype", [np.float32, np.float64, jnp.bfloat16])
@pytest.mark.parametrize("case", MEAN)
def test_a_mean_is_not(case, dtype):
    x, y, start = X.astype(dtype), Y.astype(dtype), np.zeros(2, dtype)
    fit(MEAN[case], start, x, y, optimizer=optax.sgd(0.1), steps=2, mesh=MESH)


@pytest.mark.parametrize("loss", [regression.loss, MEAN["a mean"]], ids=["its own", "any mean"])
def test_weights_of_rows_count_on_a_mesh_as_repeated_rows_do(loss):
    weights = np.array([0, 1, 2, 3, 0, 1, 1, 2])
    weighted, repeated = (
        fit(loss, np.zeros(2), x, y, optimizer=optax.sgd(0.1), steps=20, mesh=MESH, **options)
        for x, y, options in (
            (X, Y, {"sample_weight": weights}),
            (np.repeat(X, weights, axis=0), np.repeat(Y, weights), {}),
        )
    )
    np.testing.assert_allclose(weighted.params, repeated.params, rtol=1e-5)
    np.testing.assert_allclose(weighted.losses, repeated.losses, rtol=1e-5)


@pytest.mark.filterwarnings("ignore::funcgrad.training.ConvergenceWarning")
def test_a_streams_weights_count_on_a_mesh_as_they_do_without(tmp_path):
    """A batch of rows without weight is one all the same: it does not end the epoch."""
    weights = np.array([0, 0, 2, 3, 1, 1, 0, 2])
    np.savez(tmp_path / "t.npz", a=X[:, 0], b=X[:, 1], y=Y, w=weights)
    stream = Stream(tmp_path / "t.npz", "y", weights="w", batch_rows=2)
    alone, spread = (
        fit(
            regression.loss, np.zeros(2), stream, optimizer=SGD, epochs=3, tolerance=1e-9, mesh=mesh
        )
        for mesh in (None, MESH)
    )
    assert int(spread.steps) == 12
    for name in ("params", "losses", "gradient_norm"):
        np.testing.assert_allclose(getattr(spread, name), getattr(alone, name), rtol=1e-12)
