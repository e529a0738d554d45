"""PyTorch's `torch.compiler`: questions about `torch.compile`, and marks on functions, which change nothing here."""

from collections.abc import Callable
from typing import Any

from jax._src import core as _jax_core

from funcgrad.engine import local as _local
from funcgrad.torch._compile.compiled import compile
from funcgrad.torch._types.missing import no_attribute as _no_attribute

__all__ = [
    "allow_in_graph",
    "assume_constant_result",
    "compile",
    "cudagraph_mark_step_begin",
    "disable",
    "is_compiling",
    "is_dynamo_compiling",
    "is_exporting",
    "list_backends",
    "reset",
]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    raise _no_attribute(__name__, name)


def is_compiling() -> bool:
    """Whether the code runs inside a function of `torch.compile` that is looked at, or inside a trace of JAX's.

    >>> is_compiling()
    False
    """
    return _local.recorder.watch is not None or not _jax_core.trace_state_clean()


def is_dynamo_compiling() -> bool:
    """As `is_compiling`."""
    return is_compiling()


def is_exporting() -> bool:
    """Whether a program is exported: never, since there is no `torch.export` here."""
    return False


def disable(
    fn: Callable[..., Any] | None = None, recursive: bool = True, *, reason: str | None = None
) -> Any:
    """The function itself: all of a step is compiled, or nothing of it, with the same results. Also a decorator."""
    return (lambda function: function) if fn is None else fn


def allow_in_graph(fn: Any) -> Any:
    """The function or functions themselves."""
    return fn


def assume_constant_result(fn: Any) -> Any:
    """The function itself; it is called in each trace."""
    return fn


def reset() -> None:
    """Nothing: compiled functions hold their programs themselves."""


def cudagraph_mark_step_begin() -> None:
    """Nothing: there are no graphs of CUDA's."""


def list_backends(exclude_tags: Any = ("debug", "experimental")) -> list[str]:
    """The names of the backends: XLA alone."""
    return ["openxla"]
