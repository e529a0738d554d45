"""The modes that hold inside a block: how pending ops run, and whether ops leave graph nodes behind."""

from collections.abc import Iterator
from contextlib import contextmanager

from funcgrad.engine.recording import Trace, local
from funcgrad.engine.settings import check_mode, settings
from funcgrad.engine.trace import flush


@contextmanager
def mode(name: str) -> Iterator[None]:
    """Run ops in this mode inside the block.

    Pending ops run at both ends of the block, so that exactly the block's own ops run in the mode.

    Args:
        name: a mode as `engine.settings.mode` explains it: "auto", "eager", "recorded", "op_by_op" or "compiled".

    Raises:
        ValueError: there is no such mode.
    """
    check_mode(name)
    flush("the engine's mode changed")
    before, settings.mode = settings.mode, name
    _begin()
    try:
        yield
        flush("the engine's mode changed")
    finally:
        settings.mode = before
        _begin()


def _begin() -> None:
    """Begin in the tier that the mode says, unless this thread is inside a transformation."""
    recorder = local.recorder
    if not recorder.levels:
        recorder.trace = Trace(settings.starts_eager)


@contextmanager
def grad_mode(enabled: bool) -> Iterator[None]:
    """Whether ops called in this thread inside the block leave graph nodes behind."""
    before, local.recorder.grad_enabled = local.recorder.grad_enabled, enabled
    try:
        yield
    finally:
        local.recorder.grad_enabled = before
