"""The names that users see, `torch.<name>` and `Tensor.<name>`: each is declared once, where it is defined."""

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import jax
import numpy as np

from funcgrad.teaching import cured
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.numbers import kind_of

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

    As a function it refuses an `input` that is no tensor; as a method it always has one.

    Args:
        thing: a function; for an attribute also a property.
        names: its public names; its own name if none is given.
        function: whether to publish it as a function of `torch`.
        method: whether to publish it as an attribute of `Tensor`.
        checks_input: whether `thing` itself checks its first argument, or also takes a number there.

    Raises:
        ValueError: a name is already taken.
    """
    method_of = thing if checks_input else in_numpys_names(thing)
    called = thing if checks_input else of_tensor(method_of)
    if not checks_input and inspect.isfunction(thing) and len(_tensors_of(thing)) > 1:
        method_of = of_tensors(method_of, method=True)
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
    return thing


ARRAYS = (np.ndarray, jax.Array)


def in_numpys_names(thing: Any) -> Any:
    """A function that takes `axis` for `dim` too, as PyTorch's do; one that sees to its keywords is unchanged."""
    if not inspect.isfunction(thing) or thing.__name__ in _WITHOUT_NUMPYS_NAMES:
        return thing
    of: Any = inspect.unwrap(thing)
    code = of.__code__
    named = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    if "dim" not in named or "axis" in named or code.co_flags & inspect.CO_VARKEYWORDS:
        return thing

    @functools.wraps(thing)
    def call(*args: Any, **kwargs: Any) -> Any:
        if "axis" in kwargs and "dim" not in kwargs:
            kwargs["dim"] = kwargs.pop("axis")
        return thing(*args, **kwargs)

    return call


# Called often, with a number alone; or a function in Python in PyTorch too, which has its own names alone.
_WITHOUT_NUMPYS_NAMES = {"size", "stride", "split", "unique", "unique_consecutive", "norm"}


def of_tensor(thing: Any) -> Any:
    """A function that refuses an `input` that is no tensor; other arguments as `of_tensors`."""
    if not inspect.isfunction(thing) or next(iter(inspect.signature(thing).parameters), "") != "input":  # fmt: skip
        return of_tensors(thing)

    @functools.wraps(thing)
    def call(*args: Any, **kwargs: Any) -> Any:
        if args and not isinstance(args[0], Tensor):
            error = TypeError(
                f"{thing.__name__}(): argument 'input' (position 1) must be Tensor, not {kind_of(args[0])}"
            )
            raise cured(error, "an array in an op") if isinstance(args[0], ARRAYS) else error
        try:
            return thing(*args, **kwargs)
        except AttributeError as error:
            _refuse_others(error, thing, thing.__name__, args, kwargs)
            raise

    return call


def of_tensors(thing: Any, title: str | None = None, method: bool = False) -> Any:
    """A function that says which argument should have been a tensor, where it looks for a tensor's attribute in vain.

    Args:
        thing: the function; its annotations tell which arguments are tensors. Anything else is unchanged.
        title: its name in errors; its own if None.
        method: whether it is called as a method: positions are counted without the tensor.
    """
    if not inspect.isfunction(thing) or thing.__name__ in _WARN or not _tensors_of(thing):
        return thing

    @functools.wraps(thing)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return thing(*args, **kwargs)
        except AttributeError as error:
            _refuse_others(error, thing, title or thing.__name__, args, kwargs, int(method))
            raise

    return call


# These warn of the caller's line, counted from where they are.
_WARN = {"where", "index_put", "index_put_"}


def complain_of_others(module: str, names: Iterable[str], things: dict[str, Any]) -> None:
    """Let the functions of a public module say which argument should have been a tensor; see `of_tensors`.

    Args:
        module: its name.
        names: the names of its functions, and of others.
        things: its functions by name; they are replaced.
    """
    family = module.split(".")[-1]
    for name in names:
        thing = things[name]
        made = of_tensors(thing, name if family == "functional" else f"{family}_{name}")
        if made is not thing:
            made.__module__, made.__name__, made.__qualname__ = module, name, name
            things[name] = made


def _tensors_of(function: Any) -> dict[str, bool]:
    """The arguments of a function that have to be tensors; true for those that may be None."""
    found = inspect.unwrap(function).__annotations__
    return {
        name: kind not in (Tensor, "Tensor")
        for name, kind in found.items()
        if name != "return" and kind in (Tensor, "Tensor", Tensor | None, "Tensor | None")
    }


def _refuse_others(
    error: AttributeError,
    function: Any,
    title: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    first: int = 0,
) -> None:
    """Raise an error that names the argument that should have been a tensor, if there is one.

    Raises:
        TypeError: an argument should have been a tensor.
    """
    given = inspect.signature(function).bind(*args, **kwargs).arguments
    tensors = _tensors_of(function)
    for position, (name, value) in enumerate(given.items(), start=1 - first):
        if name not in tensors or isinstance(value, Tensor) or (value is None and tensors[name]):
            continue
        refused = TypeError(
            f"{title}(): argument '{name}' (position {position}) must be Tensor, not {kind_of(value)}"
        )
        if isinstance(value, ARRAYS):
            refused = cured(refused, "an array in an op")
        raise refused from error


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
