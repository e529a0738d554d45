"""Fixtures that tests in several folders share."""

import pytest


@pytest.fixture(scope="session")
def torch():
    """PyTorch itself; a test that uses it is skipped where it is not installed."""
    from tests.both_sides import theirs  # here, because most folders load neither library

    return theirs
