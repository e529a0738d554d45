"""Convolutions as products of matrices.

NumPy has none of several channels. The three ways here differ in the array between: each window's elements side by side; the
products of each element with the weights of each place of the window, which are then shifted and added; or, where the window
is larger than the result, as in gradients of weights, one product for each place of the result.
"""

from collections.abc import Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np

from funcgrad.engine.kernels.shapes import padded
from funcgrad.engine.kernels.table import NoRuleError, kind_of, rule

# So many elements of the array between are made at a time, so that they stay in a core's cache.
BLOCK = 2**18


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
    if prod(lengths) < prod(window):
        for place in np.ndindex(*lengths):
            starts = [p * s for p, s in zip(place, strides, strict=True)]
            made[(..., *place)] = _one_place(x, w, starts, dilation, groups)
        return made
    spread = w.shape[0] < x.shape[1]
    way = _added if spread else _side_by_side
    size = min(x.shape[1], w.shape[0]) * prod(window) * prod(x.shape[2:] if spread else lengths)
    step = max(1, BLOCK // size)
    for start in range(0, len(x), step):
        block = slice(start, start + step)
        way(x[block], w, made[block], strides, dilation, groups)
    return made


def _one_place(x: Any, w: Any, starts: Sequence[int], dilation: Sequence[int], groups: int) -> Any:
    window = w.shape[2:]
    cut = [
        slice(a, a + (k - 1) * d + 1, d) for a, k, d in zip(starts, window, dilation, strict=True)
    ]
    parts = x[(..., *cut)].reshape(len(x), groups, -1).swapaxes(0, 1)
    weights = w.reshape(groups, w.shape[0] // groups, -1).swapaxes(1, 2)
    return (parts @ weights).swapaxes(0, 1).reshape(len(x), -1)


def _side_by_side(
    x: Any, w: Any, made: Any, strides: Sequence[int], dilation: Sequence[int], groups: int
) -> None:
    window, lengths = w.shape[2:], made.shape[2:]
    along = x.strides[2:]
    steps = [a * d for a, d in zip(along, dilation, strict=True)]
    jumps = [a * s for a, s in zip(along, strides, strict=True)]
    windows = np.lib.stride_tricks.as_strided(
        x, (*x.shape[:2], *window, *lengths), (*x.strides[:2], *steps, *jumps), writeable=False
    )
    columns = windows.reshape(len(x), groups, -1, prod(lengths))
    weights = w.reshape(groups, w.shape[0] // groups, -1)
    made[...] = (weights @ columns).reshape(made.shape)


def _added(
    x: Any, w: Any, made: Any, strides: Sequence[int], dilation: Sequence[int], groups: int
) -> None:
    window, lengths = w.shape[2:], made.shape[2:]
    each = w.shape[0] // groups
    # (groups, window * results, channels)
    weights = np.moveaxis(w.reshape(groups, each, w.shape[1], prod(window)), 3, 1)
    weights = weights.reshape(groups, -1, w.shape[1])
    spread = weights @ x.reshape(len(x), groups, w.shape[1], -1)
    spread = spread.reshape(len(x), groups, prod(window), each, *x.shape[2:])
    made[...] = 0
    into = made.reshape(len(x), groups, each, *lengths)
    for number, place in enumerate(product(*map(range, window))):
        cut = [
            slice(p * d, p * d + (n - 1) * s + 1, s)
            for p, d, n, s in zip(place, dilation, lengths, strides, strict=True)
        ]
        into += spread[(slice(None), slice(None), number, slice(None), *cut)]
