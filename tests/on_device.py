"""All that must work on a GPU or TPU, in one command of a few minutes: `python tests/on_device.py`.

It prints one table: what was checked, whether it held, and how long it took; then the times of the shim beside PyTorch's, on
CUDA where PyTorch has it. The exit status is 1 if a check failed. On a machine without an accelerator it checks the same on
the CPU; `XLA_FLAGS=--xla_force_host_platform_device_count=8` makes it eight devices.
"""

import argparse
import sys
import time
import traceback
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import funcgrad
import funcgrad.torch as torch
from funcgrad import engine, regression, training
from tests.benchmarks.cases import CASES

LONG = ("chain of 10,000 ops",)


def close(found: Any, expected: Any, tolerance: float = 2e-3) -> None:
    """Products on an accelerator may be rounded to fewer digits than on a CPU."""
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), tolerance, tolerance)


def data(rows: int = 512, columns: int = 8) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(rows, columns)), rng.normal(size=columns)
    return x.astype(np.float32), (x @ w).astype(np.float32), w.astype(np.float32)


def the_lesson() -> None:
    x, y_true = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([1.0, 2.0])
    w = torch.tensor([0.4, 1.6], requires_grad=True)
    loss = ((x @ w - y_true) ** 2).mean()
    loss.backward()
    close(w.grad, [19.4, 27.6])
    w.data -= 0.01 * w.grad
    assert ((x @ w - y_true) ** 2).mean().item() < loss.item()


def values_where_jax_puts_them() -> None:
    x = torch.ones(3) * 2
    assert torch.tensor([1.0]).device.type == x.device.type
    assert jnp.asarray(x).devices() <= set(jax.devices())


def in_place_and_views() -> None:
    x = torch.zeros(4, 4, requires_grad=True)
    y = x * 1.0
    y[1] = 3.0
    y[:, 2] += torch.arange(4.0)
    y[y > 2.5] = 0.0
    (y**2).sum().backward()
    expected = np.zeros((4, 4), np.float32)
    expected[:, 2] = [0, 0, 4, 0]
    expected[3, 2] = 0
    close(x.grad, expected)


def a_gradient_of_a_gradient() -> None:
    x = torch.tensor([0.5, 2.0], requires_grad=True)
    (slope,) = torch.autograd.grad((x**4).sum(), x, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), x)
    close(curvature, 12 * np.array([0.25, 4.0]))


def many_steps_are_one_trajectory() -> None:
    x, y, _ = data()
    w = torch.zeros(8, requires_grad=True)
    xs, ys = torch.tensor(x), torch.tensor(y)
    optimizer = torch.optim.Adam([w], lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        ((xs @ w - ys) ** 2).mean().backward()
        optimizer.step()
    close(w.detach(), data()[2], 0.02)


def float64_and_integers() -> None:
    x = torch.tensor([1.0, 1e-9], dtype=torch.float64)
    assert x.sum().item() == 1.000000001
    assert (torch.tensor([2**40]) + 1).item() == 2**40 + 1


def random_numbers_are_pytorchs() -> None:
    torch.manual_seed(0)
    close(torch.rand(3), [0.4962566, 0.7682218, 0.0884774], 1e-6)


def a_pure_function() -> None:
    x, y, w = data()

    def loss(w: Any) -> Any:
        return ((torch.tensor(x) @ w - torch.tensor(y)) ** 2).mean()

    value, slope = jax.jit(jax.value_and_grad(funcgrad.pure(loss)))(jnp.asarray(w + 1))
    close(value, ((x @ (w + 1) - y) ** 2).mean())
    close(slope, 2 * x.T @ (x @ (w + 1) - y) / len(y), 5e-3)


def a_compiled_function() -> None:
    scaled = torch.compile(lambda t: (t * 3).sin().sum())
    for _ in range(4):
        close(scaled(torch.ones(5)), 5 * np.sin(3.0))


def every_mode_of_the_engine() -> None:
    for mode in ("auto", "eager", "recorded", "op_by_op", "compiled"):
        with engine.mode(mode):
            w = torch.tensor([1.0, -2.0], requires_grad=True)
            (w.exp() * w).sum().backward()
            close(w.grad, np.exp([1.0, -2.0]) * [2.0, -1.0])


def the_gradient_in_one_pass() -> None:
    x, y, w = data()
    value, slope = regression.value_and_grad(jnp.asarray(w) + 1, jnp.asarray(x), jnp.asarray(y))
    close(value, ((x @ (w + 1) - y) ** 2).mean())
    close(slope, 2 * x.T @ (x @ (w + 1) - y) / len(y), 5e-3)


def a_fit() -> None:
    x, y, w = data()
    result = training.fit(
        regression.loss,
        jnp.zeros(8),
        jnp.asarray(x),
        jnp.asarray(y),
        optimizer=optax.adam(0.05),
        steps=300,
    )
    close(result.params, w, 0.05)


def the_exact_answer() -> None:
    x, y, w = data()
    close(regression.least_squares(x.astype(np.float64), y.astype(np.float64)).params, w, 1e-4)


def a_sharded_step() -> None:
    x, y, w = data(rows=64 * len(jax.devices()))
    rows = NamedSharding(Mesh(np.array(jax.devices()), ("rows",)), PartitionSpec("rows"))
    xs, ys = jax.device_put(x, rows), jax.device_put(y, rows)
    result = training.fit(
        regression.loss, jnp.zeros(8), xs, ys, optimizer=optax.adam(0.05), steps=300
    )
    close(result.params, w, 0.05)


CHECKS: list[Callable[[], None]] = [
    the_lesson,
    values_where_jax_puts_them,
    in_place_and_views,
    a_gradient_of_a_gradient,
    many_steps_are_one_trajectory,
    float64_and_integers,
    random_numbers_are_pytorchs,
    a_pure_function,
    a_compiled_function,
    every_mode_of_the_engine,
    the_gradient_in_one_pass,
    a_fit,
    the_exact_answer,
    a_sharded_step,
]


def check_all() -> int:
    """Print a line for each check; returns how many failed."""
    failed = 0
    for check in CHECKS:
        start = time.perf_counter()
        try:
            check()
            told = "holds"
        except Exception:
            failed += 1
            told = "FAILS\n" + traceback.format_exc()
        print(
            f"{check.__name__.replace('_', ' '):<36} {time.perf_counter() - start:>6.2f} s  {told}",
            flush=True,
        )
    return failed


def per_iteration(run: Any, iterations: int, seconds: float) -> float:
    """The best seconds an iteration, over so many seconds, warm."""
    run(iterations)
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        run(iterations)
        best = min(best, (time.perf_counter() - start) / iterations)
    return best


def speed(seconds: float) -> None:
    """Print the benchmarks' cases, the shim beside PyTorch."""
    theirs: Any = None
    if find_spec("torch") is not None:
        import torch as theirs

        if theirs.cuda.is_available():
            theirs.set_default_device("cuda")
    where = "none" if theirs is None else str(theirs.empty(1).device)
    print(f"\n{'case':<36} {'PyTorch, ' + where:>16} {'shim':>10} {'ratio':>6}")
    for case in CASES:
        iterations = 1 if case.name in LONG else case.iterations
        ours = per_iteration(case.make(torch), iterations, seconds) * 1e6
        line = f"{case.name:<36} {'':>16} {ours:>7.0f} us"
        if theirs is not None:
            other = per_iteration(case.make(theirs), iterations, seconds) * 1e6
            line = f"{case.name:<36} {other:>13.0f} us {ours:>7.0f} us {ours / other:>6.2f}"
        print(line, flush=True)


def main() -> None:
    """Check, then time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--seconds", type=float, default=3.0, help="for each case and side; 0: none"
    )
    options = parser.parse_args()
    print(f"JAX {jax.__version__}, {len(jax.devices())} x {jax.devices()[0].device_kind}\n")
    failed = check_all()
    if options.seconds:
        speed(options.seconds)
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
