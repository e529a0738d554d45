"""Prints how much two devices on two cores gain over one: `python -m tests.benchmarks.regression_devices`.

XLA's CPU client uses every core it may for one device already. So there are two baselines, each in a process of its
own: one device that may use one core, which is what adding a device with a core of its own is measured against (target:
1.8 times where the work is compute-bound), and one device that may use both, which tells what the devices are worth on
one machine. All take turns (`funcgrad.compare.speed`), so that whatever else the machine does falls on all.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

from funcgrad.compare import speed
from funcgrad.compare.tables import seconds as scaled

ROWS, FEATURES, OUTPUTS = 50_000, 128, 128
KINDS = {
    "one device, one core": (1, 1),
    "one device, two cores": (1, 2),
    "two devices, two cores": (2, 2),
}


def works(devices: int) -> dict[str, Callable[[], Any]]:
    """The timed functions, on rows that lie on so many devices; the first ones are compute-bound."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    from jax.sharding import Mesh

    from funcgrad import regression
    from funcgrad.training import RowSharding

    random = np.random.default_rng(0)
    x = random.standard_normal((ROWS, FEATURES), np.float32)
    several = random.standard_normal((ROWS, OUTPUTS), np.float32)
    sharding = RowSharding(Mesh(jax.devices()[:devices], ("rows",)), ROWS)
    (x, several, y), _ = sharding.put((x, several, several[:, 0].copy()))
    matrix = sharding.replicate(jnp.zeros((FEATURES, OUTPUTS)))
    vector = sharding.replicate(jnp.zeros(FEATURES))
    return {
        f"gradient of {OUTPUTS} outputs": lambda: regression.value_and_grad(matrix, x, several),
        "sums (moments, float64)": lambda: regression.moments(x, y),
        "gradient of 1 output, memory-bound": lambda: regression.value_and_grad(vector, x, y),
    }


def serve(devices: int, cores: int) -> None:
    """Run the work that is named on each line of the standard input, and print its seconds of processor time.

    `speed` times the turns by the parent's clock. Only this process knows how long its cores worked in one.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    import jax

    found = works(devices)
    print(json.dumps(list(found)), flush=True)
    for line in sys.stdin:
        used = time.process_time()
        jax.block_until_ready(found[json.loads(line)]())
        print(time.process_time() - used, flush=True)


def start(devices: int, cores: int) -> Any:
    """Start a process that serves."""
    environment = os.environ | {
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
        "JAX_PLATFORMS": "cpu",
    }
    command = [sys.executable, "-m", "tests.benchmarks.regression_devices", "--serve"]
    return subprocess.Popen(
        [*command, str(devices), str(cores)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def ask(process: Any, work: str, used: list[float]) -> None:
    """Let a process do a work, and note the seconds of all cores' time that it used."""
    print(json.dumps(work), file=process.stdin, flush=True)
    used.append(float(process.stdout.readline()))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--serve", type=int, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(*options.serve)
        return
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("this needs two cores")
    processes = {kind: start(*numbers) for kind, numbers in KINDS.items()}
    told = [json.loads(process.stdout.readline()) for process in processes.values()]
    names = told[0]
    alone, both, two = KINDS
    print(f"{ROWS} x {FEATURES} float32 rows, {options.rounds} rounds; times are medians")
    print(
        f"{'':<36}"
        + "".join(f"{kind:>24}" for kind in KINDS)
        + f"{'gain':>22}{'worth':>22}{'by use':>10}"
    )
    for name in names:
        cores: dict[str, list[float]] = {kind: [] for kind in KINDS}
        cases = {kind: partial(ask, processes[kind], name, cores[kind]) for kind in KINDS}
        report = speed(cases, rounds=options.rounds, round_seconds=0.0)
        cells = "".join(f"{scaled(each.median):>24}" for each in report.timings)
        for base in (alone, both):
            ratio, (low, high) = report.ratio(base, two)
            cells += f"{ratio:>7.2f} ({low:.2f} to {high:.2f})"
        used = {kind: median(each[-options.rounds :]) for kind, each in cores.items()}
        cells += f"{2 * used[alone] / used[two]:>10.2f}"
        print(f"{name:<36}{cells}", flush=True)
    print(
        "gain: two devices on two cores against one device on one core (target: 1.8 where compute-bound); "
        "worth: against one device on the same two cores, which XLA's threads share already; by use: "
        "what the gain would be were both cores free, twice the ratio of the cores' time used"
    )
    for process in processes.values():
        process.stdin.close()
        process.wait()


if __name__ == "__main__":
    main()
