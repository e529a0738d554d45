"""Robust regression: one wild measurement, and a loss of one's own that is not impressed by it.

    python examples/robust_regression.py

Huber's loss counts an error by its square while it is small, and in proportion beyond. One idea: `fit` takes any pure loss,
and `torch.from_jax` makes the same function an op for PyTorch's way.

Source: P. J. Huber, "Robust Estimation of a Location Parameter", Annals of Mathematical Statistics 35 (1964).
"""

import jax.numpy as jnp
import numpy as np
import optax

import funcgrad.torch as torch
from funcgrad import fit, regression


def huber(error, limit=0.5):
    small = abs(error) <= limit
    return jnp.where(small, error**2 / 2, limit * (abs(error) - limit / 2)).mean()


def huber_loss(w, x, y):
    return huber(x @ w - y)


random = np.random.default_rng(0)
x = np.column_stack([np.linspace(0, 1, 30), np.ones(30)]).astype(np.float32)
y = (x @ [2.0, 1.0] + 0.05 * random.standard_normal(30)).astype(np.float32)
y[-1] = 30.0  # a wrong reading
start = jnp.zeros(2)

for name, loss, rate in (("squares", regression.loss, 0.5), ("Huber", huber_loss, 1.0)):
    result = fit(loss, start, x, y, optimizer=optax.sgd(rate), steps=2000)
    print(
        f"{name:8} slope {result.params[0]:.3f}, intercept {result.params[1]:.3f}   (true: 2 and 1)"
    )
assert abs(result.params[0] - 2) < 0.3

w = torch.tensor([2.0, 1.0], requires_grad=True)
torch.from_jax(huber)(torch.tensor(x) @ w - torch.tensor(y)).backward()
print("the same loss as an op of torch: gradient", [f"{each:.4f}" for each in w.grad.tolist()])
