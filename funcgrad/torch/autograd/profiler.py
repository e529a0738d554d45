"""`profile` and `record_function`: the times of named blocks of code. The ops between them are not listed.

A block's time runs by Python's clock from its first line to its last. Here an op may be computed later than it is called: where
its value is read. So a table shows where a program waits, as it does on a GPU without synchronisation.
"""

import json as _json
import threading as _threading
import time as _time
from contextlib import ContextDecorator as _ContextDecorator
from dataclasses import dataclass as _dataclass
from dataclasses import field as _field
from pathlib import Path as _Path
from typing import Any as _Any

from funcgrad.torch._types.stand_ins import stand_in as _stand_in

__all__ = ["EventList", "FunctionEvent", "profile", "record_function"]


def __getattr__(name: str) -> _Any:
    return _stand_in(__name__, name)


_NOTE = (
    "Blocks named by record_function; single ops are not listed. An op counts where it is computed."
)


class _Thread(_threading.local):
    """The open blocks of one thread."""

    def __init__(self) -> None:
        self.open: list[FunctionEvent] = []


_thread = _Thread()
_running: "list[profile]" = []


# ------------------------------------------------------------------------------------------- blocks


@_dataclass(eq=False)
class FunctionEvent:
    """A block that ran: its name, when it began and ended, and how long blocks inside it took, in microseconds."""

    name: str
    start: float
    end: float = 0.0
    inside: float = 0.0
    thread: int = _field(default_factory=_threading.get_ident)

    @property
    def cpu_time_total(self) -> float:
        """The time from begin to end."""
        return self.end - self.start

    @property
    def self_cpu_time_total(self) -> float:
        """The time from begin to end without the blocks inside."""
        return self.cpu_time_total - self.inside


class record_function(_ContextDecorator):
    """Name a block of code, or a decorated function, so that a running profiler records its time.

    >>> from funcgrad.torch.profiler import profile, record_function
    >>> with profile() as times, record_function("work"):
    ...     total = sum(range(1000))
    >>> [(event.key, event.count) for event in times.key_averages()]
    [('work', 1)]
    """

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name, self.args = name, args

    def _recreate_cm(self) -> "record_function":
        return record_function(self.name, self.args)

    def __enter__(self) -> "record_function":
        """Begin the block."""
        self._event = FunctionEvent(self.name, _time.perf_counter() * 1e6)
        _thread.open.append(self._event)
        return self

    def __exit__(self, *error: object) -> None:
        """End the block."""
        event = self._event
        event.end = _time.perf_counter() * 1e6
        if event in _thread.open:
            del _thread.open[_thread.open.index(event) :]
        if _thread.open:
            _thread.open[-1].inside += event.cpu_time_total
        for each in _running:
            if event.start >= each._began:
                each._events.append(event)


# ------------------------------------------------------------------------------------------- tables


@_dataclass
class _Average:
    """All blocks of one name: how many there were, and their times in microseconds."""

    key: str
    count: int = 0
    cpu_time_total: float = 0.0
    self_cpu_time_total: float = 0.0
    # Nothing is timed on other devices.
    device_time_total: float = 0.0
    self_device_time_total: float = 0.0

    @property
    def cpu_time(self) -> float:
        """The mean time of a block."""
        return self.cpu_time_total / max(self.count, 1)

    def add(self, other: "FunctionEvent | _Average") -> "_Average":
        """Count another block, or others."""
        self.count += getattr(other, "count", 1)
        self.cpu_time_total += other.cpu_time_total
        self.self_cpu_time_total += other.self_cpu_time_total
        return self


def _written(microseconds: float) -> str:
    for unit, size in (("s", 1e6), ("ms", 1e3)):
        if microseconds >= size:
            return f"{microseconds / size:.3f}{unit}"
    return f"{microseconds:.3f}us"


class EventList(list[_Any]):
    """Blocks, or averages of blocks by name."""

    @property
    def self_cpu_time_total(self) -> float:
        """The sum of the blocks' own times, in microseconds."""
        return sum(each.self_cpu_time_total for each in self)

    def key_averages(self, group_by_input_shape: bool = False, group_by_stack_n: int = 0) -> "EventList":  # fmt: skip
        """The blocks of each name together."""
        found: dict[str, _Average] = {}
        for each in self:
            name = "ProfilerStep*" if each.name.startswith("ProfilerStep#") else each.name
            found.setdefault(name, _Average(name)).add(each)
        return EventList(found.values())

    def total_average(self) -> _Average:
        """All blocks together."""
        total = _Average("Total")
        for each in self:
            total.add(each)
        return total

    def table(
        self,
        sort_by: str | None = None,
        row_limit: int = 100,
        max_src_column_width: int = 75,
        max_name_column_width: int = 55,
        max_shapes_column_width: int = 80,
        header: str | None = None,
        top_level_events_only: bool = False,
        time_unit: str | None = None,
    ) -> str:
        """A table of times, one line a name.

        Args:
            sort_by: an attribute of the averages, such as "cpu_time_total" or "count"; the largest comes first.
            row_limit: the number of lines; all if -1.
            header: a title.
            max_src_column_width, max_name_column_width, max_shapes_column_width, top_level_events_only, time_unit: accepted.

        Raises:
            AttributeError: there is no such attribute.
        """
        rows: list[_Any] = list(self)
        if rows and isinstance(rows[0], FunctionEvent):
            rows = list(self.key_averages())
        if sort_by is not None:
            place = sort_by.replace("cuda_time", "device_time")
            rows.sort(key=lambda each: getattr(each, place), reverse=True)
        total = self.self_cpu_time_total
        share = 100 / total if total else 0.0
        lines = [
            (
                "Name",
                "Self CPU %",
                "Self CPU",
                "CPU total %",
                "CPU total",
                "CPU time avg",
                "# of Calls",
            )
        ]
        lines += [
            (
                each.key,
                f"{each.self_cpu_time_total * share:.2f}%",
                _written(each.self_cpu_time_total),
                f"{each.cpu_time_total * share:.2f}%",
                _written(each.cpu_time_total),
                _written(each.cpu_time),
                str(each.count),
            )
            for each in (rows if row_limit < 0 else rows[:row_limit])
        ]
        widths = [max(map(len, column)) + 2 for column in zip(*lines, strict=True)]
        rule = "  ".join("-" * width for width in widths)
        body = ["  ".join(map(str.rjust, line, widths)) for line in lines]
        title = [] if header is None else ["=" * len(rule), header]
        foot = [f"Self CPU time total: {_written(total)}", _NOTE]
        return "\n".join([*title, rule, body[0], rule, *body[1:], rule, *foot, ""])

    __str__ = table

    def export_chrome_trace(self, path: str) -> None:
        """Write the blocks as a trace for chrome://tracing."""
        events = [
            {
                "name": each.name,
                "ph": "X",
                "cat": "user_annotation",
                "ts": each.start,
                "dur": each.cpu_time_total,
                "pid": 0,
                "tid": each.thread,
            }
            for each in self
        ]
        _Path(path).write_text(_json.dumps({"traceEvents": events}))


class profile:
    """Record the times of the blocks that `record_function` names, while it is entered.

    Behaviour: https://docs.pytorch.org/docs/stable/autograd.html#torch.autograd.profiler.profile

    Args:
        enabled: False records nothing.
        more: PyTorch's other options, such as `use_cpu` and `record_shapes`; they change nothing.
    """

    def __init__(self, enabled: bool = True, **more: _Any) -> None:
        self.enabled = enabled
        self._events: list[FunctionEvent] = []
        self._began = float("inf")
        self._entered = False

    def _open(self) -> None:
        self._events, self._began, self._entered = [], _time.perf_counter() * 1e6, True
        if self.enabled:
            _running.append(self)

    def _close(self) -> None:
        if self in _running:
            _running.remove(self)

    def __enter__(self) -> "profile":
        """Begin to record."""
        self._open()
        return self

    def __exit__(self, *error: object) -> None:
        """End recording."""
        self._close()

    @property
    def function_events(self) -> EventList:
        """The recorded blocks."""
        return EventList(self._events)

    @property
    def self_cpu_time_total(self) -> float:
        """The sum of the blocks' own times, in microseconds."""
        return self.function_events.self_cpu_time_total

    def key_averages(self, group_by_input_shape: bool = False, group_by_stack_n: int = 0, **more: _Any) -> EventList:  # fmt: skip
        """The blocks of each name together.

        Raises:
            AssertionError: nothing was recorded yet.
        """
        if not self._entered:
            raise AssertionError("Profiler must be initialized before getting key averages")
        return self.function_events.key_averages()

    def total_average(self) -> _Average:
        """All blocks together."""
        return self.function_events.total_average()

    def table(self, *args: _Any, **kwargs: _Any) -> str:
        """A table of times; see `EventList.table`."""
        return self.function_events.table(*args, **kwargs)

    __str__ = table

    def export_chrome_trace(self, path: str) -> None:
        """Write the blocks as a trace for chrome://tracing."""
        self.function_events.export_chrome_trace(path)
