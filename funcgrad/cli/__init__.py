"""The command line, `funcgrad COMMAND ...`. Each command is a function of the library, with messages.

Exit status: 0 for success, 1 where compared backends disagree or a training diverges, 2 for input that
cannot be used, 3 where another process of the same run was lost, 130 after Ctrl-C.
"""

import argparse
import os
import sys
from collections.abc import Sequence

import funcgrad
from funcgrad.cli import compare, draw, fit, predict, run
from funcgrad.cli.common import INTERRUPTED


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: the arguments after the command's name; None for this process's own.

    Returns:
        The exit status.
    """
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of the output has closed it; keep Python from complaining while it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="funcgrad",
        description="PyTorch's autograd lesson made real on JAX.",
    )
    parser.add_argument("--version", action="version", version=f"funcgrad {funcgrad.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in (compare, fit, predict, draw, run):
        command.add_command(commands)
    return parser
