"""`svd_lowrank`, `pca_lowrank`, `ldl_factor` and `lobpcg`: the same random numbers, so the same singular values and vectors."""

import numpy as np
import pytest

from tests.both_sides import SIDES, assert_same, attempt, ours, theirs

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


SQUARE = np.random.RandomState(1).randn(2, 4, 4) + 1j * np.random.RandomState(2).randn(2, 4, 4)


@pytest.mark.parametrize(("dtype", "hermitian"), [("float64", False), ("complex128", True), ("complex128", False)])  # fmt: skip
def test_symmetric_matrices_are_factored(dtype, hermitian):
    def run(torch, see):
        a = torch.tensor(SQUARE if dtype == "complex128" else SQUARE.real)
        a = (a + (a.mH if hermitian else a.mT)) * torch.ones(4, dtype=torch.float64).fill_(0.5)
        b = torch.arange(8.0, dtype=torch.float64).reshape(4, 2).to(a.dtype)
        factors = torch.linalg.ldl_factor(a, hermitian=hermitian)
        see(
            type(factors).__name__,
            *factors,
            torch.linalg.ldl_solve(*factors, b, hermitian=hermitian),
        )
        see(
            *torch.linalg.ldl_factor_ex(torch.zeros(2, 2)),
            *torch.linalg.ldl_factor(torch.zeros(0, 0)),
        )
        for wrong in (
            torch.ones(2, 3),
            torch.ones(2),
            torch.ones(2, 2, dtype=torch.int64),
            torch.zeros(2, 2),
        ):
            see(type(attempt(torch.linalg.ldl_factor, wrong)).__name__)

    assert_same(run, rtol=1e-9, atol=1e-12)


def test_extreme_eigenvalues_of_symmetric_matrices():
    found = []
    for torch in SIDES:
        torch.manual_seed(0)
        base = torch.diag(torch.arange(1.0, 13.0, dtype=torch.float64)) + 0.1
        a = base.clone().requires_grad_()
        options = (
            {"k": 2},
            {"k": 2, "largest": False},
            {"B": torch.diag(torch.arange(1.0, 13.0).double() * 2)},
        )
        parts = [torch.lobpcg(base, tol=1e-9, **more) for more in options]
        torch.lobpcg(a, k=2, tol=1e-9)[0].sum().backward()
        found.append([*(e.numpy() for e, _ in parts), *(np.abs(v.numpy()) for _, v in parts), a.grad.diag().numpy()])  # fmt: skip
    for mine, other in zip(*found, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-6, atol=1e-5)
    with pytest.raises(ValueError, match="smaller than 3 x"):
        ours.lobpcg(ours.eye(5), k=2)
