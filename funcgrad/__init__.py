"""funcgrad: PyTorch's autograd lesson made real on JAX.

Importing this package loads nothing else: each public name is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from funcgrad import compare, datasets, engine, regression, sklearn, torch, training
    from funcgrad.as_torch import install_as_torch
    from funcgrad.models import load_model, save_model
    from funcgrad.torch._compile.pure import pure
    from funcgrad.training import fit
    from funcgrad.version import __version__

__all__ = [
    "__version__",
    "compare",
    "datasets",
    "engine",
    "fit",
    "install_as_torch",
    "load_model",
    "pure",
    "regression",
    "save_model",
    "sklearn",
    "torch",
    "training",
]

_SUBMODULES = {"compare", "datasets", "engine", "regression", "sklearn", "torch", "training"}
_ATTRIBUTES = {
    "__version__": "funcgrad.version",
    "fit": "funcgrad.training",
    "install_as_torch": "funcgrad.as_torch",
    "load_model": "funcgrad.models",
    "save_model": "funcgrad.models",
    "pure": "funcgrad.torch._compile.pure",
}


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return import_module(f"funcgrad.{name}")
    if name in _ATTRIBUTES:
        return getattr(import_module(_ATTRIBUTES[name]), name)
    raise AttributeError(f"module 'funcgrad' has no attribute {name!r}")


def load_ipython_extension(_: Any) -> None:
    """Let `import torch` mean `import funcgrad.torch` in a notebook: `%load_ext funcgrad` calls it."""
    import_module("funcgrad.as_torch").install_as_torch()


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
