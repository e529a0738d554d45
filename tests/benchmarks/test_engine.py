"""The engine's cases for pytest-benchmark: `python -m pytest tests/benchmarks --benchmark-only`; skipped unless asked for.

`python -m tests.benchmarks.engine` prints the same cases as ratios to PyTorch, in turns, which other work disturbs less.
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
