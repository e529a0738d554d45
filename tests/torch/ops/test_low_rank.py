"""`svd_lowrank` and `pca_lowrank`: the same random numbers, so the same singular values and vectors."""

import numpy as np
import pytest

from tests.both_sides import SIDES, ours, theirs

ROWS = np.random.RandomState(0).randn(7, 5)

CASES = {
    "all of a tall matrix": lambda t, a: t.svd_lowrank(a),
    "few of a tall matrix": lambda t, a: t.svd_lowrank(a, q=2, niter=1),
    "a wide matrix": lambda t, a: t.svd_lowrank(a.t(), q=3),
    "less another": lambda t, a: t.svd_lowrank(a, 3, M=a.mean(0, keepdim=True)),
    "components": lambda t, a: t.pca_lowrank(a, q=3),
    "components of a stack": lambda t, a: t.pca_lowrank(t.stack([a, 2 * a]), niter=0),
    "not centred": lambda t, a: t.pca_lowrank(a, q=2, center=False),
}


@pytest.mark.parametrize("name", CASES)
def test_factors_are_pytorchs(name):
    found = []
    for torch in SIDES:
        torch.manual_seed(0)
        u, s, v = CASES[name](torch, torch.tensor(ROWS))
        found.append([s.numpy(), (u * s.unsqueeze(-2) @ v.mT).numpy(), np.abs(v.numpy())])
    for mine, other in zip(*found, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("options", [{"q": 9}, {"q": -1}, {"niter": -1}])
def test_counts_out_of_range_are_refused_in_the_same_words(options):
    with pytest.raises(ValueError) as expected:  # noqa: PT011
        theirs.pca_lowrank(theirs.tensor(ROWS), **options)
    with pytest.raises(ValueError) as refused:  # noqa: PT011
        ours.pca_lowrank(ours.tensor(ROWS), **options)
    assert str(refused.value) == str(expected.value)
