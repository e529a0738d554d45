"""The programs of the distributed tests, which run in processes of their own: JAX counts its devices once, at its start.

`computations.py devices` prints the numbers for several meshes of one process's devices,
`computations.py PORT INDEX COUNT` those of one of several processes. Each process is given its own rows; the numbers
must be those of one device with all rows.
"""

import json
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from funcgrad import fit, regression
from funcgrad.regression import Linear
from funcgrad.training import RowSharding, moments_of_batches

ROWS, FEATURES = 1003, 5  # which no number of devices divides
RNG = np.random.default_rng(0)
X = (RNG.normal(size=(ROWS, FEATURES)) * [1, 2, 3, 1, 1] + [0, 5, 0, 0, 1]).astype(np.float32)
Y = (X @ [1, -2, 0.5, 0, 3] + RNG.normal(size=ROWS)).astype(np.float32)
ZEROS = Linear(np.zeros(FEATURES, np.float32), np.zeros((), np.float32))


def logistic(params, x, y):
    return jnp.mean(jnp.logaddexp(0, -jnp.sign(y) * regression.predict(params, x)))


def share_of(index, count):
    """Return unequal shares of the rows: the first process has the most."""
    edges = (ROWS * np.sqrt(np.arange(count + 1) / count)).astype(int)
    rows = slice(*edges[[index, index + 1]])
    return X[rows], Y[rows]


def numbers(x, y, mesh):
    """Return everything that must not depend on where the rows are, as lists by name."""
    tell = partial(jax.tree.map, lambda leaf: np.asarray(leaf).tolist())
    adam = optax.adam(0.05)
    full = fit(
        regression.loss, ZEROS, x, y, optimizer=optax.sgd, learning_rate="auto", steps=20, mesh=mesh
    )
    other = fit(logistic, ZEROS, x, y, optimizer=adam, steps=20, mesh=mesh)
    # One batch an epoch, because which rows meet in a smaller one depends on who has them.
    streamed = fit(regression.loss, ZEROS, [(x, y)], optimizer=adam, epochs=15, mesh=mesh)
    sums = moments_of_batches([(x[:100], y[:100]), (x[100:], y[100:])], mesh=mesh)
    exact = regression.ridge(sums, 0.0, intercept=True)
    results = {
        "gradient descent": (full.params, full.losses, full.gradient_norm),
        "another loss": (other.params, other.losses),
        "batches": (streamed.params, streamed.losses),
        "sums": sums,
        "exact answer by the sums": exact,
        "exact answer": exactly(x, y, mesh),
    }
    return {name: [np.ravel(leaf).tolist() for leaf in jax.tree.leaves(tell(result))]
            for name, result in results.items()}  # fmt: skip


def exactly(x, y, mesh):
    """Return the weights and the bias of the exact answer; rows of zeros change nothing in it."""
    if mesh is None:
        design = np.column_stack([x, np.ones(len(x), x.dtype)])
        return regression.least_squares(design, y).params
    (x, y), weights = RowSharding(mesh, len(x)).put((x, y))

    @jax.jit
    def design_of(x, y, weights):
        return jnp.column_stack([x, jnp.ones(len(x))]) * weights[:, None], y * weights

    return regression.least_squares(*design_of(x, y, weights)).params


def over_devices():
    """Return the numbers for several meshes of this process's devices."""
    meshes = {
        "one device": None,
        "three": Mesh(jax.devices()[:3], ("rows",)),
        "eight, four by two": jax.make_mesh((4, 2), ("a", "b")),
    }
    results = {name: numbers(X, Y, mesh) for name, mesh in meshes.items()}
    return {"devices": jax.device_count(), "results": results}


def over_processes(port, index, count):
    """Return the numbers of one of several processes, which has a share of the rows."""
    jax.distributed.initialize(f"127.0.0.1:{port}", count, index)
    results = numbers(*share_of(index, count), Mesh(jax.devices(), ("rows",)))
    return {"devices": jax.device_count(), "results": results}


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["devices"]:
            report = over_devices()
        case [port, index, count]:
            report = over_processes(port, int(index), int(count))
    json.dump(report, sys.stdout)
