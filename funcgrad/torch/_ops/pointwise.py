"""The elementwise ops of one and of two operands: one row an op. `elementwise` has the call."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcgrad.engine import Aval, compute
from funcgrad.engine.values import Wrapped, unknown
from funcgrad.torch._ops.elementwise import elementwise
from funcgrad.torch._ops.out import store
from funcgrad.torch._ops.row import BOOL, FLOAT, SAME, Array, Refusal, no_kernel, op
from funcgrad.torch._ops.slopes import sloped
from funcgrad.torch._tensor.kinds import refusal
from funcgrad.torch._tensor.operands import check_broadcast
from funcgrad.torch._tensor.registry import FUNCTIONS, publish
from funcgrad.torch._tensor.tensor import Tensor


def check_subtraction(*avals: Aval) -> None:
    """Check that the shapes broadcast and that neither operand is bool.

    Raises:
        RuntimeError: the shapes do not broadcast, or an operand is bool.
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
    """`mask * other`. XLA would turn the product into a choice between `other` and zero, and lose NaN."""
    return jnp.where(mask, other, other * 0)


def absolute(x: Any) -> Any:
    """`|x|`, with PyTorch's derivative: the sign."""
    return jnp.abs(x) if jnp.iscomplexobj(x) else _absolute(x)


def _square(x: Any) -> Any:
    """The square; bools are squared as integers."""
    return jnp.square(x.astype(np.int64) if x.dtype == bool else x)


def sign(x: Any) -> Any:
    """The sign; as in PyTorch, it is zero for NaN and for either zero."""
    return x if x.dtype == bool else jnp.where((x > 0) | (x < 0), jnp.sign(x), 0)


_absolute = sloped(jnp.abs, lambda x, _: sign(x))
_rsqrt = sloped(jax.lax.rsqrt, lambda _, found: -0.5 * (found * found * found))


def _by_square(x: Any, y: Any) -> Any:
    """`x / (x**2 + y**2)`; zero at the origin."""
    square = x * x + y * y
    return jnp.where(square == 0, 0, x / jnp.where(square == 0, 1, square))


_atan2 = sloped(jnp.arctan2, lambda y, x, _: _by_square(x, y), lambda y, x, _: -_by_square(y, x))


@jax.custom_jvp
def _relu(x: Any) -> Any:
    """`max(x, 0)`, which keeps minus zero. As in PyTorch, a gradient passes where `x` is NaN."""
    return jnp.where(x < 0, 0, x)


@_relu.defjvp
def _(primals: tuple[Any], tangents: tuple[Any]) -> tuple[Any, Any]:
    (x,), (along,) = primals, tangents
    return _relu(x), jnp.where(x <= 0, 0, along)


def _extreme(function: Callable[[Any, Any], Any], before: Callable[[Any, Any], Any]) -> Any:
    """The larger or the smaller of two numbers, with PyTorch's derivative.

    Equal operands share the gradient. Where one is NaN, both get all of it. `before` tells which operand loses.
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


# ------------------------------------------------------------------------------------------- refusals

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
    flat=True,
    refuses=(no_kernel("b", "abs_cpu"),),
)
one("square", _square, "PowBackward0", SAME)
one("relu", _relu, "ReluBackward0", SAME, saves="result", flat=True, refuses=_NO_RELU)
one("sign", sign, "SignBackward0", SAME, refuses=(_NO_SIGN,))
one("floor", jnp.floor, "FloorBackward0", SAME, refuses=_no_rounding("floor"))
one("ceil", jnp.ceil, "CeilBackward0", SAME, refuses=_no_rounding("ceil"))
_ROUND = one(
    "round",
    jnp.round,
    "RoundBackward0",
    SAME,
    public=False,
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
one("rsqrt", _rsqrt, "RsqrtBackward0", FLOAT, saves="result")
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
_logical: dict[str, Any] = {"dtype": BOOL, "untracked": True}
one("logical_not", jnp.logical_not, "LogicalNotBackward0", **_logical)

ADD = two(
    "add",
    jnp.add,
    "AddBackward0",
    SAME,
    public=False,
    numbers="both",
    in_place_operator="__iadd__",
)
SUB = two(
    "sub",
    jnp.subtract,
    "SubBackward0",
    SAME,
    public=False,
    numbers="both",
    in_place_operator="__isub__",
    check=check_subtraction,
)
RSUB = two(
    "rsub",
    lambda a, b: b - a,
    "RsubBackward1",
    SAME,
    public=False,
    in_place=False,
    check=check_subtraction,
)
MUL = two(
    "mul",
    jnp.multiply,
    "MulBackward0",
    SAME,
    numbers="both",
    aliases=("multiply",),
    operators=("__mul__", "__rmul__"),
    in_place_operator="__imul__",
    saves="self other",
    masked=_masked,
    exact_numbers=True,
)
two(
    "maximum",
    _maximum,
    "MaximumBackward0",
    SAME,
    numbers="neither",
    in_place=False,
    saves="self other",
    refuses=_no_order("maximum"),
)
two(
    "minimum",
    _minimum,
    "MinimumBackward0",
    SAME,
    numbers="neither",
    in_place=False,
    saves="self other",
    refuses=_no_order("minimum"),
)
two(
    "atan2",
    _atan2,
    "Atan2Backward0",
    FLOAT,
    numbers="neither",
    aliases=("arctan2",),
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
two("logical_and", jnp.logical_and, "LogicalAndBackward0", numbers="neither", **_logical)
two("logical_or", jnp.logical_or, "LogicalOrBackward0", numbers="neither", **_logical)
two("logical_xor", jnp.logical_xor, "LogicalXorBackward0", numbers="neither", **_logical)

# ------------------------------------------------------------------------------------------- rounding


@op("round.decimals", "RoundBackward1", refuses=(no_kernel("biu", "round_cpu"),), in_place=True)
def _round(input: Array, decimals: int) -> Any:
    """Round to a multiple of a power of ten."""
    power = 10.0 ** abs(decimals)
    scaled = jnp.round(input * power) / power if decimals > 0 else jnp.round(input / power) * power
    return jax.lax.stop_gradient(scaled.astype(input.dtype))


_ROUND_TO_INTEGERS = _ROUND.unary()


def round(input: Any, *, decimals: int = 0, out: Any = None) -> Any:
    """Round to the nearest integers, or to `decimals` decimals; halves go to the even neighbour."""
    if not decimals:
        return _ROUND_TO_INTEGERS(input, out=out)
    if out is not None:
        return store("round", out, (input,), lambda: _round(input, decimals))
    return _round(input, decimals)


def round_(self: Any, *, decimals: int = 0) -> Any:
    """`round`, stored in the tensor itself."""
    return _round.stored(self, decimals) if decimals else _ROUND.in_place(self)


def _round_method(self: Any, *, decimals: int = 0) -> Any:
    """Round to the nearest integers, or to `decimals` decimals; halves go to the even neighbour."""
    return round(self, decimals=decimals)


publish(round, method=False)
publish(_round_method, "round", function=False)
publish(round_, function=False)

# ------------------------------------------------------------------------------------------- divisions


def _check_zero(input: Any, other: Any) -> None:
    """Refuse to divide an integer by zero. Divisors with unknown values, such as tracers, pass."""
    values = [each._storage.read() for each in (input, other)]
    kinds = {value.aval.dtype.kind for value in values}
    if kinds == {"b"} or any(v.aval.inexact or isinstance(v, Wrapped) for v in values):
        return
    divisor = compute(values[1])
    if not unknown(divisor) and not np.all(np.asarray(divisor)):
        raise RuntimeError("ZeroDivisionError")


def _floor(x: Any, y: Any) -> Any:
    rounded = jnp.floor_divide(x, y)
    return jnp.where(y == 0, x / y, rounded) if jnp.issubdtype(x.dtype, jnp.floating) else rounded


def _rounded_down(x: Any, y: Any) -> Any:
    return jax.lax.stop_gradient(_floor(x, y))


def _rounded_to_zero(x: Any, y: Any) -> Any:
    x, y = jnp.broadcast_arrays(x, y)
    quotient = jax.lax.div(x, y)
    inexact = jnp.issubdtype(x.dtype, jnp.floating)
    return jax.lax.stop_gradient(jnp.trunc(quotient) if inexact else quotient)


def _fmod(x: Any, y: Any) -> Any:
    return jax.lax.rem(*jnp.broadcast_arrays(x, y))


@jax.custom_jvp
def _quotient(x: Any, y: Any) -> Any:
    """`x / y`. JAX's derivative divides by the square of `y`, which is zero for a small `y`; PyTorch's divides twice."""
    return jnp.divide(x, y)


_quotient.defjvps(
    lambda change, found, x, y: jnp.broadcast_to(_quotient(change, y), found.shape),
    lambda change, found, x, y: jnp.broadcast_to(-change * _quotient(found, y), found.shape),
)


_division = partial(two, guard=_check_zero, saves="self other")
_DIV = two(
    "div",
    _quotient,
    "DivBackward0",
    FLOAT,
    public=False,
    numbers="both",
    operators=("__truediv__",),
    in_place_operator="__itruediv__",
    saves="self other",
    exact_numbers=True,
)
_DIVISIONS = {
    None: _DIV,
    "floor": _division(
        "div.floor",
        _rounded_down,
        "DivBackward2",
        SAME,
        public=False,
        numbers="both",
        exact_numbers=True,
        refuses=(no_kernel("bc", "div_floor_cpu"),),
    ),
    "trunc": _division(
        "div.trunc",
        _rounded_to_zero,
        "DivBackward2",
        SAME,
        public=False,
        numbers="both",
        refuses=(no_kernel("bc", "div_trunc_cpu"),),
    ),
}
_DIVIDE = {mode: division.binary() for mode, division in _DIVISIONS.items()}


def _check_mode(mode: Any) -> None:
    if mode is not None and not isinstance(mode, str):
        raise refusal("div", "rounding_mode", 0, "str", mode)
    if mode not in _DIVISIONS:
        raise RuntimeError(
            f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '{mode}'"
        )


def div(input: Any, other: Any, *, rounding_mode: str | None = None, out: Any = None) -> Any:
    """`input / other`, element by element. `rounding_mode` "floor" rounds down, "trunc" towards zero."""
    _check_mode(rounding_mode)
    return _DIVIDE[rounding_mode](input, other, out=out)


def div_(self: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """`div`, stored in the tensor itself."""
    _check_mode(rounding_mode)
    return _DIVISIONS[rounding_mode].in_place(self, other)


publish(div, "div", "divide", checks_input=True)
publish(_DIVIDE[None], "true_divide", checks_input=True)
_DIV.publish_in_place(div_, ("div", "divide", "true_divide"))
publish(_DIV.operator(), "__truediv__", function=False)


def _divided(self: Tensor, other: Any) -> Any:
    """A number divided by a tensor: as in PyTorch, the tensor's reciprocal times the number."""
    try:
        return FUNCTIONS["reciprocal"](self) * other
    except TypeError:
        return NotImplemented


publish(_divided, "__rtruediv__", "__rdiv__", function=False)
_division(
    "floor_divide",
    _floor,
    "NotImplemented",
    SAME,
    numbers="both",
    exact_numbers=True,
    differentiable=False,
    operators=("__floordiv__",),
    reflected=("__rfloordiv__",),
    in_place_operator="__ifloordiv__",
    refuses=(no_kernel("bc", "div_floor_cpu"),),
)
_remainder = sloped(
    jnp.remainder, lambda x, y, _: jnp.ones_like(x * y), lambda x, y, _: -_rounded_down(x, y)
)
_NO_REMAINDER = (no_kernel("bc", "remainder_cpu"),)
_NO_FMOD = (no_kernel("bc", "fmod_cpu"),)
_of_number = partial(two, guard=_check_zero, public=False)
_division(
    "remainder",
    _remainder,
    "RemainderBackward1",
    SAME,
    of_number=_of_number(
        "remainder.Scalar", _remainder, "RemainderBackward0", SAME, refuses=_NO_REMAINDER
    ),
    numbers="either",
    operators=("__mod__",),
    reflected=("__rmod__",),
    in_place_operator="__imod__",
    refuses=_NO_REMAINDER,
)
_division(
    "fmod",
    _fmod,
    "FmodBackward1",
    SAME,
    of_number=_of_number("fmod.Scalar", _fmod, "FmodBackward0", SAME, refuses=_NO_FMOD),
    refuses=_NO_FMOD,
)

# ------------------------------------------------------------------------------------------- bits


def _shift_left(x: Any, y: Any) -> Any:
    return jnp.where((y < 0) | (y >= x.dtype.itemsize * 8), 0, jnp.left_shift(x, y))


def _shift_right(x: Any, y: Any) -> Any:
    most = x.dtype.itemsize * 8 - 1
    outside = (y < 0) | (y > most)
    kept = jnp.right_shift(x, jnp.where(outside, most, y))
    # Only the sign of a signed number is left of all its bits.
    return jnp.where(outside, 0, kept) if x.dtype.kind == "u" else kept


def _bits(
    name: str, function: Callable[..., Any], operators: str, kernel: str, **more: Any
) -> None:
    """Declare an op on the bits of integers, with its three operators."""
    plain, reflected = f"__{operators}__", f"__r{operators}__"
    commutes = more.pop("commutes", True)
    two(
        name,
        function,
        "NotImplemented",
        SAME,
        kind="bits",
        numbers="either",
        operators=(plain, reflected) if commutes else (plain,),
        reflected=() if commutes else (reflected,),
        in_place_operator=f"__i{operators}__",
        refuses=(no_kernel("fVc", kernel),),
        **more,
    )


_bits("bitwise_and", jnp.bitwise_and, "and", "bitwise_and_cpu")
_bits("bitwise_or", jnp.bitwise_or, "or", "bitwise_or_cpu")
_bits("bitwise_xor", jnp.bitwise_xor, "xor", "bitwise_xor_cpu")
_bits("bitwise_left_shift", _shift_left, "lshift", "lshift_cpu", commutes=False)
_bits("bitwise_right_shift", _shift_right, "rshift", "rshift_cpu", commutes=False)
one(
    "bitwise_not",
    jnp.bitwise_not,
    "NotImplemented",
    SAME,
    kind="bits",
    refuses=(no_kernel("fVc", "bitwise_not_cpu"),),
)


def _invert(self: Any) -> Any:
    if self.dtype.is_floating_point or self.dtype.is_complex:
        raise TypeError(
            "~ (operator.invert) is only implemented on integer and Boolean-type tensors"
        )
    return FUNCTIONS["bitwise_not"](self)


def positive(input: Tensor) -> Any:
    """The tensor itself.

    Raises:
        RuntimeError: its elements are bools.
    """
    if input._storage.aval.dtype == bool:
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return input


publish(_invert, "__invert__", function=False)
publish(positive, "positive", "__pos__", function=False)
publish(positive, method=False)
