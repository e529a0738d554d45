"""Programs made up at random agree with PyTorch under `torch.func`'s transformations, nested at random."""

import pytest

from tests.against_pytorch.transformed_programs import disagreement


@pytest.mark.parametrize("seed", range(12))
def test_transformed_program(seed):
    assert disagreement(seed) is None
