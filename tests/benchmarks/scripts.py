"""Whole scripts in the manner of public ones, start to end in fresh processes: `python -m tests.benchmarks.scripts`.

Each runs on PyTorch and, with the import changed and nothing else, on the shim. They take turns, so that whatever else the
machine does falls on both. A time is the median of the rounds. PyTorch runs with two threads and with one; the ratio is to
the better of both. The shim's first run finds nothing of an earlier one on disk, its second run what the first has left there.
"""

import argparse
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from funcgrad.compare import Speed, speed

SCRIPTS = sorted((Path(__file__).parent / "scripts").glob("*.py"))
PYTORCH, SHIM = "import torch\n", "import funcgrad.torch as torch\n"


def on(side: str, script: Path) -> str:
    """The source of a script for PyTorch, "theirs", or for the shim, "ours"."""
    source = script.read_text()
    assert source.count(PYTORCH) == 1, f"{script.name} does not import torch on a line of its own"
    return source if side == "theirs" else source.replace(PYTORCH, SHIM)


def run(side: str, script: Path, threads: int = 0, cache: str | Path = "off") -> None:
    """Run a script in a fresh process."""
    environment = {**os.environ, "FUNCGRAD_CACHE": str(cache)}
    if threads:
        environment["OMP_NUM_THREADS"] = str(threads)
    subprocess.run(
        [sys.executable, "-c", on(side, script)],
        env=environment,
        stdout=subprocess.DEVNULL,
        check=True,
    )


TWO_THREADS, ONE_THREAD, FIRST, SECOND = "2 threads", "1 thread", "first run", "second run"


def measure(script: Path, rounds: int) -> Speed:
    """Time a script on PyTorch, with two threads and with one, and on the shim, in a first run and in a second."""
    with TemporaryDirectory() as place:
        kept = {name: Path(place, name) for name in (FIRST, SECOND)}

        def forget(name: str) -> None:
            shutil.rmtree(kept[name], ignore_errors=True)

        def first_run() -> None:
            forget(SECOND)
            run("ours", script, cache=kept[SECOND])

        cases = {
            TWO_THREADS: partial(run, "theirs", script, 2),
            ONE_THREAD: partial(run, "theirs", script, 1),
            **{name: partial(run, "ours", script, cache=kept[name]) for name in kept},
        }
        setup = {FIRST: partial(forget, FIRST), SECOND: first_run}
        return speed(cases, rounds=rounds, warm_up=False, setup=setup)


def main() -> None:
    """Print a line for each script."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="scripts with this in their names")
    options = parser.parse_args()
    print(
        f"{'script':<28} {'PyTorch, 2 threads':>18} {'1 thread':>9} {'shim, first run':>16} {'second':>7} {'ratios':>11}  95 % intervals"
    )
    ratios: dict[str, list[float]] = {FIRST: [], SECOND: []}
    for script in SCRIPTS:
        if options.only not in script.stem:
            continue
        report = measure(script, options.rounds)
        two, one, first, second = (each.median for each in report.timings)
        better = TWO_THREADS if two < one else ONE_THREAD
        told, intervals = "", []
        for name, found in ratios.items():
            ratio, (low, high) = report.ratio(name, better)
            found.append(ratio)
            told += f" {ratio:>5.2f}"
            intervals.append(f"{low:.2f} to {high:.2f}")
        print(
            f"{script.stem:<28} {two:>16.2f} s {one:>7.2f} s {first:>14.2f} s {second:>5.2f} s"
            f"{told}  {', '.join(intervals)}",
            flush=True,
        )
    for name, found in ratios.items():
        print(f"{name}: median ratio {median(found):.2f}, largest {max(found):.2f}")


if __name__ == "__main__":
    main()
