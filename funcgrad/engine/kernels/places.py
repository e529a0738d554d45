"""Primitives that sort, and that look up or change elements at positions."""

from copy import copy
from math import prod
from typing import Any

import numpy as np

from funcgrad.engine.kernels.table import NoRuleError, highest, lowest, rule


@rule("sort")
def _(source: Any, equation: Any) -> None:
    axis, keys = equation.params["dimension"], equation.params["num_keys"]
    given = source.arrays(equation.invars)
    if len(given) == 1:
        source.assign(equation, f"{source.function(in_order)}({given[0]}, {axis})")
        return
    order = source.line(f"{source.function(order_of)}({axis}, {', '.join(given[:keys])})")
    for made, x in zip(equation.outvars, given, strict=True):
        source.assign_one(made, f"{source.function(np.take_along_axis)}({x}, {order}, {axis})")


# Elements from which on it pays to find another way than NumPy's plain one; and of a row, which are combined in one call.
MANY, LONG = 4096, 512


def in_order(x: Any, axis: int) -> Any:
    """`np.sort`, stable. Elements that compare equal are equal but for zeros: without one below zero any way of sorting will do."""
    if x.size < MANY or (x.dtype.kind == "f" and (np.signbit(x) & (x == 0)).any()):
        return np.sort(x, axis, "stable")
    return np.sort(x, axis)


def order_of(axis: int, *keys: Any) -> Any:
    """The positions in which the keys are sorted along an axis; the first key counts most."""
    if len(keys) > 1:
        return np.lexsort(keys[::-1], axis)
    (key,) = keys
    if key.size < MANY or key.dtype not in (np.float32, np.int32) or key.shape[axis] > 2**31:
        return np.argsort(key, axis, "stable")
    # A key in the upper half of an integer and its position in the lower half: no two are equal, so that any way of sorting is
    # stable, and NumPy sorts numbers several times faster than positions.
    along = [1] * key.ndim
    along[axis] = key.shape[axis]
    joined = _as_integers(key).astype(np.int64)
    joined <<= 32
    joined |= np.arange(key.shape[axis]).reshape(along)
    joined.sort(axis)
    joined &= 2**32 - 1
    return joined


def _as_integers(x: Any) -> Any:
    """Integers of 32 bits in the order of `x`, with zeros as one and NaN last."""
    if x.dtype == np.int32:
        return x
    bits = np.where(np.isnan(x), np.float32(np.nan), x + np.float32(0)).view(np.int32)
    return bits ^ ((bits >> 31) & np.int32(2**31 - 1))


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
                else lowest(dtype)
                if dtype.kind == "i"
                else highest(dtype)
            )
        fill = dtype.type(fill)
    x, indices = source.arrays(equation.invars)
    gone = (*numbers.collapsed_slice_dims, *numbers.operand_batching_dims)
    along = dict(
        zip(numbers.operand_batching_dims, numbers.start_indices_batching_dims, strict=True)
    )
    looked_up = Places(shape, sizes, numbers.start_index_map, gone, along, mode)
    name = looked_up.named(source)
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
        self.shape, self.sizes = tuple(shape), tuple(sizes)
        self.mapped, self.mode = tuple(mapped), mode
        self.along = along
        self.indexed = sorted([*self.mapped, *along])
        self.whole = [d for d in range(len(shape)) if d not in self.indexed]
        if any(sizes[d] != shape[d] for d in self.whole):
            raise NoRuleError
        self.windows = [d for d in self.indexed if d not in collapsed]
        order = (*self.indexed, *self.whole)
        self.order = None if order == tuple(range(len(shape))) else order

    def named(self, source: Any) -> str:
        """The name of the places in a source, which has numbers for lengths."""
        lengths, self.shape, self.sizes = f"{self.shape}, {self.sizes}", (), ()
        return source.once(f"{source.constant(self)}.sized({lengths})")

    def sized(self, shape: tuple[int, ...], sizes: tuple[int, ...]) -> "Places":
        """The same, for an array and windows of these lengths."""
        made = copy(self)
        made.shape, made.sizes = shape, sizes
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
            start = indices[..., self.mapped.index(d)].astype(np.intp, copy=False)
            limit = self.shape[d] - self.sizes[d]
            if self.mode == "clip":
                start = np.minimum(np.maximum(start, 0), max(limit, 0))
            else:
                fits = start.view(np.uintp) <= limit  # where a negative number is a large one
                if not fits.all():
                    inside = fits if inside is None else inside & fits
                    start = np.where(fits, start, 0)
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
        made = np.array(x, order="C")
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
            combine(function, made, target, places, updates)
        return made


def combine(function: Any, memory: Any, target: Any, places: tuple[Any, ...], updates: Any) -> None:
    """`function.at`, which takes long for each element unless there are one dimension and one index array.

    Args:
        function: a ufunc of two arguments.
        memory: the array to change, in C's order.
        target: the same, perhaps with its axes in another order.
        places: index arrays without negative numbers, for the first dimensions of `target`.
        updates: combined with the elements there.
    """
    if updates.size < MANY or places[0] is Ellipsis:
        function.at(target, places, updates)
        return
    lengths = np.broadcast_shapes(*[each.shape for each in places])
    rest = target.shape[len(places) :]
    updates = np.broadcast_to(updates, lengths + rest)
    if rest and prod(rest) >= LONG:
        rows = zip(
            *[np.broadcast_to(each, lengths).ravel().tolist() for each in places], strict=True
        )
        for place, update in zip(rows, updates.reshape(-1, *rest), strict=True):
            row = target[place]
            function(row, update, out=row)
        return
    steps = [step // target.itemsize for step in target.strides]
    positions = sum(each * step for each, step in zip(places, steps, strict=False))
    for n, step in zip(rest, steps[len(places) :], strict=True):
        positions = positions[..., None] + np.arange(n) * step
    function.at(
        memory.reshape(-1), np.broadcast_to(positions, updates.shape).ravel(), updates.ravel()
    )


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
        name = places.named(source)
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
