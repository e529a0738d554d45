"""Training scripts in the manner of tutorials print on the shim what they print on PyTorch; numbers may differ in the last digits."""

import contextlib
import io
import re
import warnings
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("torch")

SCRIPTS = sorted((Path(__file__).parent / "scripts").glob("*.py"))
NUMBER = re.compile(r"-?\d+\.\d*(?:e[-+]\d+)?")
IMPORTS = ((r"^import torch$", "import torch as torch"), (r"^(import|from) torch\b", r"\1 {}"))


def printed(module, script):
    """The output of a script with another module in place of `torch`."""
    text = script.read_text()
    for pattern, replacement in IMPORTS:
        text = re.sub(pattern, replacement.format(module), text, flags=re.M)
    out = io.StringIO()
    with contextlib.redirect_stdout(out), warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(compile(text, script.name, "exec"), {"__name__": "__main__"})
    return out.getvalue().replace("funcgrad.torch", "torch")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_script_prints_what_it_prints_on_pytorch(script):
    expected, mine = printed("torch", script), printed("funcgrad.torch", script)
    assert len(expected.splitlines()) > 3
    assert NUMBER.sub("#", mine) == NUMBER.sub("#", expected)
    for a, b in zip(NUMBER.findall(mine), NUMBER.findall(expected), strict=True):
        assert float(a) == pytest.approx(float(b), rel=1e-3, abs=2e-4), expected
