"""`import torch` means `import funcgrad.torch`: for code that changes nothing, and for the libraries that it imports."""

import importlib
import importlib.abc
import importlib.util
import os
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

# A folder whose `torch` calls `install_as_torch`, so other processes are told. Its metadata say which PyTorch this is to libraries
# that ask `importlib.metadata` before they import it.
_PATH = str(Path(__file__).parent / "on_path")
_NAMES = ("__name__", "__spec__", "__loader__", "__package__", "__path__", "__file__", "__cached__")


class _InPlaceOfPyTorch(importlib.abc.MetaPathFinder, importlib.abc.Loader):
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


def install_as_torch() -> None:
    """Let `import torch` mean `import funcgrad.torch` from now on, in all code of this process and in its child processes.

    PyTorch is neither needed nor used. In a notebook `%load_ext funcgrad` calls this. `funcgrad run` calls it before a
    script. Python's child processes find the shim by the environment variable PYTHONPATH.

    Raises:
        RuntimeError: PyTorch is imported already, so code would use both.
    """
    if any(isinstance(finder, _InPlaceOfPyTorch) for finder in sys.meta_path):
        return
    if "torch" in sys.modules:
        raise RuntimeError(
            "PyTorch is imported already: call funcgrad.install_as_torch() before anything imports torch "
            "(in a notebook, restart the kernel first)"
        )
    sys.meta_path.insert(0, _InPlaceOfPyTorch())
    if _PATH not in sys.path:
        # After the folder of the program itself, before PyTorch's. `multiprocessing` hands it to the processes that it spawns.
        sys.path.insert(1, _PATH)
    inherited = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if _PATH not in inherited:
        os.environ["PYTHONPATH"] = os.pathsep.join([_PATH, *filter(None, inherited)])
