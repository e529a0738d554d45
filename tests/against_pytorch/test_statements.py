"""Statements of public code, made up into programs, do the same on both sides, one after another.

`python -m tests.against_pytorch.fuzz --generator statements` runs as many as asked.
"""

import pytest

from tests.against_pytorch.statements import shortest

pytestmark = pytest.mark.usefixtures("torch")

SEEDS = {"eager": range(40), "switching": range(60, 70)}


@pytest.mark.parametrize("mode", SEEDS)
def test_statements_do_what_they_do_in_pytorch(mode):
    for seed in SEEDS[mode]:
        assert shortest(seed, mode) is None
