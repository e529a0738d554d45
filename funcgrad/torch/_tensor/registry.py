"""The names that users see, `torch.<name>` and `Tensor.<name>`: each is declared once, where it is defined."""

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import numpy as np

from funcgrad.torch._tensor import overriding
from funcgrad.torch._tensor.kinds import Kind, kind, plain, refusal
from funcgrad.torch._tensor.overriding import NOBODY, overridable
from funcgrad.torch._tensor.tensor import Tensor

Published = TypeVar("Published")

FUNCTIONS: dict[str, Any] = {}
METHODS: dict[str, Any] = {}


def publish(
    thing: Published,
    *names: str,
    function: bool = True,
    method: bool = True,
    checks_input: bool = False,
) -> Published:
    """Publish `thing` as a function of `torch`, as an attribute of `Tensor`, or both.

    An argument of another kind than its annotation is refused.

    Args:
        thing: a function; for an attribute also a property.
        names: its public names; its own name if none is given.
        function: whether to publish it as a function of `torch`.
        method: whether to publish it as an attribute of `Tensor`.
        checks_input: whether `thing` itself checks its arguments.

    Raises:
        ValueError: a name is already taken.
    """
    given: Any = thing
    called = given if checks_input else checked(given)
    if function and called is given and not checks_input and _of_tensors(given):
        called = overridable(given)
    if names and all(map(is_operator, names)):  # Python gives these no names of arguments
        method_of = given
    else:
        method_of = without_out(given) if checks_input else checked(given, method=True)
    for name in names or (thing.__name__,):  # type: ignore[attr-defined]
        if function:
            if name in FUNCTIONS:
                raise ValueError(f"torch.{name} is declared twice")
            FUNCTIONS[name] = called
        if method:
            if name in METHODS or (name in vars(Tensor) and name not in _INHERITED):
                raise ValueError(f"Tensor.{name} is declared twice")
            METHODS[name] = method_of
            setattr(Tensor, name, method_of)
            overriding.cover(name)
    return thing


def _of_tensors(thing: Any) -> bool:
    """Whether something is a function that takes or makes tensors; questions about the library and its settings are not."""
    if not inspect.isfunction(thing) or thing.__name__ in _FREE:
        return False
    found = inspect.unwrap(thing).__annotations__
    made = found.get("return")
    return made in (Any, np.ndarray) or any("Tensor" in str(each) for each in found.values())


def is_operator(name: str) -> bool:
    """Whether Python calls a method by an operator, or by a function of its own."""
    return name.startswith("__") and name.endswith("__")


def without_out(thing: Any) -> Any:
    """A function as a method, which has no `out`; the operators of Python have none anyway."""
    if not inspect.isfunction(thing) or "out" not in thing.__code__.co_varnames:
        return thing

    @functools.wraps(thing)
    def method(*args: Any, **kwargs: Any) -> Any:
        if kwargs and "out" in kwargs:
            raise _no_out(thing, kwargs)
        return thing(*args, **kwargs)

    return method


def _no_out(thing: Any, given: dict[str, Any]) -> TypeError:
    """The error for `out` of a method: beside it PyTorch takes no name of NumPy's, and says that."""
    name = next((name for name in given if name in NUMPY_NAMES), "out")
    return TypeError(f"{thing.__name__}() got an unexpected keyword argument '{name}'")


# PyTorch takes NumPy's names for these arguments too.
NUMPY_NAMES = {
    "axis": "dim",
    "keepdims": "keepdim",
    "x": "input",
    "a": "input",
    "x1": "input",
    "x2": "other",
}
# Called often, with a number alone; or a function in Python in PyTorch too, which has its own names alone.
_WITHOUT_NUMPYS_NAMES = {"size", "stride", "split", "unique", "unique_consecutive", "norm"}


def in_numpys_names(thing: Any) -> Any:
    """A function that takes NumPy's names of arguments too, as PyTorch's do."""
    others = _numpys_names_of(thing)
    if not others:
        return thing

    @functools.wraps(thing)
    def call(*args: Any, **kwargs: Any) -> Any:
        return thing(*args, **(_renamed(thing, others, kwargs) if kwargs else kwargs))

    return call


def _numpys_names_of(thing: Any) -> dict[str, str]:
    """NumPy's names of a function's arguments, with the function's own."""
    if not inspect.isfunction(thing) or thing.__name__ in _WITHOUT_NUMPYS_NAMES:
        return {}
    code = inspect.unwrap(thing).__code__
    if code.co_flags & inspect.CO_VARKEYWORDS:
        return {}
    named = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return {k: v for k, v in NUMPY_NAMES.items() if v in named and k not in named}


def _renamed(thing: Any, others: dict[str, str], kwargs: dict[str, Any]) -> dict[str, Any]:
    for name in others.keys() & kwargs:
        if others[name] in kwargs:
            raise TypeError(f"{thing.__name__}() got an unexpected keyword argument '{name}'")
        kwargs[others[name]] = kwargs.pop(name)
    return kwargs


def checked(
    thing: Any,
    title: str | None = None,
    *,
    method: bool = False,
    free: frozenset[str] = frozenset(),
) -> Any:
    """A function that refuses an argument of another kind than its annotation, and takes NumPy's names of arguments.

    Args:
        thing: the function. Anything else is unchanged, and so is a function without an annotation that says a kind.
        title: its name in errors; its own if None.
        method: whether it is called as a method: positions are counted without the tensor.
        free: the arguments that it looks at itself.
    """
    if not inspect.isfunction(thing) or thing.__name__ in _FREE or not _annotated(thing):
        return in_numpys_names(thing)
    others, asks = _numpys_names_of(thing), not method and _of_tensors(thing)
    # The types of arguments that were found right.
    known: set[Any] = set()

    def look(types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        """The arguments, of types that are not known, as the function takes them."""
        kinds, names = _kinds_of(inspect.unwrap(thing), free)
        given = [(name, k - method, args[k - 1]) for k, name in enumerate(names[: len(args)], 1)]
        given += [(name, 0, value) for name, value in kwargs.items()]
        if check_kinds(kinds, title or thing.__name__, given):
            if len(known) < _MOST_KNOWN:
                known.add(types)
            return args, kwargs
        pairs = zip(names, args, strict=False)
        looked = tuple([plain(kinds.get(name), value) for name, value in pairs])
        return (*looked, *args[len(names) :]), {
            name: plain(kinds.get(name), value) for name, value in kwargs.items()
        }

    @functools.wraps(thing)
    def call(*args: Any, **kwargs: Any) -> Any:
        types: tuple[Any, ...] = tuple(map(type, args))
        if kwargs:
            if method and "out" in kwargs:
                raise _no_out(thing, kwargs)
            if others:
                kwargs = _renamed(thing, others, kwargs)
            types = (*types, *kwargs, *map(type, kwargs.values()))
        if types not in known or overriding.begun:
            if asks and (found := overriding.answer(call, args, kwargs)) is not NOBODY:
                return found
            if types not in known:
                args, kwargs = look(types, args, kwargs)
        return thing(*args, **kwargs)

    return call


_MOST_KNOWN = 256
# Functions that look at their arguments themselves, some as PyTorch's, which take anything that counts as true.
_FREE = {
    "backward",
    "tensor_backward",
    "save",
    "load",
    "compile",
    "set_num_threads",
    "set_num_interop_threads",
}
_FREE |= {"use_deterministic_algorithms", "manual_seed"}


def _annotated(thing: Any) -> bool:
    """Whether an annotation says the kind of an argument; in haste, since it is asked of everything that is published."""
    found = inspect.unwrap(thing).__annotations__
    return any(name != "return" and each is not Any for name, each in found.items())


def check_kinds(kinds: dict[str, Kind], title: str, given: list[tuple[str, int, Any]]) -> bool:
    """Check the kinds of a call's arguments; returns whether their types alone tell that they fit.

    Args:
        kinds: the kinds by name.
        title: the function's name in the error.
        given: the name, the position and the value of each argument.

    Raises:
        TypeError: an argument is of another kind.
    """
    told = True
    for name, position, value in given:
        found = kinds.get(name)
        if found is not None and type(value) not in found.known:
            if not found.fits(value):
                raise refusal(title, name, position, found.name, value)
            told &= type(value) in found.known
    return told


@functools.cache
def _kinds_of(function: Any, free: frozenset[str]) -> tuple[dict[str, Kind], tuple[str, ...]]:
    """The kinds of a function's arguments by name, and the names of the arguments that have a position."""
    found = {
        name: kind(each) for name, each in function.__annotations__.items() if name != "return"
    }
    kinds = {name: each for name, each in found.items() if each is not None and name not in free}
    kinds |= {alias: kinds[name] for alias, name in NUMPY_NAMES.items() if name in kinds}
    code = function.__code__
    return kinds, code.co_varnames[: code.co_argcount]


def check_arguments_of(
    module: str,
    names: Iterable[str],
    things: dict[str, Any],
    free: Iterable[str] = (),
    unchecked: Iterable[str] = (),
) -> None:
    """Let the functions of a public module refuse arguments of another kind; see `checked`.

    Args:
        module: its name.
        names: the names of its functions, and of others.
        things: its functions by name; they are replaced.
        free: the arguments that they look at themselves.
        unchecked: the functions that look at all of them.
    """
    family = module.split(".")[-1]
    for name in names:
        thing = things[name]
        title = name if family == "functional" else f"{family}_{name}"
        made = thing if name in unchecked else checked(thing, title, free=frozenset(free))
        if made is thing and _of_tensors(thing):
            made = overridable(thing)
        if made is not thing:
            made.__module__, made.__name__, made.__qualname__ = module, name, name
            things[name] = made


# Every class inherits these from `object`.
_INHERITED = {"__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__reduce_ex__"}


def published(
    *names: str, function: bool = True, method: bool = True
) -> Callable[[Published], Published]:
    """`publish` as a decorator."""
    return lambda thing: publish(thing, *names, function=function, method=method)


def publish_all(functions: dict[str, Any], methods: dict[str, Any]) -> None:
    """Publish things that have no row: functions of `torch`, and attributes of `Tensor`, each under its name."""
    for name, thing in functions.items():
        publish(thing, name, method=False)
    for name, thing in methods.items():
        publish(thing, name, function=False)
