"""Tracebacks without the library's own frames, when an error ends a program or a notebook's cell.

Folding happens as the error is displayed, so an op that succeeds pays nothing, and a debugger sees every frame.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from funcgrad.teaching.settings import settings

_OURS = str(Path(__file__).parent.parent) + "/"
_FOLDED = {
    "en": "(Frames of the library left out: {0}. FUNCGRAD_TRACEBACKS=full shows them.)",
    "fr": "(Appels internes à la bibliothèque omis : {0}. FUNCGRAD_TRACEBACKS=full les montre.)",
}


def fold(error: BaseException) -> BaseException:
    """Leave the library's frames out of an error's traceback and out of its causes'; returns the error.

    Frames of JAX go with the library's frames that called them. A traceback without any other frame stays as it is.

    Args:
        error: an error that has been raised.
    """
    left_out = 0
    for each in _chain(error):
        frames = list(_frames(each.__traceback__))
        kept = list(_of_the_user(frames))
        if kept and len(kept) < len(frames):
            left_out += len(frames) - len(kept)
            below: TracebackType | None = None
            for frame in reversed(kept):
                below = TracebackType(below, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
            each.__traceback__ = below
    if left_out:
        error.add_note(_FOLDED[settings.language].format(left_out))
    return error


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and the errors that it is shown with."""
    seen: list[BaseException] = []
    waiting = [error]
    while waiting:
        each = waiting.pop()
        if each is None or any(each is other for other in seen):
            continue
        seen.append(each)
        yield each
        waiting += [each.__cause__, None if each.__suppress_context__ else each.__context__]


def _frames(traceback: TracebackType | None) -> Iterator[TracebackType]:
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


def _of_the_user(frames: list[TracebackType]) -> Iterator[TracebackType]:
    """The frames that are neither the library's nor of the JAX under it."""
    below_us = False
    jax = [f"{path}/" for name in ("jax", "jaxlib") for path in _paths(sys.modules.get(name))]
    for frame in frames:
        file = frame.tb_frame.f_code.co_filename
        if file.startswith(_OURS):
            below_us = True
        elif not (below_us and file.startswith(tuple(jax))):
            below_us = False
            yield frame


def _paths(module: ModuleType | None) -> list[str]:
    return list(getattr(module, "__path__", ()))


def install() -> None:
    """Fold the tracebacks that end a program, or a notebook's cell. A second call does nothing."""
    hook = sys.excepthook
    if isinstance(hook, _Hook):
        return
    sys.excepthook = _Hook(hook)
    notebook: Any = sys.modules.get("IPython")
    shell = notebook.get_ipython() if notebook is not None else None
    if shell is not None and not shell.custom_exceptions:
        shell.set_custom_exc((Exception,), _in_a_notebook)


class _Hook:
    """Folds an uncaught error, and leaves the rest to the hook that was there."""

    def __init__(self, before: Any) -> None:
        self.before = before

    def __call__(
        self, kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        if settings.tracebacks == "folded":
            traceback = fold(error).__traceback__
        self.before(kind, error, traceback)


def _in_a_notebook(
    shell: Any,
    kind: type[BaseException],
    error: BaseException,
    traceback: Any,
    tb_offset: Any = None,
) -> None:
    if settings.tracebacks == "folded":
        traceback = fold(error).__traceback__
    shell.showtraceback((kind, error, traceback), tb_offset=tb_offset)
