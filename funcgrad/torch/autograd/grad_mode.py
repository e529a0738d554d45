"""The grad modes: whether ops record graph nodes in this thread, for a block or a decorated function."""

import functools
import inspect
import warnings
from collections.abc import Callable
from typing import Any

from funcgrad.engine import local
from funcgrad.torch._autograd.switches import is_grad_enabled, threads
from funcgrad.torch._memory import inference
from funcgrad.torch._tensor.registry import publish_all

__all__ = [
    "enable_grad",
    "inference_mode",
    "no_grad",
    "set_grad_enabled",
    "set_multithreading_enabled",
]


def __dir__() -> list[str]:
    return __all__


class _Mode:
    """A mode of this thread as a context manager and a decorator. For a generator it holds in the body."""

    def __enter__(self) -> None:
        raise NotImplementedError

    def __exit__(self, *_: object) -> None:
        raise NotImplementedError

    def clone(self) -> "_Mode":
        """Another block of the same mode."""
        return type(self)()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, run in this mode."""
        clone = self.clone
        if inspect.isclass(function):
            warnings.warn(
                "Decorating classes is deprecated and will be disabled in future versions. You should only decorate "
                "functions or methods. To preserve the current behavior of class decoration, you can directly decorate "
                "the `__init__` method and nothing else.",
                FutureWarning,
                stacklevel=2,
            )
            made = function
            function = lambda *args, **kwargs: made(*args, **kwargs)  # noqa: E731
        if inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def generator(*args: Any, **kwargs: Any) -> Any:
                return (yield from _in_mode(function(*args, **kwargs), clone))

            return generator

        @functools.wraps(function)
        def decorated(*args: Any, **kwargs: Any) -> Any:
            with clone():
                return function(*args, **kwargs)

        return decorated


class _WithoutArguments(_Mode):
    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        """Given a function, decorate it at once: `@no_grad` without parentheses."""
        return object.__new__(cls) if function is None else cls()(function)


def _in_mode(body: Any, clone: Callable[[], _Mode]) -> Any:
    """Drive a generator so that its body runs in a mode; its consumer does not."""
    try:
        with clone():
            made = next(body)
        while True:
            try:
                sent = yield made
            except GeneratorExit:
                with clone():
                    body.close()
                raise
            except BaseException as error:
                with clone():
                    made = body.throw(error)
            else:
                with clone():
                    made = body.send(sent)
    except StopIteration as ended:
        return ended.value


def _set_grad_enabled(enabled: bool) -> None:
    if inference.enabled():
        inference.state.grad_mode = enabled
    else:
        local.recorder.grad_enabled = enabled


class no_grad(_WithoutArguments):
    """Ops in the block, or in the decorated function, record no graph.

    >>> import funcgrad.torch as torch
    >>> w = torch.ones(1, requires_grad=True)
    >>> with torch.no_grad():
    ...     (w * 2).requires_grad
    False

    Behaviour: https://pytorch.org/docs/stable/generated/torch.no_grad.html
    """

    def __init__(self) -> None:
        self.prev = False

    def __enter__(self) -> None:
        self.prev = is_grad_enabled()
        _set_grad_enabled(False)

    def __exit__(self, *_: object) -> None:
        _set_grad_enabled(self.prev)


class enable_grad(_WithoutArguments):
    """Ops in the block, or in the decorated function, record a graph, also inside `no_grad`."""

    def __enter__(self) -> None:
        self.prev = is_grad_enabled()
        _set_grad_enabled(True)

    def __exit__(self, *_: object) -> None:
        _set_grad_enabled(self.prev)


class set_grad_enabled(_Mode):
    """Set the grad mode at once. As a context manager, restore it at the end of the block.

    Raises:
        TypeError: the mode is not a bool.
    """

    def __init__(self, mode: bool) -> None:
        if not isinstance(mode, bool):
            raise TypeError(
                f"set_grad_enabled(): argument 'enabled' (position 1) must be bool, not {type(mode).__name__}"
            )
        self.prev = is_grad_enabled()
        self.mode = mode
        _set_grad_enabled(mode)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Decorate: the mode holds inside the function, not from now on."""
        _set_grad_enabled(self.prev)
        return super().__call__(function)

    def __enter__(self) -> None:
        _set_grad_enabled(self.mode)

    def __exit__(self, *_: object) -> None:
        _set_grad_enabled(self.prev)

    def __repr__(self) -> str:
        return f"torch.autograd.grad_mode.set_grad_enabled(mode={self.mode})"

    def clone(self) -> _Mode:
        """Another block of the same mode."""
        return set_grad_enabled(self.mode)


class inference_mode(_Mode):
    """Like `no_grad`. Also, tensors made in the block can never be part of a graph, and do not count their writes.

    Args:
        mode: whether to switch the mode on, or off inside a block of it; or a function to decorate.

    >>> import funcgrad.torch as torch
    >>> with torch.inference_mode():
    ...     x = torch.ones(2)
    >>> x.is_inference()
    True

    Behaviour: https://pytorch.org/docs/stable/generated/torch.autograd.grad_mode.inference_mode.html
    """

    def __new__(cls, mode: Any = True) -> Any:
        """Given a function, decorate it at once."""
        return object.__new__(cls) if isinstance(mode, bool) else cls()(mode)

    def __init__(self, mode: Any = True) -> None:
        self.mode = mode

    def clone(self) -> _Mode:
        """Another block of the same mode."""
        return inference_mode(self.mode)

    def __enter__(self) -> None:
        self.before = is_grad_enabled(), inference.switch(self.mode)
        # Ops read the recorder's mode. The user sees the other one, which has no effect in inference mode.
        local.recorder.grad_enabled = not self.mode
        inference.state.grad_mode = not self.mode

    def __exit__(self, *_: object) -> None:
        grad_mode, inferring = self.before
        inference.switch(inferring)
        local.recorder.grad_enabled = grad_mode and not inferring
        inference.state.grad_mode = grad_mode


class set_multithreading_enabled(_Mode):
    """Store whether several threads may run one backward, for this thread; it has no other effect.

    Backward always stays in its thread, and XLA decides on the threads for the computation.
    """

    def __init__(self, mode: bool) -> None:
        self.prev, self.mode = threads.enabled, mode
        threads.enabled = mode

    def __enter__(self) -> None:
        """Keep the mode that the constructor set."""

    def __exit__(self, *_: object) -> None:
        threads.enabled = self.prev

    def clone(self) -> _Mode:
        """Another block of the same mode."""
        return set_multithreading_enabled(self.mode)


publish_all(
    {
        "no_grad": no_grad,
        "enable_grad": enable_grad,
        "set_grad_enabled": set_grad_enabled,
        "inference_mode": inference_mode,
    },
    {},
)
