"""`--distributed`: one run in several processes, which start together and stop together.

JAX's runtime notices when one of them is lost. It raises an error in the others' next common computation, or
ends them; here that becomes a message and an exit status.
"""

import argparse
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

from funcgrad.cli.common import INTERRUPTED, LOST_PROCESS, note

# How the runtime's errors begin where a process cannot be reached, whatever connects them.
_LOSS = re.compile(
    r"(UNKNOWN|UNAVAILABLE|ABORTED|CANCELLED|DEADLINE_EXCEEDED|INTERNAL|FAILED_PRECONDITION): "
)
_MESSAGE = "error: another process of this run was lost, or stopped; --resume goes on from the last checkpoint"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which process of how many this is."""
    group = parser.add_argument_group(
        "several processes",
        "Each process runs the same command, on one machine or on several that see the same files, and "
        "reads its own share of the rows.",
    )
    group.add_argument(
        "--distributed",
        action="store_true",
        help="be one of them, as the environment of Slurm, Open MPI, Kubernetes or a TPU pod tells, or:",
    )
    group.add_argument(
        "--coordinator", metavar="HOST:PORT", help="where process 0 is to be reached by all"
    )
    group.add_argument("--processes", type=int, metavar="N", help="how many there are")
    group.add_argument("--process-id", type=int, metavar="K", help="which this is, from 0 to N - 1")
    group.add_argument(
        "--timeout",
        type=int,
        default=60,
        metavar="SECONDS",
        help="how long to wait for the others to start, and for a sign of life from them "
        "(default: %(default)s)",
    )


def wanted(options: argparse.Namespace) -> bool:
    """Return whether this is to be one of several processes."""
    given = (options.coordinator, options.processes, options.process_id)
    return options.distributed or any(value is not None for value in given)


def problem(options: argparse.Namespace) -> str | None:
    """Return a complaint about the options, or None."""
    given = (options.coordinator, options.processes, options.process_id)
    if any(value is not None for value in given) and None in given:
        return "--coordinator, --processes and --process-id go together"
    if options.timeout < 1:
        return f"--timeout must be at least 1, not {options.timeout}"
    if options.coordinator is None:
        return None
    if not re.fullmatch(r".+:\d+", options.coordinator):
        return f"--coordinator must be HOST:PORT, not {options.coordinator}"
    if not 0 <= options.process_id < options.processes:
        return f"--process-id must be from 0 to {options.processes - 1}, not {options.process_id}"
    return None


def join(options: argparse.Namespace) -> None:
    """Meet the other processes, before JAX is used for anything else.

    Raises:
        ValueError: the environment does not tell who they are.
    """
    import jax

    # It would take SIGTERM for a notice that the machine will be taken, and go on.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            options.coordinator,
            options.processes,
            options.process_id,
            initialization_timeout=options.timeout,
            heartbeat_timeout_seconds=options.timeout,
            shutdown_timeout_seconds=options.timeout,
            # JAX's own choice is every address of this machine.
            coordinator_bind_address=options.coordinator,
        )
    except (ValueError, TypeError) as error:
        raise ValueError(
            "--distributed found no cluster in the environment: give --coordinator, --processes and "
            f"--process-id ({error})"
        ) from None


def is_loss(error: Exception) -> bool:
    """Return whether an error says that another process cannot be reached."""
    import jax

    return jax.process_count() > 1 and _LOSS.match(str(error)) is not None


def tell_loss(command: str, error: Exception) -> int:
    """Say on stderr that a process was lost; return the exit status for it."""
    first = str(error).splitlines()[0]
    note(command, f"{_MESSAGE} ({first})")
    return LOST_PROCESS


def supervised(command: str, work: Callable[[], int]) -> int:
    """Return the status of work done in a child process, which JAX may end without a word to Python.

    Where there is no fork, the work is done here, and such an end has a status of its own.
    """
    if not hasattr(os, "fork"):
        return _leaving(work)
    alive, kept = os.pipe()
    child = os.fork()
    if not child:
        os.close(kept)
        _end_with_parent(alive)
        return _leaving(work)
    os.close(alive)

    def forward(number: int, _: Any) -> None:
        os.kill(child, number)

    # Ctrl-C reaches the child by itself.
    previous = {signal.SIGINT: signal.signal(signal.SIGINT, signal.SIG_IGN)}
    previous[signal.SIGTERM] = signal.signal(signal.SIGTERM, forward)
    try:
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        os.close(kept)
    if status == -signal.SIGABRT:
        note(command, _MESSAGE)
        return LOST_PROCESS
    return status if status >= 0 else 128 - status


def _end_with_parent(alive: int) -> None:
    """End this process when the pipe's other end is closed, also because its holder was killed."""

    def wait() -> None:
        os.read(alive, 1)
        os._exit(LOST_PROCESS)

    threading.Thread(target=wait, daemon=True).start()


def _leaving(work: Callable[[], int]) -> int:
    """Return the status of work; where it failed, leave at once: JAX's own way out waits for all others."""
    try:
        status = work()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        status = INTERRUPTED
    except Exception:
        traceback.print_exc()
        status = 1
    if status:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    return status
