"""The elementwise ops of one and of two operands: one row an op. `elementwise` says how they are called."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcgrad.engine import Aval
from funcgrad.torch._ops.elementwise import elementwise, operator
from funcgrad.torch._ops.row import BOOL, FLOAT, SAME, Refusal, no_kernel
from funcgrad.torch._tensor.operands import check_broadcast
from funcgrad.torch._tensor.registry import FUNCTIONS, publish


def check_subtraction(*avals: Aval) -> None:
    """Check that shapes broadcast and that no bool is subtracted.

    Raises:
        RuntimeError: the shapes do not, or one is bool.
    """
    check_broadcast(*avals)
    bools = sum(aval.dtype == bool for aval in avals)
    if bools == len(avals):
        raise RuntimeError(
            "Subtraction, the `-` operator, with two bool tensors is not supported. "
            "Use the `^` or `logical_xor()` operator instead."
        )
    if bools:
        raise RuntimeError(
            "Subtraction, the `-` operator, with a bool tensor is not supported. "
            "If you are trying to invert a mask, use the `~` or `logical_not()` operator instead."
        )


def _masked(mask: Any, other: Any) -> Any:
    """`mask * other`. Of the product XLA would make a choice between `other` and zero, also where `other` is NaN."""
    return jnp.where(mask, other, other * 0)


def absolute(x: Any) -> Any:
    """`|x|`, with PyTorch's derivative: zero at zero."""
    if jnp.iscomplexobj(x):
        return jnp.abs(x)
    return jnp.where(x > 0, x, jnp.where(x < 0, -x, jax.lax.stop_gradient(jnp.abs(x))))


def _square(x: Any) -> Any:
    """The square; of bools as integers."""
    return jnp.square(x.astype(np.int64) if x.dtype == bool else x)


def _sign(x: Any) -> Any:
    """The sign, zero for NaN and for either zero, as PyTorch has it."""
    return x if x.dtype == bool else jnp.where((x > 0) | (x < 0), jnp.sign(x), 0)


def _atan2(y: Any, x: Any) -> Any:
    """The angle, with PyTorch's derivative: zero at the origin."""
    origin = (x == 0) & (y == 0)
    y, x = (jnp.where(origin, jax.lax.stop_gradient(each), each) for each in (y, x))
    return jnp.arctan2(y, x)


def _relu(x: Any) -> Any:
    """`max(x, 0)`, minus zero as it is, with PyTorch's derivative: a gradient passes where `x` is NaN."""
    return jnp.where(x <= 0, jax.lax.stop_gradient(jnp.where(x < 0, 0, x)), x)


def _extreme(function: Callable[[Any, Any], Any], before: Callable[[Any, Any], Any]) -> Any:
    """The one of two that does not come `before` the other, with PyTorch's derivative.

    It is shared by equals, and goes to both where there is NaN.
    """
    extreme = jax.custom_jvp(function)

    @extreme.defjvp
    def _(primals: tuple[Any, Any], tangents: tuple[Any, Any]) -> tuple[Any, Any]:
        x, y = primals
        shares = [jnp.where(x == y, along / 2, along) for along in tangents]
        along_x = jnp.where(before(x, y), 0, shares[0])
        along_y = jnp.where(before(y, x), 0, shares[1])
        return extreme(x, y), along_x + along_y

    return extreme


_maximum = _extreme(jnp.maximum, jnp.less)
_minimum = _extreme(jnp.minimum, jnp.greater)


# ------------------------------------------------------------------------------------------- what is refused

_NO_MINUS = Refusal(
    "b",
    RuntimeError,
    "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert a mask, use the `~` or "
    "`logical_not()` operator instead.",
)
_NO_SIGN = Refusal(
    "c",
    NotImplementedError,
    "Unlike NumPy, torch.sign is not intended to support complex numbers. Please use torch.sgn instead.",
)
_NO_RELU = (
    Refusal("c", NotImplementedError, "clamp is not supported for complex types"),
    Refusal("b", RuntimeError, "Boolean inputs not supported for relu"),
)


def _no_rounding(name: str) -> tuple[Refusal, Refusal]:
    words = f"{name} is not supported for complex inputs"
    return Refusal("c", NotImplementedError, words), no_kernel("b", f"{name}_vml_cpu")


def _no_order(name: str) -> tuple[Refusal]:
    return (Refusal("c", RuntimeError, f"{name} not implemented for complex tensors."),)


# ------------------------------------------------------------------------------------------- the rows

one = partial(elementwise, operands=1)
two = partial(elementwise, operands=2)

one("neg", jnp.negative, "NegBackward0", SAME, operators=("__neg__",), refuses=(_NO_MINUS,))
one(
    "abs",
    absolute,
    "AbsBackward0",
    SAME,
    operators=("__abs__",),
    saves="self",
    refuses=(no_kernel("b", "abs_cpu"),),
)
one("square", _square, "PowBackward0", SAME)
one("relu", _relu, "ReluBackward0", SAME, saves="result", refuses=_NO_RELU)
one("sign", _sign, "SignBackward0", SAME, refuses=(_NO_SIGN,))
one("floor", jnp.floor, "FloorBackward0", SAME, refuses=_no_rounding("floor"))
one("ceil", jnp.ceil, "CeilBackward0", SAME, refuses=_no_rounding("ceil"))
one(
    "round",
    jnp.round,
    "RoundBackward0",
    SAME,
    refuses=(no_kernel("c", "round_vml_cpu"), no_kernel("b", "round_vml_cpu")),
)
one("trunc", jnp.trunc, "TruncBackward0", SAME, refuses=_no_rounding("trunc"))
one("reciprocal", jnp.reciprocal, "ReciprocalBackward0", FLOAT, saves="result")
one("exp", jnp.exp, "ExpBackward0", FLOAT, saves="result")
one("exp2", jnp.exp2, "Exp2Backward0", FLOAT, saves="result")
one("expm1", jnp.expm1, "Expm1Backward0", FLOAT, saves="result")
one("log", jnp.log, "LogBackward0", FLOAT, saves="self")
one("log2", jnp.log2, "Log2Backward0", FLOAT, saves="self")
one("log10", jnp.log10, "Log10Backward0", FLOAT, saves="self")
one("log1p", jnp.log1p, "Log1PBackward0", FLOAT, saves="self")
one("sqrt", jnp.sqrt, "SqrtBackward0", FLOAT, saves="result")
one("rsqrt", jax.lax.rsqrt, "RsqrtBackward0", FLOAT, saves="result")
one("sin", jnp.sin, "SinBackward0", FLOAT, saves="self")
one("cos", jnp.cos, "CosBackward0", FLOAT, saves="self")
one("tan", jnp.tan, "TanBackward0", FLOAT, saves="result")
one("asin", jnp.arcsin, "AsinBackward0", FLOAT, saves="self")
one("acos", jnp.arccos, "AcosBackward0", FLOAT, saves="self")
one("atan", jnp.arctan, "AtanBackward0", FLOAT, saves="self")
one("sinh", jnp.sinh, "SinhBackward0", FLOAT, saves="self")
one("cosh", jnp.cosh, "CoshBackward0", FLOAT, saves="self")
one("tanh", jnp.tanh, "TanhBackward0", FLOAT, saves="result")
one("asinh", jnp.arcsinh, "AsinhBackward0", FLOAT, saves="self")
one("acosh", jnp.arccosh, "AcoshBackward0", FLOAT, saves="self")
one("atanh", jnp.arctanh, "AtanhBackward0", FLOAT, saves="self")
one(
    "erf",
    jax.scipy.special.erf,
    "ErfBackward0",
    FLOAT,
    saves="self",
    refuses=(no_kernel("c", "erf_vml_cpu"),),
)
one("sigmoid", jax.nn.sigmoid, "SigmoidBackward0", FLOAT, saves="result")
one("isnan", jnp.isnan, "IsnanBackward0", BOOL, in_place=False)
one("isinf", jnp.isinf, "IsinfBackward0", BOOL, in_place=False)
one("isfinite", jnp.isfinite, "IsfiniteBackward0", BOOL, in_place=False)
one("logical_not", jnp.logical_not, "LogicalNotBackward0", BOOL)

ADD = two("add", jnp.add, "AddBackward0", SAME, public=False)
SUB = two("sub", jnp.subtract, "SubBackward0", SAME, public=False, check=check_subtraction)
RSUB = two(
    "rsub",
    lambda a, b: b - a,
    "RsubBackward1",
    SAME,
    in_place=False,
    check=check_subtraction,
    operators=("__rsub__",),
)
MUL = two(
    "mul",
    jnp.multiply,
    "MulBackward0",
    SAME,
    operators=("__mul__",),
    reflected=("__rmul__",),
    saves="self other",
    masked=_masked,
)
two("div", jnp.divide, "DivBackward0", FLOAT, operators=("__truediv__",), saves="self other")
two(
    "maximum",
    _maximum,
    "MaximumBackward0",
    SAME,
    in_place=False,
    saves="self other",
    refuses=_no_order("maximum"),
)
two(
    "minimum",
    _minimum,
    "MinimumBackward0",
    SAME,
    in_place=False,
    saves="self other",
    refuses=_no_order("minimum"),
)
two(
    "atan2",
    _atan2,
    "Atan2Backward0",
    FLOAT,
    saves="self other",
    refuses=(no_kernel("c", "atan2_cpu"),),
)
two("eq", jnp.equal, "EqBackward0", BOOL, operators=("__eq__",))
two("ne", jnp.not_equal, "NeBackward0", BOOL, operators=("__ne__",))
two("lt", jnp.less, "LtBackward0", BOOL, operators=("__lt__",), refuses=(no_kernel("c", "lt_cpu"),))
two(
    "le",
    jnp.less_equal,
    "LeBackward0",
    BOOL,
    operators=("__le__",),
    refuses=(no_kernel("c", "le_cpu"),),
)
two(
    "gt",
    jnp.greater,
    "GtBackward0",
    BOOL,
    operators=("__gt__",),
    refuses=(no_kernel("c", "gt_cpu"),),
)
two(
    "ge",
    jnp.greater_equal,
    "GeBackward0",
    BOOL,
    operators=("__ge__",),
    refuses=(no_kernel("c", "ge_cpu"),),
)
two("logical_and", jnp.logical_and, "LogicalAndBackward0", BOOL)
two("logical_or", jnp.logical_or, "LogicalOrBackward0", BOOL)
two("logical_xor", jnp.logical_xor, "LogicalXorBackward0", BOOL)

# As PyTorch has it: a number divided by a tensor is the tensor's reciprocal times the number.
publish(
    operator(lambda self, other: FUNCTIONS["mul"](FUNCTIONS["reciprocal"](self), other)),
    "__rtruediv__",
    function=False,
)
