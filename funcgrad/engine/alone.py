"""Ops on large arrays that are called often are compiled alone: the core keeps whichever kernel is measured faster.

NumPy reads and writes whole arrays in each step of a kernel; XLA's program of the same op reads and writes them once. A compiled
turn (`tiers`) has that too, but where products of matrices or convolutions take most of a turn, NumPy's are often the
faster ones, and the core is better with programs for the rest.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any
from weakref import WeakSet

import numpy as np

from funcgrad.engine import background, compiling
from funcgrad.engine.compiling import at_once, compiled
from funcgrad.engine.counters import Estimate, counters
from funcgrad.engine.kernels import Kernel
from funcgrad.engine.ops import Op
from funcgrad.engine.settings import settings
from funcgrad.engine.tracing import as_tuple
from funcgrad.engine.values import Aval, is_tracer
from funcgrad.strictness import lenient

# Seconds that a program may save of a kernel's call, from which on it is looked at; and the part of the call that it has to be.
LARGE, PART = 1e-3, 0.5
# A kernel is compiled once it has taken so many times as long as compiling is expected to take.
PATIENCE = 2.5
# One op takes longer to compile than it does as a part of a program.
estimate = Estimate(fixed=0.15, per_step=0.01)
# So many calls of each kind are timed, the first of the program not counted: it may still take in arrays of NumPy's.
TIMED = 3
# The program has to be so much faster: its thread pool may be busy at other times.
FASTER = 0.8

# The programs in use. They go with the calls that use them.
_programs: WeakSet[Callable[..., Any]] = WeakSet()


class Contest:
    """The kernel of an op for arguments of some types, until it is known which one is the fastest.

    Args:
        op: the op.
        avals: the types of its arguments.
        kernel: its kernel of NumPy calls.
        settle: called once with the kernel that stays.

    Attributes:
        gain, size: the kernel's.
    """

    def __init__(
        self,
        op: Op,
        avals: tuple[Aval, ...],
        kernel: Kernel,
        settle: Callable[[Callable[..., Any]], None],
    ) -> None:
        self.gain, self.size = kernel.gain, kernel.size
        self._op, self._avals, self._kernel, self._settle = op, avals, kernel, settle
        self._price = PATIENCE * estimate.compile_seconds(self.size)
        self._spent, self._asked = 0.0, False
        self._program: Callable[..., Any] | None = None
        self._seconds: dict[Callable[..., Any], list[float]] = {}

    def __call__(self, *arrays: Any) -> Any:
        """The op's results. In the mode "auto" the call is timed."""
        if settings.mode != "auto" or compiling.forked:
            return self._kernel(*arrays)
        kernel: Callable[..., Any] = self._kernel
        program = self._program
        if program is not None and len(self._seconds.setdefault(program, [])) <= TIMED:
            kernel = program
        start = time.perf_counter()
        made = kernel(*arrays)
        seconds = time.perf_counter() - start
        if program is None:
            self._wait(seconds)
        else:
            self._compare(program, kernel, seconds)
        return made

    def _wait(self, seconds: float) -> None:
        self._spent += seconds
        if self._asked or self._spent < self._price:
            return
        if self.gain < PART * seconds or len(_programs) >= settings.program_limit:
            self._settle(self._kernel)
            return
        self._asked = True
        background.later(self._compile)

    def _compile(self) -> None:
        """In the other thread."""
        start = time.perf_counter()
        try:
            arrays = [np.zeros(each.shape, each.dtype) for each in self._avals]
            with lenient():
                function = compiled(self._op.function, arrays)
                at_once(function, arrays)
        except Exception:
            self._settle(self._kernel)
            return
        seconds = time.perf_counter() - start
        estimate.learn(self.size, seconds)
        counters.kernels_compiled += 1
        counters.compile_seconds += seconds
        self._program = partial(_computed, function)
        _programs.add(self._program)

    def _compare(self, program: Any, kernel: Any, seconds: float) -> None:
        timed = self._seconds.setdefault(kernel, [])
        timed.append(seconds)
        if kernel is program or len(timed) < TIMED:
            return
        faster = min(self._seconds[program][1:]) < FASTER * min(timed)
        if not faster:
            _programs.discard(program)
        self._settle(program if faster else self._kernel)


def _computed(function: Callable[..., Any], *arrays: Any) -> Any:
    """The results of a compiled function as NumPy's arrays, in XLA's memory."""
    with lenient():
        outputs = as_tuple(function(*arrays))
        if is_tracer(outputs[0]):
            outputs = as_tuple(at_once(function, arrays))
        made = tuple([np.asarray(each)[()] for each in outputs])
    return made[0] if len(made) == 1 else made
