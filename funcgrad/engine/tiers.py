"""The two tiers, and when a thread's code moves from one to the other. The choice is about time, never about meaning.

Code begins in the core (`eager`). A turn of a loop is what lies between two walks backward. A turn that comes back, with the
same calls in the same order, is recorded once its turns have taken as long as compiling is expected to. The recording is
compiled in another thread while the core goes on. Then a few turns run as the compiled program, and the faster tier stays.
"""

import time
from collections import deque
from collections.abc import Sequence
from statistics import median
from typing import Any

import jax

from funcgrad.engine.counters import estimate
from funcgrad.engine.ops import remember
from funcgrad.engine.programs import Program
from funcgrad.engine.recording import LONGEST_TURN, Recorder, Trace
from funcgrad.engine.settings import settings
from funcgrad.engine.values import Value

# A compiled program is expected to save at least and at most so much of a turn's time. Products of matrices take as long in
# a program; what it saves is the walk, and the memory traffic between elementwise ops.
LEAST, MOST = 0.05, 0.8
# A loop is expected to go on for as long as it has run. Compiling takes a core from it meanwhile, and counts so much.
WEIGHT = 2.5
# So many turns of each kind are recorded, so that their program is seen to come back; and so many are timed.
RECORDED_TURNS, TIMED_TURNS = 6, 14
# Timing ends early where none of a few turns, after the first, took less than so many times the core's.
FEW_TURNS, MUCH_SLOWER = 3, 1.5
# The recorded tier is left once so many runs in a row found no compiled program.
MISSES = 4


class Turn:
    """One kind of turn, and how long it takes.

    Attributes:
        price: seconds that compiling is expected to take.
        gain: seconds that a compiled program may save of it.
        seconds: of its last turns in the core.
        spent: seconds spent on it in the core.
        due: how much has to be spent before it is looked at again.
        programs: its programs that are being compiled.
        stays: whether it stays in the core, which was found faster.
    """

    __slots__ = ("due", "gain", "price", "programs", "seconds", "spent", "stays")

    def __init__(self, calls: tuple[Any, ...]) -> None:
        self.price = self.due = estimate.compile_seconds(sum(call.size for call in calls))
        self.gain = sum(call.gain for call in calls)
        self.seconds: deque[float] = deque(maxlen=32)
        self.spent = 0.0
        self.programs: set[Program] = set()
        self.stays = False

    def pays(self) -> bool:
        """Whether compiling it is likely to pay, if it goes on for as long as it has run; else it is looked at again later."""
        share = min(max(self.gain / median(self.seconds), LEAST), MOST)
        wanted = WEIGHT * self.price / share
        if self.spent >= wanted:
            return True
        self.due = wanted
        return False

    def wait(self) -> None:
        """Look at it again only after it has taken some times as long."""
        self.due = 4 * self.spent


class Loop:
    """How a thread's loop turns.

    Attributes:
        turns: the kinds of turns seen, by their calls; False for one that came once.
        at: when the last turn ended.
        recent: the last turns in the core, each its kind and its seconds: an iteration may have several walks backward.
        turn: the kind that is recorded now; None in the core.
        left: how many more turns are recorded before it is decided how to go on; None once it is.
        timed: seconds of the turns of a compiled program; None where turns are not timed.
        misses: how many runs in a row found no compiled program.
    """

    __slots__ = ("at", "left", "misses", "recent", "timed", "turn", "turns")

    def __init__(self) -> None:
        self.turns: dict[tuple[Any, ...], Any] = {}
        self.at = time.perf_counter()
        self.recent: deque[tuple[Turn, float]] = deque(maxlen=32)
        self.turn: Turn | None = None
        self.left: int | None = None
        self.timed: list[float] | None = None
        self.misses = 0


def turned(recorder: Recorder) -> None:
    """A walk backward has ended."""
    loop = recorder.loop
    if loop is None:
        loop = recorder.loop = Loop()
    now = time.perf_counter()
    seconds, loop.at = now - loop.at, now
    trace = recorder.trace
    if trace.eager:
        _turned_in_core(recorder, loop, trace, seconds)
    elif loop.turn is not None and not recorder.levels:
        _turned_recorded(recorder, loop, loop.turn, seconds)


def _turned_in_core(recorder: Recorder, loop: Loop, trace: Trace, seconds: float) -> None:
    calls = tuple(trace.trail)
    trace.trail.clear()
    if len(calls) == LONGEST_TURN:
        return
    turn = loop.turns.get(calls)
    if not turn:
        # Its first turn builds kernels, which takes longer. Most come once where lengths change.
        remember(loop.turns, calls, False if turn is None else Turn(calls), 128)
        return
    turn.spent += seconds
    turn.seconds.append(seconds)
    loop.recent.append((turn, seconds))
    if turn.stays or settings.mode != "auto" or recorder.watch is not None:
        return
    if turn.programs:
        if all(not program.waits for program in turn.programs):
            turn.programs.clear()
            _record(recorder, loop, turn, TIMED_TURNS, [])
    elif turn.spent >= turn.due and turn.pays():
        _record(recorder, loop, turn, RECORDED_TURNS, None)


def _record(
    recorder: Recorder, loop: Loop, turn: Turn, turns: int, timed: list[float] | None
) -> None:
    kinds = len({kind for kind, _ in loop.recent})
    loop.turn, loop.left, loop.timed, loop.misses = turn, turns * kinds, timed, 0
    recorder.trace = Trace()


def _turned_recorded(recorder: Recorder, loop: Loop, turn: Turn, seconds: float) -> None:
    if loop.left is None:
        return
    loop.left -= 1
    if loop.timed is not None:
        loop.timed.append(seconds)
    if (loop.left > 0 and not _much_slower(loop)) or len(recorder.trace.log) > 1:
        return  # not now, or something is pending
    loop.left = None
    if loop.timed is None:
        if not turn.programs:
            turn.wait()
        enter_core(recorder)
        return
    # The first half still takes in arrays of the core's.
    half = len(loop.timed) // 2
    turn.stays = median(loop.timed[half:]) > _in_core(loop)
    if turn.stays:
        enter_core(recorder)


def _in_core(loop: Loop) -> float:
    return median([each for _, each in loop.recent])


def _much_slower(loop: Loop) -> bool:
    """Whether a few timed turns show that the core is faster: a slow program need not be run for longer."""
    kinds = len({kind for kind, _ in loop.recent})
    # The first turns still take in arrays of the core's.
    timed = (loop.timed or [])[2 * kinds :]
    return len(timed) >= FEW_TURNS * kinds and min(timed) > MUCH_SLOWER * _in_core(loop)


def ran(recorder: Recorder, program: Program | None, made: Sequence[Value]) -> None:
    """A recording was run, as this program, which made these values."""
    loop = recorder.loop
    if loop is None or loop.turn is None or program is None or recorder.trace.eager:
        return
    if program.compiled is not None:
        loop.misses = 0
        if loop.left is not None and loop.timed is not None:
            # XLA returns before it has computed: without waiting, only the turns that look at a result would count.
            jax.block_until_ready([value.array for value in made])
        return
    if program.waits:
        loop.turn.programs.add(program)
    loop.misses += 1
    if loop.misses >= MISSES and (loop.left is None or loop.timed is not None):
        loop.turn.wait()
        enter_core(recorder)


def enter_core(recorder: Recorder) -> None:
    """Go on in the core; nothing is pending."""
    if recorder.loop is not None:
        recorder.loop.turn = None
    if not recorder.levels:
        recorder.trace = Trace(settings.starts_eager)


def leave_core(recorder: Recorder) -> None:
    """Record everything from now on, in this thread and in those to come: arrays are not in the CPU's memory."""
    settings.core = False
    recorder.trace.eager = False
