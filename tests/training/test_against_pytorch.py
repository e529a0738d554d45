"""Each optimizer through `fit` against torch.optim, step for step in float64."""

from functools import partial

import jax
import numpy as np
import optax
import pytest

from funcgrad import fit, regression
from funcgrad.regression import Linear
from tests.both_sides import theirs as torch

STEPS = 100

# One row for each pair of definitions that are meant to be the same.
OPTIMIZERS = {
    "sgd": (optax.sgd(0.05), partial(torch.optim.SGD, lr=0.05)),
    "momentum": (
        optax.sgd(0.05, momentum=0.9),
        partial(torch.optim.SGD, lr=0.05, momentum=0.9),
    ),
    "nesterov": (
        optax.sgd(0.05, momentum=0.9, nesterov=True),
        partial(torch.optim.SGD, lr=0.05, momentum=0.9, nesterov=True),
    ),
    "adam": (optax.adam(0.05), partial(torch.optim.Adam, lr=0.05)),
    "adamw": (
        optax.adamw(0.05, weight_decay=0.1),
        partial(torch.optim.AdamW, lr=0.05, weight_decay=0.1),
    ),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("outputs", [(), (2,)], ids=["one output", "two outputs"])
def test_a_hundred_steps_are_pytorchs_to_rounding(name, outputs):
    ours, theirs = OPTIMIZERS[name]
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 5)), rng.normal(size=(60, *outputs))
    start = Linear(rng.normal(size=(5, *outputs)), np.asarray(rng.normal(size=outputs)))

    leaves = [torch.tensor(leaf, requires_grad=True) for leaf in start]
    optimizer, losses = theirs(leaves), []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = (torch.tensor(x) @ leaves[0] + leaves[1] - torch.tensor(y)).pow(2).mean()
        loss.backward()
        losses.append(loss.item())
        optimizer.step()

    with jax.enable_x64(True):
        result = fit(regression.loss, start, x, y, optimizer=ours, steps=STEPS)
    np.testing.assert_allclose(result.losses, losses, rtol=1e-13)
    for got, leaf in zip(result.params, leaves, strict=True):
        np.testing.assert_allclose(got, leaf.detach().numpy(), rtol=1e-12, atol=1e-13)
