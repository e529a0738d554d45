"""The gamma function's relatives at negative numbers, at poles and at infinities, and their derivatives."""

import math

import numpy as np
import pytest
import scipy.special

from tests.both_sides import SIDES, ours

X = np.array([-9.6, -8.315684908389088, -7.4, -5.5, -3.99, -1.7, -0.3, -0.01, 0.2, 1.0, 7.5, 40.0])
AT_POLES = np.array([0.0, -0.0, -1.0, -2.0, -30.5, -31.0, np.inf, -np.inf, np.nan])


@pytest.mark.parametrize("name", ["lgamma", "digamma"])
def test_derivatives_of_both_orders_are_pytorchs(name):
    found = []
    for torch in SIDES:
        x = torch.tensor(X, requires_grad=True)
        (first,) = torch.autograd.grad(getattr(torch, name)(x).sum(), x, create_graph=True)
        (second,) = torch.autograd.grad(first.sum(), x)
        found.append((first.detach().numpy(), second.numpy()))
    for mine, expected in zip(*found, strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-6)


RELATIVES = {
    **{f"polygamma {n}": lambda torch, x, n=n: torch.polygamma(n, x) for n in (2, 3, 4)},
    **{
        f"zeta {s}": lambda torch, x, s=s: torch.special.zeta(s, x)
        for s in (-1.0, 0.0, 0.5, 1.0, 2.0, 2.5, 3.0)
    },
}


@pytest.mark.parametrize("name", RELATIVES)
def test_values_and_derivatives_are_pytorchs(name):
    found = []
    for torch in SIDES:
        x = torch.tensor(np.concatenate([X, AT_POLES]), requires_grad=True)
        made = RELATIVES[name](torch, x)
        found.append((made.detach().numpy(), torch.autograd.grad(made.sum(), x)[0].numpy()))
    for mine, expected in zip(*found, strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-12)


def test_trigamma_is_exact_at_halves_and_infinite_at_poles():
    # psi'(1/2) = pi**2 / 2, and psi'(x) = psi'(x + 1) + 1 / x**2.
    half = math.pi**2 / 2
    x = ours.tensor([0.5, -0.5, -1.5, 1.0, -3.0], dtype=ours.float64)
    right = [half, half + 4, half + 4 + 4 / 9, math.pi**2 / 6, math.inf]
    np.testing.assert_allclose(ours.polygamma(1, x).numpy(), right, rtol=1e-14)


def test_zeta_has_no_derivative_by_its_order():
    for torch in SIDES:
        x = torch.tensor([2.0], requires_grad=True)
        with pytest.raises(NotImplementedError, match="the derivative for 'zeta'"):
            torch.special.zeta(x, torch.tensor([1.5])).backward()


@pytest.mark.parametrize("name", ["bessel_j0", "bessel_j1"])
def test_bessel_functions_of_small_and_of_large_numbers_are_pytorchs(name):
    x = np.array([0.0, -0.0, 1e-8, -0.5, 3.7, 24.9, 25.1, -30.0, 100.0, 513.0, -1e4, 1e6])
    mine, expected = (getattr(torch.special, name)(torch.tensor(x)).numpy() for torch in SIDES)
    np.testing.assert_allclose(mine, expected, rtol=1e-9, atol=1e-12)


def test_bessel_functions_of_the_second_kind_and_airys_are_right_to_rounding():
    # SciPy's, since PyTorch's of the second kind are 4e-7 off.
    x = np.array([1e-300, 1e-3, 0.5, 2.0, 2.001, 3.7, 12.0, 24.9, 25.1, 100.0, 513.0, 1e4])
    right = {
        "bessel_y0": scipy.special.y0,
        "bessel_y1": scipy.special.y1,
        "modified_bessel_k0": scipy.special.k0,
        "modified_bessel_k1": scipy.special.k1,
        "scaled_modified_bessel_k0": scipy.special.k0e,
        "scaled_modified_bessel_k1": scipy.special.k1e,
        "airy_ai": lambda x: scipy.special.airy(x)[0],
    }
    for name, expected in right.items():
        found = getattr(ours.special, name)
        points = np.concatenate([x[:-2], -x[:-2]]) if name == "airy_ai" else x
        made = found(ours.tensor(points)).numpy()
        np.testing.assert_allclose(made, expected(points), rtol=1e-11, atol=1e-11, err_msg=name)
        if name != "airy_ai":
            ends = found(ours.tensor([-1.0, 0.0, math.inf])).tolist()
            modified = "modified" in name
            expected_ends = (
                [math.nan, math.inf, 0.0] if modified else [math.nan, -math.inf, math.nan]
            )
            assert str(ends) == str(expected_ends), name
