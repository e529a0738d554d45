"""Whole training programs of public idioms do the same on both sides, and have the same derivatives through `pure`.

`python -m tests.against_pytorch.fuzz --generator idioms` runs as many as asked.
"""

import numpy as np
import pytest

from tests.against_pytorch import idioms
from tests.against_pytorch.idioms import difference

pytestmark = pytest.mark.usefixtures("torch")

# Compiling takes its time, so there are fewer of those.
SEEDS = {
    "eager": range(8),
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


DIVERGES, DIVIDES_ROUNDING, SATURATES = 27000085, 27000479, 41000201


@pytest.mark.parametrize("seed", [DIVERGES, DIVIDES_ROUNDING, SATURATES])
def test_a_program_that_rounding_decides_in_pytorch_is_counted(seed, monkeypatch):
    monkeypatch.setattr(idioms, "undecided", set())
    assert difference(seed, "eager") is None
    assert idioms.undecided == {seed}


@pytest.mark.parametrize(
    ("wrong", "expected", "moved", "before"),
    [
        (1 + 1e-6, 1, 1 + 1e-8, 1),
        (1 + 1e-4, 1, 1 + 1e-6, 1),
        (np.nan, 1, 1 + 1e-6, 1e40),
        (np.inf, np.nan, np.nan, 1),
    ],
)
def test_a_difference_that_rounding_does_not_make_is_found(wrong, expected, moved, before):
    mine, theirs, other = [
        [np.asarray(float(before)), np.asarray(float(each))] for each in (wrong, expected, moved)
    ]
    assert "item 1" in idioms._decided(idioms.Program(0), mine, theirs, lambda _: other)
