"""Run by test_purity.py in a process of its own: JAX counts its devices once, at its start.

Differentiates a function of the shim and the same one of JAX inside `jax.shard_map`, and compares.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, PartitionSpec

import funcgrad
from funcgrad import torch

P = PartitionSpec


def of_tensors(w, b, x):
    h = torch.tanh(x @ w + b)
    return (h[:, None] * w.detach()).sum(), w * w, (x > 0).sum(), (x * 0).detach()


def of_arrays(w, b, x):
    h = jnp.tanh(x @ w + b)
    return (
        (h[:, None] * jax.lax.stop_gradient(w)).sum(),
        w * w,
        (x > 0).sum(),
        jax.lax.stop_gradient(x * 0),
    )


def derivatives(function, w, b, x):
    """Of each kind one; `w` is the same on all devices, `b` on those of a model, `x` on none."""

    def loss(w, b, x):
        return function(w, b, x)[0]

    def slope(w, b, x):
        return sum([(g**2).sum() for g in jax.grad(loss, (0, 1, 2))(w, b, x)])

    return (
        jax.grad(loss, (0, 1, 2))(w, b, x),
        jax.grad(slope, (0, 1, 2))(w, b, x),
        jax.grad(lambda w: function(w, b, x)[1].sum())(w),
        jax.hessian(lambda w: loss(w, b, x))(w)[None],
        [t for t in jax.jvp(function, (w, b, x), (w, b, x))[1] if t.shape == w.shape],
        jax.vmap(jax.grad(loss), (None, None, 0))(w, b, x[:, None]),
    )


def mapped(function):
    devices = np.array(jax.devices()).reshape(2, 2)
    mesh = Mesh(devices, ("rows", "models"), axis_types=(AxisType.Auto,) * 2)

    def differentiated(w, b, x):
        found = derivatives(function, w, b, x)
        return jax.tree.map(lambda each: each.ravel()[None], found)

    whole, every = P(), P(("rows", "models"))
    first = (whole, P("models"), every)
    outputs = (first, first, whole, every, [whole], every)
    return jax.shard_map(
        differentiated,
        mesh=mesh,
        in_specs=(P(), P("models"), every),
        out_specs=outputs,
        check_vma=True,
    )


if __name__ == "__main__":
    w, b = jnp.array([0.5, -1.0]), jnp.array([0.25, -0.5])
    x = jnp.linspace(-1, 1, 16).reshape(8, 2)
    jax.tree.map(
        lambda mine, expected: np.testing.assert_allclose(mine, expected, rtol=2e-5, atol=1e-6),
        jax.jit(mapped(funcgrad.pure(of_tensors)))(w, b, x),
        jax.jit(mapped(of_arrays))(w, b, x),
    )
