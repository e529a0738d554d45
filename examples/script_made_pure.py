"""A script in PyTorch's manner, with a net of `nn`, made pure JAX in five steps, each checked.

    python examples/script_made_pure.py

`parity` compares functions and `trajectory` trainings; each says whether a difference is rounding or a fault. Read from top
to bottom, and do the same with your own script. For regressions without `nn`: migrate_step_by_step.py.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

import funcgrad
import funcgrad.torch as torch
from funcgrad.compare import parity, trajectory

torch.manual_seed(0)
x = torch.linspace(-1, 1, 64)[:, None]
y = torch.sin(3 * x)
model = torch.nn.Sequential(torch.nn.Linear(1, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
start = {name: value.detach().numpy().copy() for name, value in model.named_parameters()}
batch = (x.numpy().copy(), y.numpy().copy())

# Where we come from: the model holds its parameters, and the optimizer writes into them.
for _ in range(50):
    optimizer.zero_grad()
    loss = torch.nn.functional.mse_loss(model(x), y)
    loss.backward()
    optimizer.step()
end = {name: value.detach().numpy().copy() for name, value in model.named_parameters()}
print(f"the script's last loss: {loss.item():.6f}")


# Step 1: one training step as a function of its state, still in torch's words. `functional_call` lends parameters to a model.
def torch_step(params, batch):
    x, y = batch
    loss = torch.nn.functional.mse_loss(torch.func.functional_call(model, params, (x,)), y)
    loss.backward()
    with torch.no_grad():
        for each in params.values():
            each -= 0.1 * each.grad
    return params, loss


params = {name: torch.tensor(value, requires_grad=True) for name, value in start.items()}
for _ in range(50):
    params, loss = torch_step(params, (x, y))
    for each in params.values():
        each.grad = None
np.testing.assert_allclose(params["2.bias"].detach().numpy(), end["2.bias"], rtol=1e-5)
print("step 1: the step as a function ends where the script ended")

# Step 2: `pure` makes the model a function of arrays. Nothing is rewritten yet.
forward = funcgrad.pure(model)


def pure_loss(params, x, y):
    prediction, _ = forward(params, forward.buffers(), x)
    return jnp.mean((prediction - y) ** 2)


# Step 3: the model in JAX's own words. `parity` compares value and gradients, parameter by parameter.
def jax_loss(params, x, y):
    hidden = jnp.tanh(x @ params["0.weight"].T + params["0.bias"])
    return jnp.mean((hidden @ params["2.weight"].T + params["2.bias"] - y) ** 2)


report = parity(pure_loss, jax_loss, start, *batch)
print("steps 2 and 3:", str(report).splitlines()[0])
report.assert_ok()

# Step 4: the step in JAX, with optax. `trajectory` compares the two trainings.
sgd = optax.sgd(0.1)


@jax.jit
def jax_step(params, batch):
    loss, gradients = jax.value_and_grad(jax_loss)(params, *batch)
    updates, _ = sgd.update(gradients, sgd.init(params))
    return optax.apply_updates(params, updates), loss


report = trajectory(torch_step, jax_step, start, batch, steps=10)
print("step 4:", str(report).splitlines()[0])
report.assert_ok()

# Step 5: hand over the loop as well.
result = funcgrad.fit(jax_loss, jax.tree.map(jnp.asarray, start), *batch, optimizer=sgd, steps=50)
for name, value in result.params.items():
    np.testing.assert_allclose(value, end[name], rtol=1e-4, atol=1e-5)
print("step 5: fit ends where the script ended,", result)
