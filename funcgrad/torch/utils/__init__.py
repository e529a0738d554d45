"""PyTorch's `torch.utils`, as far as it goes here."""

from importlib import import_module as _import_module
from typing import Any as _Any

from funcgrad.torch._types.missing import no_attribute as _no_attribute
from funcgrad.torch.utils import checkpoint, hooks

__all__ = ["checkpoint", "data", "hooks"]


def __getattr__(name: str) -> _Any:
    if name in ("_pytree", "benchmark", "data", "model_zoo"):  # loaded when they are first used
        return _import_module(f"{__name__}.{name}")
    raise _no_attribute(__name__, name)
