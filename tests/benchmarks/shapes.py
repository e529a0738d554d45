"""Code that meets a new shape at each step, in fresh processes, warm-up included: `python -m tests.benchmarks.shapes`.

A mask of another count each step, a recurrent net over many lengths, a new batch length each step, and 10,000 lengths in one
process. PyTorch runs with one thread. A time is the processor time after the imports, the median of the rounds; memory is the
most that a process held. The shim's first run finds nothing of an earlier one on disk, its second run what the first left there.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

START = """
import resource
import time
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
start = time.process_time()
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
print(time.process_time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def run(case: str, module: str, cache: Path | None = None) -> tuple[float, int]:
    """Run a case in a fresh process.

    Args:
        case: a name from `CASES`.
        module: the one that is imported as `torch`.
        cache: where the shim keeps what a later process can use; None for nowhere.

    Returns:
        The seconds of processor time after the imports, and the megabytes that the process held at most.
    """
    threads = "torch.set_num_threads(1)" if module == "torch" else ""
    source = START.format(module=module, threads=threads) + CASES[case] + END
    environment = {**os.environ, "FUNCGRAD_CACHE": str(cache or "off")}
    found = subprocess.run(
        [sys.executable, "-c", source], env=environment, capture_output=True, text=True, check=True
    )
    seconds, held = found.stdout.split()
    return float(seconds), int(held)


def measure(case: str, rounds: int) -> tuple[list[list[float]], int]:
    """The seconds of each round on PyTorch, and in the shim's first and second run; and the most megabytes of the shim's."""
    times: list[list[float]] = []
    most = 0
    for _ in range(rounds):
        with TemporaryDirectory() as place:
            theirs = run(case, "torch")
            first, second = (run(case, "funcgrad.torch", Path(place)) for _ in range(2))
        times.append([theirs[0], first[0], second[0]])
        most = max(most, first[1], second[1])
    return times, most


def main() -> None:
    """Print a line for each case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(
        f"{'case':<38} {'PyTorch':>9} {'shim, first run':>16} {'second':>9} {'ratios':>11}  memory"
    )
    for case in CASES:
        times, held = measure(case, options.rounds)
        seconds = [median(each) for each in zip(*times, strict=True)]
        ratios = [median(each[k] / each[0] for each in times) for k in (1, 2)]
        print(
            f"{case:<38} {seconds[0]:>7.3f} s {seconds[1]:>14.3f} s {seconds[2]:>7.3f} s "
            f"{ratios[0]:>5.1f} {ratios[1]:>5.1f}  {held} MB",
            flush=True,
        )


if __name__ == "__main__":
    main()
