# ruff: noqa: F822
"""`torch.special`: PyTorch's names for functions of mathematics, and the ones that only this module has."""

import math
import re
from functools import partial, wraps
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy import special as jax_special

from funcgrad.engine import grad_mode
from funcgrad.torch._ops.elementwise import elementwise
from funcgrad.torch._ops.row import FLOAT, named, no_kernel
from funcgrad.torch._ops.slopes import sloped
from funcgrad.torch._ops.special_functions import i0 as _i0
from funcgrad.torch._ops.special_functions import times_logarithm
from funcgrad.torch._ops.special_functions import zeta as _zeta
from funcgrad.torch._tensor.registry import FUNCTIONS
from funcgrad.torch._tensor.registry import check_arguments_of as _check_arguments_of
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.missing import no_attribute as _no_attribute

__all__ = [
    "airy_ai",
    "bessel_j0",
    "bessel_j1",
    "bessel_y0",
    "bessel_y1",
    "chebyshev_polynomial_t",
    "chebyshev_polynomial_u",
    "chebyshev_polynomial_v",
    "chebyshev_polynomial_w",
    "digamma",
    "entr",
    "erf",
    "erfc",
    "erfcx",
    "erfinv",
    "exp2",
    "expit",
    "expm1",
    "gammainc",
    "gammaincc",
    "gammaln",
    "hermite_polynomial_h",
    "hermite_polynomial_he",
    "i0",
    "i0e",
    "i1",
    "i1e",
    "laguerre_polynomial_l",
    "legendre_polynomial_p",
    "log1p",
    "log_ndtr",
    "log_softmax",
    "logit",
    "logsumexp",
    "modified_bessel_i0",
    "modified_bessel_i1",
    "modified_bessel_k0",
    "modified_bessel_k1",
    "multigammaln",
    "ndtr",
    "ndtri",
    "polygamma",
    "psi",
    "round",
    "scaled_modified_bessel_k0",
    "scaled_modified_bessel_k1",
    "shifted_chebyshev_polynomial_t",
    "shifted_chebyshev_polynomial_u",
    "shifted_chebyshev_polynomial_v",
    "shifted_chebyshev_polynomial_w",
    "sinc",
    "softmax",
    "spherical_bessel_j0",
    "xlog1py",
    "xlogy",
    "zeta",
]

# Names of `torch` that this module has too, some under another name.
_SAME = {
    "digamma": "digamma",
    "erf": "erf",
    "erfc": "erfc",
    "erfinv": "erfinv",
    "exp2": "exp2",
    "expit": "sigmoid",
    "expm1": "expm1",
    "gammainc": "igamma",
    "gammaincc": "igammac",
    "gammaln": "lgamma",
    "i0": "i0",
    "log1p": "log1p",
    "logit": "logit",
    "logsumexp": "logsumexp",
    "multigammaln": "mvlgamma",
    "polygamma": "polygamma",
    "psi": "digamma",
    "round": "round",
    "sinc": "sinc",
    "xlogy": "xlogy",
}
globals().update({name: FUNCTIONS[of] for name, of in _SAME.items()})


def log_softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """The logarithm of `softmax`."""
    return FUNCTIONS["log_softmax"](input, dim, dtype=dtype)


def softmax(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """The exponentials, divided by their sum along a dimension."""
    return FUNCTIONS["softmax"](input, dim, dtype=dtype)


# ------------------------------------------------------------------------------------------- one operand


def _node_of(name: str) -> str:
    """The graph node's name: a letter is large after an underscore, and after a digit."""
    words = re.sub(r"(\d)([a-z])", r"\1_\2", name).split("_")
    return f"Special{''.join(map(str.capitalize, words))}Backward0"


def _one(name: str, function: Any, kernel: str = "", node: str = "", **facts: Any) -> Any:
    words = kernel or f"{name}_cpu"
    node = node or _node_of(name)
    made = elementwise(
        f"special_{name}",
        function,
        node,
        FLOAT,
        operands=1,
        public=False,
        in_place=False,
        refuses=(no_kernel("c", words),),
        **facts,
    )
    return named(made.unary(), f"special_{name}", f"As `torch.special.{name}`, element by element.")


def _flat(name: str, function: Any) -> Any:
    """A function whose results do not require grad, as PyTorch has it."""
    made = _one(name, function, differentiable=False)

    return _without_grad(made)


def _without_grad(made: Any) -> Any:
    @wraps(made)
    def call(*args: Any, **kwargs: Any) -> Tensor:
        with grad_mode(False):
            return made(*args, **kwargs)

    return call


def _entropy(x: Any) -> Any:
    """`-x log(x)`, zero at zero and minus infinity below."""
    inside = jnp.where(x > 0, x, 1)
    return jnp.where(
        x > 0, -inside * jnp.log(inside), jnp.where(x == 0, 0, jnp.where(jnp.isnan(x), x, -jnp.inf))
    )


_entr = sloped(_entropy, lambda x, _: -(1 + jnp.log(x)))
_ndtri = sloped(
    jax_special.ndtri,
    lambda _, found: jnp.exp(found * found / 2) * np.asarray(np.sqrt(2 * np.pi), found.dtype),
)


def _slope_of_i1(x: Any, found: Any) -> Any:
    large = jnp.abs(x) > jnp.finfo(x.dtype).eps
    return jnp.where(large, _i0(x) - found / jnp.where(large, x, 1), 0.5)


_i1 = sloped(jax_special.i1, _slope_of_i1)


def _log_ndtr(x: Any) -> Any:
    return jax_special.log_ndtr(x)


def _bessel_j(x: Any, order: int) -> Any:
    """The Bessel functions of the first kind.

    Small numbers take Bessel's integral by the trapezoidal rule, which is exact for periodic functions. Large ones take
    Hankel's expansion (https://dlmf.nist.gov/10.17.E3).
    """
    size = jnp.abs(x)
    small = size < _FAR
    angle = _angles(x.dtype)
    near = jnp.where(small, size, 0)
    integral = jnp.mean(jnp.cos(order * angle - near[..., None] * jnp.sin(angle)), -1)
    far = jnp.where(small, _FAR, size)
    found = jnp.where(small, integral, _hankel(far, order, jnp.cos, lambda turn: -jnp.sin(turn)))
    return jnp.where(x < 0, -found, found) if order % 2 else found


_FAR, _POINTS = 25, 128


def _hankel(far: Any, order: int, first: Any, second: Any) -> Any:
    """Hankel's expansion for large numbers, of the first kind with cosine and minus sine, of the second with sine and cosine."""
    term = jnp.ones_like(far)
    sums = [jnp.zeros_like(far), jnp.zeros_like(far)]
    for k in range(20):
        sums[k % 2] += (-1) ** (k // 2) * term
        term = term * ((4 * order**2 - (2 * k + 1) ** 2) / (8 * (k + 1))) / far
    turn = far - np.asarray((order / 2 + 0.25) * np.pi, far.dtype)
    wave = sums[0] * first(turn) + sums[1] * second(turn)
    return jnp.sqrt(2 / (np.asarray(np.pi, far.dtype) * far)) * wave


def _weighted(x: Any, weight: Any, of: Any) -> Any:
    """The mean over a period's half of `weight * of(x * sin(angle))`: Bessel's integral by the trapezoidal rule."""
    angle = _angles(x.dtype)
    return jnp.mean(weight * of(x[..., None] * jnp.sin(angle)), -1)


def _angles(dtype: Any) -> Any:
    return (jnp.arange(_POINTS, dtype=dtype) + 0.5) * np.asarray(np.pi / _POINTS, dtype)


# The sum over k of (-1)^k cos(2k angle) / k, whose product with the integrand of J_0 is Neumann's series for Y_0.
_ANGLES = (np.arange(128) + 0.5) * np.pi / 128
_NEUMANN = sum((-1) ** k * np.cos(2 * k * _ANGLES) / k for k in range(1, 51))


def _bessel_y(x: Any, order: int) -> Any:
    """The Bessel functions of the second kind: Neumann's series (https://dlmf.nist.gov/10.23.E16), Hankel's expansion far out."""
    near = jnp.where((x > 0) & (x < _FAR), x, 1)
    log = jnp.log(near / 2) + np.asarray(np.euler_gamma, x.dtype)
    weight = np.asarray(_NEUMANN, x.dtype)
    if order:
        slope = _weighted(near, weight * jnp.sin(_angles(x.dtype)), jnp.sin)
        found = log * _bessel_j(near, 1) - _bessel_j(near, 0) / near - 2 * slope
    else:
        found = log * _bessel_j(near, 0) - 2 * _weighted(near, weight, jnp.cos)
    found = np.asarray(2 / np.pi, x.dtype) * found
    far = jnp.where(x < _FAR, _FAR, x)
    found = jnp.where(x < _FAR, found, _hankel(far, order, jnp.sin, jnp.cos))
    return jnp.where(x > 0, found, jnp.where(x == 0, -jnp.inf, jnp.nan)).astype(x.dtype)


def _bessel_k(x: Any, order: int, scaled: bool) -> Any:
    """The modified Bessel functions of the second kind, times `exp(x)` if scaled.

    Small numbers take the power series (https://dlmf.nist.gov/10.31.E2) and the Wronskian. Others take the integral of
    `exp(-x cosh t)`, with `x (cosh t - 1) = u^2`, by the trapezoidal rule.
    """
    small = x <= 2
    near = jnp.where((x > 0) & small, x, 1)
    quarter = near * near / 4
    term, harmonic, total = jnp.ones_like(near), 0.0, jnp.zeros_like(near)
    for k in range(1, 16):
        term, harmonic = term * quarter / k**2, harmonic + 1 / k
        total = total + term * harmonic
    found = total - (jnp.log(near / 2) + np.asarray(np.euler_gamma, x.dtype)) * _i0(near)
    if order:
        found = (1 / near - jax_special.i1(near) * found) / _i0(near)
    found = found * jnp.exp(near) if scaled else found
    far = jnp.where(small | jnp.isnan(x), 3, x)[..., None]
    u = np.asarray(np.arange(28) / 4, x.dtype)
    parts = jnp.exp(-u * u) * 2 / jnp.sqrt(2 * far + u * u) * (1 + u * u / far if order else 1)
    integral = (parts.sum(-1) - parts[..., 0] / 2) / 4
    integral = integral if scaled else integral * jnp.exp(-far[..., 0])
    found = jnp.where(small, found, integral)
    return jnp.where(x > 0, found, jnp.where(x == 0, jnp.inf, jnp.nan)).astype(x.dtype)


# Ratios of polynomials for Airy's function, from Cephes (https://www.netlib.org/cephes/).
_AIRY = {
    "far": (
        [
            0.346538101525629,
            12.007595273964581,
            76.27960536152345,
            168.08922493463058,
            159.75639135016442,
            70.53609068404442,
            14.026469116338967,
            1.0,
        ],
        [
            0.5675945326387702,
            14.75625625848472,
            84.51389701414746,
            177.31808814540045,
            164.2346928715297,
            71.47784008255756,
            14.095913560783403,
            1.0,
        ],
    ),
    "sine": (
        [
            -0.1316963234183318,
            -0.6264565444319123,
            -0.6931580360369335,
            -0.2797799815451191,
            -0.04919001326095003,
            -0.004062659235948854,
            -0.0001592764962392621,
            -2.776491081552329e-06,
            -1.6778769848911465e-08,
        ],
        [
            1.0,
            13.356042070655324,
            32.682503279522464,
            26.736704094149957,
            9.187074029072596,
            1.4752914677166642,
            0.11568717379518804,
            0.004402916416152112,
            7.547203482874142e-05,
            4.5185009297058035e-07,
        ],
    ),
    "cosine": (
        [
            0.01973399320916857,
            0.39110302961568827,
            1.0657989759959559,
            0.9391692298166502,
            0.35146565610554764,
            0.06338889196289255,
            0.005858041130483885,
            0.000282851600836737,
            6.98793669997261e-06,
            8.117892395543892e-08,
            3.415517847659236e-10,
        ],
        [
            1.0,
            9.30892908077442,
            19.835292871831214,
            15.564662893286462,
            5.476860694229755,
            0.9542936116189619,
            0.08645808263523921,
            0.004126565238242226,
            0.00010125908511650914,
            1.1716673321441352e-06,
            4.9183457006293e-09,
        ],
    ),
}


def _ratio(name: str, x: Any) -> Any:
    above, below = (np.asarray(each, x.dtype) for each in _AIRY[name])
    return jnp.polyval(above, x) / jnp.polyval(below, x)


def _airy(x: Any) -> Any:
    """Airy's function of the first kind. At the infinities it is NaN, as PyTorch has it."""
    root = jnp.where(jnp.abs(x) < 2.09, 2.09, jnp.abs(x))
    root = jnp.where(jnp.isfinite(root), root, 2.09)
    zeta = 2 * root * jnp.sqrt(root) / 3
    scale = np.asarray(1 / np.sqrt(np.pi), x.dtype) / jnp.sqrt(jnp.sqrt(root))
    falling = scale * _ratio("far", 1 / zeta) / (2 * jnp.exp(zeta))
    z = 1 / zeta
    turn = zeta + np.asarray(np.pi / 4, x.dtype)
    waves = jnp.sin(turn) * (1 + z * z * _ratio("sine", z * z)) - jnp.cos(turn) * z * _ratio(
        "cosine", z * z
    )
    near = jnp.where(jnp.abs(x) < 2.09, x, 0)
    cube, f, g = near**3, jnp.ones_like(x), near
    first, second = f, g
    for k in range(1, 16):
        f, g = f * cube / ((3 * k - 1) * (3 * k)), g * cube / ((3 * k) * (3 * k + 1))
        first, second = first + f, second + g
    series = (
        np.asarray(0.355028053887817239260, x.dtype) * first
        - np.asarray(0.258819403792806798405, x.dtype) * second
    )
    found = jnp.where(x >= 2.09, falling, jnp.where(x <= -2.09, scale * waves, series))
    return jnp.where(jnp.isfinite(x), found, jnp.nan).astype(x.dtype)


def _spherical_j0(x: Any) -> Any:
    safe = jnp.where(x == 0, 1, x)
    return jnp.where(x == 0, 1, jnp.where(jnp.isinf(x), 0, jnp.sin(safe) / safe))


entr = _one("entr", _entr)
# Only newer versions of JAX have it, and the derivative of theirs has none itself.
erfcx = (
    _one(
        "erfcx",
        sloped(jax_special.erfcx, lambda x, found: 2 * x * found - 2 / math.sqrt(math.pi)),
    )
    if hasattr(jax_special, "erfcx")
    else None
)
i0e = _one("i0e", jax_special.i0e)
i1 = _one("i1", _i1)
i1e = _one("i1e", jax_special.i1e)
ndtr = _one("ndtr", jax_special.ndtr, "erf_vml_cpu", "MulBackward1")
ndtri = _one("ndtri", _ndtri)
log_ndtr = _one("log_ndtr", _log_ndtr)
modified_bessel_i0 = _flat("modified_bessel_i0", _i0)
modified_bessel_i1 = _flat("modified_bessel_i1", jax_special.i1)
spherical_bessel_j0 = _flat("spherical_bessel_j0", _spherical_j0)
bessel_j0 = _flat("bessel_j0", partial(_bessel_j, order=0))
bessel_j1 = _flat("bessel_j1", partial(_bessel_j, order=1))
bessel_y0 = _flat("bessel_y0", partial(_bessel_y, order=0))
bessel_y1 = _flat("bessel_y1", partial(_bessel_y, order=1))
airy_ai = _flat("airy_ai", _airy)
for _name, _scaled in {"modified_bessel_k": False, "scaled_modified_bessel_k": True}.items():
    for _order in (0, 1):
        globals()[f"{_name}{_order}"] = _flat(
            f"{_name}{_order}", partial(_bessel_k, order=_order, scaled=_scaled)
        )

# ------------------------------------------------------------------------------------------- two operands


def _two(name: str, function: Any, node: str = "", other: str = "other", **facts: Any) -> Any:
    node = node or _node_of(name)
    made = elementwise(
        f"special_{name}",
        function,
        node,
        FLOAT,
        operands=2,
        other=other,
        public=False,
        in_place=False,
        numbers="either",
        refuses=(no_kernel("c", f"{name}_cpu"),),
        **facts,
    )
    return named(
        made.binary(), f"special_{name}", f"As `torch.special.{name}`, element by element."
    )


def _polynomial(first: Any, second: Any, step: Any) -> Any:
    """An orthogonal polynomial of order `n` by its recurrence: elements of order below zero are zero.

    Args:
        first, second: the polynomials of order 0 and 1, functions of x.
        step: the next one, a function of (k, x, the last, the one before), where k is the last one's order.
    """

    def function(x: Any, n: Any) -> Any:
        x, n = jnp.broadcast_arrays(x, n)
        order = jnp.trunc(n)
        most = jnp.max(jnp.where(jnp.isfinite(order), order, 0), initial=0).astype(np.int64)
        p, q = jnp.broadcast_to(first(x), x.shape), jnp.broadcast_to(second(x), x.shape)

        def advance(k: Any, state: Any) -> Any:
            before, last, found = state
            new = step(k.astype(x.dtype), x, last, before)
            return last, new, jnp.where(order == k + 1, new, found)

        start = jnp.where(order < 0, 0, jnp.where(order == 0, p, q))
        return jax.lax.fori_loop(1, jnp.maximum(most, 1), advance, (p, q, start))[2].astype(x.dtype)

    return function


def _chebyshev(second: Any) -> Any:
    return _polynomial(
        lambda x: 1.0 + 0 * x, second, lambda k, x, last, before: 2 * x * last - before
    )


def _shifted(second: Any) -> Any:
    function = _chebyshev(second)
    return lambda x, n: function(2 * x - 1, n)


def _orthogonal(name: str, function: Any) -> Any:
    """A polynomial's op; its results do not require grad, as PyTorch has it."""
    return _without_grad(_two(name, function, "NotImplemented", "n", differentiable=False))


xlog1py = _two("xlog1py", times_logarithm(jnp.log1p, -1))
zeta = _two("zeta", _zeta, kind="derivative by other")
for _name, _second in {
    "t": lambda x: x,
    "u": lambda x: 2 * x,
    "v": lambda x: 2 * x - 1,
    "w": lambda x: 2 * x + 1,
}.items():
    globals()[f"chebyshev_polynomial_{_name}"] = _orthogonal(
        f"chebyshev_polynomial_{_name}", _chebyshev(_second)
    )
    globals()[f"shifted_chebyshev_polynomial_{_name}"] = _orthogonal(
        f"shifted_chebyshev_polynomial_{_name}", _shifted(_second)
    )
for _name, _function in {
    "hermite_polynomial_h": _polynomial(
        lambda x: 1.0 + 0 * x,
        lambda x: 2 * x,
        lambda k, x, last, before: 2 * (x * last - k * before),
    ),
    "hermite_polynomial_he": _polynomial(
        lambda x: 1.0 + 0 * x, lambda x: x, lambda k, x, last, before: x * last - k * before
    ),
    "laguerre_polynomial_l": _polynomial(
        lambda x: 1.0 + 0 * x,
        lambda x: 1 - x,
        lambda k, x, last, before: ((2 * k + 1 - x) * last - k * before) / (k + 1),
    ),
    "legendre_polynomial_p": _polynomial(
        lambda x: 1.0 + 0 * x,
        lambda x: x,
        lambda k, x, last, before: ((2 * k + 1) * x * last - k * before) / (k + 1),
    ),
}.items():
    globals()[_name] = _orthogonal(_name, _function)

_check_arguments_of(__name__, __all__, globals())


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    raise _no_attribute(__name__, name)
