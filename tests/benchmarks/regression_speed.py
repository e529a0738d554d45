"""Prints how fast the regression's pieces are: `python -m tests.benchmarks.regression_speed`.

They take turns within one run (`funcgrad.compare.speed`), so that whatever else the machine does falls on all. PyTorch and
scikit-learn take part where they are installed.
"""

import argparse
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from funcgrad import fit, regression
from funcgrad.compare import speed
from funcgrad.compare.tables import seconds as scaled

STEPS = 1000
RATE = 0.1

READ = "one read, jnp.sum"
PLAIN = "plain jax.value_and_grad, jitted"
OURS = "regression.value_and_grad"
PLAIN_LOGISTIC = "plain logistic gradient, jitted"
LOGISTIC = "regression.mean_loss, logistic"
PYTORCH = "PyTorch, loss and backward"
PYTORCH_STEP = "PyTorch, one step"
SCIKIT_LEARN = "scikit-learn LinearRegression.fit"
SUMS = "moments"
ON_SUMS = f"moments, then {STEPS} steps on them"


def data(rows: int, features: int) -> tuple[np.ndarray, np.ndarray]:
    """Independent features, a linear target and noise, in float32."""
    random = np.random.default_rng(0)
    x = random.standard_normal((rows, features), np.float32)
    y = x @ random.standard_normal(features, np.float32)
    return x, y + random.standard_normal(rows, np.float32)


def plain_loss(weights: Any, x: Any, y: Any) -> Any:
    """The mean squared error as anyone would write it."""
    return jnp.mean(jnp.square(x @ weights - y))


def plain_logistic(weights: Any, x: Any, y: Any) -> Any:
    """Another loss that is a mean over rows, as anyone would write it."""
    return jnp.mean(optax.losses.sigmoid_binary_cross_entropy(x @ weights, y))


def on_sums(x: Any, y: Any, steps: int = STEPS) -> Any:
    """Gradient descent on the sums."""
    return fit(
        regression.loss, jnp.zeros(x.shape[1]), regression.moments(x, y), None,
        optimizer=optax.sgd, learning_rate=RATE, steps=steps,
    ).params  # fmt: skip


def on_rows(x: Any, y: Any, steps: int) -> Any:
    """The plain loop, which reads all rows at each step."""
    return fit(
        regression.loss, jnp.zeros(x.shape[1]), x, y,
        optimizer=optax.sgd, learning_rate=RATE, steps=steps,
    ).params  # fmt: skip


def cases(x: np.ndarray, y: np.ndarray) -> dict[str, Callable[[], Any]]:
    """The competitors."""
    on_device, targets = jax.device_put(x), jax.device_put(y)
    weights = jnp.zeros(x.shape[1])
    read, plain = jax.jit(jnp.sum), jax.jit(jax.value_and_grad(plain_loss))

    labels = jax.device_put((y > 0).astype(np.float32))
    logistic = regression.mean_loss(optax.losses.sigmoid_binary_cross_entropy)
    by_us, by_anyone = (jax.jit(jax.value_and_grad(f)) for f in (logistic, plain_logistic))
    found = {
        READ: lambda: read(on_device),
        PLAIN: lambda: plain(weights, on_device, targets),
        OURS: lambda: regression.value_and_grad(weights, on_device, targets),
        PLAIN_LOGISTIC: lambda: by_anyone(weights, on_device, labels),
        LOGISTIC: lambda: by_us(weights, on_device, labels),
        SUMS: lambda: regression.moments(on_device, targets),
        ON_SUMS: lambda: on_sums(on_device, targets),
    }
    if find_spec("torch"):
        import torch

        rows, wanted = torch.from_numpy(x), torch.from_numpy(y)
        w = torch.zeros(x.shape[1], requires_grad=True)
        optimizer = torch.optim.SGD([w], lr=RATE)

        def backward() -> None:
            w.grad = None
            (rows @ w - wanted).square().mean().backward()

        def step() -> None:
            backward()
            optimizer.step()

        found |= {PYTORCH: backward, PYTORCH_STEP: step}
    if find_spec("sklearn"):
        from sklearn.linear_model import LinearRegression

        found[SCIKIT_LEARN] = lambda: LinearRegression().fit(x, y)
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--features", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    x, y = data(options.rows, options.features)
    measured = speed(cases(x, y), rounds=options.rounds)
    timed = {each.name for each in measured.timings}

    columns = {"the read": READ, "plain jit": PLAIN, "PyTorch": PYTORCH, "sklearn": SCIKIT_LEARN}
    device = jax.devices()[0]
    print(
        f"{options.rows} x {options.features} float32, {device.device_kind}, {options.rounds} rounds"
    )
    print(f"{'':<36}{'median':>10}" + "".join(f"{'/ ' + name:>12}" for name in columns))
    for each in measured.timings:
        cells = "".join(
            f"{measured.ratio(each.name, reference)[0]:>12.3g}"
            if reference in timed
            else f"{'-':>12}"
            for reference in columns.values()
        )
        unsteady = "" if each.steady else "  not steady"
        print(f"{each.name:<36}{scaled(each.median):>10}{cells}{unsteady}")

    if PYTORCH_STEP in timed:
        step, (low, high) = measured.ratio(PYTORCH_STEP, ON_SUMS)
        print(
            f"{STEPS} steps of PyTorch: {scaled(STEPS * measured[PYTORCH_STEP].median)}, extrapolated from one step in each "
            f"round (not run); the sums and {STEPS} steps on them are {STEPS * step:.0f} times faster "
            f"({STEPS * low:.0f} to {STEPS * high:.0f}; target: 100)"
        )
    steps = 50
    ours, plain = (np.asarray(run(x, y, steps)) for run in (on_sums, on_rows))
    gap = np.abs(ours - plain).max() / np.abs(plain).max()
    print(
        f"largest relative difference of the weights after {steps} steps on sums and on rows: {gap:.1e}"
    )


if __name__ == "__main__":
    main()
