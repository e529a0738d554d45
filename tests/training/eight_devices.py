"""Run by test_sharding.py in a process of its own: JAX counts its devices once, at its start.

Prints, as JSON, what `fit` and the regression's functions give for each placement of the data.
"""

import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from funcgrad import fit, regression
from funcgrad.regression import Linear


def problem():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 8)).astype(np.float32)
    return x, (x.sum(axis=1) + rng.normal(size=64)).astype(np.float32)


def placements(x, y):
    """Yield a name, the data, and the parameters placed as that name says."""
    start = Linear(jnp.zeros(8), jnp.zeros(()))
    yield "one device", x, y, start
    for kind in (AxisType.Auto, AxisType.Explicit):
        mesh = jax.make_mesh((4, 2), ("rows", "features"), axis_types=(kind, kind))

        def put(array, *spec, mesh=mesh):
            return jax.device_put(array, NamedSharding(mesh, PartitionSpec(*spec)))

        rows = put(x, "rows"), put(y, "rows")
        yield f"rows, {kind.name}", *rows, start
        committed = jax.tree.map(lambda leaf: jax.device_put(leaf, jax.devices()[3]), start)
        yield f"rows, parameters elsewhere, {kind.name}", *rows, committed
        both = Linear(put(start.weights, "features"), put(start.bias))
        yield f"rows and features, {kind.name}", put(x, "rows", "features"), put(y, "rows"), both


ADAM = optax.adam(0.05)


def run(x, y, params):
    full = fit(
        regression.loss, params, x, y, optimizer=optax.sgd, learning_rate="auto", steps=20,
        progress=lambda reached: None, progress_every=20,
    )  # fmt: skip
    batches = fit(
        regression.loss, params, x, y,
        optimizer=ADAM, steps=20, batch_size=24, key=jax.random.key(0),
    )  # fmt: skip
    answer = regression.least_squares(x, y, intercept=True)
    numbers = {
        "full": [*np.asarray(full.params.weights).tolist(), float(full.params.bias)],
        "losses": np.asarray(full.losses).tolist(),
        "batches": np.asarray(batches.params.weights).tolist(),
        "eigenvalue": float(regression.largest_eigenvalue(params, x)),
        "exact": np.asarray(answer.params.weights).tolist(),
    }
    return {"numbers": numbers, "devices": len(full.params.weights.sharding.device_set)}


if __name__ == "__main__":
    x, y = problem()
    results = {name: run(*data) for name, *data in placements(x, y)}
    json.dump({"count": jax.device_count(), "results": results}, sys.stdout)
