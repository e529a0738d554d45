"""A number for each dimension of a window."""

from collections.abc import Callable, Iterable
from typing import Any


def times(count: int) -> Callable[[Any], tuple[Any, ...]]:
    """A function that gives a sequence as a tuple, and anything else so many times."""

    def each(given: Any) -> tuple[Any, ...]:
        return tuple(given) if isinstance(given, Iterable) else (given,) * count

    return each
