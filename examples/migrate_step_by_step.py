"""From `.backward()` to `jax.grad` in seven small changes, each checked against the one before.

    python examples/migrate_step_by_step.py

Read the steps from top to bottom: each is the whole training of the same regression, and says in its
docstring what changed. Migrate your own code in the same order, and check it in the same way. Without
PyTorch it starts at the second step.
"""

from importlib.util import find_spec

import jax
import jax.numpy as jnp
import numpy as np
import optax

from funcgrad import fit

STEPS, LEARNING_RATE = 20, 0.1

random = np.random.default_rng(0)
X = random.normal(size=(50, 3)).astype(np.float32)
Y = (X @ [1.0, -2.0, 3.0] + 0.1 * random.normal(size=50)).astype(np.float32)


def step_1():
    """Where you come from: PyTorch. The loss writes into w.grad, the update writes into w."""
    import torch

    x, y = torch.tensor(X), torch.tensor(Y)
    w = torch.zeros(3, requires_grad=True)
    for _ in range(STEPS):
        loss = ((x @ w - y) ** 2).mean()
        loss.backward()
        w.data -= LEARNING_RATE * w.grad
        w.grad = None
    return w.detach().numpy()


def step_2():
    """Change the import, and nothing else. The same code now runs on JAX."""
    import funcgrad.torch as torch

    x, y = torch.tensor(X), torch.tensor(Y)
    w = torch.zeros(3, requires_grad=True)
    for _ in range(STEPS):
        loss = ((x @ w - y) ** 2).mean()
        loss.backward()
        w.data -= LEARNING_RATE * w.grad
        w.grad = None
    return w.detach().numpy()


def loss_function(w, x, y):
    return ((x @ w - y) ** 2).mean()


def step_3():
    """Name the loss: a function that is given all it needs, and changes nothing."""
    import funcgrad.torch as torch

    x, y = torch.tensor(X), torch.tensor(Y)
    w = torch.zeros(3, requires_grad=True)
    for _ in range(STEPS):
        loss_function(w, x, y).backward()
        w.data -= LEARNING_RATE * w.grad
        w.grad = None
    return w.detach().numpy()


def step_4():
    """Arrays for tensors, and the gradient as a function's value: nothing is left to reset.

    The loss function stays as it is: it never needed to know whether it is given tensors.
    """
    x, y = jnp.asarray(X), jnp.asarray(Y)
    w = jnp.zeros(3)
    gradient_function = jax.grad(loss_function)  # with respect to the first argument
    for _ in range(STEPS):
        w = w - LEARNING_RATE * gradient_function(w, x, y)
    return w


def step_5():
    """Make one step a function, so that JAX can compile it: many small calls become one."""
    x, y = jnp.asarray(X), jnp.asarray(Y)

    @jax.jit
    def step(w, x, y):
        return w - LEARNING_RATE * jax.grad(loss_function)(w, x, y)

    w = jnp.zeros(3)
    for _ in range(STEPS):
        w = step(w, x, y)
    return w


def step_6():
    """Let a library know the optimizer: its state, too, goes in and comes out."""
    x, y = jnp.asarray(X), jnp.asarray(Y)
    optimizer = optax.sgd(LEARNING_RATE)

    @jax.jit
    def step(w, state, x, y):
        updates, state = optimizer.update(jax.grad(loss_function)(w, x, y), state)
        return optax.apply_updates(w, updates), state

    w = jnp.zeros(3)
    state = optimizer.init(w)
    for _ in range(STEPS):
        w, state = step(w, state, x, y)
    return w


def step_7():
    """Hand over the loop as well: all steps are one program, and Python waits for its end."""
    w = jnp.zeros(3)
    result = fit(loss_function, w, X, Y, optimizer=optax.sgd(LEARNING_RATE), steps=STEPS)
    return result.params


def main():
    before = None
    for step in (step_1, step_2, step_3, step_4, step_5, step_6, step_7):
        print(f"{step.__name__}: {step.__doc__.splitlines()[0]}")
        if step is step_1 and find_spec("torch") is None:
            print("        PyTorch is not installed: skipped.")
            continue
        w = np.asarray(step())
        if before is None:
            print(f"        w = {w}")
        else:
            # The sums may be taken in another order: float32 keeps about six digits of them.
            np.testing.assert_allclose(w, before, rtol=1e-5)
            print(f"        w = {w}, {np.abs(w - before).max():.0e} from the step before")
        before = w
    print("Every step agrees with the one before.")


if __name__ == "__main__":
    main()
