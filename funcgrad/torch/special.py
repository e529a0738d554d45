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
    "bessel_j0",
    "bessel_j1",
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
    "multigammaln",
    "ndtr",
    "ndtri",
    "polygamma",
    "psi",
    "round",
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
    angle = (jnp.arange(_POINTS, dtype=x.dtype) + 0.5) * np.asarray(np.pi / _POINTS, x.dtype)
    near = jnp.where(small, size, 0)
    integral = jnp.mean(jnp.cos(order * angle - near[..., None] * jnp.sin(angle)), -1)
    far = jnp.where(small, _FAR, size)
    term = jnp.ones_like(far)
    sums = [jnp.zeros_like(far), jnp.zeros_like(far)]
    for k in range(20):
        sums[k % 2] += (-1) ** (k // 2) * term
        term = term * ((4 * order**2 - (2 * k + 1) ** 2) / (8 * (k + 1))) / far
    turn = far - np.asarray((order / 2 + 0.25) * np.pi, x.dtype)
    wave = sums[0] * jnp.cos(turn) - sums[1] * jnp.sin(turn)
    found = jnp.where(small, integral, jnp.sqrt(2 / (np.asarray(np.pi, x.dtype) * far)) * wave)
    return jnp.where(x < 0, -found, found) if order % 2 else found


_FAR, _POINTS = 25, 128


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
