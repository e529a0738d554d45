"""The names that users see, `torch.<name>` and `Tensor.<name>`: each is declared once, where it is defined."""

import functools
import inspect
from collections.abc import Callable
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
    """A function that refuses an `input` that is no tensor; anything whose first argument is not `input` is unchanged."""
    if not inspect.isfunction(thing) or next(iter(inspect.signature(thing).parameters), "") != "input":  # fmt: skip
        return thing

    @functools.wraps(thing)
    def call(*args: Any, **kwargs: Any) -> Any:
        if args and not isinstance(args[0], Tensor):
            error = TypeError(
                f"{thing.__name__}(): argument 'input' (position 1) must be Tensor, not {kind_of(args[0])}"
            )
            raise cured(error, "an array in an op") if isinstance(args[0], ARRAYS) else error
        return thing(*args, **kwargs)

    return call


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
