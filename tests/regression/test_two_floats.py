"""Arithmetic in two floats against rational arithmetic, as compiled and as fused by the compiler."""

from fractions import Fraction

import jax
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from funcgrad import regression
from funcgrad.regression.two_floats import TwoFloats, add, matmul, multiply, two_product, two_sum

# Far from overflow and underflow, which no such arithmetic survives.
numbers = st.floats(1e-100, 1e100) | st.floats(-1e100, -1e-100)
columns = st.lists(numbers, min_size=4, max_size=4).map(np.array)
relative = st.floats(-1.1e-16, 1.1e-16)


def compiled(function):
    """One program, so that the compiler may fuse and reorder whatever it dares to."""
    program = jax.jit(function)

    def call(*args):
        with jax.enable_x64(True):
            return program(*args)

    return call


def exact(two, *index):
    high, low = (np.asarray(part)[index] for part in two)
    return Fraction(float(high)) + Fraction(float(low))


SUM, PRODUCT, ADD, MULTIPLY = map(compiled, (two_sum, two_product, add, multiply))
MATMUL = compiled(matmul)
MATMUL_TRANSPOSED = compiled(lambda a, b: matmul(a, b, transposed=True))


@settings(max_examples=200, deadline=None)
@given(columns, columns)
def test_sum_is_exact(a, b):
    total = SUM(a, b)
    for i in range(4):
        assert exact(total, i) == Fraction(float(a[i])) + Fraction(float(b[i]))
    np.testing.assert_array_equal(total.high, a + b)


@settings(max_examples=200, deadline=None)
@given(columns, columns)
@example(np.array([2441033312995229.0] * 4), np.array([5904371128501809.0] * 4))
def test_product_has_103_bits(a, b):
    product = PRODUCT(a, b)
    for i in range(4):
        wanted = Fraction(float(a[i])) * Fraction(float(b[i]))
        assert abs(exact(product, i) - wanted) <= abs(wanted) * Fraction(1, 2**103)


@settings(max_examples=200, deadline=None)
@given(columns, columns, relative, relative)
def test_sum_and_product_of_two_floats_have_102_bits(a, b, a_low, b_low):
    a, b = SUM(a, a * a_low), SUM(b, b * b_low)
    total, product = ADD(a, b), MULTIPLY(a, b)
    for i in range(4):
        left, right = exact(a, i), exact(b, i)
        bits = Fraction(1, 2**102)
        assert abs(exact(total, i) - (left + right)) <= abs(left + right) * bits
        assert abs(exact(product, i) - left * right) <= abs(left * right) * bits


@pytest.mark.parametrize("transposed", [False, True])
def test_matrix_product_cancels_without_loss(transposed):
    """Sums whose terms are 1e16 times larger than the total, which float64 alone gets wrong altogether."""
    random = np.random.default_rng(0)
    a = random.integers(-(2**50), 2**50, size=(3, 40)).astype(np.float64)
    b = random.integers(-(2**50), 2**50, size=(40, 2)).astype(np.float64)
    a, b = np.hstack([a, a]), np.vstack([b, -b])
    b[0] += 1
    left = TwoFloats(a.T if transposed else a, 0 * (a.T if transposed else a))
    product = (MATMUL_TRANSPOSED if transposed else MATMUL)(left, TwoFloats(b, 0 * b))
    for i in range(3):
        for j in range(2):
            assert exact(product, i, j) == Fraction(float(a[i, 0]))


def test_powers_have_twice_the_digits():
    x = np.random.default_rng(0).normal(size=20)
    columns = regression.powers(x, 10)
    assert columns.high.shape == columns.low.shape == (20, 10)
    for i in range(20):
        for k in range(10):
            wanted = Fraction(float(x[i])) ** (k + 1)
            assert abs(exact(columns, i, k) - wanted) <= abs(wanted) * Fraction(1, 2**98)
            assert float(columns.high[i, k]) == float(wanted)


def test_powers_of_float32_are_computed_in_float64():
    x = np.float32([1.1, -2.3])
    high, _ = regression.powers(x, 3)
    np.testing.assert_array_equal(high[:, 2], [float(Fraction(float(v)) ** 3) for v in x])


@pytest.mark.parametrize(
    ("x", "degree", "message"),
    [
        (np.ones((2, 1)), 2, r"x must have shape \(rows,\), got \(2, 1\)"),
        (np.ones(2), 0, "degree must be 1 or more, got 0"),
    ],
)
def test_powers_refuse_what_has_none(x, degree, message):
    with pytest.raises(ValueError, match=message):
        regression.powers(x, degree)
