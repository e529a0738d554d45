"""`funcgrad run script.py`: a PyTorch program as it is, on JAX. The libraries that it imports find `torch` there too."""

import argparse
import runpy
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from funcgrad.as_torch import install_as_torch
from funcgrad.cli.common import Commands, refuse


def add_command(commands: Commands) -> None:
    """Add `run` to the command line."""
    parser = commands.add_parser(
        "run",
        help="run a PyTorch script or notebook as it is: whatever imports torch gets funcgrad.torch",
        description=(
            "Runs a Python script, a notebook or a module in which `import torch` means `import funcgrad.torch`, also in "
            "the libraries that it imports and in the Python processes that it starts. PyTorch is not needed and not used. "
            "`funcgrad run -m pytest tests` runs the tests of a project."
        ),
    )
    parser.set_defaults(run=_run)
    parser.add_argument("-m", action="store_true", dest="module", help="PROGRAM is a module")
    parser.add_argument("program", metavar="PROGRAM", help="a script, or a notebook (.ipynb)")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="its own arguments")


def _run(options: argparse.Namespace) -> int:
    name, path = options.program, Path(options.program)
    notebook = not options.module and path.suffix == ".ipynb"
    if options.module:
        if find_spec(name.partition(".")[0]) is None:
            return refuse("run", f"there is no module {name}")
    elif not path.is_file():
        return refuse("run", f"there is no file {name}")
    if notebook and (missing := [each for each in ("IPython", "nbformat") if not find_spec(each)]):
        return refuse(
            "run",
            f"a notebook needs {' and '.join(missing)} (pip install 'funcgrad[notebook]')",
        )
    sys.argv = [name, *options.arguments]
    # As Python does: the modules beside a script, or in the working directory, can be imported.
    sys.path.insert(0, "" if options.module else str(path.resolve().parent))
    install_as_torch()
    if notebook:
        return 0 if import_module("funcgrad.cli.notebooks").run(path) else 1
    if options.module:
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(name, run_name="__main__")
    return 0
