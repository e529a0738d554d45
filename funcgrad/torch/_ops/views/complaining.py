"""The order of errors in view ops: a view that must not be used any more comes first."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from funcgrad.engine import local
from funcgrad.torch._tensor.tensor import Tensor


def complained(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let an error of the first argument's node replace `function`'s own error, because PyTorch checks the node first."""

    @wraps(function)
    def wrapper(input: Tensor, *args: Any, **kwargs: Any) -> Any:
        try:
            return function(input, *args, **kwargs)
        except Exception:
            if isinstance(input, Tensor) and local.recorder.grad_enabled:
                input._current_node()
            raise

    return wrapper


def complaining(table: dict[str, Any]) -> dict[str, Any]:
    """A table of functions and properties, with `complained` applied to the functions."""
    return {
        name: each if isinstance(each, property) else complained(each)
        for name, each in table.items()
    }
