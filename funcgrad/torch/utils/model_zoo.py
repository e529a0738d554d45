"""The old place of `torch.hub.load_state_dict_from_url`, and of the bar that shows a download."""

from importlib import import_module as _import_module
from typing import Any

from funcgrad.torch._types.missing import no_attribute as _no_attribute

__all__ = ["load_url", "tqdm"]  # noqa: F822
# `torch.hub` stands above this room.
_OF_HUB = {"load_url": "load_state_dict_from_url", "tqdm": "tqdm"}


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    if name in _OF_HUB:
        return getattr(_import_module("funcgrad.torch.hub"), _OF_HUB[name])
    raise _no_attribute(__name__, name)
