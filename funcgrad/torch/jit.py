"""`torch.jit`, as far as it goes without TorchScript: marks for its compiler change nothing, and `script` gives back its argument.

_Scripted code computes the same as Python's, so a program that uses `script` for speed runs as it is. `torch.compile` is the way to
speed here. `trace` is refused: a trace takes the branches of its example, and the function itself does not.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from funcgrad.torch._types.missing import no_attribute as _no_attribute

__all__ = [
    "Final",
    "ScriptModule",
    "export",
    "ignore",
    "is_scripting",
    "is_tracing",
    "script",
    "unused",
]

_Scripted = TypeVar("_Scripted")


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    raise _no_attribute(__name__, name)


class ScriptModule:
    """The type of scripted modules in PyTorch. There are none here, so `isinstance` says no.

    Raises:
        NotImplementedError: one is made.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError(
            "funcgrad has no TorchScript: derive from torch.nn.Module, and use torch.compile for speed"
        )


def script(
    obj: _Scripted,
    optimize: Any = None,
    _frames_up: int = 0,
    _rcb: Any = None,
    example_inputs: Any = None,
) -> _Scripted:
    """`obj` itself, a function, a class or a module: it computes what its script computes in PyTorch.

    >>> import funcgrad.torch as torch
    >>> @torch.jit.script
    ... def double(x):
    ...     return 2 * x
    >>> double(torch.ones(2))
    tensor([2., 2.])
    """
    return obj


def ignore(drop: Any = False, **kwargs: Any) -> Any:
    """Mark a function that TorchScript should leave to Python: nothing changes. A decorator, also with options."""
    return drop if callable(drop) else _unchanged


def _unchanged(fn: _Scripted) -> _Scripted:
    return fn


def unused(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a function that a script does not call: nothing changes."""
    return fn


def export(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a method that is an entry of a script: nothing changes."""
    return fn


def is_scripting() -> bool:
    """Whether TorchScript runs the code: never."""
    return False


def is_tracing() -> bool:
    """Whether a trace is taken: never."""
    return False
