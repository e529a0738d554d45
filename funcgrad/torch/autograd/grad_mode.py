"""The grad modes: whether ops leave graph nodes behind, in this thread, for a block or a decorated function."""

import functools
from collections.abc import Callable
from typing import Any

from funcgrad.engine import grad_mode, local


class _GradMode:
    """A grad mode as a context manager and a decorator, per thread."""

    def __init__(self, mode: bool) -> None:
        self.mode = mode
        self.before: list[bool] = []

    def __enter__(self) -> None:
        self.before.append(local.recorder.grad_enabled)
        local.recorder.grad_enabled = self.mode

    def __exit__(self, *_: object) -> None:
        local.recorder.grad_enabled = self.before.pop()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, run in this mode."""
        mode = self.mode

        @functools.wraps(function)
        def decorated(*args: Any, **kwargs: Any) -> Any:
            with grad_mode(mode):
                return function(*args, **kwargs)

        return decorated


class no_grad(_GradMode):
    """Ops in the block, or in the decorated function, leave no graph behind.

    >>> import funcgrad.torch as torch
    >>> w = torch.ones(1, requires_grad=True)
    >>> with torch.no_grad():
    ...     (w * 2).requires_grad
    False
    """

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        """Decorate at once where it is given a function: `@no_grad` without parentheses."""
        made = object.__new__(cls)
        if function is None:
            return made
        made.__init__()  # type: ignore[misc]
        return made(function)

    def __init__(self) -> None:
        super().__init__(False)


class enable_grad(no_grad):
    """Ops in the block, or in the decorated function, leave a graph behind, also inside `no_grad`."""

    def __init__(self) -> None:
        _GradMode.__init__(self, True)


class set_grad_enabled(_GradMode):
    """Set the grad mode: at once, and until the end of the block where it is used as one."""

    def __init__(self, mode: bool) -> None:
        super().__init__(mode)
        self.before.append(local.recorder.grad_enabled)
        local.recorder.grad_enabled = mode

    def __enter__(self) -> None:
        """Keep the mode that the constructor set."""

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Decorate: the mode holds in the function, not from here on."""
        local.recorder.grad_enabled = self.before.pop()
        return super().__call__(function)


def is_grad_enabled() -> bool:
    """Whether ops called in this thread leave a graph behind."""
    return local.recorder.grad_enabled
