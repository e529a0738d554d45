"""`fit` refuses wrong input with a message that says what to give instead."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from funcgrad import fit, regression

SGD = optax.sgd(0.1)
KEY = jax.random.key(0)

BAD = {
    "negative steps": ({"steps": -1}, ValueError, "steps.*-1"),
    "half a step": ({"steps": 1.5}, ValueError, "steps.*1.5"),
    "steps beyond counting": ({"steps": 2**31}, ValueError, "steps.*2147483648"),
    "negative tolerance": ({"tolerance": -1.0}, ValueError, "tolerance.*-1"),
    "tolerance NaN": ({"tolerance": float("nan")}, ValueError, "tolerance.*nan"),
    "no steps between reports": ({"progress_every": 0}, ValueError, "progress_every.*0"),
    "optimizer by name": ({"optimizer": "sgd"}, TypeError, "optax optimizer, got 'sgd'"),
    "optimizer without rate": ({"optimizer": optax.sgd}, TypeError, "give learning_rate"),
    "two learning rates": ({"learning_rate": 0.1}, TypeError, "already has its learning rate"),
    "unknown word": (
        {"optimizer": optax.sgd, "learning_rate": "best"}, ValueError, "'auto', got 'best'",
    ),
    "rate NaN": (
        {"optimizer": optax.sgd, "learning_rate": float("nan")}, ValueError, "finite number, got nan",
    ),
    "two rates": (
        {"optimizer": optax.sgd, "learning_rate": np.ones(2)}, ValueError, "one finite number",
    ),
    "schedule as rate": (
        {"optimizer": optax.sgd, "learning_rate": optax.constant_schedule(0.1)},
        TypeError,
        "schedule to the optimizer",
    ),
    "auto for another loss": (
        {
            "loss": lambda w, x, y: regression.loss(w, x, y),
            "optimizer": optax.sgd,
            "learning_rate": "auto",
        },
        ValueError,
        "funcgrad.regression.loss only",
    ),
    "auto without curvature": (
        {"x": np.zeros((5, 3)), "optimizer": optax.sgd, "learning_rate": "auto"},
        ValueError,
        "which is 0.0 here",
    ),
    "auto with NaN": (
        {"x": np.full((5, 3), np.nan), "optimizer": optax.sgd, "learning_rate": "auto"},
        ValueError,
        "which is nan here",
    ),
    "batches without key": ({"batch_size": 2}, ValueError, "needs a key"),
    "key without batches": ({"key": KEY}, ValueError, "give batch_size"),
    "empty batch": ({"batch_size": 0, "key": KEY}, ValueError, "from 1 to the 5 rows.*got 0"),
    "batch beyond the rows": ({"batch_size": 6, "key": KEY}, ValueError, "5 rows.*got 6"),
    "rows that differ": (
        {"y": np.ones(4), "batch_size": 2, "key": KEY}, ValueError, r"\(5, 3\), \(4,\)",
    ),
    "a number as data": (
        {"y": 1.0, "batch_size": 2, "key": KEY}, ValueError, r"\(5, 3\), \(\)",
    ),
    "loss by element": (
        {"loss": regression.squared_error}, TypeError, r"scalar-output functions.*\(5,\)",
    ),
    "targets as a column": ({"y": np.ones((5, 1))}, ValueError, r"\(5, 1\).*\(5,\)"),
    "other features": ({"params": np.ones(4)}, ValueError, "3 features, the weights have 4"),
    "integer weights": ({"params": jnp.ones(3, int)}, TypeError, "int32"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_fitted_is_refused(case):
    changes, error, message = BAD[case]
    arguments = {
        "loss": regression.loss,
        "params": np.zeros(3),
        "x": np.ones((5, 3)),
        "y": np.ones(5),
        "optimizer": SGD,
        "steps": 3,
    }
    with pytest.raises(error, match=message):
        fit(**(arguments | changes))
