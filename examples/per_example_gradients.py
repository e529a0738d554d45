"""A gradient for each example, without a loop: `vmap` of `grad`, in torch's words and in JAX's.

    python examples/per_example_gradients.py

One idea: `backward()` gives the sum over the batch. Where each example's own gradient is wanted (to clip it, or to find the
example that pulls hardest), map the gradient function over the rows.
"""

import jax
import numpy as np

import funcgrad.torch as torch

torch.manual_seed(0)
x, y_true, w = torch.rand(20, 2), torch.rand(20), torch.rand(2)


def loss_of_one(w, row, target):
    return (row @ w - target) ** 2


each = torch.func.vmap(torch.func.grad(loss_of_one), in_dims=(None, 0, 0))(w, x, y_true)
print("shape:", tuple(each.shape))

leaf = w.clone().requires_grad_()
((x @ leaf - y_true) ** 2).mean().backward()
print("mean of the rows:", each.mean(0).tolist(), "  backward():", leaf.grad.tolist())
np.testing.assert_allclose(each.mean(0).numpy(), leaf.grad.numpy(), rtol=1e-5)

pull = each.norm(dim=1)
print(
    f"row {pull.argmax().item()} pulls hardest: {pull.max().item():.3f}, {(pull.max() / pull.mean()).item():.1f} times the mean"
)
clipped = each * torch.clamp(0.5 / pull, max=1.0)[:, None]
print("clipped to length 0.5 each, the mean is", clipped.mean(0).tolist())

arrays = (w.numpy(), x.numpy(), y_true.numpy())
by_jax = jax.vmap(jax.grad(loss_of_one), in_axes=(None, 0, 0))(*arrays)
np.testing.assert_allclose(each.numpy(), by_jax, rtol=1e-5)
