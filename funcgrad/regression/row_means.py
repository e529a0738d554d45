"""Whether a loss is a mean over rows, read off its jaxpr: per row stays per row, and sums over rows become one number.

The loss is traced for a number of rows that no other axis has, so an axis of that length is the rows'. A value with
such an axis is per row. A sum over it may only be scaled, and added to others and to values of the params alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import jax
import numpy as np
from jaxtyping import PyTree

if TYPE_CHECKING:  # it loads all of Pallas
    from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Elementwise operations, on values of one shape or with axes of length one.
_ELEMENTWISE = _names("""
    abs acos acosh add add_any and asin asinh atan atan2 atanh bessel_i0e bessel_i1e cbrt ceil clamp convert_element_type
    copy copy_p cos cosh digamma div eq erf erf_inv erfc exp exp2 expm1 floor ge gt igamma igammac imag integer_pow
    is_finite le lgamma log log1p logistic lt max min mul ne neg nextafter not or population_count pow real
    reduce_precision regularized_incomplete_beta rem round rsqrt select_n shift_left shift_right_arithmetic
    shift_right_logical sign sin sinh sqrt square stop_gradient sub tan tanh xor
""")
_REDUCTIONS = _names(
    "reduce_sum reduce_max reduce_min reduce_prod reduce_and reduce_or argmax argmin"
)
_ALONG_ONE_AXIS = _names("cumsum cumprod cummax cummin cumlogsumexp")
# These move axes or elements within a row, as long as the rows' axis comes out whole.
_OF_SHAPES = _names("broadcast_in_dim reshape squeeze transpose expand_dims")
_LINEAR = _names("neg convert_element_type copy reshape squeeze transpose reduce_sum")
_CALLS = ("jaxpr", "call_jaxpr", "fun_jaxpr")


class _Sums(NamedTuple):
    """Sums over rows, each scaled by one of these numbers, beside values of the params alone."""

    scales: tuple[float, ...]


class _Rows(NamedTuple):
    """A value per row; its axis is the one as long as the rows."""


# Values of the params alone are what they are where that is known, and None otherwise.
_Status: TypeAlias = _Sums | _Rows | float | None


class NotAMean(ValueError):
    """A loss is no mean over rows, or is not known to be one."""


def check_mean(loss: Callable[[Any, Any, Any], Any], params: PyTree, x: PyTree, y: PyTree) -> None:
    """Refuse a loss (params, x, y) -> scalar that is no mean over the rows of x and y.

    Raises:
        NotAMean: with the operation that mixes rows.
    """
    jax.eval_shape(loss, params, x, y)  # a loss that fails anyway says so in its own words
    used = {size for leaf in jax.tree.leaves((params, x, y)) for size in np.shape(leaf)}
    counts = [count for count in (10_007, 10_009, 10_037, 10_039, 10_061) if count not in used]
    # Sums must be divided by the number of rows, whatever it is.
    scales = [_scales(loss, params, x, y, rows) for rows in counts[:2]]
    pairs = list(zip(*scales, strict=True)) if len(scales[0]) == len(scales[1]) else []
    if not pairs or not all(
        math.isclose(one * counts[0], other * counts[1], rel_tol=1e-6) for one, other in pairs
    ):
        raise NotAMean("a sum over rows is not divided by their number")


def _scales(loss: Any, params: PyTree, x: PyTree, y: PyTree, rows: int) -> tuple[float, ...]:
    def resized(leaf: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((rows, *np.shape(leaf)[1:]), jax.numpy.result_type(leaf))

    same = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(np.shape(leaf), jax.numpy.result_type(leaf)), params
    )
    try:
        closed = jax.make_jaxpr(loss)(same, *jax.tree.map(resized, (x, y)))
    except (TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise NotAMean(f"it does not take another number of rows ({reason})") from error
    statuses: list[_Status] = [_Rows() if rows in leaf.shape else None for leaf in closed.in_avals]
    (found,) = _followed(closed, statuses, rows)
    if not isinstance(found, _Sums):
        raise NotAMean("it has no sum over rows")
    return found.scales


def _shape(atom: Any) -> tuple[int, ...]:
    return getattr(atom.aval, "shape", ())


def _followed(closed: ClosedJaxpr | Jaxpr, statuses: list[_Status], rows: int) -> list[_Status]:
    """Return the statuses of a jaxpr's results."""
    jaxpr: Any = getattr(closed, "jaxpr", closed)
    if any(rows in _shape(variable) for variable in jaxpr.constvars):
        raise NotAMean("it holds a value for each row that is not in x or y")
    known: dict[Any, _Status] = dict.fromkeys(jaxpr.constvars)
    known |= dict(zip(jaxpr.invars, statuses, strict=True))

    def status(atom: Any) -> _Status:
        if not hasattr(atom, "val"):  # a literal has one
            return known[atom]
        if rows in np.shape(atom.val):
            raise NotAMean("it holds a value for each row that is not in x or y")
        return float(atom.val) if np.shape(atom.val) == () else None

    for eqn in jaxpr.eqns:
        found = _of_equation(eqn, [status(atom) for atom in eqn.invars], rows)
        known |= dict(zip(eqn.outvars, found, strict=True))
    return [status(atom) for atom in jaxpr.outvars]


def _of_equation(eqn: JaxprEqn, statuses: list[_Status], rows: int) -> list[_Status]:
    name = eqn.primitive.name
    inner = [eqn.params[each] for each in _CALLS if each in eqn.params]
    if len(inner) == 1 and name not in ("scan", "while", "pallas_call"):
        return _followed(inner[0], statuses, rows)
    if any(isinstance(each, _Sums) for each in statuses):
        return [_of_sums(name, eqn.params, statuses)] * len(eqn.outvars)
    if not any(isinstance(each, _Rows) for each in statuses):
        return _of_params(eqn, statuses, rows)
    return [_of_rows(eqn, statuses, rows)] * len(eqn.outvars)


def _of_params(eqn: JaxprEqn, statuses: list[_Status], rows: int) -> list[_Status]:
    """Follow values of the params alone, and numbers."""
    name = eqn.primitive.name
    if any(rows in _shape(variable) for variable in eqn.outvars):
        if name not in ("broadcast_in_dim", "copy"):
            raise NotAMean(f"'{name}' makes a value that differs from row to row")
        return [_Rows()]
    numbers = [each for each in statuses if isinstance(each, float)]
    if len(numbers) == len(statuses) and len(eqn.outvars) == 1:
        if name in ("convert_element_type", "copy"):
            return [numbers[0]]
        if name == "mul":
            return [numbers[0] * numbers[1]]
        if name == "div" and numbers[1]:
            return [numbers[0] / numbers[1]]
    return [None] * len(eqn.outvars)


def _of_sums(name: str, params: dict[str, Any], statuses: list[_Status]) -> _Status:
    """Follow sums over rows."""
    first, *rest = statuses
    floating = jax.numpy.issubdtype(params.get("new_dtype", np.float32), np.floating)
    if name in _LINEAR and floating and isinstance(first, _Sums):
        return _scaled(first, -1.0 if name == "neg" else 1.0)
    if name in ("add", "add_any", "sub") and not any(isinstance(each, _Rows) for each in statuses):
        signed = [first, *(_negative(each) if name == "sub" else each for each in rest)]
        return _Sums(tuple(s for each in signed if isinstance(each, _Sums) for s in each.scales))
    if name in ("mul", "div") and isinstance(first, _Sums) and isinstance(rest[0], float):
        return _scaled(first, rest[0] if name == "mul" else 1 / rest[0])
    if name == "mul" and isinstance(rest[0], _Sums) and isinstance(first, float):
        return _scaled(rest[0], first)
    raise NotAMean(f"'{name}' is applied to a sum over rows")


def _scaled(sums: _Sums, by: float) -> _Sums:
    return _Sums(tuple(scale * by for scale in sums.scales))


def _negative(status: _Status) -> _Status:
    return _scaled(status, -1.0) if isinstance(status, _Sums) else status


def _of_rows(eqn: JaxprEqn, statuses: list[_Status], rows: int) -> _Status:
    """Follow values per row."""
    name, params = eqn.primitive.name, eqn.params
    shapes = [_shape(atom) for atom in eqn.invars]
    out = [_shape(variable) for variable in eqn.outvars]
    if any(shape.count(rows) > 1 for shape in (*shapes, *out)):
        raise NotAMean(f"'{name}' makes pairs of rows")
    axes = [shape.index(rows) if rows in shape else None for shape in shapes]
    kept = all(rows in shape for shape in out)
    if name in _ELEMENTWISE and kept:
        return _Rows()
    if name in _REDUCTIONS and axes[0] not in params["axes"]:
        return _Rows()
    if name == "reduce_sum":
        return _Sums((1.0,))
    if name == "dot_general" and kept:
        return _Rows()
    if name == "dot_general":  # over the rows of both
        return _Sums((1.0,))
    if name in _OF_SHAPES and kept:
        # Reshaping keeps rows whole only where as many elements come before them.
        before = [math.prod(shape[: shape.index(rows)]) for shape in (shapes[0], out[0])]
        if name != "reshape" or before[0] == before[1]:
            return _Rows()
    if name in _ALONG_ONE_AXIS and axes[0] != params["axis"]:
        return _Rows()
    if name == "sort" and params["dimension"] not in axes:
        return _Rows()
    if name == "rev" and axes[0] not in params["dimensions"]:
        return _Rows()
    if name == "concatenate" and kept and params["dimension"] not in axes:
        return _Rows()
    if name == "slice" and kept:
        return _Rows()
    if name == "pad" and axes[0] is not None and params["padding_config"][axes[0]] == (0, 0, 0):
        return _Rows()
    if name == "gather" and kept and _gathers_within_rows(params, axes, out[0], rows):
        return _Rows()
    raise NotAMean(f"'{name}' may mix rows")


def _gathers_within_rows(
    params: dict[str, Any], axes: list[int | None], out: tuple[int, ...], rows: int
) -> bool:
    """Return whether each row takes elements of its own, of its own indices, or of the params'."""
    numbers = params["dimension_numbers"]
    table, indices = axes[:2]
    if table is None:
        return True
    if indices is None:  # the same elements of each row
        return table not in numbers.start_index_map and params["slice_sizes"][table] == rows
    return table in numbers.operand_batching_dims and indices in numbers.start_indices_batching_dims
