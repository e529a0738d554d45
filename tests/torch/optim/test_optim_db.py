"""PyTorch's own table of optimizers. `python -m tests.against_pytorch.optim_db` runs all configurations."""

import pytest

pytest.importorskip("torch")

from tests.against_pytorch.optim_db import differences, infos, refusals
from tests.both_sides import ours, theirs

# SparseAdam is in tests/torch/tensor/test_sparse.py.
NAMES = [
    name
    for name, each in vars(ours.optim).items()
    if isinstance(each, type)
    and issubclass(each, ours.optim.Optimizer)
    and name not in ("Optimizer", "SparseAdam")
]


@pytest.fixture(scope="module")
def described():
    """The table by names. To load it takes seconds, which only the tests spend that look into it."""
    return {each.name: each for each in infos()}


def test_every_optimizer_is_in_the_table(described):
    assert described.keys() == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_what_the_table_refuses_is_refused_in_pytorchs_words(described, name):
    info = described[name]
    assert len(info.optim_error_inputs_func("cpu", theirs.float32)) > 5
    assert refusals(info) == []


@pytest.mark.parametrize("name", NAMES)
def test_each_side_goes_on_from_the_others_state(name):
    assert differences(name, {}, "float64") == []
