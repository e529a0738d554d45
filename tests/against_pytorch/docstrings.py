"""The examples in PyTorch's docstrings: each docstring's run in order on PyTorch and on the shim.

    python -m tests.against_pytorch.docstrings [--names torch.nn,torch.Tensor.sort] [--show 10]

reads the docstrings of the installed wheel and prints how many examples agree: their output, their error, and the tensors
and numbers that they assign. Each side has one process. PyTorch runs all of them twice, and an example that does not repeat
itself there (`torch.empty`) is left out. So is one that PyTorch cannot run: many name things that nobody has defined.
"""

import argparse
import code
import contextlib
import importlib
import inspect
import io
import json
import os
import pkgutil
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Parts of PyTorch that the shim does not offer, or that need a device, a network or a compiler.
ELSEWHERE = re.compile(
    r".*__main__$|torch\.(_|ao|contrib|cuda|distributed|export|jit|mps|mtia|nativert|numa|onnx|package|quantization|xpu"
    r"|compiler|masked|monitor|nn\.(intrinsic|qat|quant|parallel)|testing\._|fx\.(exp|passes|tensor)"
    r"|utils\.(_(?!pytree)|cpp|viz|tensorboard|mobile|hipify|bottleneck|benchmark|model_zoo|model_dump|serialization))"
)
LEGACY = re.compile(".+(Tensor|Storage)")
NEEDS = re.compile(
    r"cuda|xpu|\bmps\b|hub\.|compile\(|torchvision|torchaudio|dist\.|distributed|DataParallel|make_fx|export|onnx"
    r"|jit\.|_dynamo|functionalize|quantiz|__config__"
)
SECONDS = 20  # for one docstring
ROUNDING = 3e-4  # of printed numbers, which have four digits
NUMBER = re.compile(r"(?<![A-Za-z_.])[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![^\Wj])")
# PyTorch cannot run an example that stops with one of these.
UNDEFINED = (
    "NameError",
    "SyntaxError",
    "IndentationError",
    "ModuleNotFoundError",
    "FileNotFoundError",
)
# Names that the shim lacks raise one of these.
MISSING = ("AttributeError", "ImportError", "NotImplementedError")
# The names that examples take for granted.
PRELUDE = """
import math
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch import Tensor
"""


def docstrings() -> dict[str, list[str]]:
    """The examples in the installed wheel, by the name of what each docstring describes."""
    torch = importlib.import_module("torch")
    walk = pkgutil.walk_packages(torch.__path__, "torch.", onerror=lambda _: None)
    found: dict[str, list[str]] = {}
    texts: set[str] = set()
    for name in ["torch", *(each.name for each in walk if not ELSEWHERE.match(each.name))]:
        with contextlib.suppress(Exception):
            module = importlib.import_module(name)
            for place, thing in [(name, module), *members(name, module)]:
                text = getattr(thing, "__doc__", None)
                if isinstance(text, str) and ">>>" in text and text not in texts:
                    texts.add(text)
                    found[place] = examples(text)
    return found


def members(name: str, space: Any) -> Iterator[tuple[str, Any]]:
    """The public things of a module, and the methods of its classes, by their dotted names."""
    for each, thing in sorted(vars(space).items()):
        # `torch.FloatTensor` and the like have `Tensor`'s methods.
        if each.startswith("_") or inspect.ismodule(thing) or LEGACY.fullmatch(each):
            continue
        yield f"{name}.{each}", thing
        if inspect.isclass(thing) and (thing.__module__ or "").startswith("torch"):
            for method in sorted(dir(thing)):
                if not method.startswith("__"):
                    yield f"{name}.{each}.{method}", inspect.getattr_static(thing, method)


def examples(text: str) -> list[str]:
    """The statements of a docstring. Few of PyTorch's keep to the rules of `doctest`, so a statement ends where Python says."""
    lines = textwrap.dedent(text).splitlines()
    found, k = [], 0
    while k < len(lines):
        match = re.match(r"\s*>>> ?(.*)", lines[k])
        k += 1
        if not match:
            continue
        source = match.group(1)
        while k < len(lines):
            more = re.match(r"\s*\.\.\. ?(.*)", lines[k])
            following = re.match(r"\s*>>> ?(\s+\S.*|[)\]}].*|else:.*)$", lines[k])
            if not more and not (following and unfinished(source)):
                break
            source += "\n" + (more or following).group(1)  # type: ignore[union-attr]
            k += 1
        if source.strip():
            found.append(source)
    return found


def unfinished(source: str) -> bool:
    """Whether Python waits for more lines."""
    try:
        return code.compile_command(source) is None
    except (SyntaxError, ValueError):
        return False


def results(every: dict[str, list[str]]) -> dict[str, list[dict[str, Any]]]:
    """All that the examples print, raise and assign on this side."""
    signal.signal(signal.SIGALRM, _late)
    found = {}
    here = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for name, sources in every.items():
            signal.alarm(SECONDS)
            try:
                found[name] = outcomes(sources)
            except TimeoutError:
                found[name] = []
            finally:
                signal.alarm(0)
        os.chdir(here)
    return found


def _late(*_: Any) -> None:
    raise TimeoutError


def outcomes(sources: list[str]) -> list[dict[str, Any]]:
    """One docstring's examples, run in one scope under a seed."""
    scope: dict[str, Any] = {"__name__": "__main__"}
    exec(PRELUDE, scope)
    torch = scope["torch"]
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float32)
    torch.set_printoptions(profile="default")
    scope["np"].random.seed(0)
    found = []
    for source in sources:
        before = dict(scope)
        printed = io.StringIO()
        error = None
        with warnings.catch_warnings(), contextlib.redirect_stdout(printed):
            warnings.simplefilter("ignore")
            try:
                exec(compile(source + "\n", "<example>", "single"), scope)
            except TimeoutError:
                raise
            except BaseException as raised:
                error = [type(raised).__name__, str(raised)]
            assigned = {
                name: told(torch, value)
                for name, value in scope.items()
                if not name.startswith("_") and before.get(name) is not value
            }
        found.append({"printed": printed.getvalue(), "error": error, "assigned": assigned})
    return found


def told(torch: Any, value: Any) -> str:
    """A value in words; anything but tensors and plain values by its type."""
    if isinstance(value, torch.Tensor):
        try:
            return (
                f"{value!r} {value.dtype} {tuple(value.shape)} {value.device} {value.requires_grad}"
            )
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    if isinstance(value, (list, tuple)):
        return f"{type(value).__name__}({', '.join(told(torch, each) for each in value)})"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {told(torch, each)}" for key, each in value.items()) + "}"
    if isinstance(value, (bool, int, float, complex, str, torch.dtype, torch.nn.Module)):
        return repr(value)
    return (
        "a function"
        if inspect.isroutine(value)
        else "a class"
        if inspect.isclass(value)
        else type(value).__name__
    )


def alike(mine: str, expected: str) -> bool:
    """The same words, and the same numbers to rounding."""
    both = [re.sub(r"0x[0-9a-f]+", "", each) for each in (mine, expected)]
    both[0] = both[0].replace("funcgrad.torch", "torch")
    both[1] = both[1].replace("torch._C.", "torch.")
    if both[0] == both[1]:
        return True
    words = [re.sub(r"\s+", "", NUMBER.sub("#", each)) for each in both]
    numbers = [[float(each) for each in NUMBER.findall(text)] for text in both]
    return (
        words[0] == words[1]
        and len(numbers[0]) == len(numbers[1])
        and all(abs(a - b) <= ROUNDING * max(1, abs(b)) for a, b in zip(*numbers, strict=True))
    )


def difference(mine: dict[str, Any], expected: dict[str, Any]) -> str | None:
    """How an example differs; None if it does not."""
    if mine["error"] or expected["error"]:
        ours, theirs = (": ".join(each["error"] or ["no error"]) for each in (mine, expected))
        return None if alike(ours, theirs) else f"{ours!r} is not {theirs!r}"
    if not alike(mine["printed"], expected["printed"]):
        return f"printed {mine['printed']!r}, not {expected['printed']!r}"
    for name in sorted(expected["assigned"].keys() | mine["assigned"].keys()):
        one, other = (each["assigned"].get(name, "the same as before") for each in (mine, expected))
        if not alike(one, other):
            return f"{name} is {one}, not {other}"
    return None


def run(side: str, every: dict[str, list[str]]) -> dict[str, list[dict[str, Any]]]:
    """The examples' results in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "examples.json")
        path.write_text(json.dumps(every))
        command = [sys.executable, "-m", "tests.against_pytorch.docstrings", "--side", side]
        subprocess.run([*command, "--examples", str(path)], check=True)
        return json.loads(path.read_text())


def compare(every: dict[str, list[str]]) -> tuple[Counter[str], list[str]]:
    """How many examples agree, and how the others differ. After one that differs the rest of a docstring may follow from it."""
    mine, expected, again = run("ours", every), run("theirs", every), run("theirs", every)
    tally: Counter[str] = Counter()
    lines = []
    for name, sources in every.items():
        if not len(mine[name]) == len(expected[name]) == len(again[name]) == len(sources):
            lines.append(f"{name}: takes longer than {SECONDS} s on a side")
            tally["too slow"] += len(sources)
            continue
        differs = False
        for source, one, *both in zip(
            sources, mine[name], expected[name], again[name], strict=True
        ):
            if differs:
                tally["after a difference"] += 1
            elif (both[0]["error"] or " ")[0] in UNDEFINED or difference(*both):
                tally["not run by PyTorch, or not repeated"] += 1
            elif (found := difference(one, both[0])) is None:
                tally["agree"] += 1
            else:
                differs = True
                tally["missing" if (one["error"] or " ")[0] in MISSING else "differ"] += 1
                lines.append(f"{name}\n    >>> {source}\n    {found}")
    return tally, lines


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--names", default="")
    parser.add_argument("--show", type=int, default=10)
    parser.add_argument("--side")
    parser.add_argument("--examples", type=Path)
    options = parser.parse_args()
    if options.side:
        if options.side == "ours":
            importlib.import_module("funcgrad").install_as_torch()
        options.examples.write_text(json.dumps(results(json.loads(options.examples.read_text()))))
        return
    wanted = tuple(options.names.split(","))
    every = {
        name: sources
        for name, sources in docstrings().items()
        if name.startswith(wanted) and sources and not NEEDS.search("\n".join(sources))
    }
    tally, lines = compare(every)
    print(*lines[: options.show], sep="\n")
    print(f"{len(every)} docstrings, {sum(tally.values())} examples: {dict(tally)}")


if __name__ == "__main__":
    main()
