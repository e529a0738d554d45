"""Elementwise functions of mathematics beyond the common ones, such as `lgamma` and `xlogy`: one row an op.

The functions that only `torch.special` has are in `funcgrad.torch.special`.
"""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy import special

from funcgrad.torch._ops.conversions import converted
from funcgrad.torch._ops.elementwise import elementwise
from funcgrad.torch._ops.out import CASTS, store
from funcgrad.torch._ops.pointwise import sign
from funcgrad.torch._ops.row import BOOL, FLOAT, SAME, Array, Refusal, no_kernel, op
from funcgrad.torch._ops.slopes import sloped
from funcgrad.torch._tensor.operands import check_broadcast, promoted
from funcgrad.torch._tensor.registry import FUNCTIONS, METHODS, publish
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.dtypes import complex128, float64

one = partial(elementwise, operands=1)
two = partial(elementwise, operands=2, numbers="neither")


def not_complex(words: str, error: type[Exception] = RuntimeError) -> tuple[Refusal, ...]:
    """The refusal of complex numbers in these words."""
    return (Refusal("c", error, words),)


def no_kernels(name: str, kinds: str = "c") -> tuple[Refusal, ...]:
    """The refusal of dtypes for which there is no kernel of this name."""
    return (no_kernel(kinds, name),)


# ------------------------------------------------------------------------------------------- one operand


def _sgn(x: Any) -> Any:
    """`x / |x|`, zero at zero."""
    if not jnp.iscomplexobj(x):
        return sign(x)
    size = jnp.abs(jnp.where(x == 0, 1, x))
    return jnp.where(x == 0, 0, x / size)


def _signbit(x: Any) -> Any:
    return (
        x < 0 if x.dtype.kind in "iu" else jnp.zeros_like(x) if x.dtype == bool else jnp.signbit(x)
    )


def _infinite(x: Any, sign: int) -> Any:
    inexact = jnp.issubdtype(x.dtype, jnp.floating)
    return x == sign * jnp.inf if inexact else jnp.zeros(x.shape, bool)


def _sinc(x: Any) -> Any:
    """`sin(pi x) / (pi x)`, 1 at zero."""
    angle = jnp.where(x == 0, 1, x) * np.asarray(np.pi, x.dtype)
    return jnp.where(x == 0, 1, jnp.sin(angle) / angle)


def _angle(x: Any) -> Any:
    """The angle of a complex number; of a real one, zero or pi."""
    if jnp.iscomplexobj(x):
        origin = x == 0
        real, imag = jnp.where(origin, 1, x.real), jnp.where(origin, 0, x.imag)
        return jnp.where(origin, 0, jnp.arctan2(imag, real)) + jnp.where(
            origin, jnp.angle(jax.lax.stop_gradient(x)), 0
        )
    flat = jax.lax.stop_gradient(x)
    return jnp.where(jnp.isnan(flat), flat, jnp.where(flat < 0, np.pi, 0)).astype(x.dtype)


def _frac(x: Any) -> Any:
    return x - jax.lax.stop_gradient(jnp.trunc(x))


one("frac", _frac, "FracBackward0", SAME, refuses=no_kernels("frac_cpu", "biuc"))
one("sgn", _sgn, "SgnBackward0", SAME, saves="self")
one(
    "deg2rad",
    lambda x: x * np.asarray(np.pi / 180, x.dtype),
    "Deg2RadBackward0",
    FLOAT,
    refuses=not_complex("deg2rad is not supported for complex tensors."),
)
one(
    "rad2deg",
    lambda x: x * np.asarray(180 / np.pi, x.dtype),
    "Rad2DegBackward0",
    FLOAT,
    refuses=not_complex("rad2deg is not supported for complex tensors."),
)
one(
    "signbit",
    _signbit,
    "SignbitBackward0",
    BOOL,
    in_place=False,
    out="signbit does not support non-boolean outputs.",
    refuses=not_complex("signbit is not implemented for complex tensors.", NotImplementedError),
)
for _name, _sign_ in (("isneginf", -1), ("isposinf", 1)):
    one(
        _name,
        partial(_infinite, sign=_sign_),
        f"{_name.capitalize()}Backward0",
        BOOL,
        in_place=False,
        out=f"{_name} does not support non-boolean outputs.",
        refuses=not_complex(f"{_name} does not support complex inputs."),
    )
one("isreal", lambda x: jnp.imag(x) == 0, "IsrealBackward0", BOOL, in_place=False)
one("erfc", special.erfc, "ErfcBackward0", FLOAT, saves="self", refuses=no_kernels("erfc_vml_cpu"))
one(
    "erfinv",
    sloped(
        lambda x: jnp.where(x == 0, x, special.erfinv(x)),
        lambda _, found: np.asarray(np.sqrt(np.pi) / 2, found.dtype) * jnp.exp(found * found),
    ),
    "ErfinvBackward0",
    FLOAT,
    saves="self",
    refuses=no_kernels("erfinv_vml_cpu"),
)


def _zeta(x: Any, q: Any) -> Any:
    """The zeta function of Hurwitz, with PyTorch's values at negative `q`, where JAX's are right near zero only.

    Poles are at zero and at the negative integers. Other negative `q` have a value if `x` is an integer: the series is summed
    until `q` is positive, and JAX's function gives the rest.
    """
    x, q = jnp.broadcast_arrays(x, q)
    pole = (q <= 0) & (q == jnp.floor(q))
    bad = jnp.isnan(x) | (x < 1) | ((q <= 0) & (x != jnp.floor(x)))
    at = jnp.where(pole | bad, 1, q)

    def low(state: Any) -> Any:
        return jnp.any(state[0] < _FIRST)

    def up(state: Any) -> Any:
        at, total = state
        here = at < _FIRST
        return jnp.where(here, at + 1, at), total + jnp.where(here, at**-x, 0)

    at, total = jax.lax.while_loop(low, up, (at, jnp.zeros_like(at)))
    # PyTorch's series is NaN at infinity.
    found = jnp.where(jnp.isinf(q), jnp.nan, total + special.zeta(x, at))
    return jnp.where(
        x == 1,
        jnp.inf,
        jnp.where(bad & ~(pole & (x > 1)), jnp.nan, jnp.where(pole, jnp.inf, found)),
    )


_FIRST = 10  # from here on JAX's expansion holds
zeta = jax.custom_jvp(_zeta)


@partial(zeta.defjvp, symbolic_zeros=True)
def _(primals: Any, tangents: Any) -> Any:
    """As in PyTorch, there is a derivative with respect to `q` only."""
    x, q = primals
    if not isinstance(tangents[0], jax.custom_derivatives.SymbolicZero):
        raise NotImplementedError("the derivative for 'zeta' is not implemented.")
    along = -x * zeta(x + 1, q)
    return zeta(x, q), along * tangents[1]


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def derivative_of_digamma(n: int, x: Any) -> Any:
    """The polygamma function of order `n`, one at least."""
    found = zeta(jnp.asarray(n + 1, x.dtype), x)
    found = (
        jnp.where(x == jnp.inf, 0, jnp.where(x == -jnp.inf, jnp.nan, found)) if n == 1 else found
    )
    # Beyond 170! it is infinite, as in PyTorch.
    scale = jnp.asarray(math.factorial(n) if n <= 170 else math.inf, np.float64).astype(x.dtype)
    return (1 if n % 2 else -1) * scale * found


@derivative_of_digamma.defjvp
def _(n: int, primals: Any, tangents: Any) -> Any:
    (x,) = primals
    return derivative_of_digamma(n, x), derivative_of_digamma(n + 1, x) * tangents[0]


def _logarithmic_derivative(x: Any) -> Any:
    """The derivative of `lgamma`; infinite at zero, with the zero's sign turned around."""
    pole = jnp.copysign(jnp.inf, -x)
    return jnp.where(x == 0, pole, special.digamma(jnp.where(x == 0, 1, x)))


# JAX's own derivatives of these two are wrong at negative numbers.
_digamma = sloped(_logarithmic_derivative, lambda x, _: derivative_of_digamma(1, x))
lgamma = sloped(
    lambda x: jnp.where(jnp.isinf(x), jnp.inf, special.gammaln(x)), lambda x, _: _digamma(x)
)
one(
    "lgamma",
    lgamma,
    "LgammaBackward0",
    FLOAT,
    saves="self",
    refuses=no_kernels("lgamma_vml_cpu"),
)


one("digamma", _digamma, "DigammaBackward0", FLOAT, saves="self", refuses=no_kernels("digamma"))


# JAX's own derivative is not zero at zero.
i0 = sloped(special.i0, lambda x, _: special.i1(x))


one("i0", i0, "I0Backward0", FLOAT, saves="self", refuses=no_kernels("i0_vml_cpu"))
one("sinc", _sinc, "SincBackward0", FLOAT, saves="self")
one("angle", _angle, "AngleBackward0", FLOAT, saves="self", in_place=False)
_CONJ = one("conj_physical", jnp.conj, "ConjPhysicalBackward0", SAME, public=False, kind="complex")
_conjugated = _CONJ.unary()


def conj_physical(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The complex conjugates; a real tensor itself."""
    real = isinstance(input, Tensor) and not input.dtype.is_complex
    return input if real and out is None else _conjugated(input, out=out)


publish(conj_physical, checks_input=True)
_CONJ.publish_in_place(_CONJ.in_place_method(), ("conj_physical",))

# ------------------------------------------------------------------------------------------- one operand and settings


@op(
    "logit",
    "LogitBackward0",
    dtype=FLOAT,
    saves="self",
    refuses=no_kernels("logit_cpu"),
    in_place=True,
    out=CASTS,
    laid_out=CASTS,
)
def logit(input: Array, eps: float | None = None) -> Any:
    """The logarithm of the odds `x / (1 - x)`; with `eps`, of the element clamped to [eps, 1 - eps]."""
    x = input
    if eps is not None:
        outside = (x < eps) | (x > 1 - eps)
        x = jnp.where(outside, jax.lax.stop_gradient(jnp.clip(x, eps, 1 - eps)), x)
    return jnp.log(x / (1 - x))


@op("nan_to_num", "NanToNumBackward0", saves="self", in_place=True, out=CASTS, laid_out=CASTS)
def nan_to_num(
    input: Array,
    nan: float | None = None,
    posinf: float | None = None,
    neginf: float | None = None,
) -> Any:
    """The elements, with `nan` in place of NaN (zero if None), and numbers in place of infinities (the largest if None)."""
    if not jnp.issubdtype(input.dtype, jnp.inexact):
        return input
    made = partial(jnp.nan_to_num, nan=nan or 0.0, posinf=posinf, neginf=neginf)
    if jnp.iscomplexobj(input):
        return made(input)
    return sloped(made, lambda x, _: jnp.isfinite(x))(input)


@op("polygamma.n", "PolygammaBackward0", dtype=FLOAT, saves="self", in_place=True, laid_out=CASTS)
def _polygamma(input: Array, n: int) -> Any:
    return _digamma(input) if n == 0 else derivative_of_digamma(n, input)


def _check_polygamma(n: Any, input: Any) -> None:
    if not isinstance(input, Tensor):
        kind = type(input).__name__
        raise TypeError(f"polygamma(): argument 'input' (position 2) must be Tensor, not {kind}")
    if n < 0:
        raise RuntimeError("polygamma(n, x) does not support negative n.")
    if input.dtype.is_complex:
        kernel = ("digamma", "trigamma")[n] if n < 2 else "polygamma"
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{input.dtype.scalar_type}'")


def polygamma(n: int, input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The n-th derivative of `digamma`."""
    _check_polygamma(n, input)
    if out is not None:
        return store("polygamma", out, (input,), lambda: polygamma(n, input))
    return _polygamma(input, n)


def _polygamma_method(self: Tensor, n: int) -> Tensor:
    """The n-th derivative of `digamma`."""
    return polygamma(n, self)


def polygamma_(self: Tensor, n: int) -> Tensor:
    """`polygamma`, stored in the tensor itself."""
    _check_polygamma(n, self)
    return _polygamma.stored(self, n)


publish(polygamma, method=False)
publish(_polygamma_method, "polygamma", function=False)
publish(polygamma_, function=False)


def _check_mvlgamma(input: Tensor, p: int) -> None:
    if p < 1:
        raise RuntimeError(f"p has to be greater than or equal to 1, but got {p}")
    if input.dtype.is_complex:
        raise NotImplementedError(f"\"arange_cpu\" not implemented for '{input.dtype.scalar_type}'")


@op(
    "mvlgamma",
    "MvlgammaBackward0",
    dtype=FLOAT,
    saves="self",
    prepare=_check_mvlgamma,
    in_place=True,
    out=CASTS,
    aliases=(),
)
def mvlgamma(input: Array, p: int) -> Any:
    """The logarithm of the multivariate gamma function of dimension `p`."""
    halves = jnp.arange(p, dtype=input.dtype) / 2
    total = lgamma(input[..., None] - halves).sum(-1)
    return total + np.asarray(p * (p - 1) / 4 * np.log(np.pi), input.dtype)


# ------------------------------------------------------------------------------------------- two operands


def _same_or_opposite(x: Any, _: Any, found: Any) -> Any:
    return jnp.where(x == 0, 0, found / jnp.where(x == 0, 1, x))


_copysign = sloped(jnp.copysign, _same_or_opposite, lambda x, y, _: jnp.zeros_like(x * y))


def _but_nan(extreme: Any, before: Any) -> Any:
    """The larger or the smaller of two numbers; of a number and NaN the number."""

    def function(x: Any, y: Any) -> Any:
        if not jnp.issubdtype(x.dtype, jnp.floating):
            return extreme(x, y)
        first = before(x, y) | (x == y) | jnp.isnan(y)
        return jnp.where(first, x, y)

    return function


def _heaviside(x: Any, values: Any) -> Any:
    if x.dtype == bool:
        return jnp.where(x, x, values)
    return jnp.where(x == 0, values, (x > 0).astype(x.dtype))  # 0 at NaN, as in PyTorch


def _check_heaviside(a: Any, b: Any) -> None:
    check_broadcast(a, b)
    if "c" in (a.dtype.kind, b.dtype.kind):
        raise RuntimeError("heaviside is not yet implemented for complex tensors.")
    if a.dtype != b.dtype:
        raise RuntimeError("heaviside is not yet implemented for tensors with different dtypes.")


def _length(x: Any, y: Any) -> Any:
    """`sqrt(x**2 + y**2)`, without squares that overflow."""
    x, y = jnp.abs(x), jnp.abs(y)
    large, small = jnp.maximum(x, y), jnp.minimum(x, y)
    found = large * jnp.sqrt(1 + jnp.square(small / jnp.where(large == 0, 1, large)))
    return jnp.where(jnp.isinf(x) | jnp.isinf(y), jnp.inf, found)


# At the origin PyTorch's derivative is NaN.
_hypot = sloped(_length, lambda x, y, found: x / found, lambda x, y, found: y / found)


def _log_of_sum(x: Any, y: Any) -> Any:
    if not jnp.iscomplexobj(x):
        return jnp.logaddexp(x, y)
    swap = x.real >= y.real
    large, small = jnp.where(swap, x, y), jnp.where(swap, y, x)
    return large + jnp.log1p(jnp.exp(small - large))


_logaddexp = sloped(
    _log_of_sum, lambda x, y, _: 1 / (1 + jnp.exp(y - x)), lambda x, y, _: 1 / (1 + jnp.exp(x - y))
)
_logaddexp2 = sloped(
    jnp.logaddexp2,
    lambda x, y, _: 1 / (1 + jnp.exp2(y - x)),
    lambda x, y, _: 1 / (1 + jnp.exp2(x - y)),
)


def times_logarithm(log: Any, pole: float) -> Any:
    """`x * log(y)`; zero where `x` is zero, but NaN where `y` is NaN.

    Args:
        log: the logarithm.
        pole: the number whose logarithm is minus infinity.
    """

    def of(x: Any, y: Any) -> Any:
        safe = jnp.where((x == 0) & ~jnp.isnan(y), 1, y)
        return jnp.where(x == 0, log(safe) * 0, x * log(safe))

    def along_x(x: Any, y: Any, _: Any) -> Any:
        flat = (x == 0) & (y <= pole)
        return jnp.where(flat, 0, log(jnp.where(flat, 1, y)))

    return sloped(of, along_x, lambda x, y, _: x / (y - pole))


def _divisor(x: Any, y: Any) -> Any:
    """The greatest common divisor. JAX's never ends at the smallest integer, which has no absolute value."""

    def step(state: Any) -> Any:
        a, b = state
        rest = jax.lax.rem(b, jnp.where(a == 0, 1, a))
        return jnp.where(a == 0, 0, rest), jnp.where(a == 0, b, a)

    both = jnp.broadcast_arrays(jnp.abs(x), jnp.abs(y))
    return jax.lax.while_loop(lambda state: (state[0] != 0).any(), step, tuple(both))[1]


def _multiple(x: Any, y: Any) -> Any:
    """The least common multiple."""
    x, y = jnp.broadcast_arrays(x, y)
    divisor = _divisor(x, y)
    found = jax.lax.div(x, jnp.where(divisor == 0, 1, divisor)) * y
    return jnp.where(divisor == 0, 0, jnp.abs(found))


@jax.custom_jvp
def _nextafter(x: Any, y: Any) -> Any:
    if x.dtype.itemsize > 2:
        return jnp.nextafter(x, y)
    # JAX steps in float32. The bits of half precision, in the order of the numbers, are whole numbers one apart.
    most = jnp.int16(0x7FFF)
    bits = jax.lax.bitcast_convert_type(x, jnp.int16)
    place = jnp.where(bits < 0, -(bits & most), bits)
    place = place + jnp.where(x < y, 1, -1).astype(jnp.int16)
    stepped = jnp.where(place < 0, -place | ~most, place)
    stepped = jax.lax.bitcast_convert_type(stepped, x.dtype)
    stepped = jnp.where(place == 0, jnp.copysign(jnp.zeros_like(x), x), stepped)
    return jnp.where(x == y, y, jnp.where(jnp.isnan(x) | jnp.isnan(y), x + y, stepped))


@_nextafter.defjvp
def _(primals: Any, tangents: Any) -> Any:
    x, y = primals
    same = x == y
    return _nextafter(x, y), jnp.where(same, 0, tangents[0])


two(
    "fmax",
    _but_nan(jnp.maximum, jnp.greater),
    "FmaxBackward0",
    SAME,
    in_place=False,
    saves="self other",
    refuses=not_complex("fmax not implemented for complex tensors."),
)
two(
    "fmin",
    _but_nan(jnp.minimum, jnp.less),
    "FminBackward0",
    SAME,
    in_place=False,
    saves="self other",
    refuses=not_complex("fmin not implemented for complex tensors."),
)
two(
    "copysign",
    _copysign,
    "CopysignBackward0",
    FLOAT,
    numbers="second",
    refuses=no_kernels("copysign_cpu"),
)
two(
    "heaviside",
    _heaviside,
    "HeavisideBackward0",
    SAME,
    other="values",
    check=_check_heaviside,
    differentiable=False,
)
two(
    "hypot",
    _hypot,
    "HypotBackward0",
    SAME,
    saves="self other result",
    refuses=no_kernels("hypot_cpu", "biuc"),
)
two(
    "igamma",
    special.gammainc,
    "IgammaBackward0",
    SAME,
    saves="self other",
    refuses=no_kernels("igamma_cpu", "biuc"),
    kind="derivative by other",
)
two(
    "igammac",
    special.gammaincc,
    "IgammacBackward0",
    SAME,
    saves="self other",
    refuses=no_kernels("igammac_cpu", "biuc"),
    kind="derivative by other",
)
two("ldexp", lambda x, y: x * jnp.exp2(y), "LdexpBackward0", FLOAT)
two(
    "logaddexp",
    _logaddexp,
    "LogaddexpBackward0",
    SAME,
    in_place=False,
    saves="self other",
    refuses=no_kernels("logaddexp_cpu", "biu"),
)
two(
    "logaddexp2",
    _logaddexp2,
    "Logaddexp2Backward0",
    SAME,
    in_place=False,
    saves="self other",
    refuses=no_kernels("logaddexp2_cpu", "biuc"),
)
two(
    "nextafter",
    _nextafter,
    "NextafterBackward0",
    SAME,
    accumulates=False,
    refuses=no_kernels("nextafter_cpu", "biuc"),
)
two(
    "xlogy",
    times_logarithm(jnp.log, 0),
    "XlogyBackward0",
    FLOAT,
    numbers="either",
    saves="self other",
    refuses=no_kernels("xlogy_cpu"),
)
two("gcd", _divisor, "NotImplemented", SAME, kind="integers", refuses=no_kernels("gcd_cpu", "bfVc"))
two(
    "lcm", _multiple, "NotImplemented", SAME, kind="integers", refuses=no_kernels("lcm_cpu", "bfVc")
)


def _wide(thing: Any, wanted: Any) -> Any:
    return converted(thing, wanted) if isinstance(thing, Tensor) else thing


def float_power(input: Any, exponent: Any, *, out: Tensor | None = None) -> Tensor:
    """`input ** exponent`, computed in float64 or complex128."""
    tensors = [each for each in (input, exponent) if isinstance(each, Tensor)]
    if not tensors:
        raise TypeError(
            f"float_power(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}"
        )
    wanted = complex128 if promoted((input, exponent)).is_complex else float64
    if out is None:
        return FUNCTIONS["pow"](_wide(input, wanted), _wide(exponent, wanted))
    if out.dtype is not wanted:
        raise RuntimeError(
            "the output given to float_power has dtype "
            f"{out.dtype.scalar_type} but the operation's result requires dtype {wanted.scalar_type}"
        )
    return store("float_power", out, (input, exponent), lambda: float_power(input, exponent))


def float_power_(self: Tensor, exponent: Any) -> Tensor:
    """`float_power`, stored in the tensor itself, which is of float64 or complex128."""
    wanted = complex128 if promoted((self, exponent)).is_complex else float64
    if self.dtype is not wanted:
        raise RuntimeError(
            f"the base given to float_power_ has dtype {self.dtype.scalar_type} but the operation's result requires dtype "
            f"{wanted.scalar_type}"
        )
    return METHODS["pow_"](self, _wide(exponent, wanted))


publish(float_power, checks_input=True)
publish(float_power_, function=False)


@op(
    "frexp",
    "FrexpBackward0",
    saves="exponent",
    accumulates=True,
    returns=("mantissa", "exponent"),
    out=CASTS,
    refuses=(Refusal("biuc", RuntimeError, "torch.frexp() only supports floating-point dtypes"),),
)
def frexp(input: Array) -> Any:
    """Mantissas and exponents: `input == mantissa * 2**exponent`, with mantissas from 0.5 to 1 in size."""
    _, exponent = jnp.frexp(
        jax.lax.stop_gradient(input.astype(jnp.promote_types(input.dtype, jnp.float32)))
    )
    exponent = jnp.where(jnp.isfinite(input), exponent, 0)
    half = exponent // 2
    mantissa = (
        input
        * jnp.exp2(-half.astype(input.dtype))
        * jnp.exp2((half - exponent).astype(input.dtype))
    )
    return mantissa, exponent.astype(np.int32)
