"""Two-layer nets trained by hand-written gradient descent, as introductions to PyTorch write them, for comparisons of trainings."""

import jax
import jax.numpy as jnp
import numpy as np


def with_tensors(torch, rate):
    """A step in PyTorch's way, on PyTorch or on the shim; it changes its state in place."""

    def step(state, batch):
        w1, w2 = state
        x, y = batch
        y_pred = x.mm(w1).clamp(min=0).mm(w2)
        loss = (y_pred - y).pow(2).sum()
        loss.backward()
        with torch.no_grad():
            w1 -= rate * w1.grad
            w2 -= rate * w2.grad
        return (w1, w2), loss

    return step


def by_hand(torch, rate):
    """The same with the gradients worked out by hand, in place and outside of no_grad."""

    def step(state, batch):
        w1, w2 = state
        x, y = batch
        h = x.mm(w1)
        h_relu = h.clamp(min=0)
        y_pred = h_relu.mm(w2)
        loss = (y_pred - y).pow(2).sum().item()
        grad_y_pred = 2.0 * (y_pred - y)
        grad_w2 = h_relu.t().mm(grad_y_pred)
        grad_h = grad_y_pred.mm(w2.t())
        grad_h[h < 0] = 0
        w1 -= rate * x.t().mm(grad_h)
        w2 -= rate * grad_w2
        return (w1, w2), loss

    return step


def with_jax(rate, relu=lambda h: jnp.maximum(h, 0)):
    """The same as a pure function."""

    def loss_of(state, batch):
        w1, w2 = state
        x, y = batch
        return ((relu(x @ w1) @ w2 - y) ** 2).sum()

    @jax.jit
    def step(state, batch):
        loss, grads = jax.value_and_grad(loss_of)(state, batch)
        return jax.tree.map(lambda p, g: p - rate * g, state, grads), loss

    return step


def leaking(h):
    """A relu that lets a millionth through."""
    return jnp.where(h > 0, h, 1e-6 * h)


def start(rows, features, hidden, outputs):
    """Weights, and one batch, all drawn from the normal distribution."""
    random = np.random.default_rng(0)

    def drawn(*shape):
        return random.standard_normal(shape, np.float32)

    batch = drawn(rows, features), drawn(rows, outputs)
    return (drawn(features, hidden), drawn(hidden, outputs)), batch
