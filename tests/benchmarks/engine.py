"""Prints how the engine's times compare with PyTorch's: `python -m tests.benchmarks.engine`.

They take turns within one run, a few iterations each (`funcgrad.compare.speed`), so that whatever else the machine does
falls on all. PyTorch takes two turns, with two threads and with one: where other work keeps the
cores busy its threads wait for one another, so what it is judged by is the better of the two.
"""

import argparse
import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from funcgrad import engine
from funcgrad.compare import Speed, speed
from funcgrad.compare.tables import seconds as scaled
from tests.benchmarks.cases import CASES, FRESH_PROCESS, Case

Turn = Callable[[int], Any]


OURS = "ours"


def in_turns(
    references: Mapping[str, Turn],
    ours: Turn,
    iterations: int,
    seconds: float,
    warm_up: bool = True,
) -> Speed:
    """Time them in turns, for about so many seconds, and five rounds at least; a call does so many iterations."""
    cases = {name: partial(turn, iterations) for name, turn in (*references.items(), (OURS, ours))}
    start = time.perf_counter()
    for case in cases.values():
        case()
    rounds = max(5, round(seconds / (time.perf_counter() - start)))
    return speed(cases, rounds=rounds, round_seconds=0.0, warm_up=warm_up)


HEADER = f"{'case':<38} {'2 threads':>10} {'1 thread':>10} {'ours':>10} {'ratios':>12} {'95 % interval':>14} {'target':>7}"


def row(name: str, report: Speed, iterations: int, target: float, note: str = "") -> str:
    """A line of the table: seconds an iteration, ratios to each reference, and the interval of the larger one."""
    *references, ours = (scaled(each.median / iterations) for each in report.timings)
    ratios = [report.ratio(OURS, each.name) for each in report.timings[:-1]]
    worst, (low, high) = max(ratios)
    met = "met" if worst <= target else "MISSED"
    told = " ".join(f"{ratio:.2f}" for ratio, _ in ratios)
    cells = " ".join(f"{each:>10}" for each in references) + " " * 11 * (2 - len(references))
    return f"{name:<38} {cells} {ours:>10} {told:>12} {f'{low:.2f} to {high:.2f}':>14} {target:>7.1f}  {met:<6}  {note}"


def compare(case: Case, seconds: float) -> str:
    """Time a case on PyTorch and on the shim."""
    import torch

    import funcgrad.torch

    reference, ours = case.make(torch), case.make(funcgrad.torch)

    def threads(count: int) -> Turn:
        def turn(iterations: int) -> Any:
            torch.set_num_threads(count)
            reference(iterations)

        return turn

    before = engine.stats()
    reference(case.warm_up)
    # In turns, since what a turn ends with is a program of its own.
    for _ in range(0, case.warm_up, case.iterations):
        ours(case.iterations)
    warm = engine.stats()
    references = {"2 threads": threads(2), "1 thread": threads(1)}
    report = in_turns(references, ours, case.iterations, seconds)
    after = engine.stats()
    compiled = f"{compiled_between(before, warm)} to warm up, then {compiled_between(warm, after)}"
    alone = floor(ours, seconds / 4)
    note = ", ".join(filter(None, (alone, compiled)))
    return row(case.name, report, case.iterations, case.target, note)


def compiled_between(before: engine.Stats, after: engine.Stats) -> str:
    """The programs compiled meanwhile."""
    counts = {
        "programs": after.programs_compiled - before.programs_compiled,
        "kernels": after.kernels_compiled - before.kernels_compiled,
    }
    return " + ".join(f"{count} {what}" for what, count in counts.items() if count) or "nothing"


def floor(ours: Turn, seconds: float) -> str:
    """The time of the iteration's program alone, called with the same arrays and no Python recording it.

    Empty where an iteration is not one compiled program.
    """
    from funcgrad.engine import programs

    run, ran = programs.run, []

    def noting(*arguments: Any) -> Any:
        made = run(*arguments)
        ran.append(programs.last[0] if programs.last else None)
        return made

    programs.run = noting
    ours(4)
    programs.run = run
    # The last run computes what the case looks at in the end.
    program = ran[-2] if len(ran) == 5 else None
    if program is None or program.compiled is None:
        return ""
    compiled, arrays = program.compiled, []

    def spy(*given: Any) -> Any:
        arrays[:] = given
        return compiled(*given)

    program.compiled = spy
    ours(2)
    program.compiled = compiled
    if not arrays:
        return ""
    rounds = max(5, round(seconds / 0.02))
    (alone,) = speed({"alone": lambda: compiled(*arrays)}, rounds=rounds).timings
    return f"program alone {scaled(alone.median)}"


def fresh_process(seconds: float) -> str:
    """Time processes that run the whole lesson, import included."""

    def run(module: str) -> Callable[[int], Any]:
        command = [sys.executable, "-c", FRESH_PROCESS.format(module=module)]
        return lambda _: subprocess.run(
            command, env=environment, check=True, stdout=subprocess.DEVNULL
        )

    # An installed package has its bytecode; the first run, which is not counted, sees to it that a checkout has too.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    report = in_turns({"torch": run("torch")}, run("funcgrad.torch"), 1, seconds, warm_up=False)
    return row(FRESH, report, 1, 1.0)


COMPILED = "torch.compile(step) / jax.jit step, 2x2"
FRESH = "fresh process, the whole lesson"
RECORDING = "recording an op, in Python"
ROWS = (*(case.name for case in CASES), COMPILED, FRESH, RECORDING)


def compiled_step(seconds: float) -> str:
    """Time the lesson's step under `torch.compile` against the same step as a bare `jax.jit` function."""
    ours, bare = compiled_and_bare_steps()
    bare(200), ours(200)
    return row(COMPILED, in_turns({"jax.jit": bare}, ours, 200, seconds), 200, 1.2)


def compiled_and_bare_steps() -> tuple[Turn, Turn]:
    """The lesson's step at 2x2, under `torch.compile` and as a bare `jax.jit` function."""
    import jax
    import numpy as np

    import funcgrad.torch as torch

    x, y_true, w = (np.float32(each) for each in ([[0.1, 0.2], [0.3, 0.4]], [0.5, 0.6], [0.7, 0.8]))

    @jax.jit
    def step(w: Any, x: Any, y_true: Any) -> Any:
        def loss(w: Any) -> Any:
            return ((x @ w - y_true) ** 2).mean()

        value, gradient = jax.value_and_grad(loss)(w)
        return w - 0.01 * gradient, value

    held = [jax.device_put(each) for each in (w, x, y_true)]

    def bare(iterations: int) -> Any:
        for _ in range(iterations):
            held[0], _ = step(*held)
        return np.asarray(held[0])

    tensors = [torch.tensor(each) for each in (x, y_true)]
    weights = torch.tensor(w, requires_grad=True)

    @torch.compile
    def imperative(x: Any, y_true: Any) -> Any:
        loss = ((x @ weights - y_true) ** 2).mean()
        loss.backward()
        weights.data -= 0.01 * weights.grad
        weights.grad = None
        return loss

    def ours(iterations: int) -> Any:
        for _ in range(iterations):
            imperative(*tensors)
        return weights.detach().numpy()

    return ours, bare


def recording_costs(ops: int = 200, rounds: int = 100) -> list[str]:
    """Microseconds of Python that recording an op takes, nothing being run."""
    import funcgrad.torch as torch

    plain, leaf = torch.ones(2), torch.ones(2, requires_grad=True)

    def tensors(start: Any) -> None:
        h = start
        for _ in range(ops):
            h = h + start

    def numbers(start: Any) -> None:
        h = start
        for _ in range(ops):
            h = h * 1.5

    def one(start: Any) -> None:
        h = start
        for _ in range(ops):
            h = torch.sin(h)

    def step(start: Any) -> None:
        for _ in range(ops // 5):
            loss = ((plain * start - plain) ** 2).mean()
        del loss

    records = {
        "h + tensor": tensors,
        "h * number": numbers,
        "sin(h)": one,
        "((x * w - y) ** 2).mean(), an op": step,
    }
    starts = {"without": plain, "with a gradient": leaf}
    cases = {
        f"{name} {kind}": partial(record, start)
        for name, record in records.items()
        for kind, start in starts.items()
    }

    def flush() -> None:
        engine.flush("recording is timed alone")  # nothing is held, so nothing runs

    report = speed(cases, rounds=rounds, setup=dict.fromkeys(cases, flush))
    flush()
    return [
        f"  {name:<34} "
        + ", ".join(
            f"{report[f'{name} {kind}'].median / ops * 1e6:>6.2f} us {kind}" for kind in starts
        )
        for name in records
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0, help="for each case")
    parser.add_argument("--only", choices=ROWS, help="one case; all of them if not given")
    options = parser.parse_args()

    if options.only is None:
        print(f"{HEADER}          compiled", flush=True)
        # Each in a process of its own, so that none has to live with what another left behind.
        for name in ROWS:
            command = [sys.executable, "-m", "tests.benchmarks.engine", "--only", name]
            subprocess.run([*command, "--seconds", str(options.seconds)], check=True)
        return

    import torch  # noqa: F401

    import funcgrad.torch  # noqa: F401

    # The imports' objects are no garbage: without this, every full collection would look through both packages.
    gc.collect()
    gc.freeze()
    for case in CASES:
        if options.only == case.name:
            print(compare(case, options.seconds))
    if options.only == COMPILED:
        print(compiled_step(options.seconds))
    if options.only == FRESH:
        print(fresh_process(options.seconds))
    if options.only == RECORDING:
        print(f"{RECORDING}:", *recording_costs(), sep="\n")


if __name__ == "__main__":
    main()
