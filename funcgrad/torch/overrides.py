"""`torch.overrides`: classes and modes that answer PyTorch's functions themselves, by `__torch_function__`.

Behaviour: https://docs.pytorch.org/docs/stable/torch.overrides.html
"""

import functools
from collections.abc import Callable, Iterable
from typing import Any

from funcgrad.torch._tensor.overriding import (
    NOBODY,
    ask,
    begin,
    name_of,
    now,
    overriding,
)
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.missing import no_attribute as _no_attribute

__all__ = [
    "BaseTorchFunctionMode",
    "TorchFunctionMode",
    "handle_torch_function",
    "has_torch_function",
    "is_tensor_like",
    "is_tensor_method_or_property",
    "resolve_name",
    "wrap_torch_function",
]


def has_torch_function(relevant_args: Iterable[Any]) -> bool:
    """Whether one of these arguments' classes answers calls, or a mode is on.

    >>> import funcgrad.torch as torch
    >>> class Logged(torch.Tensor):
    ...     pass
    >>> torch.overrides.has_torch_function([torch.ones(2), Logged(2)])
    True
    """
    return bool(now.modes or (now.classes and overriding(relevant_args)))


def has_torch_function_unary(argument: Any) -> bool:
    """`has_torch_function` of one argument."""
    return has_torch_function((argument,))


def has_torch_function_variadic(*relevant_args: Any) -> bool:
    """`has_torch_function` of these arguments."""
    return has_torch_function(relevant_args)


def handle_torch_function(
    public_api: Callable[..., Any], relevant_args: Iterable[Any], *args: Any, **kwargs: Any
) -> Any:
    """The answer of a mode, or of the class of an argument, to a call.

    Args:
        public_api: the function that was called, as users find it.
        relevant_args: the arguments whose classes are asked.
        args, kwargs: all arguments of the call.

    Raises:
        TypeError: nobody answers.
    """
    asked = overriding(relevant_args, plain=True) if now.classes else []
    found = ask(public_api, asked, args, kwargs)
    if found is NOBODY:
        name = f"{public_api.__module__}.{public_api.__name__}"
        raise TypeError(
            f"no implementation found for '{name}' on types that implement __torch_function__: []"
        )
    return found


def wrap_torch_function(
    dispatcher: Callable[..., Iterable[Any]],
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a function one that classes and modes may answer.

    Args:
        dispatcher: takes the function's arguments, and returns those whose classes are asked.
    """

    def inner(func: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(func)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            relevant = dispatcher(*args, **kwargs)
            if has_torch_function(relevant):
                return handle_torch_function(wrapped, relevant, *args, **kwargs)
            return func(*args, **kwargs)

        return wrapped

    return inner


def is_tensor_like(inp: Any) -> bool:
    """Whether a value is a tensor, or of a class with `__torch_function__`."""
    return hasattr(inp, "__torch_function__")


def is_tensor_method_or_property(func: Callable[..., Any]) -> bool:
    """Whether a function that `__torch_function__` was given is a method or property of `Tensor`."""
    return func.__name__ == "__get__" or getattr(Tensor, func.__name__, None) is func


def resolve_name(f: Callable[..., Any]) -> str | None:
    """PyTorch's name of a function that `__torch_function__` was given; None for a function that is not PyTorch's.

    >>> import funcgrad.torch as torch
    >>> torch.overrides.resolve_name(torch.Tensor.add)
    'torch.Tensor.add'
    """
    name = name_of(f)
    return name if name.startswith("torch.") else None


class TorchFunctionMode:
    """A mode that answers all calls inside a `with` block, by its `__torch_function__`.

    >>> import funcgrad.torch as torch
    >>> from funcgrad.torch.overrides import TorchFunctionMode, resolve_name
    >>> class Logged(TorchFunctionMode):
    ...     def __torch_function__(self, func, types, args=(), kwargs=None):
    ...         print(resolve_name(func))
    ...         return func(*args, **(kwargs or {}))
    >>> with Logged():
    ...     x = torch.ones(2) * 2
    torch.ones
    torch.Tensor.mul
    """

    def __init__(self) -> None:
        """Need nothing."""

    def __torch_function__(
        self, func: Any, types: tuple[type, ...], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Answer a call.

        Args:
            func: the function.
            types: the classes among the arguments that would answer.
            args, kwargs: the arguments.
        """
        raise NotImplementedError

    def __enter__(self) -> "TorchFunctionMode":
        begin()
        now.modes.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        now.modes.pop()


class BaseTorchFunctionMode(TorchFunctionMode):
    """A mode that calls the function."""

    def __torch_function__(
        self, func: Any, types: tuple[type, ...], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Call the function."""
        return func(*args, **(kwargs or {}))


def __dir__() -> list[str]:
    return [*__all__, "has_torch_function_unary", "has_torch_function_variadic"]


def __getattr__(name: str) -> Any:
    raise _no_attribute(__name__, name)
