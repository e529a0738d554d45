"""PyTorch's own table of optimizers. `python -m tests.against_pytorch.optim_db` runs all configurations."""

import pytest

pytest.importorskip("torch")

from tests.against_pytorch.optim_db import differences, infos, refusals
from tests.both_sides import theirs

INFOS = infos()


@pytest.mark.parametrize("info", INFOS, ids=lambda info: info.name)
def test_what_the_table_refuses_is_refused_in_pytorchs_words(info):
    assert len(info.optim_error_inputs_func("cpu", theirs.float32)) > 5
    assert refusals(info) == []


@pytest.mark.parametrize("info", INFOS, ids=lambda info: info.name)
def test_each_side_goes_on_from_the_others_state(info):
    assert differences(info.name, {}, "float64") == []
