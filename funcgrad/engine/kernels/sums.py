"""Primitives that combine elements along axes: sums and extremes, running ones, positions, and products of matrices."""

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from funcgrad.engine.kernels.table import NoRuleError, highest, kind_of, lowest, rule


def _reduced(function: Any, name: str, identity: Callable[[np.dtype], Any] | None = None) -> None:
    @rule(name)
    def _(source: Any, equation: Any) -> None:
        given = equation.invars[0].aval
        axes = tuple(equation.params["axes"])
        (x,) = source.arrays(equation.invars)
        if not axes:
            source.alias(equation.outvars[0], equation.invars[0])
            return
        if all(given.shape[axis] == 1 for axis in axes):
            if function is np.add:  # the sum of -0 is 0
                x = source.line(
                    f"{source.function(np.add)}({x}, {source.constant(given.dtype.type(0))})"
                )
            source.reshaped(equation, x, given.shape)
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
        if function is np.add and given.dtype.kind == "f":
            if _may_be_long(given, axes):
                called = source.function(sum_in_pieces)
            elif axes == (given.ndim - 1,) and given.ndim > 1:
                called = source.function(sum_of_rows)
        text = f"{called}({source.negated.get(x, x) if function is np.add else x}, {options})"
        if function is np.add and x in source.negated:
            # The sign of the sum, in place of the signs of its terms.
            zero = source.constant(given.dtype.type(0))
            text = f"{source.function(np.subtract)}({zero}, {text})"
        source.assign(equation, text, new=True)


LENGTH = 128
# The longest row whose sum is as exact in one piece.
SHORT = 512


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


def sum_of_rows(x: Any, axis: Any, dtype: Any) -> Any:
    """The sum along the last axis. Many short rows are one product with ones, where NumPy takes one row after the other."""
    rows, length = x.size // max(x.shape[-1], 1), x.shape[-1]
    if rows < LENGTH or not 0 < length <= SHORT:
        return np.add.reduce(x, axis=axis, dtype=dtype)
    return np.dot(x, np.ones(length, dtype))


_reduced(np.add, "reduce_sum")
_reduced(np.multiply, "reduce_prod")
_reduced(np.maximum, "reduce_max", lowest)
_reduced(np.minimum, "reduce_min", highest)
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
    if kind_of(x) == "b":
        raise NoRuleError
    a, b = source.arrays([x, y])
    dims_x, dims_y = x.aval.ndim, y.aval.ndim
    if len(along_x) == 1 and not batch_x and dims_x <= 2 and dims_y <= 2:
        # A product of matrices or vectors: contracted along the last axis of the one and the first of the other.
        if dims_x == 2 and along_x[0] == 0:
            a = f"{a}.T"
        if dims_y == 2 and along_y[0] == 1:
            b = f"{b}.T"
        source.assign(equation, f"{source.function(np.dot)}({a}, {b})", new=True)
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
    whole = product if made == (*batch, rows, columns) else f"{product}.reshape({made})"
    source.assign(equation, whole, new=True)


def _arranged(
    x: str, order: tuple[int, ...], shape: tuple[int, ...], given: tuple[int, ...]
) -> str:
    if order != tuple(range(len(order))):
        x = f"{x}.transpose({order})"
    return x if tuple(given[k] for k in order) == shape else f"{x}.reshape({shape})"
