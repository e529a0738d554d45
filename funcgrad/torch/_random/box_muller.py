"""Normals from uniforms, rounded as in PyTorch's CPU kernels.

It is plain arithmetic on arrays; the caller draws the uniforms.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

# Coefficients of the logarithm, cosine and sine, and pi/4 in three parts. Source: S. Moshier,
# Cephes Mathematical Library, logf.c and sinf.c (https://www.netlib.org/cephes/).
_LOG = np.array(
    (
        *(7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1),
        *(-1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1),
    ),
    np.float32,
).tolist()
_LOG_2 = np.array([-2.12194440e-4, 0.693359375], np.float32)
_SIN = np.array([-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1], np.float32).tolist()
_COS = np.array(
    [2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2], np.float32
).tolist()
_PI_4 = np.array([0.78515625, 2.4187564849853515625e-4, 3.77489497744594108e-8], np.float32)
_SQRT_HALF_BITS = np.float32(0.707106781186547524).view(np.int32)
_4_PI = np.float32(4 / math.pi)
_2_PI = np.float32(2 * math.pi)
_ONE, _HALF = np.float32(1), np.float32(0.5)


def multiply_add(a: np.ndarray, b: float, c: float) -> np.ndarray:
    """`a * b + c` rounded once, like the processor's fused instruction, except at underflow.

    The sum of three exact parts is rounded to odd before the last rounding. Source: S. Boldo and
    G. Melquiond, "Emulation of FMA and correctly rounded sums: proved algorithms using rounding
    to odd", IEEE Transactions on Computers 57 (2008).
    """
    extreme = not (abs(float(b)) < 1e300 and abs(float(c)) < 1e300)
    b, c = a.dtype.type(b), a.dtype.type(c)
    if b == 1:
        return a + c
    if extreme:
        return a * b + c
    if c == 0:
        # Only a product that is exactly zero takes the sign of the sum.
        return np.where((a != 0) & (b != 0), a * b, a * b + c)
    if a.dtype == np.float32:
        # The product is exact in double precision.
        total, rest = _two_sum(a.astype(np.float64) * np.float64(b), np.float64(c))
        return _to_odd(total, rest).astype(np.float32)
    product, product_rest = _two_product(a, b)
    low, low_rest = _two_sum(c, product_rest)
    high, high_rest = _two_sum(product, low)
    return high + _to_odd(*_two_sum(low_rest, high_rest))


def _two_sum(a: Any, b: Any) -> tuple[Any, Any]:
    total = a + b
    b_part = total - a
    return total, (a - (total - b_part)) + (b - b_part)


def _two_product(a: Any, b: Any) -> tuple[Any, Any]:
    product = a * b
    (a_high, a_low), (b_high, b_low) = _split(a), _split(b)
    rest = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    return product, rest


def _split(a: Any) -> tuple[Any, Any]:
    scaled = a * 134217729.0
    high = scaled - (scaled - a)
    return high, a - high


def _to_odd(value: np.ndarray, rest: np.ndarray) -> np.ndarray:
    even = value.view(np.uint64) & np.uint64(1) == 0
    towards = np.copysign(np.inf, rest)
    return np.where((rest != 0) & even, np.nextafter(value, towards), value)


def map_libm(function: Callable[[float], float], values: np.ndarray) -> np.ndarray:
    """Apply a function of `math`, which is the C library's, as in PyTorch. NumPy's own version can round differently."""
    return np.fromiter(map(function, values.tolist()), np.float64, values.size)


class _Fused:
    """Float32 `a * b + c` on arrays of one shape, computed in double. It could round twice; 10**9 trials never showed it.

    Its arrays are used again from step to step, which takes a third less time than new ones.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._wide, self._product = np.empty(shape), np.empty(shape)
        self.result = np.empty(shape, np.float32)

    def __call__(self, a: Any, b: Any, c: Any) -> np.ndarray:
        """The sum, which the next one overwrites."""
        self._wide[...] = a
        np.multiply(self._wide, b, self._product)
        np.add(self._product, c, self._product)
        self.result[...] = self._product
        return self.result

    def polynomial(self, coefficients: list[float], x: np.ndarray) -> np.ndarray:
        """The polynomial in `x` with these coefficients, the highest power first."""
        value: Any = coefficients[0]
        for coefficient in coefficients[1:]:
            value = self(value, x, coefficient)
        return value


def _log(x: np.ndarray) -> np.ndarray:
    # x = 2**exponent * mantissa, from the bits.
    bits = x.view(np.int32)
    exponent = (bits - _SQRT_HALF_BITS) >> 23
    x = (bits - (exponent << 23)).view(np.float32) - _ONE
    exponent = exponent.astype(np.float32)
    square = x * x
    fused = _Fused(x.shape)
    value = fused(fused.polynomial(_LOG, x.astype(np.float64)) * x, square, exponent * _LOG_2[0])
    # The last product is exact: neither factor has many digits.
    return x + (value - square * _HALF) + exponent * _LOG_2[1]


def _sin_and_cos(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    octant = ((x * _4_PI).astype(np.int32) + 1) & ~1
    turns = octant.astype(np.float32)
    # The first two products are exact: neither factor has many digits.
    reduced = x - turns * _PI_4[0] - turns * _PI_4[1]
    fused = _Fused(x.shape)
    reduced = fused(turns, -_PI_4[2], reduced).copy()
    square = reduced * reduced
    wide = square.astype(np.float64)
    cosine = fused(fused.polynomial(_COS, wide) * square, wide, square * -_HALF) + _ONE
    sine = fused(fused.polynomial(_SIN, wide) * square, reduced, reduced)
    # Every other pair of octants swaps the two; the signs change with the octant as well.
    sin, cos = sine.view(np.int32), cosine.view(np.int32)
    swap = (sin ^ cos) & -(octant >> 1 & 1)
    sin = sin ^ swap ^ (octant & 4) << 29
    cos = cos ^ swap ^ (octant + 2 & 4) << 29
    return sin.view(np.float32), cos.view(np.float32)


def _radii(uniforms: np.ndarray) -> np.ndarray:
    return np.sqrt(np.float32(-2) * _log(1 - uniforms))


def polar(uniforms: np.ndarray) -> np.ndarray:
    """The radius that each float32 uniform stands for in normals, and the sine and cosine of its angle, as three rows."""
    return np.array([_radii(uniforms), *_sin_and_cos(_2_PI * uniforms)])


def of_polar(rows: np.ndarray, mean: float, std: float) -> np.ndarray:
    """Normals from the rows that `polar` gives for whole blocks of 16 uniforms."""
    radius, sin, cos = rows.reshape(3, -1, 2, 8).transpose(0, 2, 1, 3)
    normals = np.stack([radius[0] * cos[1], radius[0] * sin[1]], axis=1)
    return multiply_add(normals.ravel(), std, mean)


def box_muller(blocks: np.ndarray, mean: float, std: float) -> np.ndarray:
    """Normals from uniforms, in blocks of 16: the first 8 give radii, the last 8 angles."""
    if blocks.dtype == np.float32:
        radius = _radii(blocks[:, :8])
        sin, cos = _sin_and_cos(_2_PI * blocks[:, 8:])
    else:
        radial, angular = 1 - blocks[:, :8], blocks[:, 8:]
        log = map_libm(math.log, radial.ravel()).reshape(radial.shape)
        theta = (2 * math.pi * angular).ravel()
        radius = np.sqrt(-2 * log)
        sin = map_libm(math.sin, theta).reshape(radius.shape)
        cos = map_libm(math.cos, theta).reshape(radius.shape)
    return multiply_add(np.concatenate([radius * cos, radius * sin], axis=1), std, mean)
