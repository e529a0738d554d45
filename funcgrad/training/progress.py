"""Telling the user how far a fit is, between segments of the compiled loop rather than inside it."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple


class Progress(NamedTuple):
    """How far a fit is: the steps taken, the steps asked for, and the loss reached."""

    step: int
    steps: int
    loss: float


class StreamProgress(NamedTuple):
    """How far a run over batches is.

    Attributes:
        epoch: the epoch under way; the first is 0.
        rows: the rows used so far, over all epochs.
        rows_per_second: the speed since the run began, or was resumed.
        seconds_left: until the last epoch ends at that speed; None if the number of rows is not known.
        loss: the last loss there is, NaN before the first and where none is computed.
    """

    epoch: int
    rows: int
    rows_per_second: float
    seconds_left: float | None
    loss: float


Report = Callable[[Progress], object]
StreamReport = Callable[[StreamProgress], object]


@contextmanager
def reporting(progress: bool | Report, steps: int) -> Iterator[Report | None]:
    """Yield the function that `fit` reports to: a tqdm bar for True, the function given, None for False."""
    if not progress:
        yield None
    elif callable(progress):
        yield progress
    else:
        with _tqdm()(total=steps, unit="step") as bar:

            def report(reached: Progress) -> None:
                bar.set_postfix(loss=f"{reached.loss:.4g}", refresh=False)
                bar.update(reached.step - bar.n)

            yield report


class RowMeter:
    """Counts rows, and reports them at most ten times a second.

    Args:
        report: what to call.
        expected: about how many rows the whole run has, or None.
        rows: the rows already used by the run that this one resumes.
    """

    _SECONDS = 0.1

    def __init__(self, report: StreamReport | None, expected: int | None, rows: int = 0) -> None:
        self.rows = rows
        self._report, self._expected = report, expected
        self._first, self._began = rows, time.perf_counter()
        self._reported = -math.inf

    def add(self, rows: int, epoch: int, loss: float, *, last: bool = False) -> None:
        """Note that so many rows more were used."""
        self.rows += rows
        now = time.perf_counter()
        if self._report is None or (now - self._reported < self._SECONDS and not last):
            return
        self._reported = now
        speed = (self.rows - self._first) / max(now - self._began, 1e-9)
        left = None
        if self._expected is not None and speed > 0:
            left = 0.0 if last else max(0, self._expected - self.rows) / speed
        self._report(StreamProgress(epoch, self.rows, speed, left, loss))


@contextmanager
def reporting_rows(
    progress: bool | StreamReport, expected: int | None
) -> Iterator[StreamReport | None]:
    """Yield the function that a run over batches reports to; for True a tqdm bar of rows, with the time left."""
    if not progress:
        yield None
    elif callable(progress):
        yield progress
    else:
        with _tqdm()(total=expected, unit=" rows", unit_scale=True) as bar:

            def report(reached: StreamProgress) -> None:
                if not math.isnan(reached.loss):
                    bar.set_postfix(epoch=reached.epoch, loss=f"{reached.loss:.4g}", refresh=False)
                if bar.total is not None and (
                    reached.seconds_left == 0 or reached.rows > bar.total
                ):
                    bar.total = reached.rows  # which was an estimate
                bar.update(reached.rows - bar.n)

            yield report


def _tqdm() -> Any:
    try:
        from tqdm.auto import tqdm
    except ImportError as error:
        raise ImportError(
            "progress=True needs tqdm (pip install 'funcgrad[progress]'); "
            "or pass a function of a funcgrad.training.Progress"
        ) from error
    return tqdm
