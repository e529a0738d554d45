"""The engine's cases for pytest-benchmark: `python -m pytest tests/benchmarks --benchmark-only`; skipped unless asked for.

The figures that the project tells come from `python -m tests.benchmarks.engine`: the same cases by `funcgrad.compare.speed`, as
ratios to PyTorch within one run, which other work disturbs less. This file is for what `speed` does not do: pytest-benchmark
saves the times of a commit and compares those of another with them (`--benchmark-autosave`, `--benchmark-compare`).
"""

import pytest

from tests.benchmarks.cases import CASES
from tests.benchmarks.engine import compiled_and_bare_steps
from tests.both_sides import SIDES

WARM_UP_TURNS = 4


@pytest.mark.parametrize("torch", SIDES, ids=["funcgrad.torch", "torch"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(benchmark, case, torch):
    benchmark.group = case.name
    run = case.make(torch)
    for _ in range(WARM_UP_TURNS):
        run(case.iterations)
    benchmark.pedantic(run, args=(case.iterations,), rounds=20)


@pytest.mark.parametrize("way", ["torch.compile", "jax.jit"])
def test_compiled_step(benchmark, way):
    benchmark.group = "the 2x2 step, compiled"
    compiled, bare = compiled_and_bare_steps()
    run = compiled if way == "torch.compile" else bare
    run(200)
    benchmark.pedantic(run, args=(200,), rounds=50)
