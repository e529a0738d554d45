"""Complex eigenvectors and singular vectors are vectors up to a phase; a loss that depends on it has no gradient."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from funcgrad.engine import local
from funcgrad.engine.nodes import hooks_of
from funcgrad.engine.trace import compute
from funcgrad.engine.values import unknown

_KEY = -1  # of no handle


class Vectors(NamedTuple):
    """Vectors among an op's results.

    Attributes:
        place: the result that holds them.
        axis: the axis that a vector lies along.
        sign: how they turn when the phase does: 1, or -1 the other way.
    """

    place: int
    axis: int
    sign: int = 1


def up_to_phase(
    error: str, *vectors: Vectors
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let the walk backward refuse a loss that depends on the phase of complex vectors; `error` says so.

    The condition is PyTorch's (`linalg_eig_backward` and `svd_backward` in its FunctionsManual.cpp). Inside a
    transformation of JAX nobody knows the numbers, so nothing is checked there.
    """

    def declare(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(A: Any, *args: Any, **kwargs: Any) -> Any:
            made = function(A, *args, **kwargs)
            node = made[vectors[0].place]._node
            if node is not None and A.dtype.is_complex:
                held = [made[each.place]._storage.read() for each in vectors]
                hooks_of(node).before[_KEY] = functools.partial(_check, error, vectors, held, [])
            return made

        return call

    return declare


def _check(error: str, vectors: Any, held: Any, differentiated: list, cotangents: Any) -> None:
    """Check that the phases have no effect; once a gradient has a graph, that also leads to A by itself."""
    if differentiated:
        return
    turns = []
    for each, value in zip(vectors, held, strict=True):
        if cotangents[each.place] is None:
            continue
        pair = [compute(value), compute(cotangents[each.place]._storage.read())]
        if any(map(unknown, pair)):
            return
        found, change = map(np.asarray, pair)
        turns.append(each.sign * np.imag((found.conj() * change).sum(each.axis)))
    # Of full matrices, the vectors beyond the thin part have no gradient.
    count = min((each.shape[-1] for each in turns), default=0)
    total = sum(each[..., :count] for each in turns)
    if not np.allclose(total, 0, 1e-2, 1e-2):
        raise RuntimeError(error)
    if local.recorder.grad_enabled:
        differentiated.append(True)
