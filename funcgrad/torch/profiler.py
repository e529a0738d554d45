"""`torch.profiler`: the times of blocks that `record_function` names, in all steps of a loop or in scheduled ones."""

import os as _os
import socket as _socket
import time as _time
import warnings as _warnings
from collections.abc import Callable as _Callable
from collections.abc import Iterable as _Iterable
from enum import Enum as _Enum
from pathlib import Path as _Path
from typing import Any as _Any

from funcgrad.torch.autograd.profiler import profile as _profile
from funcgrad.torch.autograd.profiler import record_function

__all__ = [
    "ProfilerAction",
    "ProfilerActivity",
    "kineto_available",
    "profile",
    "record_function",
    "schedule",
    "supported_activities",
    "tensorboard_trace_handler",
]


class ProfilerActivity(_Enum):
    """The activities that PyTorch can record. Here times are always the CPU's."""

    CPU = 0
    XPU = 1
    CUDA = 3


class ProfilerAction(_Enum):
    """The profiler's work in a step."""

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


_RECORDS = (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE)


def kineto_available() -> bool:
    """Whether there is PyTorch's library that traces kernels: no, so tables have blocks of `record_function` alone."""
    return False


def supported_activities() -> set[ProfilerActivity]:
    """The CPU alone."""
    return {ProfilerActivity.CPU}


def schedule(
    *,
    wait: int,
    warmup: int,
    active: int,
    repeat: int = 0,
    skip_first: int = 0,
    skip_first_wait: int = 0,
) -> _Callable[[int], ProfilerAction]:
    """A plan of steps: some without recording, some to warm up, some that are recorded, and again.

    Args:
        wait: steps without recording.
        warmup: steps before the recorded ones.
        active: recorded steps; after the last of them the results are ready.
        repeat: the number of rounds; without end if 0.
        skip_first: steps before the first round.
        skip_first_wait: if not 0, the first round has no `wait`.

    Raises:
        AssertionError: a number is negative, or no step is active.

    >>> plan = schedule(wait=1, warmup=1, active=2, repeat=1)
    >>> [plan(step).name for step in range(5)]
    ['NONE', 'WARMUP', 'RECORD', 'RECORD_AND_SAVE', 'NONE']
    """
    if min(wait, warmup, repeat, skip_first, skip_first_wait) < 0 or active <= 0:
        raise AssertionError(
            f"Invalid profiler schedule arguments. Got wait={wait} (need >= 0), warmup={warmup} (need >= 0), active={active} "
            f"(need > 0), repeat={repeat} (need >= 0), skip_first={skip_first} (need >= 0)."
        )
    if warmup == 0:
        _warnings.warn(
            "Profiler won't be using warmup, this can skew profiler results", stacklevel=2
        )

    def plan(step: int) -> ProfilerAction:
        if step < 0:
            raise AssertionError(f"Step must be non-negative. Got {step}.")
        if step < skip_first:
            return ProfilerAction.NONE
        step -= skip_first
        if skip_first_wait:
            step += wait
        length = wait + warmup + active
        if repeat and step >= repeat * length:
            return ProfilerAction.NONE
        place = step % length
        if place < wait:
            return ProfilerAction.NONE
        if place < wait + warmup:
            return ProfilerAction.WARMUP
        return _RECORDS[place == length - 1]

    return plan


def _always(step: int) -> ProfilerAction:
    return ProfilerAction.RECORD


def tensorboard_trace_handler(
    dir_name: str, worker_name: str | None = None, use_gzip: bool = False
) -> _Callable[["profile"], None]:
    """An `on_trace_ready` that writes each trace to a file of its own in a folder.

    Raises:
        NotImplementedError: compressed files are asked for.
    """
    if use_gzip:
        raise NotImplementedError("tensorboard_trace_handler(use_gzip=True)")
    worker = worker_name or f"{_socket.gethostname()}_{_os.getpid()}"

    def write(prof: "profile") -> None:
        _Path(dir_name).mkdir(parents=True, exist_ok=True)
        prof.export_chrome_trace(str(_Path(dir_name) / f"{worker}.{_time.time_ns()}.pt.trace.json"))

    return write


class profile(_profile):
    """Record the times of the blocks that `record_function` names, in all steps or in those of a schedule.

    Behaviour: https://docs.pytorch.org/docs/stable/profiler.html

    Args:
        activities: accepted; times are always the CPU's.
        schedule: the plan of steps, as from `schedule`; everything is recorded if None.
        on_trace_ready: called with the profiler when a round of the plan has been recorded, or at the end.
        acc_events: whether the blocks of earlier rounds are kept.
        more: PyTorch's other options; they change nothing.

    >>> with profile() as times:
    ...     for _ in range(3):
    ...         with record_function("step"):
    ...             pass
    >>> times.key_averages()[0].count
    3
    """

    def __init__(
        self,
        *,
        activities: _Iterable[ProfilerActivity] | None = None,
        schedule: _Callable[[int], ProfilerAction] | None = None,
        on_trace_ready: _Callable[..., _Any] | None = None,
        acc_events: bool = False,
        **more: _Any,
    ) -> None:
        super().__init__()
        self.activities = set(activities) if activities else supported_activities()
        self.schedule, self.record_steps = schedule or _always, schedule is not None
        self.on_trace_ready, self.acc_events = on_trace_ready, acc_events
        self.step_num = 0
        self.current_action = self.schedule(0)
        self._block: _Any = None

    def __enter__(self) -> "profile":
        """Begin."""
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        """End."""
        self.stop()

    def start(self) -> None:
        """Begin: what the plan says of step 0."""
        if self.current_action in _RECORDS:
            self._open()
        self._begin_step()

    def stop(self) -> None:
        """End; the results are ready if the last step was recorded."""
        self._end_step()
        if self.current_action in _RECORDS:
            self._ready()

    def step(self) -> None:
        """Say that a step of the loop is over."""
        self._end_step()
        before, self.step_num = self.current_action, self.step_num + 1
        self.current_action = self.schedule(self.step_num)
        if before is ProfilerAction.RECORD_AND_SAVE or (
            before is ProfilerAction.RECORD and self.current_action not in _RECORDS
        ):
            self._ready()
            before = ProfilerAction.NONE
        if self.current_action in _RECORDS and before not in _RECORDS:
            kept = self._events if self.acc_events else []
            self._open()
            self._events = kept
        self._begin_step()

    def _ready(self) -> None:
        self._close()
        if self.on_trace_ready is not None:
            self.on_trace_ready(self)

    def _begin_step(self) -> None:
        if self.record_steps:
            self._block = record_function(f"ProfilerStep#{self.step_num}")
            self._block.__enter__()

    def _end_step(self) -> None:
        if self._block is not None:
            self._block.__exit__()
            self._block = None

    def events(self) -> _Any:
        """The recorded blocks."""
        return self.function_events
