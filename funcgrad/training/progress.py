"""Telling the user how far a fit is, between segments of the compiled loop rather than inside it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple


class Progress(NamedTuple):
    """How far a fit is: the steps taken, the steps asked for, and the loss reached."""

    step: int
    steps: int
    loss: float


Report = Callable[[Progress], object]


@contextmanager
def reporting(progress: bool | Report, steps: int) -> Iterator[Report | None]:
    """Yield what `fit` calls to report: a tqdm bar for True, the function given, None for False."""
    if not progress:
        yield None
    elif callable(progress):
        yield progress
    else:
        try:
            from tqdm.auto import tqdm
        except ImportError as error:
            raise ImportError(
                "progress=True needs tqdm (pip install 'funcgrad[progress]'); "
                "or pass a function of a funcgrad.training.Progress"
            ) from error
        with tqdm(total=steps, unit="step") as bar:

            def report(reached: Progress) -> None:
                bar.set_postfix(loss=f"{reached.loss:.4g}", refresh=False)
                bar.update(reached.step - bar.n)

            yield report
