"""The ops that work element by element, as tables: one row an op, functions and tensor methods made from the rows."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from funcgrad.engine import Aval, Leaf, Op, Storage
from funcgrad.engine.trace import record_one, record_two
from funcgrad.torch._memory.storages import DataStorage, ViewStorage, aval_of
from funcgrad.torch._ops.out import store
from funcgrad.torch._ops.refusals import check_dtypes, refusing
from funcgrad.torch._ops.ternary import scaled
from funcgrad.torch._tensor.in_place import in_place, watch, writable, write
from funcgrad.torch._tensor.operands import (
    NUMBERS,
    check_broadcast,
    check_castable,
    laid_out,
    number,
    promoted,
    remember,
    stored_number,
)
from funcgrad.torch._tensor.tensor import Tensor, tensor_of
from funcgrad.torch._tensor.view import as_it_was
from funcgrad.torch._types import dtypes
from funcgrad.torch._types.dtypes import dtype

SAME = "same"  # the result has the dtype computed in
FLOAT = "float"  # integers and bools are computed in the default dtype
BOOL = "bool"  # the result is bool, and has no gradient


class Row(NamedTuple):
    """An op of the tables: its name, the JAX function, its graph node's name, and what its dtypes do.

    `saves_result`: PyTorch takes the derivative from the result; see `watch`.
    `masked`: the JAX function of a bool array and another, where that is not the function of the bools as numbers.
    """

    name: str
    function: Callable[..., Any]
    label: str
    kind: str = SAME
    methods: tuple[str, ...] = ()
    in_place: bool = True
    check: Callable[..., None] | None = None
    saves_result: bool = False
    masked: Callable[[Any, Any], Any] | None = None


IN_PLACE_OPERATORS = {
    "add": "__iadd__",
    "sub": "__isub__",
    "mul": "__imul__",
    "div": "__itruediv__",
}


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


UNARY = (
    Row("neg", jnp.negative, "NegBackward0", methods=("__neg__",)),
    Row("abs", absolute, "AbsBackward0", methods=("__abs__",)),
    Row("square", _square, "PowBackward0"),
    Row("relu", _relu, "ReluBackward0", saves_result=True),
    Row("sign", _sign, "SignBackward0"),
    Row("floor", jnp.floor, "FloorBackward0"),
    Row("ceil", jnp.ceil, "CeilBackward0"),
    Row("round", jnp.round, "RoundBackward0"),
    Row("trunc", jnp.trunc, "TruncBackward0"),
    Row("reciprocal", jnp.reciprocal, "ReciprocalBackward0", FLOAT, saves_result=True),
    Row("exp", jnp.exp, "ExpBackward0", FLOAT, saves_result=True),
    Row("exp2", jnp.exp2, "Exp2Backward0", FLOAT, saves_result=True),
    Row("expm1", jnp.expm1, "Expm1Backward0", FLOAT, saves_result=True),
    Row("log", jnp.log, "LogBackward0", FLOAT),
    Row("log2", jnp.log2, "Log2Backward0", FLOAT),
    Row("log10", jnp.log10, "Log10Backward0", FLOAT),
    Row("log1p", jnp.log1p, "Log1PBackward0", FLOAT),
    Row("sqrt", jnp.sqrt, "SqrtBackward0", FLOAT, saves_result=True),
    Row("rsqrt", jax.lax.rsqrt, "RsqrtBackward0", FLOAT, saves_result=True),
    Row("sin", jnp.sin, "SinBackward0", FLOAT),
    Row("cos", jnp.cos, "CosBackward0", FLOAT),
    Row("tan", jnp.tan, "TanBackward0", FLOAT, saves_result=True),
    Row("asin", jnp.arcsin, "AsinBackward0", FLOAT),
    Row("acos", jnp.arccos, "AcosBackward0", FLOAT),
    Row("atan", jnp.arctan, "AtanBackward0", FLOAT),
    Row("sinh", jnp.sinh, "SinhBackward0", FLOAT),
    Row("cosh", jnp.cosh, "CoshBackward0", FLOAT),
    Row("tanh", jnp.tanh, "TanhBackward0", FLOAT, saves_result=True),
    Row("asinh", jnp.arcsinh, "AsinhBackward0", FLOAT),
    Row("acosh", jnp.arccosh, "AcoshBackward0", FLOAT),
    Row("atanh", jnp.arctanh, "AtanhBackward0", FLOAT),
    Row("erf", jax.scipy.special.erf, "ErfBackward0", FLOAT),
    Row("sigmoid", jax.nn.sigmoid, "SigmoidBackward0", FLOAT, saves_result=True),
    Row("isnan", jnp.isnan, "IsnanBackward0", BOOL, in_place=False),
    Row("isinf", jnp.isinf, "IsinfBackward0", BOOL, in_place=False),
    Row("isfinite", jnp.isfinite, "IsfiniteBackward0", BOOL, in_place=False),
    Row("logical_not", jnp.logical_not, "LogicalNotBackward0", BOOL),
)

BINARY = (
    Row("add", jnp.add, "AddBackward0", methods=("__add__", "__radd__")),
    Row("sub", jnp.subtract, "SubBackward0", methods=("__sub__",), check=check_subtraction),
    Row("rsub", lambda a, b: b - a, "RsubBackward1", SAME, ("__rsub__",), False, check_subtraction),
    Row("mul", jnp.multiply, "MulBackward0", methods=("__mul__", "__rmul__"), masked=_masked),
    Row("div", jnp.divide, "DivBackward0", FLOAT, methods=("__truediv__",)),
    Row("maximum", _maximum, "MaximumBackward0", in_place=False),
    Row("minimum", _minimum, "MinimumBackward0", in_place=False),
    Row("atan2", _atan2, "Atan2Backward0", FLOAT),
    Row("eq", jnp.equal, "EqBackward0", BOOL, methods=("__eq__",)),
    Row("ne", jnp.not_equal, "NeBackward0", BOOL, methods=("__ne__",)),
    Row("lt", jnp.less, "LtBackward0", BOOL, methods=("__lt__",)),
    Row("le", jnp.less_equal, "LeBackward0", BOOL, methods=("__le__",)),
    Row("gt", jnp.greater, "GtBackward0", BOOL, methods=("__gt__",)),
    Row("ge", jnp.greater_equal, "GeBackward0", BOOL, methods=("__ge__",)),
    Row("logical_and", jnp.logical_and, "LogicalAndBackward0", BOOL),
    Row("logical_or", jnp.logical_or, "LogicalOrBackward0", BOOL),
    Row("logical_xor", jnp.logical_xor, "LogicalXorBackward0", BOOL),
)


class Pointwise:
    """A row made callable: one engine op for each pair (dtype computed in, dtype stored), found by the operands' types."""

    def __init__(self, row: Row) -> None:
        self.row = row
        self.ops: dict[Any, Op] = {}
        self.by_types: dict[tuple[Aval, ...], Op] = {}
        self.in_place_by_types: dict[tuple[Aval, ...], Op] = {}
        self.numbers: dict[tuple[Aval, type], Aval] = {}
        # A number that wrapped around would compare with another than it is.
        self.number = stored_number if row.kind == BOOL else number

    def op(self, compute: dtype | None, store: dtype | None) -> Op:
        """The op that computes in one dtype and stores in another; None: as they come."""
        known = self.ops.get((compute, store))
        if known is None:
            function, masked = self.row.function, self.row.masked

            def cast(*arrays: Any) -> Any:
                bools = [array.dtype == bool for array in arrays]
                if compute is not None:
                    arrays = tuple(array.astype(compute.numpy_dtype) for array in arrays)
                if masked is not None and any(bools) and not all(bools):
                    mask, other = arrays if bools[0] else arrays[::-1]
                    result = masked(mask != 0, other)
                else:
                    result = function(*arrays)
                return result if store is None else result.astype(store.numpy_dtype)

            plain = compute is None and store is None
            known = self.ops[compute, store] = Op(
                self.row.name,
                function if plain else cast,
                label=self.row.label,
                check=refusing(self.row.name, self.row.check or check_broadcast),
            )
        return known

    def computed_in(self, operands: tuple[Any, ...]) -> dtype:
        """The dtype that PyTorch computes in."""
        found = promoted(operands)
        if self.row.kind == FLOAT and not (found.is_floating_point or found.is_complex):
            return dtypes.get_default_dtype()
        return found

    def for_types(self, *operands: Tensor) -> Op:
        """The op for tensors of these types."""
        avals = tuple(operand._storage.value.aval for operand in operands)
        compute = self.computed_in(operands)
        same = all(aval.dtype == compute.numpy_dtype for aval in avals)
        op = self.op(None if same else compute, None)
        return remember(self.by_types, avals, op)

    def number_type(self, a: Tensor, value: Any) -> Aval:
        """The type that a Python number takes beside `a`."""
        if self.row.check is not None:
            self.row.check(aval_of(a._storage), Aval((), promoted((value,)).numpy_dtype))
        aval = Aval((), self.computed_in((a, value)).numpy_dtype)
        return remember(self.numbers, (aval_of(a._storage), type(value)), aval)

    def operand(self, a: Tensor, b: Any) -> Any:
        """The second operand as a tensor or a 0-d variable."""
        if isinstance(b, Tensor):
            return b
        if not isinstance(b, NUMBERS):
            raise TypeError(
                f"{self.row.name}_(): argument 'other' (position 1) must be Tensor, not {_type_name(b)}"
            )
        aval = self.numbers.get((aval_of(a._storage), type(b))) or self.number_type(a, b)
        return self.number(b, aval)

    def in_place(self, a: Tensor, *others: Any, with_result: bool = False) -> Tensor:
        """Compute and store in `a`, as PyTorch's trailing-underscore methods.

        Args:
            a: the first operand.
            others: the others.
            with_result: whether PyTorch's derivative needs the arguments and the result; see `watch`.

        Raises:
            RuntimeError: `a` is a leaf that requires grad, or has not the shape or the category of
                dtype of the result.
        """
        others = tuple([self.operand(a, other) for other in others])
        writable(a, *others, name=f"{self.row.name}_")
        avals = (aval_of(a._storage), *[other._storage.value.aval for other in others])
        op = self.in_place_by_types.get(avals) or self.for_in_place((a, *others), avals)
        saves_result = with_result or self.row.saves_result
        return in_place(op, a, *others, saves_result=saves_result, saves_arguments=with_result)

    def for_in_place(self, operands: tuple[Any, ...], avals: tuple[Aval, ...]) -> Op:
        """The op whose result can be stored in the first operand."""
        target = operands[0]
        compute = self.computed_in(operands)
        if self.row.check is not None:
            self.row.check(*avals)
        check_dtypes(self.row.name, *avals)
        if self.row.name == "abs" and target.dtype.is_complex:
            raise RuntimeError("In-place abs is not supported for complex tensors.")
        if self.row.kind != BOOL:
            check_castable(compute, target.dtype)
        check_broadcast(*avals)
        shape = np.broadcast_shapes(*(aval.shape for aval in avals))
        if shape != target.shape:
            raise RuntimeError(
                f"output with shape {list(target.shape)} doesn't match the broadcast shape "
                f"{list(shape)}"
            )
        same = all(aval.dtype == compute.numpy_dtype for aval in avals)
        stored = same and self.row.kind != BOOL
        op = self.op(None if same else compute, None if stored else target.dtype)
        return remember(self.in_place_by_types, avals, op)

    def function(self) -> Callable[..., Tensor]:
        """The op as a function of tensors; the last of two operands may be a Python number."""
        by_types, name, saves_result = self.by_types, self.row.name, self.row.saves_result
        operator = self.operator()

        def unary(input: Tensor, *, out: Tensor | None = None) -> Tensor:
            if not isinstance(input, Tensor):
                raise TypeError(
                    f"{name}(): argument 'input' (position 1) must be Tensor, not {_type_name(input)}"
                )
            if out is not None:
                return store(name, out, (input,), lambda: unary(input))
            op = by_types.get((input._storage.value.aval,)) or self.for_types(input)
            result = tensor_of(*record_one(op, input))
            if type(input._storage) is ViewStorage:
                laid_out(result, input)
            if saves_result:
                watch(result._node, result._storage)
            return result

        def binary(input: Tensor, other: Any, *, out: Tensor | None = None) -> Tensor:
            if out is not None:
                return store(name, out, (input, other), lambda: binary(input, other))
            result = operator(input, other)
            if result is NotImplemented:
                raise TypeError(
                    f"{name}(): argument 'other' (position 2) must be Tensor, not {_type_name(other)}"
                )
            return result

        def with_alpha(
            input: Tensor, other: Any, *, alpha: Any = None, out: Tensor | None = None
        ) -> Tensor:
            if alpha is None:
                return binary(input, other, out=out)
            if out is not None:
                return store(
                    name, out, (input, other), lambda: with_alpha(input, other, alpha=alpha)
                )
            return scaled(name, False, input, other, alpha)

        if name in ("add", "sub"):
            return with_alpha
        return unary if self.row in UNARY else binary

    def operator(self) -> Callable[[Any, Any], Any]:
        """The op as an operator method, which leaves operands it does not know to the other side."""
        by_types, numbers, number = self.by_types, self.numbers, self.number

        def method(self_: Any, other: Any) -> Any:
            if isinstance(other, Tensor):
                second: Any = other
            elif isinstance(other, NUMBERS):
                aval = numbers.get((self_._storage.value.aval, type(other)))
                second = number(other, aval or self.number_type(self_, other))
            else:
                return NotImplemented
            avals = (self_._storage.value.aval, second._storage.value.aval)
            op = by_types.get(avals) or self.for_types(self_, second)
            result = tensor_of(*record_two(op, self_, second))
            if type(self_._storage) is ViewStorage or type(second._storage) is ViewStorage:
                laid_out(result, self_, second)
            return result

        return method

    def in_place_operator(self) -> Callable[[Any, Any], Any]:
        """The op as an augmented assignment: `in_place` for a second operand, without detours."""
        in_place_by_types, numbers = self.in_place_by_types, self.numbers
        name = f"{self.row.name}_"

        def method(self_: Any, other: Any) -> Any:
            if type(self_) is not Tensor:
                known = isinstance(other, (Tensor, *NUMBERS))
                return self.in_place(self_, other) if known else NotImplemented
            if isinstance(other, Tensor):
                second: Any = other
            elif isinstance(other, NUMBERS):
                aval = numbers.get((self_._storage.value.aval, type(other)))
                second = number(other, aval or self.number_type(self_, other))
            else:
                return NotImplemented
            node = self_._node
            if (
                type(self_._storage) not in _APART
                or type(second._storage) not in _APART
                or (node is not None and isinstance(node, Leaf))
            ):
                writable(self_, second, name=name)
            avals = (self_._storage.value.aval, second._storage.value.aval)
            op = in_place_by_types.get(avals) or self.for_in_place((self_, second), avals)
            plain = node is None and second._node is None
            first = self_ if plain else as_it_was(self_)
            return write(self_, record_two(op, first, second))

        return method


# Storages all of whose elements are written, and which no view shares some of.
_APART = frozenset((Storage, DataStorage))


def _type_name(of: Any) -> str:
    return type(of).__name__


def operator(function: Callable[[Any, Any], Tensor]) -> Callable[[Any, Any], Any]:
    """A binary function as an operator method, which leaves operands it does not know to the other side."""

    def method(self: Tensor, other: Any) -> Any:
        if isinstance(other, (Tensor, *NUMBERS)):
            return function(self, other)
        return NotImplemented

    return method


def in_place_method(pointwise: Pointwise) -> Callable[..., Tensor]:
    """The in-place form of an op as a method."""

    def method(self: Tensor, *others: Any) -> Tensor:
        return pointwise.in_place(self, *others)

    def with_alpha(self: Tensor, other: Any, *, alpha: Any = None) -> Tensor:
        if alpha is None:
            return pointwise.in_place(self, other)
        return scaled(pointwise.row.name, True, self, other, alpha)

    made = with_alpha if pointwise.row.name in ("add", "sub") else method
    made.__doc__ = f"`{pointwise.row.name}`, stored in the tensor itself."
    return made


FUNCTIONS: dict[str, Callable[..., Any]] = {}
METHODS: dict[str, Callable[..., Any]] = {}


def _publish() -> None:
    for row in (*UNARY, *BINARY):
        pointwise = Pointwise(row)
        function = pointwise.function()
        function.__name__ = function.__qualname__ = row.name
        function.__doc__ = f"Element by element, as `torch.{row.name}`."
        FUNCTIONS[row.name] = METHODS[row.name] = function
        if row.in_place:
            METHODS[f"{row.name}_"] = in_place_method(pointwise)
        for name in row.methods:
            METHODS[name] = pointwise.operator() if row in BINARY else function
        if row.name in IN_PLACE_OPERATORS:
            METHODS[IN_PLACE_OPERATORS[row.name]] = pointwise.in_place_operator()
    # As PyTorch has it: a number divided by a tensor is the tensor's reciprocal times the number.
    METHODS["__rtruediv__"] = operator(
        lambda self, other: FUNCTIONS["mul"](FUNCTIONS["reciprocal"](self), other)
    )


_publish()
