"""`funcgrad run script.py`: a PyTorch script as it is, on JAX. The libraries that it imports find `torch` there too."""

import argparse
import importlib
import importlib.abc
import importlib.util
import runpy
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from funcgrad.cli.common import Commands, refuse


def add_command(commands: Commands) -> None:
    """Add `run` to the command line."""
    parser = commands.add_parser(
        "run",
        help="run a PyTorch script as it is: whatever imports torch gets funcgrad.torch",
        description=(
            "Runs a Python script in which `import torch` means `import funcgrad.torch`, also in the libraries that "
            "the script imports. PyTorch is not needed and not used. Processes that the script starts are not told."
        ),
    )
    parser.set_defaults(run=_run)
    parser.add_argument("script", metavar="SCRIPT.py", help="the script")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="its own arguments")


class InPlaceOfPyTorch(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds `torch` and its modules in `funcgrad.torch`. Under both names they are the same modules."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        """The module of the shim's, for a name of PyTorch's."""
        if fullname.split(".")[0] != "torch":
            return None
        return importlib.util.spec_from_loader(fullname, self)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The shim's module."""
        module = importlib.import_module(f"funcgrad.{spec.name}")
        # Python gives the module the new name and its specification; `exec_module` gives it its own back.
        kept = {name: getattr(module, name) for name in _NAMES if hasattr(module, name)}
        if spec.name == "torch":  # libraries look at `torch.__name__`
            kept["__name__"] = "torch"
        spec.loader_state = kept
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing more: the module is made."""
        assert module.__spec__ is not None
        vars(module).update(module.__spec__.loader_state)


_NAMES = ("__name__", "__spec__", "__loader__", "__package__", "__path__", "__file__", "__cached__")


def _run(options: argparse.Namespace) -> int:
    script = Path(options.script)
    if not script.is_file():
        return refuse("run", f"there is no file {options.script}")
    sys.meta_path.insert(0, InPlaceOfPyTorch())
    sys.argv = [options.script, *options.arguments]
    # As Python does for a script: the modules beside it can be imported.
    sys.path.insert(0, str(script.resolve().parent))
    runpy.run_path(options.script, run_name="__main__")
    return 0
