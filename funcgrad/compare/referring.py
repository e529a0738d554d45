"""The things that a function's code refers to: modules, closures and globals, through the user's own functions.

This tells which library a function is written with, and which tensors it captures from outside.
"""

import dis
import functools
import sys
from collections.abc import Iterator
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

PYTORCH, SHIM, JAX = "PyTorch", "the shim", "JAX"

# The most specific name of a module first: a pure function is JAX's, whatever was purified.
_PURE = "funcgrad.torch._compile.pure"
_LIBRARIES = (
    (_PURE, JAX),
    ("funcgrad.torch", SHIM),
    ("funcgrad.regression", JAX),
    ("funcgrad.training", JAX),
    *((name, PYTORCH) for name in ("torch", "torchvision")),
    *((name, JAX) for name in ("jax", "jaxlib", "optax", "equinox", "flax")),
)
LENDING = "functional_call"
"""The function that lends a model the parameters it is given: the model's own do not count then."""

# Functions of these are not read: they are no code of the user's.
_FOREIGN = {
    *sys.stdlib_module_names,
    "numpy",
    "scipy",
    "funcgrad",
    "ml_dtypes",
    "pytest",
    "_pytest",
}


class Reference(NamedTuple):
    """A thing that code refers to, and the name that the code has for it."""

    name: str
    thing: Any


def library(module: str) -> str | None:
    """Return the library that a module belongs to, by its name: PyTorch, the shim or JAX.

    >>> library("torch.nn.functional"), library("funcgrad.torch"), library("numpy")
    ('PyTorch', 'the shim', None)
    """
    return next((who for name, who in _LIBRARIES if f"{module}.".startswith(f"{name}.")), None)


def owner(thing: Any) -> str | None:
    """Return the library that a module, a function, or an instance of a class comes from."""
    if isinstance(thing, ModuleType):
        return library(thing.__name__)
    if isinstance(thing, FunctionType):
        return library(_home(thing))
    classes = thing.__mro__ if isinstance(thing, type) else type(thing).__mro__
    return next(filter(None, (library(each.__module__) for each in classes)), None)


def references(function: Any) -> Iterator[Reference]:
    """Yield the things that a function refers to, and those that the user's own functions among them refer to.

    Args:
        function: a function, method, partial or callable object.
    """
    seen: set[int] = set()
    waiting = [Reference(getattr(function, "__name__", "function"), function)]
    while waiting:
        reference = waiting.pop()
        if id(reference.thing) in seen:
            continue
        seen.add(id(reference.thing))
        if reference.thing is not function:
            yield reference
            if _is_pure(reference.thing):
                continue  # the caller gives it arrays, whatever it was made of
        waiting += _inside(reference.thing)


def _is_pure(thing: Any) -> bool:
    return isinstance(thing, FunctionType) and _home(thing) == _PURE


def _inside(thing: Any) -> list[Reference]:
    """The references of one thing: none unless it is a function of the user's."""
    if isinstance(thing, functools.partial):
        given = [Reference("an argument of partial", each) for each in thing.args]
        named = [Reference(name, each) for name, each in thing.keywords.items()]
        return [Reference("function", thing.func), *given, *named]
    if isinstance(thing, MethodType):
        held = getattr(thing.__self__, "__dict__", {})
        return [
            *(Reference(*each) for each in held.items()),
            Reference(thing.__name__, thing.__func__),
        ]
    called = type(thing).__dict__.get("__call__")
    if isinstance(called, FunctionType) and owner(thing) is None:  # an object of the user's class
        held = getattr(thing, "__dict__", {})
        return [*(Reference(*each) for each in held.items()), Reference("__call__", called)]
    wrapped = getattr(thing, "__wrapped__", None) if callable(thing) else None
    found = (
        [] if wrapped is None else [Reference(getattr(wrapped, "__name__", "function"), wrapped)]
    )
    if isinstance(thing, FunctionType) and owner(thing) is None and not _is_foreign(thing):
        return [*found, *_of_function(thing)]
    return found


def _home(function: FunctionType) -> str:
    """The module that holds the code; `functools.wraps` changes `__module__` but not this."""
    return str(function.__globals__.get("__name__", ""))


def _is_foreign(function: FunctionType) -> bool:
    return _home(function).partition(".")[0] in _FOREIGN - {"__main__"}


def _of_function(function: FunctionType) -> Iterator[Reference]:
    closure = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    for name, cell in closure:
        try:
            yield Reference(name, cell.cell_contents)
        except ValueError:  # the cell is still empty: the variable is assigned later
            continue
    names = list(function.__code__.co_varnames[: function.__code__.co_argcount])
    defaults = function.__defaults__ or ()
    yield from map(Reference, names[len(names) - len(defaults) :], defaults)
    yield from (Reference(*each) for each in (function.__kwdefaults__ or {}).items())
    yield from _of_code(function.__code__, function.__globals__)


def _of_code(code: CodeType, scope: dict[str, Any]) -> Iterator[Reference]:
    imported = ""
    for instruction in dis.get_instructions(code):
        name = instruction.argval
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME") and name in scope:
            yield Reference(name, scope[name])
        elif instruction.opname in ("LOAD_ATTR", "LOAD_METHOD") and name == LENDING:
            yield Reference(name, None)
        elif instruction.opname == "IMPORT_NAME":
            imported = name
            yield Reference(name, _stand_in(name))
        elif instruction.opname == "IMPORT_FROM":
            yield Reference(name, _stand_in(f"{imported}.{name}"))
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from _of_code(each, scope)


def _stand_in(name: str) -> ModuleType:
    """A stand-in for a module that a function imports when it runs: loading it now may be slow, or fail."""
    return sys.modules.get(name) or ModuleType(name)
