"""The grad modes: whether ops leave graph nodes behind, in this thread, for a block or a decorated function."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from funcgrad.engine import local
from funcgrad.torch import inference
from funcgrad.torch.tensor import Tensor

__all__ = ["enable_grad", "inference_mode", "no_grad", "set_grad_enabled"]


class _Mode:
    """A mode of this thread as a context manager and a decorator; of a generator, the mode of its body."""

    def __enter__(self) -> None:
        raise NotImplementedError

    def __exit__(self, *_: object) -> None:
        raise NotImplementedError

    def _again(self) -> "_Mode":
        """Another block of the same mode."""
        return type(self)()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, run in this mode."""
        again = self._again
        if inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def generator(*args: Any, **kwargs: Any) -> Any:
                return (yield from _in_mode(function(*args, **kwargs), again))

            return generator

        @functools.wraps(function)
        def decorated(*args: Any, **kwargs: Any) -> Any:
            with again():
                return function(*args, **kwargs)

        return decorated


def _in_mode(body: Any, again: Callable[[], _Mode]) -> Any:
    """Drive a generator so that its body runs in a mode, and whoever consumes it does not."""
    try:
        with again():
            made = next(body)
        while True:
            try:
                sent = yield made
            except GeneratorExit:
                with again():
                    body.close()
                raise
            except BaseException as error:
                with again():
                    made = body.throw(error)
            else:
                with again():
                    made = body.send(sent)
    except StopIteration as ended:
        return ended.value


class _GradMode(_Mode):
    mode: bool

    def __init__(self) -> None:
        self.before: list[bool] = []

    def __enter__(self) -> None:
        self.before.append(local.recorder.grad_enabled)
        local.recorder.grad_enabled = self.mode and not inference.enabled()

    def __exit__(self, *_: object) -> None:
        local.recorder.grad_enabled = self.before.pop()


class no_grad(_GradMode):
    """Ops in the block, or in the decorated function, leave no graph behind.

    >>> import funcgrad.torch as torch
    >>> w = torch.ones(1, requires_grad=True)
    >>> with torch.no_grad():
    ...     (w * 2).requires_grad
    False

    Behaviour: https://pytorch.org/docs/stable/generated/torch.no_grad.html
    """

    mode = False

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        """Decorate at once where it is given a function: `@no_grad` without parentheses."""
        made = object.__new__(cls)
        if function is None:
            return made
        made.__init__()  # type: ignore[misc]
        return made(function)


class enable_grad(no_grad):
    """Ops in the block, or in the decorated function, leave a graph behind, also inside `no_grad`."""

    mode = True


class set_grad_enabled(_GradMode):
    """Set the grad mode: at once, and until the end of the block where it is used as one.

    Raises:
        TypeError: the mode is no bool.
    """

    def __init__(self, mode: bool) -> None:
        if not isinstance(mode, bool):
            raise TypeError(
                f"set_grad_enabled(): argument 'enabled' (position 1) must be bool, not {type(mode).__name__}"
            )
        super().__init__()
        self.mode = mode
        super().__enter__()

    def __enter__(self) -> None:
        """Keep the mode that the constructor set."""

    def _again(self) -> _Mode:
        return enable_grad() if self.mode else no_grad()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Decorate: the mode holds in the function, not from here on."""
        local.recorder.grad_enabled = self.before.pop()
        return super().__call__(function)


class inference_mode(_Mode):
    """Like `no_grad`; and the tensors made in the block can never be part of a graph, nor count their writes.

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
        """Decorate at once where it is given a function."""
        if isinstance(mode, bool):
            return object.__new__(cls)
        made = object.__new__(cls)
        made.__init__(True)  # type: ignore[misc]
        return made(mode)

    def __init__(self, mode: Any = True) -> None:
        self.mode = mode
        self.before: list[tuple[bool, bool]] = []

    def _again(self) -> _Mode:
        return inference_mode(self.mode)

    def __enter__(self) -> None:
        recorder = local.recorder
        self.before.append((recorder.grad_enabled, inference.switch(self.mode)))
        recorder.grad_enabled = not self.mode

    def __exit__(self, *_: object) -> None:
        local.recorder.grad_enabled, inferring = self.before.pop()
        inference.switch(inferring)


def is_grad_enabled() -> bool:
    """Whether ops called in this thread leave a graph behind."""
    return local.recorder.grad_enabled


def is_inference(self: Tensor) -> bool:
    """Whether the tensor was made in `inference_mode`."""
    return isinstance(self.storage, inference.InferenceStorage)


FUNCTIONS: dict[str, Any] = {
    "no_grad": no_grad,
    "enable_grad": enable_grad,
    "set_grad_enabled": set_grad_enabled,
    "inference_mode": inference_mode,
    "is_grad_enabled": is_grad_enabled,
    "is_inference_mode_enabled": inference.enabled,
    "is_inference": is_inference,
}
METHODS: dict[str, Any] = {"is_inference": is_inference}
