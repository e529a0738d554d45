"""PyTorch's `torch.futures`: values that are there later."""

from collections.abc import Callable
from concurrent.futures import Future as _Future
from concurrent.futures import InvalidStateError
from threading import Lock
from types import GenericAlias
from typing import Any

__all__ = ["Future", "collect_all", "wait_all"]


def __dir__() -> list[str]:
    return __all__


class Future:
    """A value that is there later.

    Args:
        devices: accepted; values are whole once they are there.

    >>> future = Future()
    >>> twice = future.then(lambda done: 2 * done.value())
    >>> future.set_result(21)
    >>> twice.wait()
    42
    """

    __class_getitem__: Any = classmethod(GenericAlias)

    def __init__(self, *, devices: Any = None) -> None:
        self._of: _Future[Any] = _Future()

    def done(self) -> bool:
        """Whether there is a value or an error."""
        return self._of.done()

    def wait(self) -> Any:
        """Wait for the value.

        Raises:
            Exception: the error in its place.
        """
        return self._of.result()

    def value(self) -> Any:
        """The value, which is there.

        Raises:
            RuntimeError: it is not.
            Exception: the error in its place.
        """
        if not self.done():
            raise RuntimeError(
                "The future is not complete: wait() waits for its value, value() only takes it"
            )
        return self._of.result()

    def set_result(self, result: Any) -> None:
        """Give the value, once.

        Raises:
            RuntimeError: there is one.
        """
        try:
            self._of.set_result(result)
        except InvalidStateError:
            raise RuntimeError(
                "Attempting to mark a completed Future as complete again. Note that a Future can only be marked completed once."
            ) from None

    def set_exception(self, result: Any) -> None:
        """Give an error in the value's place.

        Raises:
            AssertionError: it is none.
        """
        if not isinstance(result, Exception):
            raise AssertionError(f"{result} is of type {type(result)}, not an Exception.")
        self._of.set_exception(result)

    def add_done_callback(self, callback: Callable[["Future"], Any]) -> None:
        """Call a function of this future once it is done."""
        self._of.add_done_callback(lambda _: callback(self))

    def then(self, callback: Callable[["Future"], Any]) -> "Future":
        """The future of the result of a function, which is called once this future is done.

        An error of the function is the cause of a RuntimeError, which stands for the result.
        """
        following = Future()

        def go_on(_: Any) -> None:
            try:
                following.set_result(callback(self))
            except Exception as error:
                words = RuntimeError(f"{type(error).__name__}: {error}")
                words.__cause__ = error
                following.set_exception(words)

        self._of.add_done_callback(go_on)
        return following


def collect_all(futures: list[Future]) -> Future:
    """The future of all: it is done when each of them is, or one has an error. Its value is the list of them."""
    whole, left, lock = Future(), [len(futures)], Lock()

    def one_more(done: Future) -> None:
        with lock:
            left[0] -= 1
            error = done._of.exception()
            if not whole.done() and error is not None:
                whole._of.set_exception(error)
            elif not whole.done() and not left[0]:
                whole.set_result(list(futures))

    for each in futures:
        each.add_done_callback(one_more)
    if not futures:
        whole.set_result([])
    return whole


def wait_all(futures: list[Future]) -> list[Any]:
    """The values of all, when they are there."""
    return [each.wait() for each in collect_all(futures).wait()]
