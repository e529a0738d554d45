"""Newton's method twice: with `jax.hessian`, and with PyTorch's double backward.

    python examples/newton.py

One idea: a gradient is a program too, so it can be differentiated. Newton's step solves H s = g. On a loss that is no
parabola, here a logistic regression's, it still needs only a few steps.
"""

import jax
import jax.numpy as jnp
import numpy as np

import funcgrad.torch as torch

random = np.random.default_rng(0)
y = (np.arange(60) % 2).astype(np.float32)
x = np.column_stack([random.standard_normal(60) + y, np.ones(60)]).astype(np.float32)


def jax_loss(w):
    z = x @ w
    return jnp.mean(jax.nn.softplus(z) - y * z)


def torch_loss(w):
    z = torch.tensor(x) @ w
    return torch.mean(torch.nn.functional.softplus(z) - torch.tensor(y) * z)


def jax_step(w):
    return w - jnp.linalg.solve(jax.hessian(jax_loss)(w), jax.grad(jax_loss)(w))


def torch_step(w):
    w = w.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(torch_loss(w), w, create_graph=True)
    hessian = torch.stack([torch.autograd.grad(each, w, retain_graph=True)[0] for each in gradient])
    return w.detach() - torch.linalg.solve(hessian, gradient.detach())


w, v = jnp.zeros(2), torch.zeros(2)
for step in range(5):
    slope = float(jnp.linalg.norm(jax.grad(jax_loss)(w)))
    print(f"step {step}: |gradient| {slope:.1e}   jax {w}   torch {v.tolist()}")
    w, v = jax_step(w), torch_step(v)
np.testing.assert_allclose(w, v.numpy(), rtol=1e-5)
assert float(jnp.linalg.norm(jax.grad(jax_loss)(w))) < 1e-6
