"""A problem repeated: with all numbers moved by one unit in the last place and its rows shuffled, and in double precision."""

from dataclasses import replace

import numpy as np

from funcgrad.compare.inputs import move
from funcgrad.compare.problem import Parameters, Problem


def moved(problem: Problem, random: np.random.Generator, like: Problem | None = None) -> Problem:
    """Return a problem whose data, initial weights and learning rate are one unit away, and whose rows are in another order.

    Libraries sum the rows in orders of their own, and each order rounds otherwise.

    Args:
        problem: what to move.
        random: chooses the directions and the order.
        like: whose units they are; None for its own. The rate then moves farther where the optimizer computes 1 - decay,
            which magnifies the rounding of a decay: 0.999 in float32 leaves 1 - 0.999 with an error of 1 part in 100,000.
    """
    dtype = (problem if like is None else like).dtype
    magnified = 1.0
    if like is None:
        magnified += sum(1 / (1 - decay) for decay in problem.optimizer.constants.values())
    unit = float(np.finfo(dtype).eps) / 2 * magnified
    rate = problem.learning_rate * (1 + random.choice([-unit, unit]))
    order = random.permutation(len(problem.y))
    return replace(
        problem,
        x=move(problem.x, random, dtype)[order],
        y=move(problem.y, random, dtype)[order],
        initial=moved_parameters(problem.initial, random, dtype),
        learning_rate=float(rate),
    )


def moved_parameters(
    params: Parameters, random: np.random.Generator, dtype: np.dtype | None = None
) -> Parameters:
    """Return weights and a bias that are one unit away, of their own dtype or of another."""
    return Parameters(*(move(each, random, dtype) for each in params))


def wide(problem: Problem) -> Problem:
    """Return the same problem in double precision, its numbers exactly the same."""
    x, y = problem.x.astype(np.float64), problem.y.astype(np.float64)
    return replace(problem, x=x, y=y, initial=wide_parameters(problem.initial))


def wide_parameters(params: Parameters) -> Parameters:
    """Return weights and a bias in double precision."""
    return Parameters(*(np.asarray(each, np.float64) for each in params))
