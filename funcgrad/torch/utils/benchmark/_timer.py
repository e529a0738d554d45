"""`Timer`: how long a statement takes."""

import sys
import textwrap
import timeit
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np

from funcgrad.torch._tensor.registry import FUNCTIONS
from funcgrad.torch.utils.benchmark._measurement import Measurement, TaskSpec


def timer() -> float:
    """Seconds, after a GPU or TPU has done its work."""
    if jax.default_backend() != "cpu":
        jax.device_put(0.0).block_until_ready()
    return timeit.default_timer()


@contextmanager
def _threads(number: int) -> Iterator[None]:
    before = FUNCTIONS["get_num_threads"]()
    FUNCTIONS["set_num_threads"](number)
    try:
        yield
    finally:
        FUNCTIONS["set_num_threads"](before)


class Timer:
    """A statement to time, as Python's `timeit.Timer` has it, with a run before to warm up.

    XLA's threads are as many as it started with: `num_threads` is shown and changes nothing.

    Args:
        stmt: the statement, as text.
        setup: what runs once before.
        global_setup: for C++ alone.
        timer: the clock.
        globals: the names that the statement knows, besides `torch`.
        label, sub_label, description, env: words for the measurement and for tables.
        num_threads: the number of threads.
        language: "python".

    Raises:
        ValueError: `stmt` is no text, the language is none, or `global_setup` is given.
        NotImplementedError: the language is C++.

    >>> import funcgrad.torch as torch
    >>> from funcgrad.torch.utils import benchmark
    >>> benchmark.Timer("x + 1", globals={"x": torch.ones(2)}).timeit(10).mean > 0
    True
    """

    def __init__(
        self,
        stmt: str = "pass",
        setup: str = "pass",
        global_setup: str = "",
        timer: Callable[[], float] = timer,
        globals: dict[str, Any] | None = None,
        label: str | None = None,
        sub_label: str | None = None,
        description: str | None = None,
        env: str | None = None,
        num_threads: int = 1,
        language: Any = "python",
    ) -> None:
        if not isinstance(stmt, str):
            raise ValueError("Currently only a `str` stmt is supported.")
        if language in ("cpp", "c++"):
            raise NotImplementedError("funcgrad times Python statements, not C++")
        if language not in ("py", "python"):
            raise ValueError(f"Invalid language `{language}`.")
        if global_setup:
            raise ValueError(
                f"global_setup is C++ only, got `{global_setup}`. Most likely this code can simply be moved to `setup`."
            )
        names = {"torch": sys.modules["funcgrad.torch"], **(globals or {})}
        stmt, setup = _dedented(stmt), _dedented(setup)
        self._timer = timeit.Timer(stmt, setup, timer, names)
        self._task_spec = TaskSpec(
            stmt, setup, global_setup, label, sub_label, description, env, num_threads
        )

    def _time(self, number: int) -> float:
        return max(self._timer.timeit(number), 1e-9)

    def _measured(self, number: int, times: list[float]) -> Measurement:
        return Measurement(number, times, self._task_spec)

    def timeit(self, number: int = 1000000) -> Measurement:
        """One time of so many runs, after a hundredth as many to warm up."""
        with _threads(self._task_spec.num_threads):
            self._time(max(number // 100, 2))
            return self._measured(number, [self._time(number)])

    def blocked_autorange(
        self, callback: Callable[[int, float], Any] | None = None, min_run_time: float = 0.2
    ) -> Measurement:
        """Times of blocks of runs, so large that the clock costs little, for a time altogether.

        Args:
            callback: called with the block's size and its time.
            min_run_time: the seconds altogether.
        """
        return self._repeated(min_run_time, min_run_time, None, callback, lambda measured: True)

    def adaptive_autorange(
        self,
        threshold: float = 0.1,
        *,
        min_run_time: float = 0.01,
        max_run_time: float = 10.0,
        callback: Callable[[int, float], Any] | None = None,
    ) -> Measurement:
        """Times of blocks of runs, until they spread little.

        Args:
            threshold: the interquartile range to reach, as a share of the median.
            min_run_time, max_run_time: the seconds altogether, at least and at most.
            callback: called with the block's size and its time.
        """

        def enough(measured: Measurement) -> bool:
            return len(measured.raw_times) > 3 and measured.meets_confidence(threshold)

        return self._repeated(0.05, min_run_time, max_run_time, callback, enough)

    def _repeated(
        self,
        block_time: float,
        least: float,
        most: float | None,
        callback: Callable[[int, float], Any] | None,
        enough: Callable[[Measurement], bool],
    ) -> Measurement:
        with _threads(self._task_spec.num_threads):
            number = self._block_size(block_time)
            measured = self._measured(number, [])
            total = 0.0
            while total < least or not enough(measured):
                spent = self._time(number)
                measured.raw_times.append(spent)
                total += spent
                if callback:
                    callback(number, spent)
                if most and total > most:
                    break
        return measured

    def _block_size(self, least: float) -> int:
        overhead = float(np.median([self._time(0) for _ in range(5)]))
        number = 1
        while number * 10 <= 2147483647:
            taken = self._time(number)
            if taken > least or (overhead / taken <= 1e-4 and taken >= least / 1000):
                break
            number *= 10
        return number


def _dedented(text: str) -> str:
    return textwrap.dedent(text).removeprefix("\n").rstrip()
