"""`torch.Size`."""

import math
import operator
from collections.abc import Iterable, Sequence
from operator import index
from typing import Any, SupportsIndex, overload


class Size(tuple[int, ...]):
    """The shape of a tensor: a tuple of ints that prints as PyTorch's.

    Slices, sums and repetitions are `Size` again.

    Raises:
      TypeError: an item is not an integer.

    >>> Size([2, 3, 4])[1:], Size([2, 3]).numel()
    (torch.Size([3, 4]), 6)

    Behaviour: https://pytorch.org/docs/stable/size.html
    """

    __slots__ = ()

    def __new__(cls, sizes: Iterable[SupportsIndex] = ()) -> "Size":
        """Check every item and take the ints."""
        items = tuple(sizes)
        for position, item in enumerate(items):
            if not hasattr(item, "__index__"):
                raise TypeError(
                    "torch.Size() takes an iterable of 'int' "
                    f"(item {position} is '{type(item).__name__}')"
                )
        return tuple.__new__(cls, map(operator.index, items))

    def numel(self) -> int:
        """The number of elements of a tensor of this shape."""
        return math.prod(self)

    def __repr__(self) -> str:
        """PyTorch's spelling, such as `torch.Size([2, 3])`."""
        return f"torch.Size({list(self)})"

    @overload
    def __getitem__(self, key: SupportsIndex) -> int: ...
    @overload
    def __getitem__(self, key: slice) -> "Size": ...
    def __getitem__(self, key: Any) -> Any:
        """One length, or a `Size` for a slice."""
        found = tuple.__getitem__(self, key)
        return _size(found) if isinstance(found, tuple) else found

    def __add__(self, other: Any) -> "Size":
        """Concatenate with a tuple of ints."""
        if not isinstance(other, tuple):
            raise TypeError(
                f"can only concatenate tuple (not {type(other).__name__}) to torch.Size"
            )
        return Size(tuple.__add__(self, other))

    def __radd__(self, other: Any) -> "Size":
        """Concatenate to a tuple of ints."""
        if not isinstance(other, tuple):
            return NotImplemented
        return Size(tuple.__add__(other, self))

    def __mul__(self, count: SupportsIndex) -> "Size":
        """Repeat the lengths."""
        if not hasattr(count, "__index__"):
            kind = type(count).__name__
            raise TypeError(f"can't multiply sequence by non-int of type '{kind}'")
        return _size(tuple.__mul__(self, count))

    __rmul__ = __mul__

    def __reduce__(self) -> tuple[type["Size"], tuple[tuple[int, ...]]]:
        """Pickle as a plain tuple, checked again when loaded."""
        return Size, (tuple(self),)


def _size(lengths: tuple[int, ...]) -> Size:
    return tuple.__new__(Size, lengths)


def ints(given: Sequence[Any], of: str = "view(): argument 'size'") -> tuple[int, ...]:
    """Integers given one by one or as one sequence; a bool counts as one after the first.

    Args:
        given: the integers, or a sequence of them alone.
        of: the method and the argument, for the error.

    Raises:
        TypeError: an element is no integer.
    """
    listed = len(given) == 1 and isinstance(given[0], (tuple, list))
    if listed:
        given = given[0]
    found = []
    for place, each in enumerate(given):
        try:
            if place == 0 and isinstance(each, bool):
                raise TypeError
            found.append(int(index(each)))
        except TypeError:
            kind = type(each).__name__.removesuffix("View")
            if place:
                words = f'failed to unpack the object at pos {place + 1} with error "type must be tuple of ints,but got {kind}"'
            elif listed:
                words = (
                    f"(position 1) must be tuple of ints, but found element of type {kind} at pos 0"
                )
            else:
                words = f"(position 1) must be tuple of ints, not {kind}"
            raise TypeError(f"{of} {words}") from None
    return tuple(found)
