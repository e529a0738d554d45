"""The line search of `LBFGS`: a step that meets the strong Wolfe conditions, by cubic interpolation.

J. Nocedal, S. Wright, "Numerical Optimization", 2006, algorithms 3.5 and 3.6, with the safeguards of M. Schmidt's minFunc,
as in PyTorch.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

_ENOUGH_DESCENT, _FLAT_ENOUGH = 1e-4, 0.9
_SMALLEST_BRACKET = 1e-9


class Point(NamedTuple):
    """A point of the line: how far along, the loss there, its gradient, and its slope along the line."""

    t: Any
    loss: float
    grad: Any
    slope: Any


def strong_wolfe(
    evaluate: Callable[[Any], Point], t: Any, start: Point, size: Any, most: int
) -> tuple[Point, int]:
    """Find a step.

    Args:
        evaluate: gives the point at a step.
        t: the step to try first.
        start: the point to start from.
        size: the largest element of the direction.
        most: the number of further evaluations that are allowed.

    Returns:
        The point found, and the number of evaluations.
    """

    def too_high(here: Point) -> bool:
        return here.loss > start.loss + _ENOUGH_DESCENT * here.t * start.slope

    def flat(here: Point) -> bool:
        return abs(here.slope) <= -_FLAT_ENOUGH * start.slope

    before, here, tried = start, evaluate(t), 0
    bracket = None
    while tried < most and bracket is None:
        if too_high(here) or (tried > 1 and here.loss >= before.loss):
            bracket = [before, here]
        elif flat(here):
            return here, tried + 1
        elif here.slope >= 0:
            bracket = [before, here]
        else:
            bounds = here.t + 0.01 * (here.t - before.t), here.t * 10
            before, here = here, evaluate(_lowest(before, here, bounds))
            tried += 1
    bracket = bracket or [start, here]

    at_the_edge = False
    low, high = _ordered(bracket)
    while tried < most:
        near, far = sorted(point.t for point in bracket)
        if (far - near) * size < _SMALLEST_BRACKET:
            break
        t = _lowest(bracket[0], bracket[1], (near, far))
        margin = 0.1 * (far - near)
        if min(far - t, t - near) < margin:
            # A second step at the edge of the bracket in a row is moved inside.
            if at_the_edge or t >= far or t <= near:
                t = far - margin if abs(t - far) < abs(t - near) else near + margin
                at_the_edge = False
            else:
                at_the_edge = True
        else:
            at_the_edge = False
        here = evaluate(t)
        tried += 1
        if too_high(here) or here.loss >= bracket[low].loss:
            bracket[high] = here
            low, high = _ordered(bracket)
            continue
        done = flat(here)
        if not done and here.slope * (bracket[high].t - bracket[low].t) >= 0:
            bracket[high] = bracket[low]
        bracket[low] = here
        if done:
            break
    return bracket[low], tried + 1


def _ordered(bracket: list[Point]) -> tuple[int, int]:
    return (0, 1) if bracket[0].loss <= bracket[1].loss else (1, 0)


def _lowest(a: Point, b: Point, bounds: tuple[Any, Any]) -> Any:
    """Where the cubic through two points, with their slopes, is lowest; inside the bounds."""
    low, high = bounds
    first = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    square = first**2 - a.slope * b.slope
    if not square >= 0:
        return (low + high) / 2.0
    root = np.sqrt(square)
    if a.t > b.t:
        a, b = b, a
    place = b.t - (b.t - a.t) * ((b.slope + root - first) / (b.slope - a.slope + 2 * root))
    return min(max(place, low), high)
