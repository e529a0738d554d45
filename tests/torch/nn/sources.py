"""Programs with modules, as source, on both sides: they print, and what they print is compared."""

import contextlib
import io
import re
import textwrap
import warnings
from typing import Any

from tests.both_sides import MISTAKES, assert_same, every_warning, ours, theirs

# Programs begin with this.
START = """
import copy
import pickle
from collections import OrderedDict
import numpy as np
nn = torch.nn
F = torch.nn.functional
torch.manual_seed(0)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.second = nn.Linear(4, 2, bias=False)
        self.register_buffer("count", torch.zeros(1))
        self.register_buffer("hidden", torch.ones(2), persistent=False)

    def forward(self, x):
        return self.second(self.first(x))
"""


def printed(torch: Any, text: str) -> str:
    """The printed lines of a program on one side: at the end its error, and its warnings."""
    out = io.StringIO()
    scope: dict[str, Any] = {"torch": torch, "__name__": "program"}
    with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stdout(out):
        warnings.simplefilter("always")
        exec(START, scope)
        try:
            exec(textwrap.dedent(text), scope)
        except MISTAKES:
            raise
        except Exception as error:
            print(type(error).__name__, error)
    for warning in caught:
        print(
            warning.category.__name__,
            str(warning.message).split(" (Triggered internally")[0],
            file=out,
        )
    return re.sub(r" at 0x[0-9a-f]+", "", out.getvalue()).replace("funcgrad.torch", "torch")


def assert_prints_the_same(text: str) -> None:
    """The program prints the same on both sides, word for word; it has to print something."""
    with every_warning():
        expected = printed(theirs, text)
    assert expected
    assert printed(ours, text) == expected


def assert_sees_the_same(text: str, rtol: float = 1e-5, atol: float = 1e-6) -> None:
    """The program gives `see` the same things on both sides, tensors to rounding; see `tests.both_sides`."""

    def program(torch: Any, see: Any) -> None:
        scope: dict[str, Any] = {"torch": torch, "see": see, "__name__": "program"}
        exec(START, scope)
        exec(textwrap.dedent(text), scope)

    assert_same(program, rtol, atol)
