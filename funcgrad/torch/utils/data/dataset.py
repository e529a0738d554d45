"""Datasets: by index, as streams, of tensors, parts and joins of others. Behaviour: https://pytorch.org/docs/stable/data.html"""

import bisect
import itertools
import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from funcgrad.torch._random.generator import Generator, default_generator
from funcgrad.torch._tensor.registry import FUNCTIONS
from funcgrad.torch._tensor.tensor import Tensor

__all__ = [
    "ChainDataset",
    "ConcatDataset",
    "Dataset",
    "IterableDataset",
    "StackDataset",
    "Subset",
    "TensorDataset",
    "random_split",
]

_Sample = TypeVar("_Sample", covariant=True)


class Dataset(Generic[_Sample]):
    """Samples by index: a subclass has `__getitem__`, and `__len__` for samplers.

    >>> class Squares(Dataset):
    ...     def __len__(self):
    ...         return 3
    ...
    ...     def __getitem__(self, k):
    ...         return k * k
    >>> [Squares()[k] for k in range(3)]
    [0, 1, 4]
    """

    def __getitem__(self, index: Any) -> _Sample:
        """The sample of an index."""
        raise NotImplementedError("Subclasses of Dataset should implement __getitem__.")

    def __add__(self, other: "Dataset[Any]") -> "ConcatDataset[Any]":
        """This dataset, then another."""
        return ConcatDataset([self, other])


class IterableDataset(Dataset[_Sample], Iterable[_Sample]):
    """A stream of samples: a subclass has `__iter__`. With several workers each one has the stream, unless it divides it."""

    def __add__(self, other: Dataset[Any]) -> "ChainDataset":  # type: ignore[override]
        """This stream, then another."""
        return ChainDataset([self, other])


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Tensors of one length; a sample is the slice of each.

    >>> import funcgrad.torch as torch
    >>> TensorDataset(torch.arange(3), torch.ones(3))[1]
    (tensor(1), tensor(1.))
    """

    tensors: tuple[Tensor, ...]

    def __init__(self, *tensors: Tensor) -> None:
        """Hold the tensors.

        Raises:
            AssertionError: their lengths differ.
        """
        if any(tensors[0].size(0) != tensor.size(0) for tensor in tensors):
            raise AssertionError("Size mismatch between tensors")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        """The slice of each tensor."""
        return tuple([tensor[index] for tensor in self.tensors])

    def __len__(self) -> int:
        """The tensors' length."""
        return self.tensors[0].size(0)


class StackDataset(Dataset[Any]):
    """Datasets side by side: a sample is a tuple of their samples, or a dict if they are given by name."""

    datasets: Any

    def __init__(self, *args: Dataset[Any], **kwargs: Dataset[Any]) -> None:
        """Hold the datasets.

        Raises:
            ValueError: there are none, both forms are given, or their lengths differ.
        """
        if args and kwargs:
            raise ValueError(
                "Supported either ``tuple``- (via ``args``) or``dict``- (via ``kwargs``) like input/output, but both types "
                "are given."
            )
        if not (args or kwargs):
            raise ValueError("At least one dataset should be passed")
        given: list[Any] = list(args or kwargs.values())
        self._length = len(given[0])
        if any(len(each) != self._length for each in given):
            raise ValueError("Size mismatch between datasets")
        self.datasets = args or kwargs

    def __getitem__(self, index: Any) -> Any:
        """The samples of an index."""
        if isinstance(self.datasets, dict):
            return {name: each[index] for name, each in self.datasets.items()}
        return tuple(each[index] for each in self.datasets)

    def __getitems__(self, indices: list[Any]) -> list[Any]:
        """The samples of several indices."""
        named = isinstance(self.datasets, dict)
        given = self.datasets.values() if named else self.datasets
        columns = [_samples(each, indices) for each in given]
        for items in columns:
            if len(items) != len(indices):
                raise ValueError(
                    f"Nested dataset's output size mismatch. Expected {len(indices)}, got {len(items)}"
                )
        rows = zip(*columns, strict=True)
        return [dict(zip(self.datasets, row, strict=True)) for row in rows] if named else list(rows)

    def __len__(self) -> int:
        """The datasets' length."""
        return self._length


def _samples(dataset: Any, indices: list[Any]) -> Any:
    """The samples of several indices, by the dataset's own way if it has one."""
    if callable(getattr(dataset, "__getitems__", None)):
        return dataset.__getitems__(indices)
    return [dataset[index] for index in indices]


class ConcatDataset(Dataset[_Sample]):
    """Datasets one after another."""

    datasets: list[Dataset[Any]]
    cumulative_sizes: list[int]

    @staticmethod
    def cumsum(sequence: Any) -> list[int]:
        """The running sums of the lengths."""
        return list(itertools.accumulate(len(each) for each in sequence))

    def __init__(self, datasets: Iterable[Dataset[Any]]) -> None:
        """Hold the datasets.

        Raises:
            AssertionError: there is none, or one is a stream.
        """
        self.datasets = list(datasets)
        if not self.datasets:
            raise AssertionError("datasets should not be an empty iterable")
        for each in self.datasets:
            if isinstance(each, IterableDataset):
                raise AssertionError("ConcatDataset does not support IterableDataset")
        self.cumulative_sizes = self.cumsum(self.datasets)

    def __len__(self) -> int:
        """The sum of the lengths."""
        return self.cumulative_sizes[-1]

    def __getitem__(self, idx: int) -> Any:
        """The sample of an index, counted from either end."""
        if idx < 0:
            if -idx > len(self):
                raise ValueError("absolute value of index should not exceed dataset length")
            idx = len(self) + idx
        k = bisect.bisect_right(self.cumulative_sizes, idx)
        return self.datasets[k][idx if k == 0 else idx - self.cumulative_sizes[k - 1]]


class ChainDataset(IterableDataset[Any]):
    """Streams one after another."""

    def __init__(self, datasets: Iterable[Dataset[Any]]) -> None:
        """Hold the streams."""
        super().__init__()
        self.datasets = datasets

    def _streams(self) -> Iterator[Any]:
        for each in self.datasets:
            if not isinstance(each, IterableDataset):
                raise AssertionError("ChainDataset only supports IterableDataset")
            yield each

    def __iter__(self) -> Iterator[Any]:
        """The samples of one stream after another."""
        for each in self._streams():
            yield from each

    def __len__(self) -> int:
        """The sum of the lengths."""
        return sum(len(each) for each in self._streams())


class Subset(Dataset[_Sample]):
    """The samples of a dataset at some indices."""

    dataset: Dataset[Any]
    indices: Sequence[int]

    def __init__(self, dataset: Dataset[Any], indices: Sequence[int]) -> None:
        """Hold a dataset and indices.

        Raises:
            NotImplementedError: a subclass has its own `__getitem__`, and not its own `__getitems__`.
        """
        self.dataset, self.indices = dataset, indices
        if (
            type(self).__getitem__ is not Subset.__getitem__
            and type(self).__getitems__ is Subset.__getitems__
        ):
            raise NotImplementedError(
                f"{type(self).__name__} overrides __getitem__ but not __getitems__. When subclassing Subset and overriding "
                "__getitem__, you must also override __getitems__ to ensure DataLoader works correctly with your custom "
                "logic. A simple implementation:\n\ndef __getitems__(self, indices):\n"
                "    return [self.__getitem__(idx) for idx in indices]"
            )

    def __getitem__(self, idx: Any) -> Any:
        """The sample of an index among the subset's, or of a list of indices."""
        if isinstance(idx, list):
            return self.dataset[[self.indices[k] for k in idx]]
        return self.dataset[self.indices[idx]]

    def __getitems__(self, indices: list[int]) -> Any:
        """The samples of several indices."""
        return _samples(self.dataset, [self.indices[k] for k in indices])

    def __len__(self) -> int:
        """The number of indices."""
        return len(self.indices)


def random_split(
    dataset: Any,
    lengths: Sequence[int | float],
    generator: Generator | None = default_generator,
) -> list[Subset[Any]]:
    """Divide a dataset at random.

    Args:
        dataset: has a length.
        lengths: the parts' lengths; or fractions with a sum of 1, where the first parts get what rounding leaves.
        generator: the source of random numbers.

    Raises:
        ValueError: the lengths do not add up.

    >>> import funcgrad.torch as torch
    >>> parts = random_split(range(10), [0.7, 0.3], generator=torch.Generator().manual_seed(0))
    >>> [len(each) for each in parts]
    [7, 3]
    """
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1:
        found = []
        for k, part in enumerate(lengths):
            if part < 0 or part > 1:
                raise ValueError(f"Fraction at index {k} is not between 0 and 1")
            found.append(math.floor(len(dataset) * part))
        for k in range(len(dataset) - sum(found)):
            found[k % len(found)] += 1
        lengths = found
        for k, length in enumerate(lengths):
            if length == 0:
                warnings.warn(
                    f"Length of split at index {k} is 0. This might result in an empty dataset.",
                    stacklevel=2,
                )
    if sum(lengths) != len(dataset):
        raise ValueError("Sum of input lengths does not equal the length of the input dataset!")
    order = FUNCTIONS["randperm"](sum(lengths), generator=generator).tolist()
    ends = itertools.accumulate(lengths)
    return [
        Subset(dataset, order[int(end - length) : int(end)])
        for end, length in zip(ends, lengths, strict=True)
    ]


def __dir__() -> list[str]:
    return __all__
