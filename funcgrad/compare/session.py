"""A problem on a backend: the same two functions for all backends."""

from collections.abc import Callable
from typing import NamedTuple

from funcgrad.compare.problem import Parameters


class Session(NamedTuple):
    """A problem that a backend has placed on its device and can run any number of times.

    Attributes:
        train: takes so many steps from the initial parameters, and returns the last parameters once they
            are back on the host. Its calls are timed.
        value_and_grad: the loss and its gradient at any parameters.
    """

    train: Callable[[int], Parameters]
    value_and_grad: Callable[[Parameters], tuple[float, Parameters]]
