"""The scripts that are timed print on the shim what they print on PyTorch."""

import re

import pytest

pytest.importorskip("torch")

from tests.benchmarks.scripts import SCRIPTS, run

NUMBER = re.compile(r"-?\d+\.\d+(?:e[-+]\d+)?")


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_script_prints_what_it_prints_on_pytorch(script):
    mine, expected = (run(side, script)[1] for side in ("ours", "theirs"))
    assert NUMBER.sub("#", mine) == NUMBER.sub("#", expected)
    numbers = [[float(each) for each in NUMBER.findall(text)] for text in (mine, expected)]
    # Rounding grows over hundreds of steps.
    assert numbers[0] == pytest.approx(numbers[1], rel=0.03, abs=1e-4)
