"""Prints how fast the regression's pieces are: `python -m tests.benchmarks.regression_speed`.

They take turns within one run, so that whatever else the machine does falls on all; times are medians, ratios the
medians of the rounds' own. PyTorch and scikit-learn take part where they are installed.
"""

import argparse
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from statistics import median
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from funcgrad import fit, regression
from funcgrad.compare import Speed, speed
from funcgrad.compare.tables import seconds as scaled

STEPS = 1000
RATE = 0.1

Turn = Callable[[int], Any]

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


def turns(x: np.ndarray, y: np.ndarray) -> dict[str, Turn]:
    """The competitors."""
    on_device, targets = jax.device_put(x), jax.device_put(y)
    weights = jnp.zeros(x.shape[1])
    read, plain = jax.jit(jnp.sum), jax.jit(jax.value_and_grad(plain_loss))

    def repeated(call: Callable[[], Any]) -> Turn:
        def run(iterations: int) -> None:
            for _ in range(iterations):
                jax.block_until_ready(call())

        return run

    labels = jax.device_put((y > 0).astype(np.float32))
    logistic = regression.mean_loss(optax.losses.sigmoid_binary_cross_entropy)
    by_us, by_anyone = (jax.jit(jax.value_and_grad(f)) for f in (logistic, plain_logistic))
    found = {
        READ: repeated(lambda: read(on_device)),
        PLAIN: repeated(lambda: plain(weights, on_device, targets)),
        OURS: repeated(lambda: regression.value_and_grad(weights, on_device, targets)),
        PLAIN_LOGISTIC: repeated(lambda: by_anyone(weights, on_device, labels)),
        LOGISTIC: repeated(lambda: by_us(weights, on_device, labels)),
        SUMS: repeated(lambda: regression.moments(on_device, targets)),
        ON_SUMS: repeated(lambda: on_sums(on_device, targets)),
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

        found |= {PYTORCH: repeated(backward), PYTORCH_STEP: repeated(step)}
    if find_spec("sklearn"):
        from sklearn.linear_model import LinearRegression

        found[SCIKIT_LEARN] = repeated(lambda: LinearRegression().fit(x, y) and None)
    return found


def measure(found: dict[str, Turn], rounds: int) -> Speed:
    """Time each in every round, in turns, after a warm-up."""
    return speed({name: partial(run, 1) for name, run in found.items()}, rounds=rounds)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--features", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    x, y = data(options.rows, options.features)
    measured = measure(turns(x, y), options.rounds)
    times = {each.name: each.rounds for each in measured.timings}

    def ratio(name: str, reference: str) -> str:
        if reference not in times:
            return "-"
        return f"{median(a / b for a, b in zip(times[name], times[reference], strict=True)):.3g}"

    columns = {"the read": READ, "plain jit": PLAIN, "PyTorch": PYTORCH, "sklearn": SCIKIT_LEARN}
    device = jax.devices()[0]
    print(
        f"{options.rows} x {options.features} float32, {device.device_kind}, {options.rounds} rounds"
    )
    print(f"{'':<36}{'median':>10}" + "".join(f"{'/ ' + name:>12}" for name in columns))
    for each in measured.timings:
        cells = "".join(f"{ratio(each.name, reference):>12}" for reference in columns.values())
        unsteady = "" if each.steady else "  not steady"
        print(f"{each.name:<36}{scaled(each.median):>10}{cells}{unsteady}")

    if PYTORCH_STEP in times:
        whole = [STEPS * each for each in times[PYTORCH_STEP]]
        faster = median(a / b for a, b in zip(whole, times[ON_SUMS], strict=True))
        print(
            f"{STEPS} steps of PyTorch: {scaled(median(whole))}, extrapolated from one step in each round "
            f"(not run); the sums and {STEPS} steps on them are {faster:.0f} times faster (target: 100)"
        )
    steps = 50
    ours, plain = (np.asarray(run(x, y, steps)) for run in (on_sums, on_rows))
    gap = np.abs(ours - plain).max() / np.abs(plain).max()
    print(
        f"largest relative difference of the weights after {steps} steps on sums and on rows: {gap:.1e}"
    )


if __name__ == "__main__":
    main()
