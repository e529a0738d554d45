"""Running what was recorded: op by op on small cached kernels, or as one compiled program.

Both ways go through the same steps with the same ops, so which one is taken is about time, never about meaning.
"""

import time
from collections.abc import Sequence
from functools import partial
from itertools import accumulate
from math import inf
from typing import Any
from weakref import ref

import jax

from funcgrad import strictness
from funcgrad.engine import background, eager
from funcgrad.engine.compiling import at_once, compiled, concrete
from funcgrad.engine.counters import counters, estimate
from funcgrad.engine.ops import Op
from funcgrad.engine.recording import add_to, tree
from funcgrad.engine.settings import settings
from funcgrad.engine.values import Value, is_tracer

Log = list[tuple[Any, Any]]

# A program seen twice more within this many runs is a loop and is compiled at once. One repeat may be chance: where every
# graph differs, short ones meet.
LOOP_WINDOW = 16
LOOP_RETURNS = 2
# Elsewhere, compile once running op by op has cost this fraction of the expected cost of compiling.
PATIENCE = 0.05
# The modes in which it is decided here what is compiled.
POLICY = ("auto", "recorded")
# More wanted results than this along one path make XLA's fusion recompute each from the start.
FUSION_DEPTH = 16


# An op to run, and the positions that nothing after it reads.
Step = tuple[Any, tuple[int, ...]]


class Program:
    """How to compute the wanted positions of one recording.

    Attributes:
        waits: whether it is to be compiled in another thread, and is not yet.
    """

    __slots__ = (
        "compiled",
        "inputs",
        "last_run",
        "returns",
        "spent",
        "state",
        "steps",
        "waits",
        "wanted",
    )

    def __init__(self, state: Any, wanted: tuple[int, ...]) -> None:
        self.state = state
        self.wanted = wanted
        states = state.lineage()
        self.inputs, self.steps = plan(states, wanted)
        self.compiled: Any = None
        self.waits = False
        self.spent = 0.0
        self.returns = 0
        self.last_run = -LOOP_WINDOW

    def interpret(self, *arrays: Any) -> list[Any]:
        """Compute the wanted positions from the inputs' arrays, op by op. Under `jax.jit`, the program."""
        return interpret(self.steps, dict(zip(self.inputs, arrays, strict=True)), self.wanted)

    def interpret_in_core(self, arrays: list[Any]) -> list[Any]:
        """`interpret` on the core's kernels."""
        stands = dict(zip(self.inputs, arrays, strict=True))
        for state, dead in self.steps:
            outputs = eager.run(state.op, state.avals, [stands[p] for p in state.args])
            if state.outputs is None:
                stands[state.position] = outputs
            else:
                stands.update(enumerate(outputs, state.position))
            for position in dead:
                stands.pop(position, None)
        return [stands[p] for p in self.wanted]

    def compile(self, arrays: list[Any]) -> None:
        """Make the whole program one compiled function of arrays like these."""
        self.compiled = self.compile_for(arrays)

    def compile_for(self, arrays: list[Any]) -> Any:
        """The whole program as one function that compiles with its first call, on arrays like these."""
        options = {"xla_disable_hlo_passes": "fusion"} if self._fuses_badly() else None
        return compiled(self.interpret, arrays, options)

    def _fuses_badly(self) -> bool:
        """Whether many wanted results lie behind one another.

        XLA fuses each with all the ops before it, which then run once for every result; compile time grows with the square.
        """
        if jax.default_backend() != "cpu":
            return False
        wanted = set(self.wanted)
        depth: dict[int, int] = {}
        for state, _ in self.steps:
            here = max((depth.get(p, 0) for p in state.args), default=0)
            for position in made_at(state):
                depth[position] = here + (position in wanted)
        return max(depth.values(), default=0) > FUSION_DEPTH


def plan(states: Sequence[Any], wanted: Sequence[int]) -> tuple[list[int], list[Step]]:
    """The inputs and the ops, in order, that the wanted positions of a recording depend on."""
    needed = set(wanted)
    steps: list[Step] = []
    inputs: list[int] = []
    for position in range(len(states) - 1, 0, -1):
        if position not in needed:
            continue
        state = states[position]
        if state.op is None:
            if state.is_more:
                needed.add(position - 1)
            else:
                inputs.append(position)
            continue
        dead = [p for p in state.args if p not in needed]
        if state.outputs is not None:
            dead += [p for p in made_at(state) if p not in needed]
        needed.update(state.args)
        steps.append((state, tuple(dead)))
    steps.reverse()
    return inputs, steps


def made_at(state: Any) -> range:
    """The positions of an op's outputs."""
    count = 1 if state.outputs is None else len(state.outputs)
    return range(state.position, state.position + count)


def interpret(steps: list[Step], stands: dict[int, Any], wanted: Sequence[int]) -> list[Any]:
    """Run steps op by op. `stands` has the inputs' arrays by position, and fills up and empties."""
    for state, dead in steps:
        outputs = state.op.kernel(*[stands[p] for p in state.args])
        if isinstance(outputs, tuple):
            stands.update(enumerate(outputs, state.position))
        else:
            stands[state.position] = outputs
        for position in dead:
            stands.pop(position, None)
    return [stands[p] for p in wanted]


_recent: dict[Program, None] = {}
last: tuple[Program, str, str, str] | None = None


def run(
    log: Log, held: dict[int, ref[Value]], reason: str, when: str = "now"
) -> tuple[list[Value], Program | None]:
    """Compute every value of a recording that somebody still holds.

    Args:
        log, held: the recording's; see `recording.Trace`.
        reason: for `engine.explain()`.
        when: a program that is to be compiled is compiled "now", "later" in another thread, or "never".

    Returns:
        The values, and the program that computed them; None where nothing was held.
    """
    if strictness.may_stop_a_run():
        with strictness.lenient():
            return _run(log, held, reason, when)
    return _run(log, held, reason, when)


def _run(
    log: Log, held: dict[int, ref[Value]], reason: str, when: str
) -> tuple[list[Value], Program | None]:
    global last
    # A value's own slot does not tell where it stands here: another thread that has computed it may
    # have brought it into its own recording since.
    live = [
        (position, value)
        for position, reference in held.items()
        if (value := reference()) is not None and value.array is None
    ]
    if not live:
        return [], None
    state = log[-1][0]
    wanted = tuple([position for position, _ in live])
    program = state.programs.get(wanted) or _new_program(state, wanted)
    counters.runs += 1
    compiled = program.compiled
    if compiled is not None and settings.mode != "op_by_op":
        arrays = [log[p][1] for p in program.inputs]
        outputs = compiled(*arrays)
        if is_tracer(outputs[0]):
            outputs = at_once(compiled, arrays)
        last = (program, reason, "as one compiled program", "it had been compiled before")
    else:
        outputs = _run_new(program, [log[p][1] for p in program.inputs], reason, when)
    program.last_run = counters.runs
    for (_, value), array in zip(live, outputs, strict=True):
        value.array = array
        value.trace = None
    if tree.size > settings.state_limit:
        _prune()
    return [value for _, value in live], program


def evaluate(trace: Any, position: int, value: Value) -> None:
    """Compute the value at one position of a recording that is another thread's, or whose run failed.

    First alone, and nothing that it does not depend on: something else may be what failed. Then, where the run failed, all
    else that is held, so that asking for one value after the other costs no more than two runs.

    The recording is only read: its own thread may be adding to it, or computing the same value.
    """
    with strictness.lenient():
        _evaluate(trace, position, value)


def _evaluate(trace: Any, position: int, value: Value) -> None:
    log = trace.log
    _settle(log, {position: value})
    if not trace.failed:
        return
    held = {p: each for p, reference in trace.held.items() if (each := reference()) is not None}
    try:
        _settle(log, {p: each for p, each in held.items() if each.array is None})
    except Exception:  # raised again when the failing value is asked for
        trace.failed = False


def _settle(log: Log, pending: dict[int, Value]) -> None:
    """Compute values of a recording op by op, each put in place as soon as it is there."""
    program = Program(log[max(pending, default=0)][0], tuple(pending))

    def run(*arrays: Any) -> list[Any]:
        stands = dict(zip(program.inputs, arrays, strict=True))
        for state, dead in program.steps:
            interpret([(state, ())], stands, ())
            counters.ops_run_singly += 1
            for position in made_at(state):
                if position in pending:
                    pending[position].array = stands[position]
                    pending[position].trace = None
            for position in dead:
                stands.pop(position, None)
        return []

    at_once(run, [log[p][1] for p in program.inputs])


def _new_program(state: Any, wanted: tuple[int, ...]) -> Program:
    tree.size += 1
    state.programs = add_to(state.programs)
    return state.programs.setdefault(wanted, Program(state, wanted))


def _run_new(program: Program, arrays: list[Any], reason: str, when: str) -> list[Any]:
    """The wanted arrays of a program that is not compiled: compile it now, or run it op by op."""
    global last
    core = settings.core and settings.mode in POLICY
    cold = set() if core else _cold(program)
    compiled, why = _decide(program, counters.runs)
    if when != "now" and compiled:
        if when == "later" and not program.waits:
            program.waits = True
            background.later(partial(_compile_later, program, arrays))
        compiled = False
    start = time.perf_counter()
    if compiled:
        program.compile(arrays)
    try:
        if compiled or not core:
            outputs = concrete(program.compiled or program.interpret, arrays)
        else:
            outputs = program.interpret_in_core(arrays)
    except BaseException:
        program.compiled = None
        raise
    seconds = time.perf_counter() - start
    if compiled:
        _compiled(program, seconds)
    else:
        counters.runs_op_by_op += 1
        counters.ops_run_singly += len(program.steps)
        if cold:
            counters.kernels_compiled += len(cold)
            counters.compile_seconds += seconds
            for op, avals in cold:
                if len(op.warm) >= 1024:
                    op.warm.clear()
                op.warm.add(avals)
        else:
            program.spent += seconds
    how = "as one compiled program, compiled now" if compiled else "op by op"
    last = (program, reason, how, why)
    return outputs


def _size(program: Program) -> int:
    return sum(state.op.size for state, _ in program.steps)


def _compiled(program: Program, seconds: float) -> None:
    estimate.learn(_size(program), seconds)
    counters.programs_compiled += 1
    counters.compile_seconds += seconds
    _keep(program)


def _compile_later(program: Program, arrays: list[Any]) -> None:
    """Compile a program in another thread. If that fails, it goes on as before."""
    start = time.perf_counter()
    try:
        with strictness.lenient():
            made = program.compile_for(arrays)
            at_once(made, arrays)
    except Exception:
        program.spent = -inf
    else:
        program.compiled = made
        _compiled(program, time.perf_counter() - start)
    finally:
        program.waits = False


def _cold(program: Program) -> set[tuple[Op, Any]]:
    """The ops of a program, with the types of their arguments, that have no compiled kernel yet."""
    return {(s.op, s.avals) for s, _ in program.steps if s.avals not in s.op.warm}


def _decide(program: Program, now: int) -> tuple[bool, str]:
    """Whether to compile a whole program now, and why or why not."""
    if settings.mode not in POLICY:
        return settings.mode == "compiled", f"the mode is {settings.mode!r}"
    if now - program.last_run <= LOOP_WINDOW:
        program.returns += 1
        if program.returns >= LOOP_RETURNS:
            return True, f"it came back within {LOOP_WINDOW} runs, and again"
    price = estimate.compile_seconds(_size(program))
    if program.spent > PATIENCE * price:
        return True, f"running it op by op had cost {program.spent * 1e3:.1f} ms"
    return False, "its structure has not come back yet"


def _keep(program: Program) -> None:
    """Remember a compiled program, and let go of the ones used longest ago if there are too many."""
    _recent[program] = None
    if len(_recent) > settings.program_limit:
        _let_go(_by_use()[settings.program_limit :])


def _by_use() -> list[Program]:
    """The compiled programs, the last used first."""
    return sorted(_recent, key=lambda program: program.last_run, reverse=True)


def _let_go(programs: list[Program]) -> None:
    for program in programs:
        _recent.pop(program, None)
        program.compiled = None


def _prune() -> None:
    """Forget recordings; keep the last used programs, up to half of the limit."""
    programs = _by_use()
    lengths = accumulate(program.state.position for program in programs)
    fitting = sum(length <= settings.state_limit // 2 for length in lengths)
    _let_go(programs[fitting:])
    tree.prune(program.state for program in programs[:fitting])
