"""Samplers: the order of a dataset's indices, with PyTorch's random numbers."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from funcgrad.torch._random.distributions import random
from funcgrad.torch._random.generator import Generator
from funcgrad.torch._tensor.registry import FUNCTIONS
from funcgrad.torch._types.dtypes import float64

__all__ = [
    "BatchSampler",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "SubsetRandomSampler",
    "WeightedRandomSampler",
]

_Index = TypeVar("_Index", covariant=True)


class Sampler(Generic[_Index]):
    """The indices of a dataset in some order: a subclass has `__iter__`, and `__len__` if it knows how many there are."""

    def __iter__(self) -> Iterator[Any]:
        """The indices."""
        raise NotImplementedError


class SequentialSampler(Sampler[int]):
    """The indices in order."""

    def __init__(self, data_source: Any) -> None:
        """Hold the dataset."""
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        """0, 1, 2, ..."""
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        """The dataset's length."""
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """The indices in random order, or drawn with replacement."""

    def __init__(
        self,
        data_source: Any,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        """Hold the dataset and the settings.

        Args:
            data_source: the dataset.
            replacement: whether an index may come again.
            num_samples: how many indices; the dataset's length if None.
            generator: the source of random numbers; one seeded from the default generator if None.

        Raises:
            TypeError, ValueError: a setting is wrong.
        """
        self.data_source, self.replacement = data_source, replacement
        self._num_samples, self.generator = num_samples, generator
        if not isinstance(replacement, bool):
            raise TypeError(
                f"replacement should be a boolean value, but got replacement={replacement}"
            )
        if not isinstance(self.num_samples, int) or self.num_samples <= 0:
            raise ValueError(
                f"num_samples should be a positive integer value, but got num_samples={self.num_samples}"
            )

    @property
    def num_samples(self) -> int:
        """How many indices."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        """The indices."""
        n = len(self.data_source)
        generator = self.generator
        if generator is None:
            generator = Generator().manual_seed(int(random(())))
        if self.replacement:
            # PyTorch draws 32 at a time.
            full, rest = divmod(self.num_samples, 32)
            for count in (*[32] * full, rest):
                yield from FUNCTIONS["randint"](0, n, (count,), generator=generator).tolist()
            return
        full, rest = divmod(self.num_samples, n)
        for count in (*[n] * full, rest):
            yield from FUNCTIONS["randperm"](n, generator=generator).tolist()[:count]

    def __len__(self) -> int:
        """How many indices."""
        return self.num_samples


class SubsetRandomSampler(Sampler[int]):
    """Some indices, in random order."""

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        """Hold the indices."""
        self.indices, self.generator = indices, generator

    def __iter__(self) -> Iterator[int]:
        """The indices."""
        for k in FUNCTIONS["randperm"](len(self.indices), generator=self.generator).tolist():
            yield self.indices[k]

    def __len__(self) -> int:
        """How many indices."""
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
    """Indices drawn in proportion to weights."""

    def __init__(
        self,
        weights: Sequence[float],
        num_samples: int,
        replacement: bool = True,
        generator: Generator | None = None,
    ) -> None:
        """Hold the weights.

        Raises:
            ValueError: a setting is wrong.
        """
        if not isinstance(num_samples, int) or isinstance(num_samples, bool) or num_samples <= 0:
            raise ValueError(
                f"num_samples should be a positive integer value, but got num_samples={num_samples}"
            )
        if not isinstance(replacement, bool):
            raise ValueError(
                f"replacement should be a boolean value, but got replacement={replacement}"
            )
        self.weights = FUNCTIONS["as_tensor"](weights, dtype=float64)
        if self.weights.ndim != 1:
            raise ValueError(
                "weights should be a 1d sequence but given weights have shape "
                f"{tuple(self.weights.shape)}"
            )
        self.num_samples, self.replacement, self.generator = num_samples, replacement, generator

    def __iter__(self) -> Iterator[int]:
        """The indices."""
        drawn = FUNCTIONS["multinomial"](
            self.weights, self.num_samples, self.replacement, generator=self.generator
        )
        yield from drawn.tolist()

    def __len__(self) -> int:
        """How many indices."""
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """The indices of another sampler in lists of one length; the last may be shorter.

    >>> list(BatchSampler(range(5), 2, drop_last=False))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        """Hold the sampler.

        Args:
            sampler: the indices.
            batch_size: the length of a batch.
            drop_last: whether to leave out a last batch that is shorter.

        Raises:
            ValueError: a setting is wrong.
        """
        if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size <= 0:
            raise ValueError(
                f"batch_size should be a positive integer value, but got batch_size={batch_size}"
            )
        if not isinstance(drop_last, bool):
            raise ValueError(f"drop_last should be a boolean value, but got drop_last={drop_last}")
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last

    def __iter__(self) -> Iterator[list[int]]:
        """The batches."""
        indices = iter(self.sampler)
        while batch := list(itertools.islice(indices, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch

    def __len__(self) -> int:
        """How many batches."""
        count: int = len(self.sampler)  # type: ignore[arg-type]
        return (count if self.drop_last else count + self.batch_size - 1) // self.batch_size


def __dir__() -> list[str]:
    return __all__
