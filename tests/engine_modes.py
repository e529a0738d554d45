"""The engine's modes as tests name them: its own, and one that moves between the tiers in the middle of what runs."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from funcgrad import engine
from funcgrad.engine import eager, local, programs, trace, unrolled

MODES = ("eager", "auto", "recorded", "op_by_op", "compiled", "switching")


@contextmanager
def mode(name: str) -> Iterator[None]:
    """A block in a mode. "switching" leaves the core at one op in eight, and half of the runs go back to it."""
    if name != "switching":
        with engine.mode(name):
            yield
        return
    chosen = random.Random(0)
    run = programs.run

    class Leaving:
        """Stands for `eager`: one call in eight is not for the core."""

        NotHereError = eager.NotHereError

        def __getattr__(self, name: str) -> Any:
            call = getattr(eager, name)

            def leaving(*arguments: Any) -> Any:
                if chosen.random() < 1 / 8:
                    local.recorder.trace.eager = False
                    return None
                return call(*arguments)

            return leaving

    def coming_back(*arguments: Any) -> Any:
        made = run(*arguments)
        recorder = local.recorder
        if not recorder.levels and len(recorder.trace.log) == 1 and chosen.random() < 1 / 2:
            recorder.trace.eager = True
        return made

    with (
        engine.mode("auto"),
        mock.patch.object(trace, "eager", Leaving()),
        mock.patch.object(unrolled, "eager", Leaving()),
        mock.patch.object(programs, "run", coming_back),
    ):
        yield
