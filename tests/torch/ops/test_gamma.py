"""Derivatives of the gamma function's logarithm, at negative numbers too."""

import numpy as np
import pytest

from tests.both_sides import SIDES

X = np.array([-9.6, -8.315684908389088, -7.4, -5.5, -3.99, -1.7, -0.3, -0.01, 0.2, 1.0, 7.5, 40.0])


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
