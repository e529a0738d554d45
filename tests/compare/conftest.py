"""Fixtures for tests of the comparison."""

import pytest


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch):
    """Reports are not folded, whatever the tests run in."""
    monkeypatch.setenv("COLUMNS", "200")
