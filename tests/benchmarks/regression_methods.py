"""Prints which method reaches the exact answer how fast: `python -m tests.benchmarks.regression_methods`.

Steps until the loss is within a relative 1e-10 of that of `least_squares`, and the seconds that so many take once
compiled, on the rows and on their sums. In float64, from weights of zero.
"""

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from funcgrad import fit, regression
from funcgrad.compare import speed
from funcgrad.compare.tables import seconds as scaled
from funcgrad.datasets import load_diabetes
from funcgrad.regression import Linear


class Goal(NamedTuple):
    """Where to start, what to minimise, and the loss that is near enough."""

    start: Any
    x: Any
    y: Any
    loss: float


Method = Callable[[Goal, int], Any]
"""Takes so many steps, and returns the losses before each and after the last, or the parameters."""


def by_fit(optimizer: Any, **options: Any) -> Method:
    """A method that `fit` runs."""

    def run(goal: Goal, steps: int) -> Any:
        return fit(
            regression.loss, goal.start, goal.x, goal.y,
            optimizer=optimizer, steps=steps, **options,
        )  # fmt: skip

    return run


@jax.jit
def newton_step(params: Any, x: Any, y: Any) -> Any:
    """One step by the Hessian, which is that of jax.hessian."""
    flat, restore = jax.flatten_util.ravel_pytree(params)

    def loss(flat: Any) -> Any:
        return regression.loss(restore(flat), x, y)

    return restore(flat - jnp.linalg.solve(jax.hessian(loss)(flat), jax.grad(loss)(flat)))


def newton(goal: Goal, steps: int) -> Any:
    """Newton's method: exact in one step, but for rounding."""
    params = goal.start
    for _ in range(steps):
        params = newton_step(params, goal.x, goal.y)
    return params


@jax.jit
def conjugate_gradient_steps(start: Any, x: Any, y: Any, steps: Any) -> Any:
    """JAX's conjugate gradients on the Hessian, which is only ever multiplied with."""

    def gradient(params: Any) -> Any:
        return jax.grad(regression.loss)(params, x, y)

    right = jax.tree.map(jnp.negative, gradient(start))
    change, _ = jax.scipy.sparse.linalg.cg(
        lambda v: jax.jvp(gradient, (start,), (v,))[1], right, tol=0.0, maxiter=steps
    )
    return jax.tree.map(jnp.add, start, change)


def conjugate_gradients(goal: Goal, steps: int) -> Any:
    """Conjugate gradients from the start."""
    return conjugate_gradient_steps(goal.start, goal.x, goal.y, steps)


EXACT = "least_squares (exact)"
LBFGS = optax.lbfgs()
METHODS: dict[str, Method] = {
    "gradient descent, 1/L": by_fit(optax.sgd, learning_rate="auto"),
    "L-BFGS (optax)": by_fit(LBFGS),
    "conjugate gradients": conjugate_gradients,
    "Newton": newton,
}


def steps_needed(method: Method, goal: Goal, most: int) -> int | None:
    """The fewest steps that reach the goal, or None; steps are tried in powers of two, then between."""

    def reached(steps: int) -> bool:
        done = method(goal, steps)
        params = done.params if hasattr(done, "losses") else done
        return float(regression.loss(params, goal.x, goal.y)) <= goal.loss

    high = 1
    while not reached(high):
        high *= 2
        if high > most:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high


def problems() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The diabetes data standardised, and columns of known condition."""
    data = load_diabetes()
    x = np.asarray(data.x, np.float64)
    random = np.random.default_rng(0)
    left, _ = np.linalg.qr(random.normal(size=(2000, 50)))
    right, _ = np.linalg.qr(random.normal(size=(50, 50)))
    bent = np.sqrt(2000) * (left * np.geomspace(1, 0.03, 50)) @ right.T
    return {
        "diabetes, 442 x 10, standardised": (
            (x - x.mean(axis=0)) / x.std(axis=0),
            np.asarray(data.y, np.float64),
        ),
        "synthetic, 2000 x 50, the Hessian's condition 1100": (
            bent,
            bent @ random.normal(size=50) + random.normal(size=2000),
        ),
    }


def main() -> None:
    """Print a table for each problem."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=int, default=65536, help="the most steps to take")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    for name, (x, y) in problems().items():
        print(f"\n{name}\n{'method':<26}{'steps':>8}{'on rows':>12}{'steps':>10}{'on sums':>12}")
        exact = regression.least_squares(x, y, intercept=True)
        with jax.enable_x64(True):
            near = float(exact.loss) * (1 + 1e-10)
            start = Linear(jnp.zeros(x.shape[1]), jnp.zeros(()))
            goals = {
                "on rows": Goal(start, jnp.asarray(x), jnp.asarray(y), near),
                "on sums": Goal(start, regression.moments(x, y), None, near),
            }
            counts = {
                (name, kind): steps_needed(method, goal, options.most)
                for name, method in METHODS.items()
                for kind, goal in goals.items()
            }
            cases = {
                f"{name}, {kind}": partial(METHODS[name], goals[kind], steps)
                for (name, kind), steps in counts.items()
                if steps is not None
            }
            cases[EXACT] = partial(regression.least_squares, x, y, intercept=True)
            times = speed(cases, rounds=options.rounds, round_seconds=0.0)
        for name in METHODS:
            line = f"{name:<26}"
            for kind, width in zip(goals, (8, 10), strict=True):
                steps = counts[name, kind]
                count = f"> {options.most}" if steps is None else str(steps)
                took = "-" if steps is None else scaled(times[f"{name}, {kind}"].median)
                line += f"{count:>{width}}{took:>12}"
            print(line)
        print(f"{EXACT:<26}{'-':>8}{scaled(times[EXACT].median):>12}", flush=True)


if __name__ == "__main__":
    main()
