"""The workers of a `DataLoader`, and what their code can ask of them.

A worker is a thread, because JAX's threads do not survive a fork; or a process, where the user asked for processes that are
not forked. It has a copy of the dataset and random streams of its own. PyTorch's stream can belong to a thread. Python's and
NumPy's belong to the process, so a worker that draws from them works only while the loader waits, with its streams in their
place. Its first batch tells whether it draws.
"""

import copy
import random
import sys
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from funcgrad.torch._autograd.switches import is_grad_enabled
from funcgrad.torch._memory import inference
from funcgrad.torch._random.generator import Generator, default_generator, leave_default_stream
from funcgrad.torch.autograd.grad_mode import inference_mode, set_grad_enabled
from funcgrad.torch.utils.data._utils.fetch import Recipe
from funcgrad.torch.utils.data.dataset import Dataset


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """A worker as its own code sees it.

    Attributes:
        id: its number.
        num_workers: how many there are.
        seed: the seed of its random numbers.
        dataset: its copy of the dataset.
        rng: None, as in PyTorch for processes.
        worker_method: "multiprocessing", as in PyTorch.
    """

    id: int
    num_workers: int
    seed: int
    dataset: Any
    rng: Any = None
    worker_method: str | None = "multiprocessing"


class _Current(threading.local):
    """The worker whose code a thread runs; None outside of workers."""

    worker: "Worker | None" = None


_current = _Current()


def get_worker_info() -> WorkerInfo | None:
    """The worker whose code runs; None outside of workers."""
    return None if _current.worker is None else _current.worker.info


# ------------------------------------------------------------------------------------------- errors from elsewhere


class KeyErrorMessage(str):
    """A message that a `KeyError` shows as it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        """The text itself."""
        return str(self)


@dataclass(frozen=True)
class Caught:
    """An error of a worker's code, with its traceback as text."""

    kind: type[BaseException]
    text: str
    where: str

    @classmethod
    def now(cls, where: str) -> "Caught":
        """The error that is being handled."""
        kind, error, trace = sys.exc_info()
        assert kind is not None
        return cls(kind, "".join(traceback.format_exception(kind, error, trace)), where)

    def again(self) -> BaseException:
        """The error to raise in the caller's place: its message is where it was and the traceback."""
        message: str = f"Caught {self.kind.__name__} {self.where}.\nOriginal {self.text}"
        if self.kind is KeyError:
            message = KeyErrorMessage(message)
        elif getattr(self.kind, "message", None):
            return self.kind(message=message)  # type: ignore[call-arg]
        try:
            return self.kind(message)
        except Exception:
            return RuntimeError(message)


class Ended:
    """Stands for a batch when a worker's stream is at its end."""


# ------------------------------------------------------------------------------------------- a worker's own side


@dataclass
class Settings:
    """A worker's beginning. It can be sent to another process."""

    number: int
    count: int
    base_seed: int
    dataset: Any
    init: Callable[[int], Any] | None
    recipe: Recipe


@dataclass
class Modes:
    """The modes of the thread that makes a loader's workers, which have them, too."""

    grad: bool
    inference: bool
    device: Any

    @classmethod
    def now(cls) -> "Modes":
        """The modes of this thread."""
        return cls(is_grad_enabled(), inference.enabled(), jax.config.values["jax_default_device"])

    def enter(self) -> None:
        """Have these modes in this thread, to its end."""
        jax.default_device(self.device).__enter__()
        if self.inference:
            inference_mode().__enter__()
        set_grad_enabled(self.grad)


class Worker:
    """A worker, in the thread or process where its code runs."""

    def __init__(self, settings: Settings) -> None:
        number, seed = settings.number, settings.base_seed + settings.number
        self.where = f"in DataLoader worker process {number}"
        self.info = WorkerInfo(number, settings.count, seed, settings.dataset)
        self.init, self.recipe = settings.init, settings.recipe
        self.fetch: Callable[[Any], Any] | None = None
        self.begun = self.ended = False
        _current.worker = self
        default_generator.manual_seed(seed)

    def begin(self) -> "Caught | None":
        """Call the user's function for a new worker, and begin to read the dataset."""
        try:
            if self.init is not None and not self.begun:
                self.init(self.info.id)
            self.begun = True
            self.fetch = self.recipe.fetcher(self.info.dataset)
        except Exception:
            return Caught.now(self.where)
        return None

    def renew(self) -> None:
        """Read the dataset anew for the tasks to come."""
        self.fetch, self.ended = None, False

    def do(self, task: Any) -> Any:
        """The batch of a task; `Ended` if the stream has no more; `Caught` if the user's code raises."""
        if self.ended:
            return Ended()
        caught = self.begin() if self.fetch is None else None
        if caught is not None:
            return caught
        assert self.fetch is not None
        try:
            return self.fetch(task)
        except Exception as error:
            if isinstance(error, StopIteration) and self.recipe.streams:
                self.ended = True
                return Ended()
            return Caught.now(self.where)


def _start_thread(settings: Settings, modes: Modes) -> None:
    leave_default_stream()
    modes.enter()
    settings.dataset = _own(settings.dataset)
    Worker(settings)


def _start_process(settings: Settings) -> None:
    _set_streams(_seeded(settings.number, settings.base_seed))
    Worker(settings)


def _call(method: str, *args: Any) -> Any:
    """Call a method of the worker of this thread."""
    return getattr(_current.worker, method)(*args)


def _own(value: Any) -> Any:
    """A worker's copy of a dataset: its attributes are its own, and so are the containers and datasets that it holds."""
    if isinstance(value, Dataset):
        value = copy.copy(value)
        held = getattr(value, "__dict__", {})
        held.update({name: _own(each) for name, each in held.items()})
        return value
    if isinstance(value, Generator) or type(value) in (dict, set):
        return copy.copy(value)
    if type(value) is list:
        return (
            [_own(each) for each in value]
            if isinstance(value[0] if value else None, Dataset)
            else value.copy()
        )
    return value


# ------------------------------------------------------------------------------------------- the loader's side


def _seeded(number: int, base_seed: int) -> tuple[Any, ...]:
    """The beginnings of Python's and NumPy's streams in a worker."""
    words = [number, base_seed & 0xFFFFFFFF, base_seed >> 32, 0]
    numpy = np.random.RandomState(np.random.SeedSequence(words).generate_state(4))
    return random.Random(base_seed + number).getstate(), numpy.get_state()


def streams() -> tuple[Any, ...]:
    """The positions of Python's and NumPy's streams."""
    return random.getstate(), np.random.get_state()  # noqa: NPY002


def _set_streams(positions: tuple[Any, ...]) -> None:
    random.setstate(positions[0])
    np.random.set_state(positions[1])  # noqa: NPY002


def same_streams(first: tuple[Any, ...], second: tuple[Any, ...]) -> bool:
    """Whether nothing was drawn between two looks at the positions."""
    return first[0] == second[0] and all(
        np.array_equal(a, b) for a, b in zip(first[1], second[1], strict=True)
    )


class Handle:
    """A worker as its loader sees it: it takes tasks, and gives their batches.

    Attributes:
        executor: the worker's thread or process.
        alone: whether the worker works only while the loader waits, since its code draws from Python's or NumPy's stream;
            None until its first batch has told.
    """

    def __init__(self, settings: Settings, context: Any) -> None:
        self.executor: Executor
        if context is None or context.get_start_method() == "fork":
            self.alone: bool | None = None
            self._positions = _seeded(settings.number, settings.base_seed)
            start = (settings, Modes.now())
            self.executor = ThreadPoolExecutor(1, "DataLoader-worker", _start_thread, start)
        else:
            self.alone = False
            self.executor = ProcessPoolExecutor(1, context, _start_process, (settings,))

    def submit(self, method: str, *args: Any) -> Future[Any]:
        """Call a method of the worker, some time."""
        return self.executor.submit(_call, method, *args)

    def do_alone(self, task: Any, timeout: float | None) -> Any:
        """The batch of a task; nothing else runs, and the process's streams are the worker's until it is done."""
        outside = streams()
        _set_streams(self._positions)
        try:
            if self.alone is None:
                # A function for new workers may set a seed and draw. The batches tell.
                caught = self.submit("begin").result(timeout)
                if caught is not None:
                    return caught
            before = streams()
            data = self.submit("do", task).result(timeout)
            if self.alone is None:
                self.alone = not same_streams(before, streams())
            return data
        finally:
            self._positions = streams()
            _set_streams(outside)

    def work_alone(self) -> bool:
        """From now on, work only while the loader waits; return whether that is new. A process has its own streams."""
        new = self.alone is False and isinstance(self.executor, ThreadPoolExecutor)
        if new:
            self.alone = True
        return new
