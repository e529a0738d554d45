"""Convolutions as products of matrices.

NumPy has none of several channels. The three ways here differ in the array between: each window's elements side by side; the
products of each element with the weights of each place of the window, which are then shifted and added; or, where the window
is larger than the result, as in gradients of weights, one product for each place of the result. All read rows of the images
as they lie in memory.
"""

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

import numpy as np

from funcgrad.engine.kernels.shapes import padded
from funcgrad.engine.kernels.table import NoRuleError, kind_of, rule

# So many elements of the array between are made at a time, so that they stay in a core's cache.
BLOCK = 2**18
# Rows of a matrix below which a product takes much longer for each.
FEW = 64


@rule("conv_general_dilated")
def _(source: Any, equation: Any) -> None:
    params, (made,) = equation.params, equation.outvars
    if kind_of(made) != "f" or any(each.aval.dtype != made.aval.dtype for each in equation.invars):
        raise NoRuleError
    of_x, of_w, of_made = params["dimension_numbers"]
    x, w = source.arrays(equation.invars)
    pads = tuple(
        (low, high, between - 1)
        for (low, high), between in zip(params["padding"], params["lhs_dilation"], strict=True)
    )
    groups, batches = params["feature_group_count"], params["batch_group_count"]
    called = source.function(convolved)
    back = tuple(np.argsort(of_made).tolist())
    source.assign(
        equation,
        f"{called}({x}.transpose({of_x}), {w}.transpose({of_w}), {tuple(params['window_strides'])}, {pads}, "
        f"{tuple(params['rhs_dilation'])}, {groups}, {batches}).transpose({back})",
    )


def convolved(
    x: Any,
    w: Any,
    strides: Sequence[int],
    pads: Sequence[tuple[int, int, int]],
    dilation: Sequence[int],
    groups: int,
    batches: int,
) -> Any:
    """`lax.conv_general_dilated`.

    Args:
        x: (samples, channels, *lengths).
        w: (results, channels of a group, *window).
        strides: from a window to the next.
        pads: for each axis of `x` the zeros before, after, and between.
        dilation: from an element of a window to the next.
        groups: of channels; each makes its part of the results.
        batches: groups of samples; each makes its part of the results.

    Returns:
        (samples, results, *lengths).
    """
    if batches > 1:
        x = x.reshape(batches, -1, *x.shape[1:]).swapaxes(0, 1)
        x, groups = x.reshape(x.shape[0], -1, *x.shape[3:]), batches
    if prod(strides) == prod(dilation) == 1 and any(between for _, _, between in pads):
        return _spread_out(x, w, pads, groups)
    if any(map(any, pads)):
        lengths = [
            low + high + max(n + (n - 1) * between, 0)
            for n, (low, high, between) in zip(x.shape[2:], pads, strict=True)
        ]
        none = ((0, 0, 0), (0, 0, 0))
        x = padded(x, 0, (*none, *pads), (*x.shape[:2], *[max(n, 0) for n in lengths]))
    window = w.shape[2:]
    axes = list(zip(x.shape[2:], window, dilation, strides, strict=True))
    lengths = [max(0, (n - (k - 1) * d - 1) // s + 1) for n, k, d, s in axes]
    made = np.empty((x.shape[0], w.shape[0], *lengths), x.dtype)
    if not made.size or not w.size:
        made[...] = 0
        return made
    x = x.reshape(len(x), groups, -1, *x.shape[2:])
    w = w.reshape(groups, -1, w.shape[1], prod(window))
    into = made.reshape(len(x), groups, -1, prod(lengths))
    if prod(lengths) < prod(window):
        _one_place_at_a_time(_Rows(x, lengths, strides, window, dilation), w, into)
    elif 4 * w.shape[1] < w.shape[2]:
        _added(_Rows(x, window, dilation, lengths, strides), w, into)
    else:
        _side_by_side(_Rows(x, window, dilation, lengths, strides), w, into)
    return made


def _spread_out(x: Any, w: Any, pads: Sequence[tuple[int, int, int]], groups: int) -> Any:
    """A convolution of images with zeros between their elements, which no product meets.

    Results so far apart as elements are meet the same elements of the window: each of their starts is a convolution by these.
    """
    steps = [between + 1 for _, _, between in pads]
    lengths = [
        max(0, low + high + (n - 1) * s + 1 - k + 1)
        for n, k, (low, high, _), s in zip(x.shape[2:], w.shape[2:], pads, steps, strict=True)
    ]
    made: Any = np.zeros((len(x), len(w), *lengths), x.dtype)
    ones = (1,) * len(steps)
    for start in np.ndindex(*steps):
        into = made[(..., *[slice(a, None, s) for a, s in zip(start, steps, strict=True)])]
        met = [(low - a) % s for a, (low, _, _), s in zip(start, pads, steps, strict=True)]
        part = w[(..., *[slice(k, None, s) for k, s in zip(met, steps, strict=True)])]
        if not into.size or not part.size:
            continue
        before = [
            (low - a - k) // s for a, k, (low, _, _), s in zip(start, met, pads, steps, strict=True)
        ]
        around = [
            (low, m + k - 1 - n - low, 0)
            for low, m, k, n in zip(
                before, into.shape[2:], part.shape[2:], x.shape[2:], strict=True
            )
        ]
        into[...] = convolved(x, part, ones, around, ones, groups, 1)
    return made


class _Rows:
    """Parts of images that differ by where they start, each as one row, without a copy.

    A part is as many elements from its start as lie between its first and its last. Elements that are not the part's lie
    between them, where an image is longer than its parts: a product has some columns too many, which are left out in the end.

    Attributes:
        images: (phases, samples, groups, channels, elements). Where a part takes each second element, a phase has each second.
        starts: for each part its phase, and which elements of it.
        lengths: of a part.
        wide: of a part with what lies between, to the end of its last row.
        taken: the number of elements of a part with what lies between.
    """

    def __init__(
        self,
        x: Any,
        places: Sequence[int],
        apart: Sequence[int],
        lengths: Sequence[int],
        step: Sequence[int],
    ) -> None:
        """Args:
        x: (samples, groups, channels, *lengths).
        places: how many parts there are along each axis.
        apart: from a part's start to the next's.
        lengths: of a part.
        step: from an element of a part to the next.
        """
        shape = [-(-n // s) for n, s in zip(x.shape[3:], step, strict=True)]
        along = [prod(shape[axis + 1 :]) for axis in range(len(shape))]
        self.lengths, self.wide = tuple(lengths), (lengths[0], *shape[1:])
        self.taken = sum((n - 1) * a for n, a in zip(lengths, along, strict=True)) + 1
        phases: dict[tuple[int, ...], int] = {}
        self.starts = []
        for place in np.ndindex(*places):
            at = [divmod(n * a, s) for n, a, s in zip(place, apart, step, strict=True)]
            phase = phases.setdefault(tuple(rest for _, rest in at), len(phases))
            first = sum(whole * a for (whole, _), a in zip(at, along, strict=True))
            self.starts.append((phase, slice(first, first + self.taken)))
        if prod(step) == 1:
            self.images = x.reshape(1, *x.shape[:3], -1)
            return
        images: Any = np.zeros((len(phases), *x.shape[:3], *shape), x.dtype)
        for first_at, number in phases.items():
            part = x[(..., *[slice(a, None, s) for a, s in zip(first_at, step, strict=True)])]
            images[number][(..., *map(slice, part.shape[3:]))] = part
        self.images = images.reshape(*images.shape[:4], -1)

    def part(self, number: int, samples: slice = slice(None)) -> Any:
        """A part: (samples, groups, channels, taken)."""
        phase, elements = self.starts[number]
        return self.images[phase, samples, ..., elements]

    def elements(self, number: int) -> Any:
        """The elements of a part alone: (samples, groups, channels, elements)."""
        part = self.part(number)
        whole = np.zeros((*part.shape[:3], prod(self.wide)), part.dtype)
        whole[..., : self.taken] = part
        made = np.empty((*part.shape[:3], prod(self.lengths)), part.dtype)
        self.store(whole, made)
        return made

    def store(self, wide: Any, into: Any) -> None:
        """Keep of a result (..., elements of `wide`) the part's elements: (..., elements)."""
        whole = wide.reshape(*wide.shape[:-1], *self.wide)
        into.reshape(*into.shape[:-1], *self.lengths)[...] = whole[(..., *map(slice, self.lengths))]

    def blocks(self, size: int) -> Iterator[slice]:
        """Samples that are computed at a time, where one needs an array of this size."""
        step = max(1, BLOCK // size)
        return (slice(start, start + step) for start in range(0, self.images.shape[1], step))


def _side_by_side(rows: _Rows, w: Any, into: Any) -> None:
    """One product of the weights and, for each result, the elements of its window."""
    groups, results, channels, places = w.shape
    weights = w.reshape(groups, results, -1)
    for block in rows.blocks(w[0, 0].size * rows.taken):
        columns = np.stack([rows.part(number, block) for number in range(places)], 3)
        columns = columns.reshape(len(columns), groups, channels * places, -1)
        wide = np.empty((len(columns), groups, results, prod(rows.wide)), into.dtype)
        np.matmul(weights, columns, out=wide[..., : rows.taken])
        rows.store(wide, into[block])


def _added(rows: _Rows, w: Any, into: Any) -> None:
    """One product for each element of the images, shifted and added: where there are far fewer results than channels."""
    groups, results, channels, places = w.shape
    weights = w.transpose(3, 0, 1, 2)
    for block in rows.blocks(results * places * rows.images.shape[4]):
        wide = np.zeros((len(into[block]), groups, results, prod(rows.wide)), into.dtype)
        for phase, images in enumerate(rows.images):
            numbers = [n for n in range(places) if rows.starts[n][0] == phase]
            of_phase = weights[numbers].swapaxes(0, 1).reshape(groups, -1, channels)
            made = of_phase @ images[block]
            made = made.reshape(*made.shape[:2], len(numbers), results, -1)
            for k, number in enumerate(numbers):
                wide[..., : rows.taken] += made[:, :, k, :, rows.starts[number][1]]
        rows.store(wide, into[block])


def _one_place_at_a_time(rows: _Rows, w: Any, into: Any) -> None:
    """Products over all elements of the window for each place of the result: where the window is the larger."""
    _over_rows(rows, w, into)
    if not np.isfinite(into).all():
        # Memory between the elements was multiplied by zero, which gives NaN where it is not finite.
        weights = w.reshape(*w.shape[:2], -1).swapaxes(1, 2)
        for number in range(into.shape[3]):
            part = rows.elements(number).reshape(len(into), len(w), -1)
            into[..., number] = (part.swapaxes(0, 1) @ weights).swapaxes(0, 1)


def _over_rows(rows: _Rows, w: Any, into: Any) -> None:
    groups, results, channels, _ = w.shape
    samples, places = len(into), into.shape[3]
    weights: Any = np.zeros((channels, groups, results, prod(rows.wide)), w.dtype)
    whole = weights.reshape(*weights.shape[:3], *rows.wide)
    whole[(..., *map(slice, rows.lengths))] = w.transpose(2, 0, 1, 3).reshape(
        *weights.shape[:3], *rows.lengths
    )
    weights = weights[..., : rows.taken]
    if results > 2 * rows.taken:
        weights = weights.transpose(1, 0, 3, 2).reshape(groups, -1, results)
        for number in range(places):
            part = rows.part(number).reshape(samples, groups, -1)
            into[..., number] = (part.swapaxes(0, 1) @ weights).swapaxes(0, 1)
        return
    # Several places in one product, where there are few samples: a product of a few rows is slow.
    together = max(1, FEW // samples)
    weights = weights.swapaxes(2, 3)
    for first in range(0, places, together):
        numbers = range(first, min(first + together, places))
        parts = [rows.part(number).transpose(2, 1, 0, 3) for number in numbers]
        part = parts[0] if len(parts) == 1 else np.concatenate(parts, 2)
        made = _sum_of_products(part, weights).reshape(groups, len(parts), samples, results)
        into[..., numbers.start : numbers.stop] = made.transpose(2, 0, 3, 1)


def _sum_of_products(x: Any, y: Any) -> Any:
    """`(x @ y).sum(0)`; large products are added one by one, so that they stay in a core's cache."""
    if x.shape[-2] * y.shape[-1] < 2**12:
        return (x @ y).sum(0)
    made = x[0] @ y[0]
    for a, b in zip(x[1:], y[1:], strict=True):
        made += a @ b
    return made
