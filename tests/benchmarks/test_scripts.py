"""The scripts that are timed print on the shim what they print on PyTorch."""

import contextlib
import io
import re

import pytest

pytest.importorskip("torch")

from tests.benchmarks.scripts import SCRIPTS, on
from tests.both_sides import theirs

NUMBER = re.compile(r"-?\d+\.\d+(?:e[-+]\d+)?")


def printed(side, script):
    """The output of a script; in this process, since an import takes longer than most of them."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(on(side, script), script.name, "exec"), {"__name__": "__main__"})
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
