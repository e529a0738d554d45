"""After `os.fork()`: a computation in the child would wait for ever for XLA's threads, so it is refused at once.

Values computed before can be read there. A process forked before JAX was used computes as any other.
"""

import os
import threading
from contextlib import suppress
from typing import Any

import jax
from jax._src import xla_bridge

from funcgrad.engine import compiling
from funcgrad.engine.recording import Recorder, local
from funcgrad.engine.values import Aval

FORKED = (
    "Cannot compute in this process: it was forked from one in which JAX's threads ran, and they are not in it. To use "
    "funcgrad with multiprocessing, you must use the 'spawn' start method, as in multiprocessing.get_context('spawn'), or "
    "fork before the first tensor is made."
)


def _finish() -> None:
    """Before a fork: wait for running computations, so that the child can read their results."""
    if xla_bridge.backends_are_initialized():
        for array in jax.live_arrays():
            with suppress(RuntimeError):  # it was deleted, or failed; whoever reads it is told
                array.block_until_ready()


def _refuse_to_compute(_: Any) -> Recorder:
    """In place of the recorder, which every op asks for.

    Raises:
        RuntimeError: always.
    """
    raise RuntimeError(FORKED)


def _mark() -> None:
    """In the child: from now on every op is refused, if JAX was in use."""
    Aval._making = threading.Lock()  # another thread may have held it
    if xla_bridge.backends_are_initialized():
        compiling.forked = True
        kind: Any = type(local)
        kind.recorder = property(_refuse_to_compute, lambda *_: None)


def watch_forks() -> None:
    """From now on, mark the processes that are forked from this one."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_finish, after_in_child=_mark)
