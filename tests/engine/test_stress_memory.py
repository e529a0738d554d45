"""Memory stays flat: in a training loop, and where every graph differs. Each case runs in a process of its own.

FUNCGRAD_STRESS multiplies the lengths.
"""

import os
import platform
import subprocess
import sys

import pytest

from tests.processes import Program

SCALE = int(os.environ.get("FUNCGRAD_STRESS", "1"))

# Every case begins with the memory that the process holds, and with the number of objects.
MEASURE = """
import gc, resource, sys
import funcgrad.torch as torch
from funcgrad import engine
from funcgrad.engine import programs, recording

def kilobytes():
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // 1024 if sys.platform == "darwin" else peak

def objects():
    gc.collect()
    return len(gc.get_objects())

torch.manual_seed(0)
"""

TRAINING_LOOP = """
x, y_true, w = torch.rand(2, 2), torch.rand(2), torch.rand(2, requires_grad=True)

def train(iterations):
    for k in range(iterations):
        loss = ((x @ w - y_true) ** 2).mean()
        loss.backward()
        w.data -= 0.1 / (1 + k) * w.grad
        w.grad = None

with engine.mode("{mode}"):
    train(5_120)  # the caches of Python numbers, a new one every iteration, are full
    start, count, states, stats = kilobytes(), objects(), recording.tree.size, engine.stats()
    train(4_096 * {scale})
    print(kilobytes() - start, objects() - count, recording.tree.size - states)
    print(engine.stats().programs_compiled - stats.programs_compiled)
"""

CHANGING_GRAPHS = """
from random import Random
random = Random(0)
x, w = torch.rand(1000), torch.rand(1000, requires_grad=True)
ops = [torch.sin, torch.cos, torch.tanh, torch.sigmoid, torch.neg, lambda h: h * w, lambda h: h + x]

def train(iterations):
    for _ in range(iterations):
        h = x * w
        for op in random.choices(ops, k=random.randint(1, 30)):
            h = op(h)
        h.sum().backward()
        w.data -= 0.1 * w.grad
        w.grad = None

train(1_000)
start = kilobytes()
for _ in range({scale}):
    train(1_000)
    assert recording.tree.size <= engine.settings.state_limit + 1_000
    assert len(programs._recent) <= engine.settings.program_limit
print(kilobytes() - start)
"""


def measured(script: str, **fields: str) -> list[list[int]]:
    pytest.importorskip("resource")
    run = subprocess.run(
        [sys.executable, "-c", MEASURE + script.format(scale=SCALE, **fields)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return [[int(each) for each in line.split()] for line in run.stdout.splitlines()]


# In the mode "auto" measured seconds decide when the loop is recorded, which loads the modules that compile.
@pytest.mark.parametrize("mode", ["eager", "recorded"])
def test_a_training_loop_holds_memory_flat(mode):
    (kilobytes, objects, states), (programs,) = measured(TRAINING_LOOP, mode=mode)
    # A kilobyte lost in every iteration would be 4,000.
    assert kilobytes < 3_000
    assert abs(objects) < 1_000
    assert states == 0
    assert programs == 0


def test_2_000_graphs_that_all_differ_hold_memory_flat():
    ((kilobytes,),) = measured(CHANGING_GRAPHS)
    # The tree of recordings is refilled and pruned in the course of this; a graph is some 50 kilobytes of it.
    assert kilobytes < 25_000 + 5_000 * SCALE


PAGES = """
import resource
import funcgrad.torch as torch
from funcgrad import engine

x = torch.ones(64, 1024, requires_grad=True)

def train(iterations):
    for _ in range(iterations):
        (torch.sigmoid(x * x + x) * 2 - x).sum().backward()
        x.grad = None

with engine.mode("eager"):
    train(5)
    start = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    train(20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - start)
"""


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="other allocators keep memory by their own rules"
)
def test_a_step_takes_the_memory_that_the_step_before_let_go_of():
    printed, errors = Program("-c", PAGES).communicate()
    # Each of a step's arrays has 64 pages, and it makes more than 10.
    assert int(printed) < 1_000, errors
