"""The module and name that a function or a class shows in printing, errors and pickle: its public place."""

from collections.abc import Iterable, Mapping
from types import FunctionType
from typing import Any


def name_as_found(
    module: str, names: Iterable[str], things: Mapping[str, Any], owner: str = ""
) -> None:
    """Give functions and classes of private modules the module and the name under which users find them.

    Args:
        module: the public module's name.
        names: the public names. A thing with several names keeps its own if that is one of them.
        things: the functions and classes by name.
        owner: for methods, the class's name with a dot; else empty.
    """
    for name in sorted(names, key=lambda name: getattr(things[name], "__name__", "") != name):
        thing = things[name]
        while isinstance(thing, (FunctionType, type)) and _is_private(thing.__module__):
            thing.__module__, thing.__name__ = module, name
            thing.__qualname__ = owner + name
            # Python names the innermost function in errors about its arguments. A function's may be the method itself.
            thing = getattr(thing, "__wrapped__", None) if owner else None


def _is_private(module: str) -> bool:
    return module.startswith("funcgrad.torch.") and "._" in module
