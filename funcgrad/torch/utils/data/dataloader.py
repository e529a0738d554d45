"""`DataLoader`: the batches of a dataset, in PyTorch's order under a seed."""

import contextlib
import math
import multiprocessing
import multiprocessing.context
import os
import warnings
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Future
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from funcgrad.torch._random.distributions import random
from funcgrad.torch._random.generator import Generator
from funcgrad.torch._types.accelerators import accelerator
from funcgrad.torch.utils.data._utils.collate import default_collate, default_convert
from funcgrad.torch.utils.data._utils.fetch import Recipe
from funcgrad.torch.utils.data._utils.worker import (
    Caught,
    Ended,
    Handle,
    Settings,
    get_worker_info,
    same_streams,
    streams,
)
from funcgrad.torch.utils.data.dataset import IterableDataset
from funcgrad.torch.utils.data.sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
)

__all__ = ["DataLoader", "default_collate", "default_convert", "get_worker_info"]

_Batch = TypeVar("_Batch", covariant=True)
_T = TypeVar("_T")
_collate_fn_t: TypeAlias = Callable[[list[_T]], Any]


class _DatasetKind:
    """The two kinds of datasets, as `DataLoader._dataset_kind` tells them."""

    Map, Iterable = 0, 1


class _Endless(Sampler[None]):
    """The sampler of a stream, which has no indices."""

    def __iter__(self) -> Iterator[None]:
        while True:
            yield None


class DataLoader(Generic[_Batch]):
    """The batches of a dataset.

    Args:
        dataset: a dataset with indices, or a stream.
        batch_size: the number of samples in a batch; None for single samples.
        shuffle: whether the order is random, and another one each time.
        sampler: the indices, in place of `shuffle`.
        batch_sampler: lists of indices, in place of `batch_size`, `shuffle`, `sampler` and `drop_last`.
        num_workers: how many threads make batches ahead; with the context "spawn" or "forkserver", how many processes. A
            thread whose first batch draws from `random` or `numpy.random` works only while the loader waits for it.
        collate_fn: makes a batch of a list of samples; `default_collate` if None.
        pin_memory: accepted; JAX does not show pinned memory.
        drop_last: whether to leave out a last batch that is shorter.
        timeout: the most seconds that a worker may take for a batch; zero for no limit.
        worker_init_fn: called with a worker's number before it begins.
        multiprocessing_context: "spawn" or "forkserver", for processes. Nothing is forked: JAX's threads would be missing.
        generator: the source of random numbers.
        prefetch_factor: how many batches are made ahead for each worker; 2 if None.
        persistent_workers: whether the workers outlive an epoch.
        pin_memory_device: accepted.
        in_order: accepted; batches come in order.

    Raises:
        ValueError, TypeError: options that do not go together, or are out of range.

    >>> import funcgrad.torch as torch
    >>> loader = DataLoader(torch.utils.data.TensorDataset(torch.arange(5)), batch_size=2)
    >>> [batch.tolist() for (batch,) in loader]
    [[0, 1], [2, 3], [4]]

    Behaviour: https://pytorch.org/docs/stable/data.html
    """

    _initialized = False
    _iterator: Any = None

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Any = None,
        batch_sampler: Any = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], Any] | None = None,
        multiprocessing_context: Any = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        """Check the options, and choose the samplers."""
        _check_options(num_workers, timeout, prefetch_factor, persistent_workers)
        self.dataset, self.num_workers = dataset, num_workers
        self.prefetch_factor = 2 if num_workers and prefetch_factor is None else prefetch_factor
        self.pin_memory, self.pin_memory_device = pin_memory, pin_memory_device
        self.timeout, self.worker_init_fn, self.in_order = timeout, worker_init_fn, in_order
        self.multiprocessing_context = multiprocessing_context
        self._streams = isinstance(dataset, IterableDataset)
        if self._streams:
            _check_stream(shuffle, sampler, batch_sampler)
        else:
            shuffle = bool(shuffle)
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last"
                )
            batch_size, drop_last = None, False
        elif batch_size is None and drop_last:
            raise ValueError(
                "batch_size=None option disables auto-batching and is mutually exclusive with drop_last"
            )
        if sampler is None:
            if self._streams:
                sampler = _Endless()
            elif shuffle:
                sampler = RandomSampler(dataset, generator=generator)
            else:
                sampler = SequentialSampler(dataset)
        if batch_size is not None and batch_sampler is None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.batch_size, self.drop_last, self.generator = batch_size, drop_last, generator
        self.sampler, self.batch_sampler = sampler, batch_sampler
        self.collate_fn = collate_fn or (default_collate if self._batches else default_convert)
        self.persistent_workers = persistent_workers
        self._length_told: int | None = None
        self._initialized = True
        self.check_worker_number_rationality()

    @property
    def _dataset_kind(self) -> int:
        """Whether the dataset has indices or is a stream; libraries ask."""
        return _DatasetKind.Iterable if self._streams else _DatasetKind.Map

    @property
    def _batches(self) -> bool:
        """Whether samples are joined to batches."""
        return self.batch_sampler is not None

    @property
    def _indices(self) -> Any:
        """The sampler of whole tasks."""
        return self.batch_sampler if self._batches else self.sampler

    @property
    def _recipe(self) -> Recipe:
        """How an epoch's batches are made."""
        return Recipe(self._streams, self._batches, self.collate_fn, self.drop_last)

    @property
    def multiprocessing_context(self) -> Any:
        """The context that was asked for."""
        return self._context

    @multiprocessing_context.setter
    def multiprocessing_context(self, context: Any) -> None:
        if context is not None and not self.num_workers:
            raise ValueError(
                "multiprocessing_context can only be used with multi-process loading (num_workers > 0), but got "
                f"num_workers={self.num_workers}"
            )
        if isinstance(context, str):
            known = multiprocessing.get_all_start_methods()
            if context not in known:
                raise ValueError(
                    f"multiprocessing_context option should specify a valid start method in {known!r}, but got "
                    f"multiprocessing_context={context!r}"
                )
            context = multiprocessing.get_context(context)
        if context is not None and not isinstance(context, multiprocessing.context.BaseContext):
            raise TypeError(
                "multiprocessing_context option should be a valid context object or a string specifying the start method, "
                f"but got multiprocessing_context={context}"
            )
        self._context = context

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; the ones that make the batches are fixed.

        Raises:
            ValueError: the attribute is fixed.
        """
        fixed = ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers")  # fmt: skip
        if self._initialized and name in fixed:
            raise ValueError(
                f"{name} attribute should not be set after {type(self).__name__} is initialized"
            )
        super().__setattr__(name, value)

    def __iter__(self) -> Iterator[Any]:
        """The batches of an epoch."""
        if not (self.persistent_workers and self.num_workers):
            return _iterator(self)
        if self._iterator is None:
            self._iterator = _iterator(self)
        else:
            self._iterator.begin()
        return self._iterator

    def __len__(self) -> int:
        """The number of batches; of a stream, the number that its own length gives."""
        if not self._streams:
            return len(self._indices)
        length = self._length_told = len(self.dataset)
        if self.batch_size is None:
            return length
        return length // self.batch_size if self.drop_last else math.ceil(length / self.batch_size)

    def check_worker_number_rationality(self) -> None:
        """Warn of more workers than processors."""
        if not self.num_workers:
            return
        affinity = hasattr(os, "sched_getaffinity")
        cpus = len(os.sched_getaffinity(0)) if affinity else os.cpu_count()
        if cpus is not None and self.num_workers > cpus:
            counted = "" if affinity else " (`cpuset` is not taken into account)"
            warnings.warn(
                f"This DataLoader will create {self.num_workers} worker processes in total. Our suggested max number of worker "
                f"in current system is {cpus}{counted}, which is smaller than what this DataLoader is going to create. Please "
                "be aware that excessive worker creation might get DataLoader running slow or even freeze, lower the worker "
                "number to avoid potential slowness/freeze if necessary.",
                stacklevel=3,
            )


def _check_options(workers: int, timeout: float, prefetch: int | None, persistent: bool) -> None:
    if workers < 0:
        raise ValueError(
            "num_workers option should be non-negative; use num_workers=0 to disable multiprocessing."
        )
    if timeout < 0:
        raise ValueError("timeout option should be non-negative")
    if not workers and prefetch is not None:
        raise ValueError(
            "prefetch_factor option could only be specified in multiprocessing.let num_workers > 0 to enable "
            "multiprocessing, otherwise set prefetch_factor to None."
        )
    if prefetch is not None and prefetch < 0:
        raise ValueError("prefetch_factor option should be non-negative")
    if persistent and not workers:
        raise ValueError("persistent_workers option needs num_workers > 0")


def _check_stream(shuffle: Any, sampler: Any, batch_sampler: Any) -> None:
    """Check that no order is asked for of a stream."""
    words = "DataLoader with IterableDataset: expected unspecified {} option, but got {}={}"
    if shuffle not in (False, None):
        raise ValueError(words.format("shuffle", "shuffle", shuffle))
    for name, each in (("sampler", sampler), ("batch_sampler", batch_sampler)):
        if each is not None:
            raise ValueError(words.format(name, name, each))


# ------------------------------------------------------------------------------------------- an epoch


class _BaseDataLoaderIter:
    """An epoch: what is common to loaders with and without workers."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        self._loader, self._yielded = loader, 0
        if loader.pin_memory and accelerator() is None:
            warnings.warn(
                "'pin_memory' argument is set as true but no accelerator is found, then device pinned memory won't be used.",
                stacklevel=4,
            )
        self._tasks = iter(loader._indices)
        self._base_seed = int(random((), generator=loader.generator))

    def __iter__(self) -> "_BaseDataLoaderIter":
        return self

    def __len__(self) -> int:
        return len(self._loader._indices)

    def _next(self) -> Any:
        raise NotImplementedError

    def __next__(self) -> Any:
        data = self._next()
        self._yielded += 1
        loader = self._loader
        told = loader._length_told
        if loader._streams and told is not None and self._yielded > told:
            words = (
                f"Length of IterableDataset {loader.dataset} was reported to be {told}(when accessing len(dataloader)), but "
                f"{self._yielded} samples have been fetched. "
            )
            if loader.num_workers:
                words += (
                    "For multiprocessing data-loading, this could be caused by not properly configuring the IterableDataset "
                    "replica at each worker. Please see "
                    "https://pytorch.org/docs/stable/data.html#torch.utils.data.IterableDataset for examples."
                )
            warnings.warn(words, stacklevel=2)
        return data


class _SingleProcessDataLoaderIter(_BaseDataLoaderIter):
    """An epoch without workers."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        super().__init__(loader)
        self._fetch = loader._recipe.fetcher(loader.dataset)

    def _next(self) -> Any:
        return self._fetch(next(self._tasks))


@dataclass(eq=False)
class _Task:
    """A task that a worker has been given.

    Attributes:
        number: the worker's.
        indices: of the samples.
        future: of the batch; None for a worker that works only while the loader waits.
    """

    number: int
    indices: Any
    future: Future[Any] | None = None


class _MultiProcessingDataLoaderIter(_BaseDataLoaderIter):
    """An epoch with workers. The indices are drawn ahead, as PyTorch draws them; batches come in their order."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        super().__init__(loader)
        if get_worker_info() is not None:
            raise AssertionError("daemonic processes are not allowed to have children")
        context = loader.multiprocessing_context
        if context is None and multiprocessing.get_start_method(allow_none=True) is not None:
            context = multiprocessing.get_context()
        self._workers: list[Handle] = []
        self._stop = weakref.finalize(self, _stop_workers, self._workers)
        for number in range(loader.num_workers):
            settings = Settings(
                number,
                loader.num_workers,
                self._base_seed,
                loader.dataset,
                loader.worker_init_fn,
                loader._recipe,
            )
            self._workers.append(Handle(settings, context))
        self._begin()

    def begin(self) -> None:
        """Begin another epoch with the same workers, which first finish their tasks, as PyTorch's do."""
        while self._sent:
            with contextlib.suppress(StopIteration, TimeoutError):
                self._batch(self._sent.popleft())
        for worker in self._workers:
            worker.submit("renew")
        self._tasks, self._yielded = iter(self._loader._indices), 0
        self._begin()

    def _begin(self) -> None:
        self._turn, self._active = 0, [True] * len(self._workers)
        self._sent: deque[_Task] = deque()
        for _ in range((self._loader.prefetch_factor or 0) * len(self._workers)):
            self._send()

    def _send(self) -> None:
        """Draw the next task, and give it to the next worker that still has samples."""
        try:
            indices = next(self._tasks)
        except StopIteration:
            return
        for _ in self._workers:
            number = self._turn
            self._turn = (number + 1) % len(self._workers)
            if self._active[number]:
                self._sent.append(_Task(number, indices))
                self._submit(self._sent[-1])
                return

    def _submit(self, task: _Task) -> None:
        worker = self._workers[task.number]
        if worker.alone is False and task.future is None:
            task.future = worker.submit("do", task.indices)

    def _batch(self, task: _Task) -> Any:
        """The worker's result, once it is there.

        Raises:
            TimeoutError: it takes too long.
        """
        worker, timeout = self._workers[task.number], self._loader.timeout or None
        if task.future is None:
            return worker.do_alone(task.indices, timeout)
        if task.future.done():
            return task.future.result()
        before = streams()
        data = task.future.result(timeout)
        if not same_streams(before, streams()):
            self._work_alone()
        return data

    def _work_alone(self) -> None:
        """Let the workers that are threads work only while the loader waits, from now on."""
        new = [worker.work_alone() for worker in self._workers]
        if not any(new):
            return
        for task in self._sent:
            if task.future is not None and task.future.cancel():
                task.future = None
        warnings.warn(
            "A worker of this DataLoader drew from random or numpy.random, and had not for its first batch. The numbers drawn so "
            "far are not PyTorch's. Draw with torch.rand, or let processes load: multiprocessing_context='spawn'.",
            stacklevel=4,
        )

    def _next(self) -> Any:
        while self._sent:
            task = self._sent.popleft()
            if not self._active[task.number]:
                continue
            try:
                data = self._batch(task)
            except TimeoutError:
                seconds = self._loader.timeout
                raise RuntimeError(f"DataLoader timed out after {seconds} seconds") from None
            except BrokenExecutor as error:
                raise RuntimeError("DataLoader worker exited unexpectedly") from error
            for each in self._sent:
                self._submit(each)
            if isinstance(data, Ended):
                self._active[task.number] = False
            self._send()
            if isinstance(data, Caught):
                raise data.again()
            if not isinstance(data, Ended):
                return data
        if not self._loader.persistent_workers:
            self._stop()
        raise StopIteration


def _stop_workers(workers: list[Handle]) -> None:
    for worker in workers:
        worker.executor.shutdown(wait=False, cancel_futures=True)


def _iterator(loader: DataLoader[Any]) -> _BaseDataLoaderIter:
    if loader.num_workers:
        loader.check_worker_number_rationality()
        return _MultiProcessingDataLoaderIter(loader)
    return _SingleProcessDataLoaderIter(loader)


def __dir__() -> list[str]:
    return __all__
