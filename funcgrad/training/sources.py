"""Where batches come from, with the place to go on from: any iterable, or one that can begin anywhere."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from funcgrad.regression.precision import check_indices, integers_kept, needs_float64, numbers
from funcgrad.regression.sums import pair_of
from funcgrad.training.loop import Loss

Batches = Iterable[tuple[PyTree, PyTree]]
Source = Batches | Callable[[int], Batches]


class Counted(Iterator[tuple[PyTree, PyTree]]):
    """The batches of any iterable; its position is the number of batches done, which are skipped to go there."""

    def __init__(self, batches: Batches, position: np.ndarray | None) -> None:
        self.position = np.asarray(0 if position is None else position)
        self._items = iter(batches)
        for done in range(int(self.position)):
            if next(self._items, None) is None:
                raise ValueError(
                    f"{int(self.position)} batches were done, but there are only {done}"
                )

    def __next__(self) -> tuple[PyTree, PyTree]:
        pair = pair_of(next(self._items))
        self.position = self.position + 1
        return pair

    def close(self) -> None:
        """Do nothing: the iterable belongs to the caller."""


def is_stream(source: Any) -> bool:
    """Return whether a source's epochs can begin anywhere, like the epochs of a `datasets.Stream`."""
    return hasattr(source, "epoch")


def epoch_of(source: Any, number: int, position: PyTree | None) -> Any:
    """Return an iterator over an epoch's batches that knows its position.

    A source with a method `epoch(number, position)`, such as `datasets.Stream`, begins where it is told.
    """
    if is_stream(source):
        return source.epoch(number, position)
    if callable(source):
        return Counted(source(number), position)
    if hasattr(source, "shape") or not isinstance(source, Iterable):
        raise TypeError(f"batches are an iterable of pairs (x, y), got {type(source).__name__}")
    if number > 0 and iter(source) is source:
        raise ValueError(
            "these batches come from an iterator, which is used up after one epoch: give a list, or a "
            "function from the epoch's number to its batches"
        )
    return Counted(source, position)


class _Peeked:
    """Another source, one batch of which was read already; its first epoch begins with that one."""

    def __init__(self, source: Any, begun: Iterator[Any]) -> None:
        self._source, self._begun = source, [begun]

    def __call__(self, number: int) -> Batches:
        if number == 0 and self._begun:
            return self._begun.pop()
        return self._source(number) if callable(self._source) else self._source


def peek(source: Any) -> tuple[Any, Any]:
    """Return the first batch of a source, None if there is none, and a source of all its batches.

    A source that knows its dtype is not read: an empty array of that stands for its batches.
    """
    if is_stream(source):
        return np.empty(0, getattr(source, "dtype", None)), source
    if isinstance(source, list | tuple):
        return (source[0] if source else None), source
    if not callable(source) and (hasattr(source, "shape") or not isinstance(source, Iterable)):
        return None, source
    begun = iter(source(0) if callable(source) else source)
    first = next(begun, None)
    whole = begun if first is None else chain([first], begun)
    return first, whole if begun is source else _Peeked(source, whole)


def for_loss(loss: Loss, x: PyTree, y: PyTree) -> tuple[PyTree, PyTree]:
    """Return x and y by the rule of dtypes; for a loss of our own, integers are numbers like others."""
    check_indices(x=x, y=y)
    if hasattr(loss, "by_row"):
        return numbers("x", x), numbers("y", y)
    return jax.tree.map(integers_kept, (x, y))


def check_dtype(batch: PyTree, *, float64: bool) -> None:
    """Refuse a batch of 64 bits where the batches before it were not.

    Raises:
        TypeError: its dtype would be cut.
    """
    if not float64 and needs_float64(batch):
        raise TypeError(
            "a batch holds 64-bit numbers, which the parameters and the first batch did not: give all "
            "batches in one dtype"
        )


def position_like(source: Any) -> PyTree:
    """Return a position's structure, to read one back from a checkpoint."""
    return source.start() if is_stream(source) else np.asarray(0)


def expected_rows(source: Any) -> int | None:
    """Return about how many rows an epoch has, where the source can tell."""
    return getattr(source, "expected_rows", None)


def rows_of(batch: PyTree) -> int:
    """Return the number of rows of a batch."""
    shapes = [np.shape(leaf) for leaf in jax.tree.leaves(batch)]
    counts = {shape[0] if shape else None for shape in shapes}
    if len(counts) != 1 or None in counts:
        raise ValueError(f"all arrays of a batch have the same number of rows, got {shapes}")
    return int(counts.pop() or 0)
