"""Elementwise primitives. The functions that are no rules are called by the lines that rules write."""

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from funcgrad.engine.kernels.table import NoRuleError, kind_of, rule

# Elementwise primitives of a given name are one call of this function, on arguments that broadcast.
ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "abs": np.absolute,
    "acos": np.arccos,
    "acosh": np.arccosh,
    "add": np.add,
    "add_any": np.add,
    "and": np.bitwise_and,
    "asin": np.arcsin,
    "asinh": np.arcsinh,
    "atan": np.arctan,
    "atan2": np.arctan2,
    "atanh": np.arctanh,
    "cbrt": np.cbrt,
    "ceil": np.ceil,
    "cos": np.cos,
    "cosh": np.cosh,
    "eq": np.equal,
    "exp": np.exp,
    "exp2": np.exp2,
    "expm1": np.expm1,
    "floor": np.floor,
    "ge": np.greater_equal,
    "gt": np.greater,
    "is_finite": np.isfinite,
    "le": np.less_equal,
    "log": np.log,
    "log2": np.log2,
    "lt": np.less,
    "max": np.maximum,
    "min": np.minimum,
    "mul": np.multiply,
    "ne": np.not_equal,
    "neg": np.negative,
    "nextafter": np.nextafter,
    "not": np.invert,
    "or": np.bitwise_or,
    "sign": np.sign,
    "sin": np.sin,
    "sinh": np.sinh,
    "sqrt": np.sqrt,
    "square": np.square,
    "sub": np.subtract,
    "tan": np.tan,
    "tanh": np.tanh,
    "xor": np.bitwise_xor,
}
# The same of SciPy's special functions, by their names there: SciPy is loaded where one is met.
SPECIAL = {
    "bessel_i0e": "i0e",
    "bessel_i1e": "i1e",
    "erfc": "erfc",
    "erf_inv": "erfinv",
    "lgamma": "gammaln",
}

# Elements from which on several are computed at a time, where NumPy computes one after the other.
MANY = 4096
_INTEGERS = {1: np.int8, 2: np.int16, 4: np.int32, 8: np.int64}


# Elementwise primitives that are more than one function.


@rule("div")
def _(source: Any, equation: Any) -> None:
    whole = kind_of(equation.outvars[0]) != "f"
    source.elementwise(equation, divide_integers if whole else np.divide)


def divide_integers(x: Any, y: Any) -> Any:
    """The quotient towards zero; -1 for a divisor of 0, as XLA has it."""
    if y.ndim == 0 and y > 0 and x.ndim == 0 and x >= 0:
        return x.dtype.type(int(x) // int(y))  # such as an offset, in a tenth of the time
    by_zero = np.equal(y, 0)
    safe = np.where(by_zero, np.ones((), y.dtype), y)
    quotient = np.floor_divide(x, safe)
    inexact = np.not_equal(np.multiply(quotient, safe), x)
    quotient = np.where(inexact & (np.less(x, 0) != np.less(safe, 0)), quotient + 1, quotient)
    return np.where(by_zero, np.invert(np.zeros((), y.dtype)), quotient).astype(x.dtype)


@rule("rem")
def _(source: Any, equation: Any) -> None:
    whole = kind_of(equation.outvars[0]) != "f"
    source.elementwise(equation, remainder_of_integers if whole else np.fmod)


def remainder_of_integers(x: Any, y: Any) -> Any:
    """The remainder with the sign of `x`; `x` itself for a divisor of 0, as XLA has it."""
    if y.ndim == 0 and y > 0 and x.ndim == 0 and x >= 0:
        return x.dtype.type(int(x) % int(y))
    by_zero = np.equal(y, 0)
    return np.where(by_zero, x, np.fmod(x, np.where(by_zero, np.ones((), y.dtype), y)))


@rule("pow")
def _(source: Any, equation: Any) -> None:
    base, exponent = equation.invars
    if base.aval.dtype != exponent.aval.dtype or kind_of(base) != "f":
        raise NoRuleError
    source.elementwise(equation, np.power)


@rule("integer_pow")
def _(source: Any, equation: Any) -> None:
    exponent = equation.params["y"]
    if not -8 <= exponent <= 8:
        raise NoRuleError
    (x,) = source.elements(equation.invars)
    product = "*".join([x] * abs(exponent)) or f"ones_like({x})"
    source.scope.setdefault("ones_like", np.ones_like)
    if exponent < 0:
        product = f"{source.constant(np.ones((), equation.outvars[0].aval.dtype)[()])}/({product})"
    source.assign(equation, product, like=equation.invars, new=abs(exponent) > 1)


@rule("log1p")
def _(source: Any, equation: Any) -> None:
    source.elementwise(equation, log1p)


def log1p(x: Any) -> Any:
    """`np.log1p`. Of many elements it is taken from `np.log`, which computes several at a time.

    The quotient corrects the rounding of `1 + x` (Kahan; Theorem 4 of Goldberg, "What every computer scientist should know
    about floating-point arithmetic", 1991).
    """
    if x.size < MANY:
        return np.log1p(x)
    one = x.dtype.type(1)
    above = one + x
    step = above - one
    made = np.log(above)
    made *= x / step
    return select((step == 0) | np.isinf(above), x, made)


@rule("erf")
def _(source: Any, equation: Any) -> None:
    (x,) = source.elements(equation.invars)
    exact = source.function(importlib.import_module("scipy.special").erf)
    text = f"{source.function(erf)}({x}, {exact})"
    source.assign(equation, text, like=equation.invars, new=True)


# The error function is near x * P(x * x) / Q(x * x), and from `_ERF_IS_ONE` on it rounds to 1. Coefficients of P and Q, the
# highest power first, are Eigen's, which XLA has too.
_ERF_IS_ONE = np.float32(3.832506856900711)
_ERF_P = np.array(
    [
        0.00022905065861350646,
        0.0034082910107109506,
        0.050955695062380861,
        0.18520832239976145,
        1.128379143519084,
    ],
    np.float32,
)
_ERF_Q = np.array(
    [
        -1.1791602954361697e-7,
        0.000023547966471313185,
        0.0010179625278914885,
        0.014070470171167667,
        0.11098505178285362,
        0.49746925110067538,
        1.0,
    ],
    np.float32,
)
# So many elements at a time, with three arrays between, stay in a core's cache.
_CACHED = 2**15


def erf(x: Any, exact: Callable[[Any], Any]) -> Any:
    """The error function. SciPy's `exact` computes one element after the other; for many a quotient of polynomials is faster.

    It is right to 6 units in the last place, as in XLA's programs.
    """
    if x.size < MANY or x.dtype != np.float32:
        return exact(x)
    given = x.reshape(-1)
    made = np.empty_like(given)
    for start in range(0, given.size, _CACHED):
        part = slice(start, start + _CACHED)
        _erf(given[part], made[part])
    return made.reshape(x.shape)


def _erf(x: Any, into: Any) -> None:
    x = np.minimum(x, _ERF_IS_ONE)
    np.maximum(x, -_ERF_IS_ONE, out=x)
    square = np.square(x)
    below = np.empty_like(x)
    for coefficients, made in ((_ERF_P, into), (_ERF_Q, below)):
        np.multiply(square, coefficients[0], out=made)
        made += coefficients[1]
        for each in coefficients[2:]:
            made *= square
            made += each
    into *= x
    into /= below
    np.minimum(into, 1, out=into)
    np.maximum(into, -1, out=into)


@rule("logistic")
def _(source: Any, equation: Any) -> None:
    source.elementwise(equation, logistic)


def logistic(x: Any) -> Any:
    """The logistic function."""
    one = x.dtype.type(1)
    if x.size < MANY:
        return one / (one + np.exp(-x))
    made = np.negative(x)
    np.exp(made, out=made)
    made += one
    return np.divide(one, made, out=made)


@rule("polynomial")
def _(source: Any, equation: Any) -> None:
    x, *coefficients = source.elements(equation.invars)
    text = f"{source.function(polynomial)}({x}, ({', '.join(coefficients)},))"
    source.assign(equation, text, like=equation.invars, new=True)


def polynomial(x: Any, coefficients: Any) -> Any:
    """The polynomial in `x` with these coefficients, the lowest power first."""
    value = coefficients[-1]
    for coefficient in coefficients[-2::-1]:
        value = value * x + coefficient
    return value


@rule("bitcast_convert_type")
def _(source: Any, equation: Any) -> None:
    given, wanted = equation.invars[0].aval.dtype, equation.outvars[0].aval.dtype
    if given.itemsize != wanted.itemsize:
        raise NoRuleError
    (x,) = source.elements(equation.invars)
    source.assign(equation, f"{x}.view({source.constant(wanted)})", like=equation.invars)


@rule("one_minus_square")
def _(source: Any, equation: Any) -> None:
    source.elementwise(equation, one_minus_square)


def one_minus_square(x: Any) -> Any:
    """`1 - x * x`, without cancellation."""
    one = x.dtype.type(1)
    return (one + x) * (one - x)


@rule("rsqrt")
def _(source: Any, equation: Any) -> None:
    source.elementwise(equation, reciprocal_root)


def reciprocal_root(x: Any) -> Any:
    """`1 / sqrt(x)`."""
    return x.dtype.type(1) / np.sqrt(x)


@rule("round")
def _(source: Any, equation: Any) -> None:
    to_even = int(equation.params["rounding_method"]) == 1
    source.elementwise(equation, np.rint if to_even else round_away)


def round_away(x: Any) -> Any:
    """The nearest integer, away from zero where two are as near."""
    whole = np.trunc(x)
    return np.where(np.abs(x - whole) >= 0.5, whole + np.sign(x), whole).astype(x.dtype)


@rule("select_n")
def _(source: Any, equation: Any) -> None:
    which, *cases = equation.invars
    if kind_of(which) != "b" or len(cases) != 2:
        raise NoRuleError
    taken = source.elements([which, cases[1], cases[0]])
    source.scope.setdefault("select", select)
    source.assign(equation, f"select({', '.join(taken)})", like=equation.invars, new=True)


def select(which: Any, chosen: Any, other: Any) -> Any:
    """`np.where`, which branches at each element: where these go either way, masks of bits take a tenth of the time."""
    if which.size < MANY and max(chosen.size, other.size) < MANY:
        return np.where(which, chosen, other)
    integers = _INTEGERS[other.dtype.itemsize]
    a, b = (np.asarray(each).view(integers) for each in (chosen, other))
    mask = which.view(np.int8)
    if a.ndim == 0 and a == 0:
        mask = (mask - np.int8(1)).astype(integers)  # all bits where it is the other
        made = _into(mask, b, np.bitwise_and)
    elif b.ndim == 0 and b == 0:
        made = _into(np.negative(mask).astype(integers), a, np.bitwise_and)
    else:
        made = _into(np.negative(mask).astype(integers), a ^ b, np.bitwise_and)
        made = _into(made, b, np.bitwise_xor)
    return made.view(other.dtype)


def _into(x: Any, y: Any, function: Any) -> Any:
    """A function of two arrays, written into the first where the result has its shape."""
    return function(x, y, out=x if y.shape in ((), x.shape) else None)


@rule("clamp")
def _(source: Any, equation: Any) -> None:
    source.elementwise(equation, clamped)


def clamped(low: Any, x: Any, high: Any) -> Any:
    """`x`, or the nearer bound."""
    return np.minimum(np.maximum(x, low), high)


@rule("shift_left")
def _(source: Any, equation: Any) -> None:
    source.elementwise(equation, np.left_shift)


@rule("shift_right_arithmetic")
def _(source: Any, equation: Any) -> None:
    if kind_of(equation.invars[0]) != "i":
        raise NoRuleError
    source.elementwise(equation, np.right_shift)


@rule("shift_right_logical")
def _(source: Any, equation: Any) -> None:
    if kind_of(equation.invars[0]) != "u":
        raise NoRuleError
    source.elementwise(equation, np.right_shift)


@rule("convert_element_type")
def _(source: Any, equation: Any) -> None:
    given, wanted = equation.invars[0].aval.dtype, equation.outvars[0].aval.dtype
    if given == wanted:
        source.alias(equation.outvars[0], equation.invars[0])
        return
    (x,) = source.elements(equation.invars)
    known = source.scope.get(x)
    if isinstance(known, np.generic) and (given.kind in "biu" or wanted.kind == "f"):
        with np.errstate(all="ignore"):
            source.compact(equation.outvars[0], source.constant(known.astype(wanted)), ())
        return
    name = source.constant(wanted)
    line = f"{x}.astype({name})"
    if wanted.kind == "b":
        line = f"{x} != 0"
    elif given.kind == "f" and wanted.kind in "iu":
        source.scope.setdefault("to_integers", to_integers)
        line = f"to_integers({x}, {name})"
    source.assign(equation, line, like=equation.invars, new=True)


def to_integers(x: Any, dtype: np.dtype) -> Any:
    """Floats cut to integers as XLA does it: those out of range are the nearest there is, and NaN is 0."""
    limits = np.iinfo(dtype)
    cut = np.trunc(x)
    # The largest integer may not be a float: compare with the power of two above it.
    high, low = x.dtype.type(2.0) ** (limits.bits - (limits.min < 0)), x.dtype.type(limits.min)
    inside = np.where((cut >= low) & (cut < high), cut, 0).astype(dtype)
    whole = np.where(cut >= high, dtype.type(limits.max), inside)
    return np.where(cut < low, dtype.type(limits.min), whole).astype(dtype)


@rule("copy", "copy_p", "optimization_barrier", "stop_gradient")
def _(source: Any, equation: Any) -> None:
    for made, given in zip(equation.outvars, equation.invars, strict=True):
        source.alias(made, given)
