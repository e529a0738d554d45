"""The workers of a `DataLoader`, and what their code can ask of them.

The workers take turns in the caller's process, because JAX's threads do not survive a fork. Each has a copy of the dataset
and random streams of its own, as a process would: PyTorch's, Python's and NumPy's.
"""

import copy
import random
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from funcgrad.torch._random.generator import default_generator


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


class _Current:
    info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """The worker whose code runs; None outside of workers."""
    return _Current.info


class KeyErrorMessage(str):
    """A message that a `KeyError` shows as it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        """The text itself."""
        return str(self)


def reraise(where: str) -> NoReturn:
    """Raise the current error again, with its traceback as the message, as an error that comes from a process."""
    kind, error, trace = sys.exc_info()
    assert kind is not None
    text = "".join(traceback.format_exception(kind, error, trace))
    message: str = f"Caught {kind.__name__} {where}.\nOriginal {text}"
    if kind is KeyError:
        message = KeyErrorMessage(message)
    elif getattr(kind, "message", None):
        raise kind(message=message)  # type: ignore[call-arg]
    try:
        again = kind(message)
    except Exception:
        raise RuntimeError(message) from None
    raise again


class Worker:
    """One of a loader's workers."""

    def __init__(
        self,
        number: int,
        count: int,
        base_seed: int,
        dataset: Any,
        init: Callable[[int], Any] | None,
        make_fetch: Callable[[Any], Callable[[Any], Any]],
    ) -> None:
        self.where = f"in DataLoader worker process {number}"
        self.info = WorkerInfo(number, count, base_seed + number, copy.copy(dataset))
        words = [number, base_seed & 0xFFFFFFFF, base_seed >> 32, 0]
        outside = _streams()
        default_generator.manual_seed(base_seed + number)
        random.seed(base_seed + number)
        np.random.seed(np.random.SeedSequence(words).generate_state(4))  # noqa: NPY002
        self.streams = _streams()
        _set_streams(outside)
        self.fetch: Callable[[Any], Any] | None = None
        self.init, self.make_fetch = init, make_fetch

    @contextmanager
    def working(self) -> Iterator[None]:
        """Run code as this worker's."""
        outside, before = _streams(), _Current.info
        _set_streams(self.streams)
        _Current.info = self.info
        try:
            yield
        finally:
            self.streams, _Current.info = _streams(), before
            _set_streams(outside)

    def do(self, task: Any) -> Any:
        """The batch of a task.

        Raises:
            StopIteration: the worker's stream is at its end.
        """
        with self.working():
            try:
                if self.fetch is None:
                    if self.init is not None:
                        self.init(self.info.id)
                    self.fetch = self.make_fetch(self.info.dataset)
                return self.fetch(task)
            except StopIteration:
                raise
            except Exception:
                reraise(self.where)


def _streams() -> tuple[Any, ...]:
    """The positions of all random streams."""
    return default_generator.get_state(), random.getstate(), np.random.get_state()  # noqa: NPY002


def _set_streams(positions: tuple[Any, ...]) -> None:
    default_generator.set_state(positions[0])
    random.setstate(positions[1])
    np.random.set_state(positions[2])  # noqa: NPY002
