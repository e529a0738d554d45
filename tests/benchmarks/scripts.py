"""Whole scripts in the manner of public ones, start to end in fresh processes: `python -m tests.benchmarks.scripts`.

Each runs on PyTorch and, with the import changed and nothing else, on the shim. They take turns, so that whatever else the
machine does falls on both. A time is the median of the rounds. PyTorch runs with two threads and with one; the ratio is to
the better of both. The shim's first run finds nothing of an earlier one on disk, its second run what the first has left there.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

SCRIPTS = sorted((Path(__file__).parent / "scripts").glob("*.py"))
PYTORCH, SHIM = "import torch\n", "import funcgrad.torch as torch\n"


def on(side: str, script: Path) -> str:
    """The source of a script for PyTorch, "theirs", or for the shim, "ours"."""
    source = script.read_text()
    assert source.count(PYTORCH) == 1, f"{script.name} does not import torch on a line of its own"
    return source if side == "theirs" else source.replace(PYTORCH, SHIM)


def run(side: str, script: Path, threads: int = 0, cache: str = "off") -> tuple[float, str]:
    """Seconds that a fresh process takes for a script, and what it prints."""
    environment = {**os.environ, "FUNCGRAD_CACHE": cache}
    if threads:
        environment["OMP_NUM_THREADS"] = str(threads)
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", on(side, script)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return time.perf_counter() - start, done.stdout


def main() -> None:
    """Print a line for each script."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="scripts with this in their names")
    options = parser.parse_args()
    print(
        f"{'script':<28} {'PyTorch, 2 threads':>18} {'1 thread':>9} {'shim, first run':>16} {'second':>7} {'ratios':>11}"
    )
    ratios: tuple[list[float], list[float]] = ([], [])
    for script in SCRIPTS:
        if options.only not in script.stem:
            continue
        times: dict[str, list[float]] = {"two": [], "one": [], "first": [], "second": []}
        for _ in range(options.rounds):
            times["two"].append(run("theirs", script, 2)[0])
            with TemporaryDirectory() as cache:
                times["first"].append(run("ours", script, cache=cache)[0])
                times["second"].append(run("ours", script, cache=cache)[0])
            times["one"].append(run("theirs", script, 1)[0])
        two, one, *ours = (median(each) for each in times.values())
        for seconds, found in zip(ours, ratios, strict=True):
            found.append(seconds / min(two, one))
        print(
            f"{script.stem:<28} {two:>16.2f} s {one:>7.2f} s {ours[0]:>14.2f} s {ours[1]:>5.2f} s "
            f"{ratios[0][-1]:>5.2f} {ratios[1][-1]:>5.2f}",
            flush=True,
        )
    for name, found in zip(("first run", "second run"), ratios, strict=True):
        print(f"{name}: median ratio {median(found):.2f}, largest {max(found):.2f}")


if __name__ == "__main__":
    main()
