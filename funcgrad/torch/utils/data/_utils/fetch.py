"""The batch of a task: the samples of some indices, or the next ones of a stream, put together."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from funcgrad.torch._tensor.registry import FUNCTIONS
from funcgrad.torch.utils.data._utils.collate import default_collate
from funcgrad.torch.utils.data.dataset import Subset, TensorDataset


@dataclass(frozen=True)
class Recipe:
    """How a loader makes batches. It can be sent to another process.

    Attributes:
        streams: whether the dataset is a stream.
        batches: whether samples are joined to batches.
        collate: makes a batch of a list of samples, or converts a sample.
        drop_last: whether a stream's last batch is left out if it is shorter.
    """

    streams: bool
    batches: bool
    collate: Callable[[Any], Any]
    drop_last: bool

    def fetcher(self, dataset: Any) -> Callable[[Any], Any]:
        """The function that gives the batch of a task, for one copy of the dataset."""
        return (_Stream if self.streams else _Map)(self, dataset).fetch


class _Map:
    """The tasks of a dataset with indices: each is an index or a list of them."""

    def __init__(self, recipe: Recipe, dataset: Any) -> None:
        self.recipe, self.dataset = recipe, dataset

    def fetch(self, task: Any) -> Any:
        """The batch of the indices."""
        collate, dataset = self.recipe.collate, self.dataset
        if not self.recipe.batches:
            return collate(dataset[task])
        whole = _whole(dataset, task) if collate is default_collate else None
        if whole is not None:
            return whole
        if getattr(dataset, "__getitems__", None):
            return collate(dataset.__getitems__(task))
        return collate([dataset[index] for index in task])


def _whole(dataset: Any, indices: Any) -> list[Any] | None:
    """The batch of a `TensorDataset` or of a part of one, taken in one go; None for other datasets."""
    # Exact types: a subclass may take its items in another way, and a bool or a tensor indexes in another.
    while type(dataset) is Subset:
        indices, dataset = [dataset.indices[k] for k in indices], dataset.dataset
    if type(dataset) is not TensorDataset or any(each.requires_grad for each in dataset.tensors):
        return None
    if not all(type(each) is int for each in indices):
        return None
    at = FUNCTIONS["tensor"](indices)
    return [each[at] for each in dataset.tensors]


class _Stream:
    """The tasks of a stream: each takes the next samples."""

    def __init__(self, recipe: Recipe, dataset: Any) -> None:
        self.recipe, self.samples, self.ended = recipe, iter(dataset), False

    def fetch(self, task: Any) -> Any:
        """The next batch.

        Raises:
            StopIteration: there is none.
        """
        if self.ended:
            raise StopIteration
        if not self.recipe.batches:
            return self.recipe.collate(next(self.samples))
        found = []
        for _ in task:
            try:
                found.append(next(self.samples))
            except StopIteration:
                self.ended = True
                break
        if not found or (self.recipe.drop_last and len(found) < len(task)):
            raise StopIteration
        return self.recipe.collate(found)
