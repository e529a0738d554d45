"""Runs the compiled loop in pieces of about a second, so that Ctrl-C and reports come in between.

One call of a compiled loop cannot be interrupted from Python, however long it takes.
"""

import time
from collections.abc import Callable

import jax

from funcgrad.training.loop import Data, Program, State
from funcgrad.training.saving import Saving

PIECE_SECONDS = 1.0
_FIRST_PIECE = 16
_GROWTH = 8.0


class Pace:
    """Chooses how many steps the next piece takes, from how long the last one took.

    Pieces grow by at most eight times from one to the next, so that a short fit needs few and an
    expensive step is found out before many are asked for.
    """

    def __init__(self) -> None:
        self.steps = _FIRST_PIECE

    def took(self, steps: int, seconds: float) -> None:
        """Note that a piece of so many steps took so long."""
        factor = min(PIECE_SECONDS / max(seconds, 1e-9), _GROWTH)
        self.steps = max(1, int(steps * factor))


def advance_in_pieces(
    compiled: Program,
    state: State,
    data: Data,
    steps: int,
    every: int,
    listen: Callable[[State], object] | None,
    saving: Saving | None = None,
) -> State:
    """Take all steps, or those until it stops by itself, and return the last state.

    Args:
        compiled, state, data: the program, its first state, and its inputs. The state is donated.
        steps: how many to take in all.
        every: after how many steps to call `listen`; also after the last.
        listen: called with the state reached, which is donated to the next piece; a true answer stops. Or None.
        saving: saves the state after a piece where that is due, and at the end. Processes that run one
            program together save whenever they would `listen`, because they must do so alike.
    """
    if any(not leaf.is_fully_addressable for leaf in jax.tree.leaves((state, data))):
        pace = None  # Processes that run one program together must cut it at the same steps.
    else:
        pace = Pace()
    marked = listen is not None or (pace is None and saving is not None)
    reached = int(state.steps)
    while True:
        mark = min(reached - reached % every + every, steps) if marked else steps
        until = mark if pace is None else min(reached + pace.steps, mark)
        began = time.perf_counter()
        state = compiled.advance_in_place(state, data, until)
        taken = int(state.steps) - reached  # which waits for the piece
        if pace is not None and taken == pace.steps:
            pace.took(taken, time.perf_counter() - began)
        stopped = reached + taken < until
        reached += taken
        ended = stopped or reached == steps
        if listen and (reached == mark or stopped) and listen(state):
            ended = True
        if saving and (ended or (saving.due() if pace is not None else reached == mark)):
            saving.save(state)
        if ended:
            return state
