"""Prints how near the gradient comes to one reading of the rows, and what else was tried: `python -m tests.benchmarks.regression_one_pass`.

All forms take turns within one run (`funcgrad.compare.speed`). The last lines tell the floor for programs of XLA's CPU kernels: one reading, then both products of blocks that are in cache, divided by the cores.

Measured on two cores of a shared machine, 400,000 x 100 in float32: the library's form takes 2.0 readings at its fastest (2.8 in
the median), and so do NumPy's BLAS kernels in a thread for each core (2.0, 2.7); the floor is 1.6 to 1.9. A perceptron of
eight hidden units computes for 2.6 readings even in cache, so that its floor is 3.6. So 1.4 is out of reach for these
kernels: the products alone, in cache, take 0.6 to 0.9 of a reading, and none of it is hidden behind the reading.
"""

import argparse
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcgrad import regression
from funcgrad.compare import speed
from funcgrad.compare.tables import seconds as scaled
from funcgrad.regression import one_pass
from funcgrad.regression.products import linear_prediction

READING = "one reading, jnp.sum"

Form = Callable[[Any, Any, Any], Any]


def squared(prediction: Any, y: Any) -> Any:
    """The error of a row."""
    return jnp.square(prediction - y)


def plain(weights: Any, x: Any, y: Any) -> Any:
    """As anyone would write it."""
    return jnp.mean(squared(x @ weights, y))


def blocked(weights: Any, x: Any, y: Any) -> Any:
    """Two readings, each on every core."""
    return jnp.mean(squared(linear_prediction(x, weights), y))


def perceptron(params: Any, x: Any, y: Any) -> Any:
    """A loss that is no function of a linear prediction: eight hidden units."""
    return jnp.mean(squared(jnp.tanh(x @ params["in"]) @ params["out"], y))


def scan(size: int) -> Form:
    """A plain `lax.scan` over blocks of rows: one reading, on one core."""

    def value_and_grad(weights: Any, x: Any, y: Any) -> Any:
        def body(sums: Any, block: Any) -> Any:
            rows, targets = block
            residuals = rows @ weights - targets
            return (sums[0] + residuals @ residuals, sums[1] + residuals @ rows), None

        count = x.shape[0] // size
        blocks = x.reshape(count, size, -1), y.reshape(count, size)
        (value, slope), _ = jax.lax.scan(body, (jnp.zeros(()), jnp.zeros_like(weights)), blocks)
        return value / x.shape[0], 2 / x.shape[0] * slope

    return value_and_grad


def in_one_pass(blocks: int, kibibytes: int) -> Form:
    """The library's own form with other blocks."""

    def value_and_grad(weights: Any, x: Any, y: Any) -> Any:
        kept = one_pass._BLOCKS_AT_ONCE, one_pass._BLOCK_BYTES, one_pass._FEWEST_TURNS
        one_pass._BLOCKS_AT_ONCE, one_pass._BLOCK_BYTES = blocks, kibibytes << 10
        one_pass._FEWEST_TURNS = 1
        try:
            # An error of its own, because what is traced for one is kept.
            loss = regression.mean_loss(lambda prediction, y: squared(prediction, y))
            return jax.value_and_grad(loss)(weights, x, y)
        finally:
            one_pass._BLOCKS_AT_ONCE, one_pass._BLOCK_BYTES, one_pass._FEWEST_TURNS = kept

    return value_and_grad


def by_blas(x: np.ndarray, y: np.ndarray, kibibytes: int) -> Callable[[], Any]:
    """The linear loss by NumPy's BLAS, a block at a time in a thread for each core: kernels that are not XLA's."""
    weights = np.zeros(x.shape[1], x.dtype)
    size = max(1, (kibibytes << 10) // (x.shape[1] * x.itemsize))
    threads = ThreadPoolExecutor(cores())
    shares = np.array_split(np.arange(0, len(x), size), cores())

    def of_share(starts: np.ndarray) -> tuple[float, np.ndarray]:
        total, slope = 0.0, np.zeros_like(weights)
        for start in starts:
            rows = x[start : start + size]
            residuals = rows @ weights - y[start : start + size]
            total += float(residuals @ residuals)
            slope += residuals @ rows
        return total, slope

    return lambda: [
        np.sum(part, axis=0) for part in zip(*threads.map(of_share, shares), strict=True)
    ]


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_cache(loss: Any, params: Any, features: int) -> float:
    """Seconds that value and gradient take for each byte of a block that is in cache, on one core."""
    rows = max(1, (1 << 18) // (4 * features))
    block, targets = jnp.ones((rows, features)), jnp.zeros(rows)

    @jax.jit
    def repeated(params: Any) -> Any:
        def once(_: Any, params: Any) -> Any:
            slopes = jax.grad(loss)(params, block, targets)
            return jax.tree.map(lambda leaf, slope: leaf - 1e-9 * slope, params, slopes)

        return jax.lax.fori_loop(0, 1000, once, params)

    (runs,) = speed({"in cache": lambda: repeated(params)}, rounds=5).timings
    return min(runs.rounds) / (1000 * block.nbytes)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="a multiple of 4000")
    parser.add_argument("--features", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    random = np.random.default_rng(0)
    x = jax.device_put(random.standard_normal((options.rows, options.features), np.float32))
    y = jax.device_put(random.standard_normal(options.rows, np.float32))
    weights = jnp.zeros(options.features)
    net = {"in": jnp.full((options.features, 8), 0.01), "out": jnp.ones(8)}

    forms: dict[str, Form] = {
        "regression.value_and_grad": regression.value_and_grad,
        "read_once of the plain loss": jax.value_and_grad(regression.read_once(plain)),
        "plain value_and_grad": jax.value_and_grad(plain),
        "a product for each block, two readings": jax.value_and_grad(blocked),
        **{f"lax.scan over {size} rows": scan(size) for size in (500, 1000, 4000)},
        **{
            f"one pass, {blocks} blocks of {size} KiB": in_one_pass(blocks, size)
            for blocks, size in ((1, 512), (4, 1024), (8, 256), (8, 512), (8, 1024), (16, 256))
        },
    }
    of_net = {
        "a perceptron, read_once": jax.value_and_grad(regression.read_once(perceptron)),
        "a perceptron, plain value_and_grad": jax.value_and_grad(perceptron),
    }
    read = jax.jit(jnp.sum)
    cases = {READING: lambda: read(x)}
    for name, form in (forms | of_net).items():
        cases[name] = partial(jax.jit(form), net if name in of_net else weights, x, y)
    for size in (128, 256, 512, 1024):
        cases[f"NumPy's BLAS, blocks of {size} KiB"] = by_blas(np.asarray(x), np.asarray(y), size)
    report = speed(cases, rounds=options.rounds)
    device = jax.devices()[0].device_kind
    print(f"{options.rows} x {options.features} float32, {device}, {options.rounds} rounds")
    print(f"{'':<42}{'median':>10}{'fastest':>10}{'/ reading':>11}  95 % interval")
    for each in report.timings:
        low, high = each.interval
        print(
            f"{each.name:<42}{scaled(each.median):>10}{scaled(min(each.rounds)):>10}{each.ratio:>11.2f}  {low:.2f} to {high:.2f}"
        )
    reading = min(report[READING].rounds)
    for name, loss, params in (("linear", plain, weights), ("perceptron", perceptron, net)):
        computing = in_cache(loss, params, options.features) * x.nbytes / cores()
        floor = 1 + computing / reading
        print(
            f"{name}, blocks in cache, on {cores()} cores: {scaled(computing)}; after a reading of "
            f"{scaled(reading)} that makes a floor of {floor:.2f} readings (target: 1.4)"
        )


if __name__ == "__main__":
    main()
