"""PyTorch's `torch.multiprocessing`: Python's `multiprocessing`, and `spawn`. Tensors are sent by copy.

Processes are to be spawned: JAX's threads do not survive a fork.
"""

import multiprocessing as _python
import sys
import traceback
from collections.abc import Callable
from multiprocessing import *  # noqa: F403
from multiprocessing.connection import wait as _wait
from typing import Any

__all__ = [  # noqa: PLE0604
    *_python.__all__,
    "get_all_sharing_strategies",
    "get_sharing_strategy",
    "set_sharing_strategy",
    "spawn",
    "start_processes",
]


def __dir__() -> list[str]:
    return __all__


class ProcessContext:
    """Processes that `spawn` has started.

    Attributes:
        processes: Python's processes.
    """

    def __init__(self, processes: list[Any], errors: list[Any]) -> None:
        self.processes, self._errors = processes, errors

    def pids(self) -> list[int]:
        """The numbers of the processes."""
        return [process.pid for process in self.processes]

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the processes; return whether all have ended. The others are ended when one fails.

        Raises:
            ProcessRaisedException: the code of one raised.
            ProcessExitedException: one ended in another way.
        """
        waiting = [process.sentinel for process in self.processes if process.exitcode is None]
        if waiting:
            _wait(waiting, timeout)
        failed = next((k for k, each in enumerate(self.processes) if each.exitcode), None)
        if failed is None:
            return all(process.exitcode == 0 for process in self.processes)
        for process in self.processes:
            if process.is_alive():
                process.terminate()
            process.join()
        process, errors = self.processes[failed], self._errors[failed]
        if errors.poll():
            raise ProcessRaisedException(
                f"\n\n-- Process {failed} terminated with the following error:\n{errors.recv()}"
            )
        code = process.exitcode
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        raise ProcessExitedException(f"process {failed} terminated with {how}")


class ProcessRaisedException(Exception):
    """The code of a process raised."""


class ProcessExitedException(Exception):
    """A process ended by a signal or with an exit code."""


def _run(fn: Callable[..., Any], number: int, args: tuple[Any, ...], errors: Any) -> None:
    try:
        fn(number, *args)
    except Exception:
        errors.send(traceback.format_exc())
        sys.exit(1)


def start_processes(
    fn: Callable[..., Any],
    args: tuple[Any, ...] = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> ProcessContext | None:
    """Call `fn(number, *args)` in several processes.

    Args:
        fn: a function of a module, so that the processes find it.
        args: its further arguments.
        nprocs: how many processes.
        join: whether to wait for them; else the processes are returned.
        daemon: whether they end with this one.
        start_method: of Python's `multiprocessing`.

    Raises:
        ProcessRaisedException: the code of one raised.
        ProcessExitedException: one ended in another way.
    """
    context: Any = _python.get_context(start_method)
    processes, errors = [], []
    for number in range(nprocs):
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_run, args=(fn, number, args, theirs), daemon=daemon)
        process.start()
        processes.append(process)
        errors.append(ours)
    started = ProcessContext(processes, errors)
    if not join:
        return started
    while not started.join():
        pass
    return None


def get_all_sharing_strategies() -> set[str]:
    """The names that `set_sharing_strategy` accepts."""
    return {"file_descriptor", "file_system"}


def get_sharing_strategy() -> str:
    """The name that was set."""
    return _Strategy.name


def set_sharing_strategy(new_strategy: str) -> None:
    """Accept a way to send tensors: they are sent by copy."""
    assert new_strategy in get_all_sharing_strategies()
    _Strategy.name = new_strategy


class _Strategy:
    name = "file_descriptor"


def spawn(
    fn: Callable[..., Any],
    args: tuple[Any, ...] = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> ProcessContext | None:
    """`start_processes`, by spawning."""
    return start_processes(fn, args, nprocs, join, daemon, start_method)
