"""Sums and products of float64 numbers held as two floats, to about 32 decimal digits.

The arrays are JAX's or NumPy's. Here is only the arithmetic that iterative refinement needs. Every intermediate product fits in one float64, so the
promised digits hold even if the compiler fuses multiplications with additions or reorders a sum.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Num

from funcgrad.regression.namespaces import namespace, reduced
from funcgrad.regression.precision import numbers, own_work


class TwoFloats(NamedTuple):
    """Numbers with twice float64's digits: each is the exact sum `high + low`.

    Attributes:
        high: the numbers rounded to float64, of any shape.
        low: the rounding error, of the same shape.
    """

    high: Float[Array, ...]
    low: Float[Array, ...]


def two_sum(a: Array, b: Array) -> TwoFloats:
    """Return a + b exactly. (D. E. Knuth, "The Art of Computer Programming" 2, 4.2.2, theorem B.)"""
    total = a + b
    b_part = total - a
    return TwoFloats(total, (a - (total - b_part)) + (b - b_part))


def two_product(a: Array, b: Array) -> TwoFloats:
    """Return a * b to 103 bits: the low part's two additions round, each to at most 2**-104 of the product.

    Dekker's products of halves ("A floating-point technique for extending the available precision",
    1971), with the halves cut by a mask. A fused multiply-add would spoil his way of cutting them, a rounded
    product minus itself.
    """
    a_high, a_low = _halves(a)
    b_high, b_low = _halves(b)
    first, first_error = two_sum(a_high * b_high, a_high * b_low)
    total, error = two_sum(first, a_low * b_high)
    return TwoFloats(total, (first_error + error) + a_low * b_low)


def _halves(a: Array) -> tuple[Array, Array]:
    high = (a.view(np.int64) & np.int64(-1 << 27)).view(a.dtype)
    return high, a - high


def add(a: TwoFloats, b: TwoFloats) -> TwoFloats:
    """Return a + b to 104 bits. (X. S. Li et al., "Extra precise BLAS", 2002, section 3.)"""
    high, high_error = two_sum(a.high, b.high)
    low, low_error = two_sum(a.low, b.low)
    high, low = two_sum(high, high_error + low)
    return two_sum(high, low + low_error)


def multiply(a: TwoFloats, b: TwoFloats) -> TwoFloats:
    """Return a * b, element by element, to 102 bits."""
    high, low = two_product(a.high, b.high)
    return two_sum(high, low + (a.high * b.low + a.low * b.high))


def double(a: Array) -> TwoFloats:
    """Return a as two floats."""
    return TwoFloats(a, namespace(a).zeros_like(a))


def negative(a: TwoFloats) -> TwoFloats:
    """Return -a."""
    return TwoFloats(-a.high, -a.low)


def square_root(a: Array) -> TwoFloats:
    """Return √a to 104 bits, by one step of Newton's from the float nearest to it; a is 0 or more."""
    xp = namespace(a)
    root = xp.sqrt(a)
    square = two_product(root, root)
    rest = (a - square.high) - square.low
    return TwoFloats(root, rest / xp.where(root > 0, 2 * root, 1))


def total(a: TwoFloats, axis: int) -> TwoFloats:
    """Return the sum along an axis, in one fused loop that holds nothing besides."""

    def combine(s: tuple[Array, ...], t: tuple[Array, ...]) -> tuple[Array, ...]:
        return tuple(add(TwoFloats(*s), TwoFloats(*t)))

    return TwoFloats(*reduced(combine, tuple(a), axis))


def sum_of_squares(columns: Array) -> Array:
    """Return the sum of the squares in each column, rounded once."""
    return total(two_product(columns, columns), 0).high


def matmul(a: TwoFloats, b: TwoFloats, *, transposed: bool = False) -> TwoFloats:
    """Return a @ b for matrices, or aᵀ @ b."""
    axis = 1 if transposed else 2
    # Columns of b, rows of a, columns of a.
    left = TwoFloats(*(part[None] for part in a))
    right = TwoFloats(*(part.T[:, None] if axis == 2 else part.T[:, :, None] for part in b))
    return TwoFloats(*(part.T for part in total(multiply(left, right), axis)))


def powers(x: Num[ArrayLike, " rows"], degree: int) -> TwoFloats:
    """Return the columns x, x², ..., x to the degree, for a polynomial with `least_squares`.

    High powers need more digits than a float64 has: fitting a polynomial of degree ten to float64 powers
    can lose all but seven digits of the answer before any arithmetic is done. The products are
    computed as two floats, in float64 whatever the dtype of x.

    Args:
        x: the one feature, shape (rows,).
        degree: the highest power, 1 or more.

    Raises:
        ValueError: if x is not a vector or the degree is less than 1.

    >>> import numpy as np
    >>> from funcgrad import regression
    >>> x = np.arange(6.0)
    >>> answer = regression.least_squares(
    ...     regression.powers(x, 2), 1 + 2 * x + 3 * x**2, intercept=True
    ... )
    >>> answer.params
    Linear(weights=Array([2., 3.], dtype=float64), bias=Array(1., dtype=float64))
    """
    x = numbers("x", x)
    with own_work():
        x = jnp.asarray(x).astype(jnp.float64)
        if x.ndim != 1:
            raise ValueError(f"x must have shape (rows,), got {x.shape}")
        if degree < 1:
            raise ValueError(f"degree must be 1 or more, got {degree}")
        base = TwoFloats(x, jnp.zeros_like(x))
        columns = [base]
        for _ in range(degree - 1):
            columns.append(multiply(columns[-1], base))
        return jax.tree.map(lambda *parts: jnp.stack(parts, axis=1), *columns)
