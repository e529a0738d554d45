"""Whole training programs of public idioms do the same on both sides, and have the same derivatives through `pure`.

`python -m tests.against_pytorch.fuzz --generator idioms` runs as many as asked.
"""

import pytest

from tests.against_pytorch.idioms import difference

pytestmark = pytest.mark.usefixtures("torch")

# Compiling takes its time, so there are fewer of those.
SEEDS = {
    "eager": range(12),
    "auto": range(12, 14),
    "switching": range(14, 18),
    "op_by_op": range(18, 20),
    "compiled": range(20, 22),
}


@pytest.mark.parametrize(
    ("mode", "seed"), [(mode, seed) for mode, seeds in SEEDS.items() for seed in seeds]
)
def test_a_training_program_does_what_it_does_in_pytorch(mode, seed):
    assert difference(seed, mode, times=2) is None
