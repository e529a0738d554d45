"""Run by test_sums.py in a process of its own: prints the sums of one data set for each placement of it."""

import json
import re
import sys

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from funcgrad import regression
from funcgrad.regression.sums import _compiled_moments


def problem():
    """As test_sums.py makes it."""
    random = np.random.default_rng(0)
    x = random.normal(3, 2, size=(40_000, 4)).astype(np.float32)
    y = x @ random.normal(size=(4, 2)) + random.normal(size=(40_000, 2))
    return x, y.astype(np.float32)


def placed(kind, *spec):
    mesh = jax.make_mesh((4, 2), ("rows", "more"), axis_types=(kind, kind))
    return [jax.device_put(a, NamedSharding(mesh, PartitionSpec(*spec))) for a in problem()]


def largest_gathered(x, y):
    """Bytes of the largest result of a collective in the compiled program."""
    with jax.enable_x64(True):
        text = _compiled_moments.lower(x, y, None, shards=4).compile().as_text()
    sizes = {"f32": 4, "f64": 8}
    found = re.findall(r"(f32|f64)\[([\d,]*)\]\S* all-(?:gather|reduce|to-all)", text)
    assert found, "there is a collective to find"
    return max(sizes[kind] * int(np.prod([int(n) for n in dims.split(",") if n])) for kind, dims in found)  # fmt: skip


if __name__ == "__main__":
    placements = {
        f"{spec}, {kind.name}": placed(kind, spec)
        for kind in (AxisType.Auto, AxisType.Explicit)
        for spec in ("rows", ("rows", "more"), None)
    }
    sums = {
        name: [np.asarray(leaf).tolist() for leaf in jax.tree.leaves(regression.moments(*arrays))]
        for name, arrays in placements.items()
    }
    report = {
        "devices": jax.device_count(),
        "sums": sums,
        "largest gathered": largest_gathered(*placements["rows, Auto"]),
    }
    json.dump(report, sys.stdout)
