"""PyTorch's own table of modules. `python -m tests.against_pytorch.module_db` runs all samples; here is one of each kind."""

import itertools

import pytest

pytest.importorskip("torch")

from tests.against_pytorch.module_db import cases, differences
from tests.both_sides import theirs

KINDS = {"Linear", "CrossEntropyLoss", "BatchNorm1d", "Softmax", "Embedding", "LinearCrossEntropyLoss", "PReLU", "LayerNorm", "Hardshrink"}  # fmt: skip


@pytest.fixture(scope="module")
def samples():
    found = cases(KINDS, theirs.float64)
    return {
        kind: list(itertools.islice(of_kind, 3))
        for kind, of_kind in itertools.groupby(found, lambda case: case[0])
    }


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_samples_agree_in_double_precision(samples, kind):
    assert samples[kind]
    for case in samples[kind]:
        assert differences(*case) == []
