"""The names of PyTorch's `torch._dynamo` that public code uses: marks and questions, which change nothing here."""

from typing import Any

from funcgrad.torch._types.stand_ins import refused_class as _refused_class
from funcgrad.torch._types.stand_ins import stand_in as _stand_in
from funcgrad.torch.compiler import (
    allow_in_graph,
    assume_constant_result,
    disable,
    is_compiling,
    reset,
)

__all__ = [
    "OptimizedModule",
    "allow_in_graph",
    "assume_constant_result",
    "disable",
    "graph_break",
    "is_compiling",
    "mark_dynamic",
    "mark_static",
    "mark_static_address",
    "maybe_mark_dynamic",
    "reset",
]
__path__: list[str] = []  # its modules are stand-ins


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    return _stand_in(__name__, name)


OptimizedModule = _refused_class(
    __name__, "OptimizedModule", "the result of torch.compile(module) is a function here"
)


def graph_break(msg: str = "") -> None:
    """Nothing: all of a step is compiled, or nothing of it."""


def mark_dynamic(t: Any, index: Any, **options: Any) -> None:
    """Nothing: each shape has its own program."""


maybe_mark_dynamic = mark_static = mark_dynamic


def mark_static_address(t: Any, guard: bool = True) -> None:
    """Nothing: JAX chooses the place of an array."""
