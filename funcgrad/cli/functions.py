"""`funcgrad compare a.py:before b.py:after`: two functions from files, and the arrays that both are given."""

import argparse
import inspect
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib.util import module_from_spec, spec_from_file_location
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from funcgrad.cli.common import DISAGREEMENT, printable, refuse, showing_progress, write_page
from funcgrad.compare import Drawing, OptionError, parity, trajectory
from funcgrad.compare.drawings import can_lay_out
from funcgrad.compare.graphs import draw_loss, draw_with
from funcgrad.compare.paces import time_both
from funcgrad.compare.pages import page
from funcgrad.compare.trajectories import first_batch
from funcgrad.datasets import DataError

STEPS = 100
"""How many steps of a training are compared unless a number is given."""


def compare_functions(options: argparse.Namespace) -> int:
    """Compare two functions that files hold; returns the exit status."""
    try:
        reference, candidate = (load_function(each) for each in options.data)
        if options.inputs is None:
            raise OptionError(
                "say with --inputs which arrays both functions are given: a .npz file, or FILE.py:FUNCTION"
            )
        if options.steps is not None and not options.trajectory:
            raise OptionError("--steps is for --trajectory")
        if options.trajectory and options.order != options.usual["order"]:
            raise OptionError("--order is not for --trajectory, which compares steps")
        args = load_inputs(options.inputs, reference)
        exact = [each.strip() for each in options.exact.split(",") if each.strip()]
        common = {"exact": exact, "seed": options.seed, "device": options.device}
        report: Any
        if options.trajectory:
            if len(args) != 2:
                raise OptionError(f"a training has a state and batches; {options.inputs} gives {len(args)} inputs")  # fmt: skip
            state, batches = args
            # A list of batches tells how many steps there are.
            default = None if isinstance(batches, list) else STEPS
            steps = default if options.steps is None else options.steps
            if isinstance(batches, Iterator):  # the page asks for its first batch again
                batches = list(islice(batches, steps))
                steps = len(batches)
                args = state, batches
        with showing_progress() as say:
            if options.trajectory:
                report = trajectory(
                    reference, candidate, state, batches, steps, progress=say, **common
                )
            else:
                report = parity(reference, candidate, *args, order=options.order, **common)
            if options.html is not None:
                say("drawing and timing both")
                given = (args[0], first_batch(args[1])) if options.trajectory else args
                drawn = draw_loss if options.trajectory else draw_with
                graphs = draw_both(reference, candidate, given, drawn)
                times = time_both(reference, candidate, given, device=options.device)
                write_page(options.html, page(report, options.lang, graphs, times))
    except (OptionError, DataError, OSError) as error:
        return refuse("compare", error)
    print(json.dumps(report.to_dict(), indent=2) if options.json else printable(report))
    return 0 if report.ok else DISAGREEMENT


def draw_both(
    reference: Callable[..., Any],
    candidate: Callable[..., Any],
    args: Any,
    drawn: Callable[..., Drawing] = draw_with,
) -> Drawing | None:
    """Return both graphs side by side; None where they cannot be drawn, since a report is worth having without."""
    if not can_lay_out():
        return None
    try:
        return drawn(reference, args).beside(drawn(candidate, args))
    except Exception:  # whatever a function raises, the report has it already
        return None


def load_function(spelling: str) -> Callable[..., Any]:
    """Return the function that `FILE.py:NAME` names.

    Raises:
        OptionError: there is no such file or function, or the file raises an error.
    """
    path, _, name = spelling.rpartition(":")
    file = Path(path)
    if not file.is_file():
        raise OptionError(f"there is no file {path or spelling}; a function is named FILE.py:NAME")
    module_name = f"compared_{file.stem}_{abs(hash(file.resolve()))}"
    spec = spec_from_file_location(module_name, file)
    if spec is None or spec.loader is None:
        raise OptionError(f"{path} is no file of Python's")
    module = sys.modules.get(module_name) or module_from_spec(spec)
    if module_name not in sys.modules:
        sys.modules[module_name] = module
        sys.path.insert(0, str(file.resolve().parent))
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            del sys.modules[module_name]
            raise OptionError(f"{path} raises {type(error).__name__}: {error}") from error
        finally:
            sys.path.pop(0)
    found = getattr(module, name, None)
    if not callable(found):
        functions = [key for key, each in vars(module).items() if inspect.isfunction(each)]
        raise OptionError(f"{path} has no function {name!r}; it has: {', '.join(functions)}")
    return found


def load_inputs(spelling: str, reference: Callable[..., Any]) -> tuple[Any, ...]:
    """Return what both functions are given.

    Args:
        spelling: `FILE.py:NAME`, a function that returns a tuple of inputs; or a .npz file. A name in the file such as
            `params/w1` or `state/0` is an entry of a dict or of a tuple.
        reference: its arguments' names tell the order of the file's arrays, where they have these names.

    Raises:
        OptionError: there is no such file or function, or the arrays do not fit the arguments.
    """
    if not spelling.endswith(".npz"):
        given = load_function(spelling)()
        return given if isinstance(given, tuple) else (given,)
    try:
        with np.load(spelling) as archive:
            nested = _nested({name: archive[name] for name in archive.files})
    except FileNotFoundError:
        raise OptionError(f"there is no file {spelling}") from None
    except (OSError, ValueError) as error:
        raise OptionError(f"{spelling} is no .npz archive of arrays ({error})") from None
    names = [
        each.name
        for each in inspect.signature(reference).parameters.values()
        if each.default is each.empty and each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
    ]  # fmt: skip
    if set(names) == set(nested):
        return tuple(nested[name] for name in names)
    if set(names) & set(nested) or len(names) != len(nested):
        raise OptionError(
            f"{spelling} holds {', '.join(nested)}; the reference takes {', '.join(names)}"
        )
    return tuple(nested.values())


def _nested(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Arrays whose names have slashes, as dicts and tuples."""
    tree: dict[str, Any] = {}
    for name, array in arrays.items():
        *folders, last = name.split("/")
        place = tree
        for folder in folders:
            place = place.setdefault(folder, {})
        place[last] = array

    def plain(node: Any) -> Any:
        if not isinstance(node, dict):
            return node
        if set(node) == {str(k) for k in range(len(node))} and node:
            return tuple(plain(node[str(k)]) for k in range(len(node)))
        return {key: plain(each) for key, each in node.items()}

    return {key: plain(each) for key, each in tree.items()}
