"""Shared by all commands: exit statuses, the answer to bad input, and what shows a long work's progress."""

import argparse
import csv
import shutil
import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]
else:
    Commands = object

DISAGREEMENT, BAD_INPUT, LOST_PROCESS, INTERRUPTED = 1, 2, 3, 130


# Control characters, marks that join or turn text around, halves of characters, separators of lines.
_OBEYED = ("Cc", "Cf", "Cs", "Zl", "Zp")
# Characters by the words that are easier to type.
_WORDS = {"tab": "\t", "\\t": "\t", "space": " "}


def printable(text: object) -> str:
    r"""Return text with each character escaped that a terminal would obey, except for line ends and tabs.

    >>> printable("price\x1b[31m")
    'price\\x1b[31m'
    """
    return "".join(
        each.encode("unicode_escape").decode()
        if each not in "\n\t" and unicodedata.category(each) in _OBEYED
        else each
        for each in str(text)
    )


def refuse(command: str, error: object, status: int = BAD_INPUT) -> int:
    """Say on stderr, in one line, what went wrong, by default with the input; return the exit status."""
    message = " ".join(printable(error).split())
    print(f"funcgrad {command}: error: {message}", file=sys.stderr)
    return status


def note(command: str, message: object) -> None:
    """Say something on stderr that is no error."""
    print(f"funcgrad {command}: {printable(message)}", file=sys.stderr)


@contextmanager
def showing_progress() -> Iterator[Callable[[str], None]]:
    """Give a function that shows the current work on a terminal, in place of the words before; elsewhere it is silent."""
    shown = sys.stderr.isatty()

    def say(words: str) -> None:
        if shown:
            fitting = words[: shutil.get_terminal_size().columns - 1]
            print(f"\r\x1b[K{fitting}", end="", file=sys.stderr, flush=True)

    try:
        yield say
    finally:
        say("")


def write_page(path: str, text: str) -> None:
    """Write a page of HTML, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    from funcgrad.files import replacing

    with replacing(path) as file:
        file.write(text.encode())


def add_csv_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how text files are read, in place of what is detected."""
    group = parser.add_argument_group(
        "text files (what is not said is detected, and told in one line)"
    )
    for name, metavar, meaning in (
        ("delimiter", "CHARACTER", "between cells; 'tab' and 'space' are known as words"),
        ("decimal", "CHARACTER", "before the decimals: . or ,"),
        ("thousands", "CHARACTER", "between groups of three digits, such as 'space'; '' for none"),
        ("encoding", "NAME", "such as utf-8, cp1252 or utf-16"),
        ("comment", "TEXT", "lines above the header that begin with it are skipped (default: #)"),
    ):
        group.add_argument(f"--{name}", metavar=metavar, help=meaning)
    group.add_argument(
        "--no-header",
        dest="header",
        action="store_false",
        default=None,
        help="the first line is data; the columns are x0, x1, ...",
    )


def csv_options(options: argparse.Namespace) -> Any:
    """Return the options as `datasets.CsvOptions`.

    Raises:
        ValueError: one cannot be.
    """
    from funcgrad.datasets import CsvOptions

    given = {name: getattr(options, name) for name in CsvOptions._fields}
    for name in ("delimiter", "thousands"):
        given[name] = _WORDS.get(given[name], given[name])
    made = CsvOptions(**given)
    made.check()
    return made


def names_in(text: str | None) -> list[str] | None:
    """Return the columns' names that an option lists, separated by commas; one with a comma stands in quotes."""
    if text is None:
        return None
    return [name.strip() for name in next(csv.reader([text], skipinitialspace=True))]
