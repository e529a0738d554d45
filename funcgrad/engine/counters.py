"""Counts of the work that was done, and an estimate, learned from it, of the time that compiling takes."""

from dataclasses import dataclass, field


@dataclass
class Stats:
    """Counts of the engine's work since `reset_stats()`.

    Attributes:
        programs_compiled: whole programs compiled.
        kernels_compiled: single ops compiled, each for one choice of input types.
        cache_hits: runs that found their program compiled.
        runs: runs of pending ops, of any kind.
        runs_op_by_op: runs that went op by op.
        ops_run_singly: ops that ran one by one.
        compile_seconds: time spent compiling, first runs included.
        pending_ops: ops this thread has recorded and not run.
    """

    programs_compiled: int = 0
    kernels_compiled: int = 0
    cache_hits: int = 0
    runs: int = 0
    runs_op_by_op: int = 0
    ops_run_singly: int = 0
    compile_seconds: float = 0.0
    pending_ops: int = 0


# Only ever added to: `runs` is also the clock that tells how long ago a program was used.
counters = Stats()


@dataclass
class Estimate:
    """The cost of compiling on this machine, learned from the compilations that were made."""

    fixed: float = 0.03
    per_step: float = 0.0015
    dispatch: float = 5e-6
    factor: float = field(default=1.0)

    def compile_seconds(self, steps: int) -> float:
        """Seconds that compiling a program is expected to take, whose ops have so many steps."""
        return self.factor * (self.fixed + self.per_step * steps)

    def learn(self, steps: int, seconds: float) -> None:
        """Take in how long a compilation took."""
        self.factor *= 0.75 + 0.25 * seconds / self.compile_seconds(steps)


estimate = Estimate()
