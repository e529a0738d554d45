"""Code that meets a new shape at each step, in fresh processes, warm-up included: `python -m tests.benchmarks.shapes`.

A mask of another count each step, a recurrent net over many lengths, a new batch length each step, and 10,000 lengths in one
process. PyTorch runs with one thread; a time is the median of the rounds; memory is the most that a process held. The shim's
first run finds nothing of an earlier one on disk, its second run what the first has left there.
"""

import argparse
import os
import subprocess
import sys
from statistics import median
from tempfile import TemporaryDirectory

START = """
import resource, time
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
start = time.perf_counter()
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
held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
print(time.perf_counter() - start, held)
"""


def run(case: str, module: str, cache: str = "off") -> tuple[float, int]:
    """Seconds that a fresh process takes for a case, its imports left out, and the megabytes that it held at most."""
    threads = "torch.set_num_threads(1)" if module == "torch" else ""
    source = START.format(module=module, threads=threads) + CASES[case] + END
    done = subprocess.run(
        [sys.executable, "-c", source],
        env={**os.environ, "FUNCGRAD_CACHE": cache},
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, held = done.stdout.split()
    return float(seconds), int(held)


def main() -> None:
    """Print a line for each case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(
        f"{'case':<38} {'PyTorch':>9} {'shim, first run':>16} {'second':>9} {'ratios':>11}  memory"
    )
    for case in CASES:
        theirs, first, second = [], [], []
        for _ in range(options.rounds):
            theirs.append(run(case, "torch"))
            with TemporaryDirectory() as cache:
                first.append(run(case, "funcgrad.torch", cache))
                second.append(run(case, "funcgrad.torch", cache))
        reference, *ours = (median(each[0] for each in side) for side in (theirs, first, second))
        held = max(each[1] for each in (*first, *second))
        print(
            f"{case:<38} {reference:>7.3f} s {ours[0]:>14.3f} s {ours[1]:>7.3f} s "
            f"{ours[0] / reference:>5.1f} {ours[1] / reference:>5.1f}  {held} MB",
            flush=True,
        )


if __name__ == "__main__":
    main()
