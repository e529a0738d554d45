"""JAX's primitives in NumPy: for each primitive, how a line of Python source computes it.

A rule takes the equation and the source being written (`kernels.Source`), and adds lines to it. Only primitives whose results
NumPy gives in the same dtype and to rounding have a rule; see `kernels.supported` for the dtypes. The functions below that
are no rules are called by the lines.
"""

from collections.abc import Callable
from copy import copy
from math import prod
from typing import Any

import numpy as np

Rule = Callable[[Any, Any], None]
RULES: dict[str, Rule] = {}
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
    "log1p": np.log1p,
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
    "erf": "erf",
    "erfc": "erfc",
    "erf_inv": "erfinv",
    "lgamma": "gammaln",
}


def _floordiv(a: int, b: int) -> int:
    return a // b


def _mod(a: int, b: int) -> int:
    return a % b


# The functions in which a length that is a symbol is printed.
DIMENSIONS: dict[str, Any] = {"floordiv": _floordiv, "mod": _mod}


def length(dimension: Any, lengths: dict[str, Any]) -> int:
    """The number that a dimension stands for."""
    return dimension if isinstance(dimension, int) else int(eval(str(dimension), dict(lengths)))


class NoRuleError(Exception):
    """NumPy has no equal of a primitive, or of this use of it."""


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Declare the rule of some primitives."""

    def declare(function: Rule) -> Rule:
        for name in names:
            RULES[name] = function
        return function

    return declare


def _kind(atom: Any) -> str:
    return atom.aval.dtype.kind


# Elementwise primitives that are more than one function.


@rule("div")
def _(source: Any, equation: Any) -> None:
    whole = _kind(equation.outvars[0]) != "f"
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
    whole = _kind(equation.outvars[0]) != "f"
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
    if base.aval.dtype != exponent.aval.dtype or _kind(base) != "f":
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
    source.assign(equation, product, like=equation.invars)


@rule("logistic")
def _(source: Any, equation: Any) -> None:
    source.elementwise(equation, logistic)


def logistic(x: Any) -> Any:
    """The logistic function."""
    one = x.dtype.type(1)
    return one / (one + np.exp(-x))


@rule("rsqrt")
def _(source: Any, equation: Any) -> None:
    source.elementwise(equation, lambda x: x.dtype.type(1) / np.sqrt(x))


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
    if _kind(which) != "b" or len(cases) != 2:
        raise NoRuleError
    taken = source.elements([which, cases[1], cases[0]])
    source.scope.setdefault("where", np.where)
    source.assign(equation, f"where({', '.join(taken)})", like=equation.invars)


@rule("clamp")
def _(source: Any, equation: Any) -> None:
    source.elementwise(equation, lambda low, x, high: np.minimum(np.maximum(x, low), high))


@rule("shift_left")
def _(source: Any, equation: Any) -> None:
    source.elementwise(equation, np.left_shift)


@rule("shift_right_arithmetic")
def _(source: Any, equation: Any) -> None:
    if _kind(equation.invars[0]) != "i":
        raise NoRuleError
    source.elementwise(equation, np.right_shift)


@rule("shift_right_logical")
def _(source: Any, equation: Any) -> None:
    if _kind(equation.invars[0]) != "u":
        raise NoRuleError
    source.elementwise(equation, np.right_shift)


@rule("convert_element_type")
def _(source: Any, equation: Any) -> None:
    given, wanted = equation.invars[0].aval.dtype, equation.outvars[0].aval.dtype
    if given == wanted:
        source.alias(equation.outvars[0], equation.invars[0])
        return
    name = source.constant(wanted)
    (x,) = source.elements(equation.invars)
    line = f"{x}.astype({name})"
    if wanted.kind == "b":
        line = f"{x} != 0"
    elif given.kind == "f" and wanted.kind in "iu":
        source.scope.setdefault("to_integers", to_integers)
        line = f"to_integers({x}, {name})"
    source.assign(equation, line, like=equation.invars)


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


# Shapes.


@rule("broadcast_in_dim")
def _(source: Any, equation: Any) -> None:
    shape, dims = equation.params["shape"], equation.params["broadcast_dimensions"]
    given = equation.invars[0]
    (x,) = source.arrays([given])
    lengths = [1] * len(shape)
    for k, dim in enumerate(dims):
        lengths[dim] = given.aval.shape[k]
    if tuple(lengths) != given.aval.shape:
        first = next((k for k, length in enumerate(lengths) if length != 1), len(lengths))
        short = tuple(lengths[first:])
        if short != given.aval.shape:
            x = source.line(f"{x}.reshape({short})")
        lengths = list(short)
    source.compact(equation.outvars[0], x, tuple(lengths))


@rule("reshape", "squeeze", "expand_dims")
def _(source: Any, equation: Any) -> None:
    if equation.params.get("dimensions") is not None and equation.primitive.name == "reshape":
        raise NoRuleError
    (x,) = source.arrays(equation.invars)
    source.assign(equation, f"{x}.reshape({equation.outvars[0].aval.shape})")


@rule("transpose")
def _(source: Any, equation: Any) -> None:
    (x,) = source.arrays(equation.invars)
    source.assign(equation, f"{x}.transpose({equation.params['permutation']})")


@rule("rev")
def _(source: Any, equation: Any) -> None:
    (x,) = source.arrays(equation.invars)
    turned = equation.params["dimensions"]
    cuts = ["::-1" if k in turned else ":" for k in range(equation.invars[0].aval.ndim)]
    source.assign(equation, f"{x}[{', '.join(cuts)}]" if cuts else x)


@rule("slice")
def _(source: Any, equation: Any) -> None:
    (x,) = source.arrays(equation.invars)
    starts, limits = equation.params["start_indices"], equation.params["limit_indices"]
    strides = equation.params["strides"] or (1,) * len(starts)
    cuts = [f"{a}:{b}:{c}" for a, b, c in zip(starts, limits, strides, strict=True)]
    source.assign(equation, f"{x}[{', '.join(cuts)}]" if cuts else x)


@rule("split")
def _(source: Any, equation: Any) -> None:
    (x,) = source.arrays(equation.invars)
    axis, start = equation.params["axis"], 0
    for made, size in zip(equation.outvars, equation.params["sizes"], strict=True):
        cuts = ":, " * axis + f"{start}:{start + size}"
        source.assign_one(made, f"{x}[{cuts}]")
        start += size


@rule("dynamic_slice")
def _(source: Any, equation: Any) -> None:
    x, *starts = source.arrays(equation.invars)
    source.scope.setdefault("windowed", windowed)
    sizes, shape = equation.params["slice_sizes"], equation.invars[0].aval.shape
    source.assign(equation, f"{x}[windowed({shape}, {sizes}, {', '.join(starts)})]")


@rule("dynamic_update_slice")
def _(source: Any, equation: Any) -> None:
    x, update, *starts = source.arrays(equation.invars)
    source.scope.setdefault("windowed", windowed)
    sizes, shape = equation.invars[1].aval.shape, equation.invars[0].aval.shape
    source.scope.setdefault("array", np.array)
    source.assign(equation, f"array({x})")
    made = source.name(equation.outvars[0])
    source.fill(made, f"[windowed({shape}, {sizes}, {', '.join(starts)})] = {update}")


def windowed(shape: tuple[int, ...], sizes: tuple[int, ...], *starts: Any) -> tuple[slice, ...]:
    """The window of these sizes that begins at `starts`, moved so far that it lies inside."""
    window = []
    for length, size, start in zip(shape, sizes, starts, strict=True):
        begin = min(max(int(start), 0), length - size)
        window.append(slice(begin, begin + size))
    return tuple(window)


@rule("concatenate")
def _(source: Any, equation: Any) -> None:
    parts = source.arrays(equation.invars)
    source.scope.setdefault("concatenate", np.concatenate)
    listed = ", ".join(parts)
    source.assign(equation, f"concatenate(({listed},), {equation.params['dimension']})")


@rule("stack")
def _(source: Any, equation: Any) -> None:
    parts = ", ".join(source.arrays(equation.invars))
    called = source.function(np.stack)
    source.assign(equation, f"{called}(({parts},), {equation.params['axis']})")


@rule("pad")
def _(source: Any, equation: Any) -> None:
    x, value = source.arrays(equation.invars)
    source.scope.setdefault("padded", padded)
    config, shape = (
        tuple(map(tuple, equation.params["padding_config"])),
        equation.outvars[0].aval.shape,
    )
    source.assign(equation, f"padded({x}, {value}, {config}, {shape})")


def padded(x: Any, value: Any, config: Any, shape: tuple[int, ...]) -> Any:
    """`lax.pad`: for each axis how many before and after, which may be negative, and between."""
    made = np.empty(shape, x.dtype)
    made[...] = value
    into, of = [], []
    for length, total, (low, _, between) in zip(x.shape, shape, config, strict=True):
        step = between + 1
        # The first element that lands at 0 or after, and the last that lands before the end.
        first = max(0, -(low // step)) if low < 0 else 0
        last = min(length, -((low - total) // step))
        last = max(first, last)
        start = low + first * step
        into.append(
            slice(start, start + (last - first - 1) * step + 1 if last > first else start, step)
        )
        of.append(slice(first, last))
    made[tuple(into)] = x[tuple(of)]
    return made


@rule("iota")
def _(source: Any, equation: Any) -> None:
    dtype, shape, axis = (equation.params[k] for k in ("dtype", "shape", "dimension"))

    def counted(lengths: dict[str, Any]) -> Any:
        whole = [length(dimension, lengths) for dimension in shape]
        along = [1] * len(whole)
        along[axis] = whole[axis]
        return np.broadcast_to(np.arange(whole[axis], dtype=dtype).reshape(along), whole)

    source.alias_name(equation.outvars[0], source.constant_later(counted))


@rule("dim_as_value")
def _(source: Any, equation: Any) -> None:
    dtype = source.constant(equation.outvars[0].aval.dtype)
    source.assign(equation, f"{dtype}.type({equation.params['dim']})")


# Sums along axes, products, positions.


def _reduced(function: Any, name: str, identity: Callable[[np.dtype], Any] | None = None) -> None:
    @rule(name)
    def _(source: Any, equation: Any) -> None:
        given = equation.invars[0].aval
        axes = tuple(equation.params["axes"])
        (x,) = source.arrays(equation.invars)
        if not axes:
            source.alias(equation.outvars[0], equation.invars[0])
            return
        options = f"axis={axes}"
        if len(axes) == 1:
            options = f"axis={axes[0]}"
        if len(axes) == given.ndim:
            options = "axis=None"
        if function in (np.add, np.multiply):
            options += f", dtype={source.constant(given.dtype)}"
        if identity is not None and 0 in given.shape:
            options += f", initial={source.constant(identity(given.dtype))}"
        called = source.function(function.reduce)
        if function is np.add and given.dtype.kind == "f" and _may_be_long(given, axes):
            called = source.function(sum_in_pieces)
        source.assign(equation, f"{called}({x}, {options})")


LENGTH = 128


def _may_be_long(given: Any, axes: tuple[int, ...]) -> bool:
    """Whether a sum along one axis, not the last, may be one of many elements."""
    if len(axes) != 1 or axes[0] == given.ndim - 1:
        return False
    along = given.shape[axes[0]]
    return not isinstance(along, int) or along >= 2 * LENGTH


def sum_in_pieces(x: Any, axis: Any, dtype: Any) -> Any:
    """The sum along axes. NumPy adds pairwise only along the last axis of its memory, so others are summed in pieces."""
    if x.shape[axis] < 2 * LENGTH:
        return np.add.reduce(x, axis=axis, dtype=dtype)
    whole = x.shape[axis] // LENGTH * LENGTH
    before, after = x.shape[:axis], x.shape[axis + 1 :]
    index = (slice(None),) * axis
    pieces = x[(*index, slice(whole))].reshape(*before, -1, LENGTH, *after)
    parts = [np.add.reduce(pieces, axis=axis + 1, dtype=dtype)]
    if whole < x.shape[axis]:
        parts.append(
            np.add.reduce(x[(*index, slice(whole, None))], axis=axis, dtype=dtype, keepdims=True)
        )
    return sum_in_pieces(np.concatenate(parts, axis), axis, dtype)


def _lowest(dtype: np.dtype) -> Any:
    return (
        dtype.type(-np.inf)
        if dtype.kind == "f"
        else dtype.type(dtype.kind != "b" and np.iinfo(dtype).min)
    )


def _highest(dtype: np.dtype) -> Any:
    return (
        dtype.type(np.inf)
        if dtype.kind == "f"
        else dtype.type(dtype.kind == "b" or np.iinfo(dtype).max)
    )


_reduced(np.add, "reduce_sum")
_reduced(np.multiply, "reduce_prod")
_reduced(np.maximum, "reduce_max", _lowest)
_reduced(np.minimum, "reduce_min", _highest)
_reduced(np.bitwise_and, "reduce_and")
_reduced(np.bitwise_or, "reduce_or")


def _positioned(function: Any, name: str) -> None:
    @rule(name)
    def _(source: Any, equation: Any) -> None:
        (axis,) = equation.params["axes"]
        dtype = source.constant(np.dtype(equation.params["index_dtype"]))
        (x,) = source.arrays(equation.invars)
        source.assign(equation, f"{source.function(function)}({x}, {axis}).astype({dtype})")


_positioned(np.argmax, "argmax")
_positioned(np.argmin, "argmin")


def _accumulated(function: Any, name: str) -> None:
    @rule(name)
    def _(source: Any, equation: Any) -> None:
        (x,) = source.arrays(equation.invars)
        axis = equation.params["axis"]
        dtype = source.constant(equation.outvars[0].aval.dtype)
        turn = f"[{':, ' * axis}::-1]" if equation.params["reverse"] else ""
        called = source.function(function.accumulate)
        source.assign(equation, f"{called}({x}{turn}, axis={axis}, dtype={dtype}){turn}")


_accumulated(np.add, "cumsum")
_accumulated(np.multiply, "cumprod")
_accumulated(np.maximum, "cummax")
_accumulated(np.minimum, "cummin")
_accumulated(np.logaddexp, "cumlogsumexp")


@rule("dot_general")
def _(source: Any, equation: Any) -> None:
    (along_x, along_y), (batch_x, batch_y) = equation.params["dimension_numbers"]
    x, y = equation.invars
    if not x.aval.dtype == y.aval.dtype == equation.outvars[0].aval.dtype:
        raise NoRuleError
    if _kind(x) == "b":
        raise NoRuleError
    a, b = source.arrays([x, y])
    dims_x, dims_y = x.aval.ndim, y.aval.ndim
    if len(along_x) == 1 and not batch_x and dims_x <= 2 and dims_y <= 2:
        # A product of matrices or vectors: contracted along the last axis of the one and the first of the other.
        if dims_x == 2 and along_x[0] == 0:
            a = f"{a}.T"
        if dims_y == 2 and along_y[0] == 1:
            b = f"{b}.T"
        source.assign(equation, f"{source.function(np.dot)}({a}, {b})")
        return
    free_x = [k for k in range(dims_x) if k not in (*along_x, *batch_x)]
    free_y = [k for k in range(dims_y) if k not in (*along_y, *batch_y)]
    shape = x.aval.shape, y.aval.shape
    batch = tuple(shape[0][k] for k in batch_x)
    rows = prod(shape[0][k] for k in free_x)
    columns = prod(shape[1][k] for k in free_y)
    inner = prod(shape[0][k] for k in along_x)
    a = _arranged(a, (*batch_x, *free_x, *along_x), (*batch, rows, inner), shape[0])
    b = _arranged(b, (*batch_y, *along_y, *free_y), (*batch, inner, columns), shape[1])
    product = f"{source.function(np.matmul)}({a}, {b})"
    made = equation.outvars[0].aval.shape
    source.assign(
        equation, product if made == (*batch, rows, columns) else f"{product}.reshape({made})"
    )


def _arranged(
    x: str, order: tuple[int, ...], shape: tuple[int, ...], given: tuple[int, ...]
) -> str:
    if order != tuple(range(len(order))):
        x = f"{x}.transpose({order})"
    return x if tuple(given[k] for k in order) == shape else f"{x}.reshape({shape})"


# Sorting, and elements at positions.


@rule("sort")
def _(source: Any, equation: Any) -> None:
    axis, keys = equation.params["dimension"], equation.params["num_keys"]
    given = source.arrays(equation.invars)
    if len(given) == 1:
        source.assign(equation, f"{source.function(np.sort)}({given[0]}, {axis}, 'stable')")
        return
    order = source.line(f"{source.function(order_of)}({axis}, {', '.join(given[:keys])})")
    for made, x in zip(equation.outvars, given, strict=True):
        source.assign_one(made, f"{source.function(np.take_along_axis)}({x}, {order}, {axis})")


def order_of(axis: int, *keys: Any) -> Any:
    """The positions in which the keys are sorted along an axis; the first key counts most."""
    if len(keys) == 1:
        return np.argsort(keys[0], axis, "stable")
    return np.lexsort(keys[::-1], axis)


def _mode(equation: Any) -> str:
    mode = equation.params["mode"]
    name = "clip" if mode is None else mode.name.lower()
    return "clip" if name == "promise_in_bounds" else name


@rule("gather")
def _(source: Any, equation: Any) -> None:
    numbers, sizes = equation.params["dimension_numbers"], equation.params["slice_sizes"]
    mode = _mode(equation)
    shape = equation.invars[0].aval.shape
    fill = None
    if mode == "fill_or_drop":
        fill = equation.params["fill_value"]
        dtype = equation.outvars[0].aval.dtype
        if fill is None:
            fill = (
                np.nan
                if dtype.kind == "f"
                else _lowest(dtype)
                if dtype.kind == "i"
                else _highest(dtype)
            )
        fill = dtype.type(fill)
    x, indices = source.arrays(equation.invars)
    gone = (*numbers.collapsed_slice_dims, *numbers.operand_batching_dims)
    along = dict(
        zip(numbers.operand_batching_dims, numbers.start_indices_batching_dims, strict=True)
    )
    looked_up = Places(shape, sizes, numbers.start_index_map, gone, along, mode)
    name = source.constant_later(looked_up.sized)
    made = equation.outvars[0].aval
    rank = equation.invars[1].aval.ndim - 1
    inner = [d for d in range(len(shape)) if d not in gone]
    order = _output_order(looked_up, inner, numbers.offset_dims, rank, made.ndim)
    line = f"{name}.gather({x}, {indices}, {source.constant(fill)})"
    source.assign(equation, line if order is None else f"{line}.transpose({order})")


def _output_order(
    places: "Places", inner: list[int], offset_dims: Any, rank: int, ndim: int
) -> tuple[int, ...] | None:
    """How the axes (batch, windows of indexed dims, whole dims) are to stand; None where they do."""
    standing = [*(d for d in places.indexed if d in inner), *places.whole]
    at = {d: rank + k for k, d in enumerate(standing)}
    order: list[int] = [-1] * ndim
    for d, position in zip(inner, offset_dims, strict=True):
        order[position] = at[d]
    batch = iter(range(rank))
    order = [next(batch) if each < 0 else each for each in order]
    return None if order == list(range(ndim)) else tuple(order)


class Places:
    """Where the windows of a gather or scatter lie in an array.

    Args:
        shape: the array's.
        sizes: the window's.
        mapped: which dimension each column of the indices is for.
        collapsed: dimensions in which the window has one element and the result none.
        along: dimensions of a batch, each with the axis of the indices that counts along it.
        mode: "clip" moves a window inside, "fill_or_drop" leaves it out.
    """

    def __init__(
        self, shape: Any, sizes: Any, mapped: Any, collapsed: Any, along: dict[int, int], mode: str
    ) -> None:
        self.shape, self.sizes, self.mapped, self.mode = shape, sizes, tuple(mapped), mode
        self.along = along
        self.indexed = sorted([*self.mapped, *along])
        self.whole = [d for d in range(len(shape)) if d not in self.indexed]
        if any(sizes[d] != shape[d] for d in self.whole):
            raise NoRuleError
        self.windows = [d for d in self.indexed if d not in collapsed]
        order = (*self.indexed, *self.whole)
        self.order = None if order == tuple(range(len(shape))) else order

    def sized(self, lengths: dict[str, Any]) -> "Places":
        """The same, with numbers for lengths."""
        made = copy(self)
        made.shape = tuple([length(each, lengths) for each in self.shape])
        made.sizes = tuple([length(each, lengths) for each in self.sizes])
        return made

    def find(self, indices: Any) -> tuple[tuple[Any, ...], Any]:
        """An index array for each indexed dimension, and which windows lie inside; None if all do."""
        inside = None
        found = []
        rank = indices.ndim - 1 + len(self.windows)
        for d in self.indexed:
            if d in self.along:
                lengths = [1] * rank
                lengths[self.along[d]] = self.shape[d]
                found.append(np.arange(self.shape[d]).reshape(lengths))
                continue
            start = indices[..., self.mapped.index(d)]
            limit = self.shape[d] - self.sizes[d]
            if self.mode == "clip":
                start = np.clip(start, 0, max(limit, 0))
            else:
                fits = (start >= 0) & (start <= limit)
                if not fits.all():
                    inside = fits if inside is None else inside & fits
                    start = np.where(fits, start, 0)
            start = start.astype(np.intp, copy=False)
            start = start.reshape(start.shape + (1,) * len(self.windows))
            if d in self.windows:
                steps = [1] * rank
                steps[indices.ndim - 1 + self.windows.index(d)] = self.sizes[d]
                start = start + np.arange(self.sizes[d]).reshape(steps)
            found.append(start)
        return tuple(found), inside

    def gather(self, x: Any, indices: Any, fill: Any) -> Any:
        """The windows: axes of the indices, then of windows in indexed dimensions, then whole dimensions."""
        places, inside = self.find(indices)
        if self.order is not None:
            x = x.transpose(self.order)
        if 0 in x.shape[: len(places)]:
            # Nothing lies inside.
            lengths = np.broadcast_shapes(*[each.shape for each in places])
            return np.full(
                (*lengths, *x.shape[len(places) :]), fill if fill is not None else 0, x.dtype
            )
        made = x[places] if places else x[None][np.zeros(indices.shape[:-1], np.intp)]
        if inside is not None:
            made = np.where(
                inside.reshape(inside.shape + (1,) * (made.ndim - inside.ndim)), made, fill
            )
        return made

    def scatter(self, function: Any, x: Any, indices: Any, updates: Any) -> Any:
        """`x` with updates put in; `updates` has the axes that `gather` gives."""
        made = np.array(x)
        places, inside = self.find(indices)
        target = made if self.order is None else made.transpose(self.order)
        if 0 in target.shape[: len(places)]:
            return made
        if inside is not None:
            lengths = np.broadcast_shapes(*[each.shape for each in places])
            places = tuple([np.broadcast_to(each, lengths)[inside] for each in places])
            updates = updates[inside]
        if not places:
            places = (Ellipsis,)
        if function is None:
            target[places] = updates
        else:
            function.at(target, places, updates)
        return made


def _scattered(function: Any, name: str) -> None:
    @rule(name)
    def _(source: Any, equation: Any) -> None:
        numbers = equation.params["dimension_numbers"]
        x, indices, updates = equation.invars
        shape = x.aval.shape
        inserted = (*numbers.inserted_window_dims, *numbers.operand_batching_dims)
        along = dict(
            zip(numbers.operand_batching_dims, numbers.scatter_indices_batching_dims, strict=True)
        )
        rank = indices.aval.ndim - 1
        inner = [d for d in range(len(shape)) if d not in inserted]
        sizes = [1] * len(shape)
        for d, position in zip(inner, numbers.update_window_dims, strict=True):
            sizes[d] = updates.aval.shape[position]
        places = Places(
            shape,
            tuple(sizes),
            numbers.scatter_dims_to_operand_dims,
            inserted,
            along,
            _mode(equation),
        )
        order = _output_order(places, inner, numbers.update_window_dims, rank, updates.aval.ndim)
        a, b, c = source.arrays(equation.invars)
        if order is not None:
            c = f"{c}.transpose({tuple(np.argsort(order).tolist())})"
        called = source.constant(function)
        name = source.constant_later(places.sized)
        source.assign(equation, f"{name}.scatter({called}, {a}, {b}, {c})")


_scattered(None, "scatter")
_scattered(np.add, "scatter-add")
_scattered(np.add, "scatter_add")
_scattered(np.multiply, "scatter-mul")
_scattered(np.multiply, "scatter_mul")
_scattered(np.minimum, "scatter-min")
_scattered(np.minimum, "scatter_min")
_scattered(np.maximum, "scatter-max")
_scattered(np.maximum, "scatter_max")
