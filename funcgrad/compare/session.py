"""What a backend makes of a problem: the same two questions for all."""

from collections.abc import Callable
from typing import NamedTuple

from funcgrad.compare.problem import Parameters


class Session(NamedTuple):
    """A problem that a backend has placed on its device and can run any number of times.

    Attributes:
        train: takes so many steps from the initial parameters and returns the last ones once they
            are back on the host; this is what is timed.
        value_and_grad: the loss and its gradient at any parameters.
    """

    train: Callable[[int], Parameters]
    value_and_grad: Callable[[Parameters], tuple[float, Parameters]]
