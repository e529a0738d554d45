"""A problem on a backend: the same two functions for all backends."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from funcgrad.compare.problem import Parameters


class Session(NamedTuple):
    """A problem that a backend has placed on its device and can run any number of times.

    Attributes:
        train: takes so many steps from the initial parameters, and returns the last parameters once they
            are back on the host. Its calls are timed.
        value_and_grad: the loss and its gradient at any parameters.
        along: called with `every` and `count`: the parameters after so many steps, twice so many and so on, in one
            training. None if there is no such thing: then it is trained anew for each.
    """

    train: Callable[[int], Parameters]
    value_and_grad: Callable[[Parameters], tuple[float, Parameters]]
    along: Callable[[int, int], list[Parameters]] | None = None

    def path(self, every: int, count: int) -> list[Parameters]:
        """Return the parameters after `every` steps, twice so many, and so on, `count` times."""
        if self.along is not None:
            return self.along(every, count)
        return [self.train(every * k) for k in range(1, count + 1)]
