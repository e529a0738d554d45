"""Shared by all commands: exit statuses, and the answer to bad input."""

import argparse
import sys
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]
else:
    Commands = object

DISAGREEMENT, BAD_INPUT, LOST_PROCESS, INTERRUPTED = 1, 2, 3, 130


def refuse(command: str, error: object, status: int = BAD_INPUT) -> int:
    """Say on stderr, in one line, what went wrong, by default with the input; return the exit status."""
    message = " ".join(str(error).split())
    print(f"funcgrad {command}: error: {message}", file=sys.stderr)
    return status


def note(command: str, message: object) -> None:
    """Say something on stderr that is no error."""
    print(f"funcgrad {command}: {message}", file=sys.stderr)
