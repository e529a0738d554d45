"""Arguments in three forms: `x.view(2, 3)`, `x.view((2, 3))` and `x.view(size=(2, 3))`."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any


def variadic(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let a caller also give a function's `*numbers` by one of these names; the signature shows the first one."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            for name in names:
                if name in kwargs:
                    if len(args) > 1:
                        raise TypeError(
                            f"{function.__name__}() got multiple values for argument '{name}'"
                        )
                    args = (*args, kwargs.pop(name))
            return function(*args, **kwargs)

        shown = []
        for each in inspect.signature(function).parameters.values():
            if each.kind is each.VAR_POSITIONAL:
                each = inspect.Parameter(names[0], each.KEYWORD_ONLY)
            shown.append(each)
        wrapper.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
        return wrapper

    return decorate


def one_by_one(function: Callable[..., Any]) -> Callable[..., Any]:
    """The method of a function that takes one integer or several after the tensor: several may be given one by one."""

    @wraps(function)
    def method(input: Any, *args: Any, **kwargs: Any) -> Any:
        if len(args) > 1 and all(type(each) is int for each in args):
            args = (args,)
        return function(input, *args, **kwargs)

    return method
