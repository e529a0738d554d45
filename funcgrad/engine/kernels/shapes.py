"""Primitives that arrange elements. The functions that are no rules are called by the lines that rules write."""

from typing import Any

import numpy as np

from funcgrad.engine.kernels.table import rule


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
            x = source.reshape(x, given.aval.shape, short)
        lengths = list(short)
    source.compact(equation.outvars[0], x, tuple(lengths))


@rule("reshape", "squeeze", "expand_dims")
def _(source: Any, equation: Any) -> None:
    (x,) = source.arrays(equation.invars)
    order = equation.params.get("dimensions")
    if order is not None and equation.primitive.name == "reshape":
        x = source.line(f"{x}.transpose({order})")
        source.assign(equation, f"{x}.reshape({equation.outvars[0].aval.shape})")
    else:
        source.reshaped(equation, x, equation.invars[0].aval.shape)


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


@rule("unstack")
def _(source: Any, equation: Any) -> None:
    (x,) = source.arrays(equation.invars)
    before = ":, " * equation.params["axis"]
    for k, made in enumerate(equation.outvars):
        source.assign_one(made, f"{x}[{before}{k}]")


@rule("slice")
def _(source: Any, equation: Any) -> None:
    (x,) = source.arrays(equation.invars)
    starts, limits = equation.params["start_indices"], equation.params["limit_indices"]
    strides = equation.params["strides"] or (1,) * len(starts)
    cuts = [f"{a}:{b}:{c}" for a, b, c in zip(starts, limits, strides, strict=True)]
    whole = equation.outvars[0].aval.shape == equation.invars[0].aval.shape
    source.assign(
        equation, x if whole and set(strides) <= {1} else f"{x}[{', '.join(cuts)}].copy()"
    )


# A part is copied: as a view it would keep the whole alive.
@rule("split")
def _(source: Any, equation: Any) -> None:
    (x,) = source.arrays(equation.invars)
    axis, start = equation.params["axis"], 0
    for made, size in zip(equation.outvars, equation.params["sizes"], strict=True):
        cuts = ":, " * axis + f"{start}:{start + size}"
        source.assign_one(made, f"{x}[{cuts}].copy()")
        start += size


@rule("dynamic_slice")
def _(source: Any, equation: Any) -> None:
    x, *starts = source.arrays(equation.invars)
    source.scope.setdefault("windowed", windowed)
    sizes, shape = equation.params["slice_sizes"], equation.invars[0].aval.shape
    source.assign(equation, f"{x}[windowed({shape}, {sizes}, {', '.join(starts)})].copy()")


@rule("dynamic_update_slice")
def _(source: Any, equation: Any) -> None:
    x, update, *starts = source.arrays(equation.invars)
    source.scope.setdefault("windowed", windowed)
    sizes, shape = equation.invars[1].aval.shape, equation.invars[0].aval.shape
    source.scope.setdefault("array", np.array)
    made = source.line(f"array({x})")
    source.alias_name(equation.outvars[0], made)
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
    config, shape = (
        tuple(map(tuple, equation.params["padding_config"])),
        equation.outvars[0].aval.shape,
    )
    if not any(each for axis in config for each in axis):
        source.alias_name(equation.outvars[0], x)
        return
    source.scope.setdefault("padded", padded)
    source.assign(equation, f"padded({x}, {value}, {config}, {shape})")


def padded(x: Any, value: Any, config: Any, shape: tuple[int, ...]) -> Any:
    """`lax.pad`: for each axis how many before and after, which may be negative, and between."""
    if not any(map(any, config)):  # as lengths tell that were symbols
        return x
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
    text = f"{source.function(counted)}({source.constant(np.dtype(dtype))}, {tuple(shape)}, {axis})"
    source.alias_name(equation.outvars[0], source.once(text))


def counted(dtype: Any, shape: tuple[int, ...], axis: int) -> Any:
    """`lax.iota`: 0, 1, 2 and so on along an axis."""
    along = [1] * len(shape)
    along[axis] = shape[axis]
    return np.broadcast_to(np.arange(shape[axis], dtype=dtype).reshape(along), shape)


@rule("dim_as_value")
def _(source: Any, equation: Any) -> None:
    (variable,) = equation.outvars
    text = f"{source.function(variable.aval.dtype.type)}({equation.params['dim']})"
    source.alias_name(variable, source.once(text))
