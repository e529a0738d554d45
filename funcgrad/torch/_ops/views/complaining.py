"""View ops complain of their first argument's place in the graph before anything else."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from funcgrad.engine import local
from funcgrad.torch._tensor.tensor import Tensor


def complained(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, whose first argument complains first: PyTorch looks at its place in the graph before anything else."""

    @wraps(function)
    def wrapper(input: Tensor, *args: Any, **kwargs: Any) -> Any:
        try:
            return function(input, *args, **kwargs)
        except Exception:
            if isinstance(input, Tensor) and local.recorder.grad_enabled:
                input._node  # noqa: B018
            raise

    return wrapper


def complaining(table: dict[str, Any]) -> dict[str, Any]:
    """A table of functions and properties with the functions made so."""
    return {
        name: each if isinstance(each, property) else complained(each)
        for name, each in table.items()
    }
