"""Complex linear algebra next to PyTorch: values and gradients, with a cotangent that is complex in every element."""

import numpy as np
import pytest

from tests.both_sides import SIDES, assert_same, attempt

RANDOM = np.random.default_rng(0)


def numbers(*shape):
    return RANDOM.normal(size=shape) + 1j * RANDOM.normal(size=shape)


A, B, TALL = numbers(3, 3), numbers(3, 2), numbers(4, 3)
HERMITIAN = A @ A.conj().T + 3 * np.eye(3)
# Only one triangle is read, but the gradient reaches both.
ONE_TRIANGLE = HERMITIAN + np.triu(numbers(3, 3), 1)
FACTOR = np.linalg.cholesky(HERMITIAN)


def size(x):
    return x.abs() ** 2


# The phases of vectors are free, so losses that depend on them have no derivative.
CASES = {
    "cholesky": (lambda t, A: t.linalg.cholesky(A), HERMITIAN),
    "cholesky of the upper triangle": (lambda t, A: t.linalg.cholesky(A, upper=True), ONE_TRIANGLE),
    "cholesky of the lower triangle": (lambda t, A: t.linalg.cholesky(A), ONE_TRIANGLE.T.copy()),
    "cholesky_ex": (lambda t, A: t.linalg.cholesky_ex(A).L, HERMITIAN),
    "cholesky_inverse": (lambda t, L: t.cholesky_inverse(L), FACTOR),
    "cholesky_inverse, upper": (lambda t, L: t.cholesky_inverse(L, upper=True), FACTOR.T.copy()),
    "cholesky_solve": (lambda t, B, L: t.cholesky_solve(B, L), B, FACTOR),
    "cholesky_solve, upper": (
        lambda t, B, L: t.cholesky_solve(B, L, upper=True),
        B,
        FACTOR.T.copy(),
    ),
    "cholesky_solve of a full matrix": (lambda t, B, L: t.cholesky_solve(B, L), B, A),
    "det": (lambda t, A: t.linalg.det(A), A),
    "slogdet": (lambda t, A: t.linalg.slogdet(A), A),
    "logdet": (lambda t, A: t.logdet(A), A),
    "inv": (lambda t, A: t.linalg.inv(A), A),
    "pinv": (lambda t, A: t.linalg.pinv(A), TALL),
    "pinv, hermitian": (lambda t, A: t.linalg.pinv(A, hermitian=True), HERMITIAN),
    "solve": (lambda t, A, B: t.linalg.solve(A, B), A, B),
    "solve from the right": (lambda t, A, B: t.linalg.solve(A, B, left=False), A, B.T.copy()),
    "solve_triangular": (
        lambda t, A, B: t.linalg.solve_triangular(A, B, upper=True),
        A,
        B,
    ),
    "lu": (lambda t, A: t.linalg.lu(A)[1:], A),
    "lu_factor": (lambda t, A: t.linalg.lu_factor(A)[0], A),
    "lu_solve": (lambda t, A, B: t.linalg.lu_solve(*t.linalg.lu_factor(A), B, adjoint=True), A, B),
    "lstsq": (lambda t, A, B: t.linalg.lstsq(A, B).solution, TALL, numbers(4, 2)),
    "qr": (lambda t, A: t.linalg.qr(A), TALL),
    "householder_product": (lambda t, A: t.linalg.householder_product(A, A[0] / 3), TALL),
    "svd": (lambda t, A: [size(t.linalg.svd(A, False)[k]) for k in range(3)], TALL),
    "svdvals": (lambda t, A: t.linalg.svdvals(A), TALL),
    "eigh": (lambda t, A: [t.linalg.eigh(A)[0], size(t.linalg.eigh(A)[1])], HERMITIAN),
    "eigvalsh": (lambda t, A: t.linalg.eigvalsh(A, "U"), ONE_TRIANGLE),
    "eig": (lambda t, A: [t.linalg.eig(A)[0], size(t.linalg.eig(A)[1])], A),
    "matrix_exp": (lambda t, A: t.linalg.matrix_exp(A), A),
    "matrix_power": (lambda t, A: t.linalg.matrix_power(A, -2), A),
    "matrix_norm": (lambda t, A: [t.linalg.matrix_norm(A, p) for p in ("fro", "nuc", 2, 1)], A),
    "cond": (lambda t, A: t.linalg.cond(A), A),
    "multi_dot": (lambda t, A, B: t.linalg.multi_dot([A, B, B.mT]), A, B),
    "vecdot": (lambda t, A, B: t.linalg.vecdot(A, B), A, HERMITIAN),
    "cross": (lambda t, A, B: t.linalg.cross(A, B), A, HERMITIAN),
}


def outcome(torch, function, *arrays):
    tensors = [torch.tensor(each, requires_grad=True) for each in arrays]
    made = function(torch, *tensors)
    made = list(made) if isinstance(made, (list, tuple)) else [made]
    weights = []
    for each in made:
        angles = np.cos(np.arange(each.numel())).reshape(tuple(each.shape))
        complex_too = angles + 1j * np.sin(1 + angles) if each.dtype.is_complex else angles
        weights.append(torch.tensor(complex_too, dtype=each.dtype))
    gradients = torch.autograd.grad(made, tensors, weights)
    return [each.detach().resolve_conj().numpy() for each in (*made, *gradients)]


@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_are_pytorchs(case):
    mine, expected = (outcome(torch, *CASES[case]) for torch in SIDES)
    for one, other in zip(mine, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("shape", [(4, 3), (3, 4), (2, 3, 3)], ids=str)
@pytest.mark.parametrize("part", [np.real, np.asarray], ids=["real", "complex"])
def test_geqrf_packs_as_lapack_does(shape, part):
    given = part(numbers(*shape)).copy()
    mine, expected = (torch.geqrf(torch.tensor(given)) for torch in SIDES)
    for one, other in zip(mine, expected, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-12, atol=1e-12)


def test_geqrf_has_no_derivative():
    for torch in SIDES:
        made = torch.geqrf(torch.tensor(A.real.copy(), requires_grad=True))
        assert made.a.requires_grad
        assert made.tau.requires_grad
        with pytest.raises(NotImplementedError, match="derivative for 'geqrf'"):
            made.tau.abs().sum().backward()


# Losses of one matrix; the ones that depend on the phase of its vectors have no gradient.
OF_VECTORS = [
    "eigh(x @ x.mH)[1].real.sum()",
    "(eigh(x @ x.mH)[1].abs() ** 4).sum()",
    "eigh(x @ x.mH)[0].sum()",
    "eig(x)[1].real.sum()",
    "(eig(x)[1].abs() ** 4).sum()",
    "eig(x.real)[1].real.sum()",
    "svd(x[:2], full_matrices=False)[0].real.sum()",
    "svd(x[:2], full_matrices=False)[2].imag.sum()",
    "(svd(x[:2], full_matrices=False)[0].abs() ** 4).sum()",
    "(svd(x[:2], False)[0] @ svd(x[:2], False)[2]).real.sum()",
    "(lambda U, S, Vh: (U @ Vh).real.sum())(*svd(x[:2], full_matrices=False))",
    "(lambda U, S, Vh: (U @ Vh[:2]).real.sum())(*svd(x[:2], full_matrices=True))",
    "svd(x[:2], full_matrices=True)[2][0].real.sum()",
]


@pytest.mark.parametrize("loss", OF_VECTORS)
def test_a_loss_that_depends_on_the_phase_of_vectors_has_no_gradient(loss):
    def program(torch, see):
        x = torch.tensor(
            [[1 + 2j, 0.5, -1j], [0.25j, 2, 1 - 1j], [1, 1j, -3]],
            dtype=torch.complex128,
            requires_grad=True,
        )
        value = eval(
            loss, {name: getattr(torch.linalg, name) for name in ("eigh", "eig", "svd")} | {"x": x}
        )
        see(attempt(value.backward), x.grad)

    assert_same(program)
