"""The stubs, by which type checkers and editors know the names that rows declare."""

from tests.stubs import STUBS


def test_the_stubs_are_those_of_the_rows():
    stale = [path.name for path, make in STUBS.items() if path.read_text() != make()]
    assert not stale, f"{stale} are out of date: run python -m tests.stubs"
