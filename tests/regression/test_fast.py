"""`accuracy="fast"`: the numbers of the full answer, to as many digits as it says."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from funcgrad import regression

RNG = np.random.default_rng(2)
X = RNG.normal(size=(60, 4)) * [1, 100, 0.01, 5] + [0, 1e3, 1, -2]
Y = 2 + X @ [1.0, 0.02, 30.0, -0.5] + RNG.normal(size=60)
WEIGHTS = RNG.integers(0, 4, 60).astype(float)
PROBLEMS = {
    "plain": (X, Y, {}),
    "intercept": (X, Y, {"intercept": True}),
    "weighted": (X, Y, {"intercept": True, "weights": WEIGHTS}),
    "several outputs": (X, np.column_stack([Y, Y**2]), {"intercept": True}),
    "several blocks": (np.tile(X, (160, 1)), np.tile(Y, 160), {"intercept": True}),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_every_number_is_that_of_the_full_answer(name):
    """The full answer is tested against exact arithmetic and NIST's certified values."""
    x, y, options = PROBLEMS[name]
    fast = regression.least_squares(x, y, **options, accuracy="fast")
    full = regression.least_squares(x, y, **options)
    assert full.digits is None
    assert 8 < float(fast.digits) < 16
    fast = fast._replace(digits=None)
    for ours, exact in zip(jax.tree.leaves(fast), jax.tree.leaves(full), strict=True):
        np.testing.assert_allclose(ours, exact, rtol=1e-8)
        assert ours.dtype == exact.dtype


@pytest.mark.parametrize("degree", [2, 4, 6])
@pytest.mark.parametrize("noise", [0.0, 1.0])
@pytest.mark.filterwarnings("ignore:. digits of the answer are sure:RuntimeWarning")
def test_as_many_digits_are_right_as_it_says(degree, noise):
    """Polynomials from 0 to 1, whose condition grows tenfold and more with each degree."""
    points = np.arange(33) / 32  # whose powers float64 holds
    x = np.stack([points**k for k in range(degree + 1)], axis=1)
    y = x.sum(axis=1) + noise * (-1.0) ** np.arange(33)
    fast = regression.least_squares(x, y, accuracy="fast")
    exact = np.asarray(regression.least_squares(x, y).params)
    if not noise:
        np.testing.assert_allclose(exact, 1, rtol=1e-13)
    wrong = np.abs(np.asarray(fast.params) - exact).max() / np.abs(exact).max()
    right = -math.log10(max(wrong, 1e-17))
    assert float(fast.digits) <= right + 0.5
    assert float(fast.digits) > 15 - 2.4 * degree


def test_few_digits_are_told_and_none_is_nan():
    x = np.column_stack([X, X[:, 0]])
    with pytest.warns(RuntimeWarning, match="0 digits of the answer are sure: accuracy='full'"):
        answer = regression.least_squares(x, Y, accuracy="fast")
    assert np.isnan(np.asarray(answer.params)).all()
    with pytest.raises(ValueError, match="accuracy must be 'full' or 'fast', got 'low'"):
        regression.least_squares(X, Y, accuracy="low")
    with pytest.raises(TypeError, match="TwoFloats"):
        regression.least_squares(regression.powers(X[:, 0], 2), Y, accuracy="fast")


def test_it_works_inside_jit_and_has_the_derivatives_of_the_full_answer():
    def slope(shift, accuracy):
        answer = regression.least_squares(X, Y + shift * X[:, 0] ** 2, accuracy=accuracy)
        return answer.params[0]

    with jax.enable_x64(True):
        found, full = (
            jax.jit(jax.grad(slope), static_argnums=1)(jnp.zeros(()), accuracy)
            for accuracy in ("fast", "full")
        )
    np.testing.assert_allclose(found, full, rtol=1e-9)
