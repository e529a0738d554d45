"""State that each thread has of its own, and how a new thread goes on in the place of another, with that one's state.

A function that calls itself through a walk backward is bounded by Python's recursion limit, which counts for each thread
alone. So a deep walk goes on in a new thread, as in PyTorch.
"""

import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Any, ClassVar, Self

import jax


class PerThread(threading.local):
    """State that each thread has of its own; each kind is made once."""

    everything: ClassVar[list["PerThread"]] = []

    def __new__(cls) -> Self:
        """Note the kind down, for threads to come that go on in the place of another."""
        made = super().__new__(cls)
        PerThread.everything.append(made)
        return made


def in_new_thread(function: Callable[[], Any]) -> Any:
    """Call a function in a new thread with the state of this one, which waits; return or raise as it does.

    An interrupt waits, too: two threads must not have the same state.
    """
    held = [(each, vars(each)) for each in PerThread.everything]
    device, context = jax.config.values["jax_default_device"], copy_context()
    results: list[Any] = []
    errors: list[BaseException] = []

    def call() -> None:
        for each, state in held:
            vars(each).update(state)
        try:
            with jax.default_device(device):
                results.append(context.run(function))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    interrupt = None
    while thread.is_alive():
        try:
            thread.join()
        except BaseException as error:
            interrupt = error
    if errors:
        raise errors[0]
    if interrupt is not None:
        raise interrupt
    return results[0]
