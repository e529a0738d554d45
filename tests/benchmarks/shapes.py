"""Code that meets a new shape at each step, in fresh processes, warm-up included: `python -m tests.benchmarks.shapes`.

A mask of another count each step, a recurrent net over many lengths, a new batch length each step, and 10,000 lengths in one
process. PyTorch runs with one thread; a time is the median of the rounds; memory is the most that a process held. The shim's
first run finds nothing of an earlier one on disk, its second run what the first has left there.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from funcgrad.compare import Speed, speed

START = """
import resource
import {module} as torch
torch.manual_seed(0)
{threads}
def descend(loss, *weights):
    loss.backward()
    with torch.no_grad():
        for w in weights:
            w -= 0.01 * w.grad
            w.grad = None
w = torch.randn(10, requires_grad=True)
print(flush=True)  # imported
input()
"""

CASES = {
    "200 masks of another count each": """
x, y = torch.randn(500, 10), torch.randn(500)
for _ in range(200):
    error = (x @ w - y)[torch.rand(500) > 0.5]
    descend((error**2).mean(), w)
""",
    "500 steps with h[h < 0] = 0": """
x = torch.randn(64, 10)
for _ in range(500):
    h = x * w
    h[h < 0] = 0
    descend((h**2).mean(), w)
""",
    "a recurrent net over lengths 3 to 40": """
u, v = (0.1 * torch.randn(8, 8)).requires_grad_(), (0.1 * torch.randn(8, 4)).requires_grad_()
for length in range(3, 41):
    xs, h = torch.randn(length, 4), torch.zeros(8)
    for k in range(length):
        h = torch.tanh(u @ h + v @ xs[k])
    descend((h**2).sum(), u, v)
""",
    "100 batch lengths": """
u, v = (0.1 * torch.randn(10, 32)).requires_grad_(), (0.1 * torch.randn(32, 1)).requires_grad_()
for length in range(20, 120):
    out = torch.relu(torch.randn(length, 10) @ u) @ v
    descend(((out - torch.randn(length, 1)) ** 2).mean(), u, v)
""",
    "10,000 lengths in one process": """
v = torch.ones(1, requires_grad=True)
for length in range(2, 10_002):
    descend((torch.zeros(length) + v).mean(), v)
""",
}

END = """
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, flush=True)
"""


class Fresh:
    """A case in fresh processes: `start` imports, a call runs the case.

    Args:
        case: a name from `CASES`.
        module: the one that is imported as `torch`.
        cache: where the shim keeps what a later process can use; None for nowhere.
        filled: whether a whole run has filled the cache before, instead of it being empty.

    Attributes:
        held: the megabytes that each process held at most.
    """

    def __init__(
        self, case: str, module: str, cache: Path | None = None, filled: bool = False
    ) -> None:
        threads = "torch.set_num_threads(1)" if module == "torch" else ""
        self.source = START.format(module=module, threads=threads) + CASES[case] + END
        self.cache, self.filled = cache, filled
        self.held: list[int] = []

    def start(self) -> None:
        """Start a process, which waits once it has imported."""
        if self.cache is not None:
            shutil.rmtree(self.cache, ignore_errors=True)
            if self.filled:
                self.launch()
                self()
                self.process.communicate()
        self.launch()

    def launch(self) -> None:
        """Start a process on the cache as it is."""
        self.process = subprocess.Popen(
            [sys.executable, "-c", self.source],
            env={**os.environ, "FUNCGRAD_CACHE": str(self.cache or "off")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.process.stdout.readline()

    def __call__(self) -> None:
        """Let the process run the case, and wait for it."""
        print(file=self.process.stdin, flush=True)
        self.held.append(int(self.process.stdout.readline()))


THEIRS, FIRST, SECOND = "PyTorch", "first run", "second run"


def measure(case: str, rounds: int) -> tuple[Speed, int]:
    """Time a case on PyTorch and on the shim; return the megabytes that a process of the shim held at most, too."""
    with TemporaryDirectory() as place:
        sides = {
            THEIRS: Fresh(case, "torch"),
            FIRST: Fresh(case, "funcgrad.torch", Path(place, "first")),
            SECOND: Fresh(case, "funcgrad.torch", Path(place, "second"), filled=True),
        }
        setup = {name: side.start for name, side in sides.items()}
        report = speed(sides, rounds=rounds, warm_up=False, setup=setup)
    return report, max(*sides[FIRST].held, *sides[SECOND].held)


def main() -> None:
    """Print a line for each case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(
        f"{'case':<38} {'PyTorch':>9} {'shim, first run':>16} {'second':>9} {'ratios':>11} {'95 % intervals':>24}  memory"
    )
    for case in CASES:
        report, held = measure(case, options.rounds)
        reference, *ours = (each.median for each in report.timings)
        ratios = [report.ratio(name, THEIRS) for name in (FIRST, SECOND)]
        told = " ".join(f"{ratio:>5.1f}" for ratio, _ in ratios)
        intervals = ", ".join(f"{low:.1f} to {high:.1f}" for _, (low, high) in ratios)
        print(
            f"{case:<38} {reference:>7.3f} s {ours[0]:>14.3f} s {ours[1]:>7.3f} s "
            f"{told} {intervals:>24}  {held} MB",
            flush=True,
        )


if __name__ == "__main__":
    main()
