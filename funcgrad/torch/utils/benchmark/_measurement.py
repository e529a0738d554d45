"""`Measurement`: the times of one statement, their statistics, and how they print."""

import math
import textwrap
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

_MOST_DIGITS = 4
_LEAST_INTERVAL = 25e-9  # seconds
_UNITS = {-3: ("ns", 1e-9), -2: ("us", 1e-6), -1: ("ms", 1e-3)}


@dataclass(frozen=True)
class TaskSpec:
    """A statement to time, and the words that name it."""

    stmt: str
    setup: str
    global_setup: str = ""
    label: str | None = None
    sub_label: str | None = None
    description: str | None = None
    env: str | None = None
    num_threads: int = 1

    @property
    def title(self) -> str:
        """The label, or the statement."""
        more = f": {self.sub_label}" if self.sub_label else ""
        if self.label is not None:
            return self.label + more
        if "\n" not in self.stmt:
            return self.stmt + more
        named = f" ({self.sub_label})" if self.sub_label else ""
        return f"stmt:{named}\n{textwrap.indent(self.stmt, '  ')}"

    def setup_str(self) -> str:
        """How the setup prints."""
        if self.setup == "pass" or not self.setup:
            return ""
        if "\n" in self.setup:
            return f"setup:\n{textwrap.indent(self.setup, '  ')}"
        return f"setup: {self.setup}"

    def summarize(self) -> str:
        """The title, the description and the setup, a line each."""
        parts = [self.title, self.description or "", self.setup_str()]
        return "\n".join(f"{each}\n" if "\n" in each else each for each in parts if each)


@dataclass(repr=False)
class Measurement:
    """Times of a statement, in seconds.

    Args:
        number_per_run: how often the statement ran for each time.
        raw_times: the times of these runs together.
        task_spec: the statement and its names; its fields are attributes here, too.
        metadata: anything to keep with it.
    """

    number_per_run: int
    raw_times: list[float]
    task_spec: TaskSpec
    metadata: dict[Any, Any] | None = None

    def __getattr__(self, name: str) -> Any:
        if name in TaskSpec.__dataclass_fields__:
            return getattr(self.task_spec, name)
        raise AttributeError(f"'Measurement' object has no attribute '{name}'")

    times = property(lambda self: [each / self.number_per_run for each in self.raw_times])
    median = property(lambda self: float(np.median(self.times)))
    mean = property(lambda self: float(np.mean(self.times)))
    title = property(lambda self: self.task_spec.title)
    as_row_name = property(lambda self: self.sub_label or self.stmt or "[Unknown]")
    has_warnings = property(lambda self: not self.meets_confidence())

    @property
    def iqr(self) -> float:
        """The interquartile range."""
        low, high = self._quartiles()
        return high - low

    def _quartiles(self) -> tuple[float, float]:
        low, high = np.quantile(self.times, (0.25, 0.75))
        return float(low), float(high)

    def meets_confidence(self, threshold: float = 0.1) -> bool:
        """Whether the interquartile range is below a share of the median."""
        return self.iqr / self.median < threshold

    @property
    def significant_figures(self) -> int:
        """How many digits of the median to believe, by the spread of the middle half."""
        ordered = sorted(self.times)
        count = len(ordered)
        middle = np.array(ordered[count // 4 : math.ceil(3 * count / 4)])
        interval = max(1.645 * float(middle.std()) / math.sqrt(len(middle)), _LEAST_INTERVAL)
        return min(max(math.floor(math.log10(self.median / interval)), 1), _MOST_DIGITS)

    @staticmethod
    def merge(measurements: Iterable["Measurement"]) -> list["Measurement"]:
        """One measurement for each statement, of all its times."""
        found: defaultdict[TaskSpec, list[float]] = defaultdict(list)
        for each in measurements:
            found[each.task_spec] += each.times
        return [Measurement(1, times, task) for task, times in found.items()]

    def __repr__(self) -> str:
        count = len(self.raw_times)
        unit, scale = select_unit(self.median)
        median = f"{'Median: ' if count > 1 else ''}{self.median / scale:.2f} {unit}"
        lines = [object.__repr__(self), self.task_spec.summarize(), f"  {median}"]
        low, high = self._quartiles()
        if count >= 4:
            spread = f"{self.iqr / scale:.2f} {unit} ({low / scale:.2f} to {high / scale:.2f})"
            lines.append(f"  IQR:    {spread}")
        runs = f"{self.number_per_run} runs {'per measurement,' if count > 1 else ','}"
        threads = f"{self.num_threads} thread{'s' if self.num_threads > 1 else ''}"
        lines.append(f"  {count} measurement{'s' if count > 1 else ''}, {runs} {threads}")
        if self.has_warnings:
            share = self.iqr / self.median
            why = (
                "This suggests significant environmental influence."
                if share >= 0.25
                else "This could indicate system fluctuation."
            )
            lines.append(
                f"  WARNING: Interquartile range is {share * 100:.1f}% of the median measurement."
            )
            lines.append(f"           {why}")
        return "\n".join(lines)


def select_unit(t: float) -> tuple[str, float]:
    """The unit in which a time has up to three digits before the point, and its seconds."""
    return _UNITS.get(math.floor(math.log10(t) / 3), ("s", 1))
