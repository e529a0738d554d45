"""The scripts that are timed print on the shim what they print on PyTorch."""

import contextlib
import io
import re

import pytest

pytest.importorskip("torch")

from tests.benchmarks.scripts import SCRIPTS, on
from tests.both_sides import theirs

NUMBER = re.compile(r"-?\d+\.\d+(?:e[-+]\d+)?")
# Steps of the long trainings, and as many as end after a line is printed.
STEPS = {"range(2000)": "range(500)", "range(1000)": "range(500)", "range(500)": "range(200)"}


def printed(side, script):
    """The output of a script; in this process, since an import takes longer than most of them."""
    source = re.sub(r"range\(\d+\)", lambda found: STEPS.get(found[0], found[0]), on(side, script))
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(source, script.name, "exec"), {"__name__": "__main__"})
    return output.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_script_prints_what_it_prints_on_pytorch(script):
    threads = theirs.get_num_threads()
    theirs.set_num_threads(1)  # threads wait for one another where other work keeps the cores busy
    try:
        mine, expected = (printed(side, script) for side in ("ours", "theirs"))
    finally:
        theirs.set_num_threads(threads)
    assert NUMBER.sub("#", mine) == NUMBER.sub("#", expected)
    numbers = [[float(each) for each in NUMBER.findall(text)] for text in (mine, expected)]
    # Rounding grows over hundreds of steps.
    assert numbers[0] == pytest.approx(numbers[1], rel=0.03, abs=1e-4)
