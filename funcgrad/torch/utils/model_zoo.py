"""The old place of `torch.hub.load_state_dict_from_url`."""

from importlib import import_module as _import_module
from typing import Any

from funcgrad.torch._types.missing import no_attribute as _no_attribute

__all__ = ["load_url"]  # noqa: F822


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    if name == "load_url":  # `torch.hub` stands above this room
        return _import_module("funcgrad.torch.hub").load_state_dict_from_url
    raise _no_attribute(__name__, name)
