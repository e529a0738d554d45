"""PyTorch's own samples of its ops agree on both sides. `python -m tests.against_pytorch.op_db` runs all of them."""

import warnings

import pytest

from tests.against_pytorch.op_db import infos, mine_of, tally_of, title
from tests.both_sides import theirs

# Ops that have samples on which the sides differ; the page of differences says why.
DIFFER = {"nanmean", "linalg.eig", "cholesky", "linalg.cholesky", "linalg.cholesky_ex"}


def offered():
    try:
        found = infos()
    except ImportError:  # PyTorch without its tests' own needs
        return []
    return [each for each in found if mine_of(each) is not None]


def cases():
    # One op in twelve runs always, the others with the slow tests.
    for k, info in enumerate(offered() if hasattr(theirs, "__version__") else []):
        marks = [] if k % 12 == 0 else [pytest.mark.slow]
        if title(info) not in DIFFER:
            yield pytest.param(info, id=title(info), marks=marks)


@pytest.mark.parametrize("info", list(cases()))
def test_first_samples_agree(info):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = tally_of(info, ("float64", "int64"), most=1)
    assert not found.wrong
