"""How the trainings of `compare` went: losses and weights along the way, and how far rounding alone moves them."""

from collections.abc import Callable, Mapping

import numpy as np

from funcgrad.compare.backends import Backend
from funcgrad.compare.leaves import BANDS, Leaf, judge
from funcgrad.compare.problem import Problem
from funcgrad.compare.repeats import moved
from funcgrad.compare.report import Curves
from funcgrad.compare.session import Session

POINTS = 50
"""At most about so many places of a training are looked at."""


def make_curves(
    problem: Problem,
    reference: Backend,
    sessions: Mapping[str, Session],
    moves: int,
    say: Callable[[str], None],
) -> Curves:
    """Train every backend once more, and look at its parameters on the way.

    Args:
        problem: the problem.
        reference: the backend that the others are measured against.
        sessions: every backend's, by name.
        moves: how often the reference is repeated with all numbers moved by one unit in the last place.
        say: told what is being done.
    """
    random = np.random.default_rng(1)
    every = max(1, problem.steps // POINTS)
    count = problem.steps // every

    found = {}
    for name, session in sessions.items():
        say(f"following {name} along its training")
        found[name] = session.path(every, count)
    others = []
    for k in range(moves):
        say(f"following {reference.name} with moved inputs, {k + 1} of {moves}")
        others.append(reference.prepare(moved(problem, random)).path(every, count))

    def judged_along(name: str) -> list[Leaf]:
        together = zip(found[reference.name], found[name], *others, strict=True)
        return [judge("weights", a.joined, b.joined, [c.joined for c in moves]) for a, b, *moves in together]  # fmt: skip

    judged = {name: judged_along(name) for name in sessions}
    return Curves(
        steps=tuple(every * k for k in range(1, count + 1)),
        losses={
            name: tuple(session.value_and_grad(each)[0] for each in found[name])
            for name, session in sessions.items()
        },
        apart={name: tuple(leaf.absolute for leaf in leaves) for name, leaves in judged.items()},
        allowed=tuple(BANDS * leaf.band for leaf in judged[reference.name]),
    )
