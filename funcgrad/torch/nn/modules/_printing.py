"""The printed form of modules that hold others."""

from collections.abc import Iterable


def indented(text: str) -> str:
    """The lines of a text after the first, by two spaces."""
    return text.replace("\n", "\n  ")


def on_lines(lines: Iterable[str]) -> str:
    """Lines between brackets; nothing if there is none."""
    listed = "\n  ".join(lines)
    return f"\n  {listed}\n" if listed else ""
