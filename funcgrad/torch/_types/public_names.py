"""The names that functions and classes tell of themselves: where users find them, for printing, complaints and pickle."""

from collections.abc import Iterable, Mapping
from types import FunctionType
from typing import Any


def name_as_found(
    module: str, names: Iterable[str], things: Mapping[str, Any], owner: str = ""
) -> None:
    """Let functions and classes that private modules define tell a public place: `module`, and there `owner`'s attribute.

    Args:
        module: the name of the module that users find them in.
        names: of the things; of several names of one thing, its own if that is among them.
        things: by name.
        owner: the class that they are methods of, with its dot; empty for a module.
    """
    for name in sorted(names, key=lambda name: getattr(things[name], "__name__", "") != name):
        thing = things[name]
        if isinstance(thing, (FunctionType, type)) and _is_private(thing.__module__):
            thing.__module__, thing.__name__ = module, name
            thing.__qualname__ = owner + name


def _is_private(module: str) -> bool:
    return module.startswith("funcgrad.torch.") and "._" in module
