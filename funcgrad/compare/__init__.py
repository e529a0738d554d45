"""Is this difference rounding, or a bug, and where does it begin?

`parity` compares two functions, `trajectory` two trainings, `speed` times. `compare` trains one regression on several
backends. Only this package imports the real PyTorch, and only when a comparison with it is asked for.
"""

from funcgrad.compare.backends import BACKENDS, Backend
from funcgrad.compare.drawings import Drawing
from funcgrad.compare.errors import OptionError
from funcgrad.compare.graphs import draw
from funcgrad.compare.leaves import Leaf
from funcgrad.compare.libraries import on
from funcgrad.compare.optimizers import OPTIMIZERS, Optimizer
from funcgrad.compare.pages import page
from funcgrad.compare.parities import Parity, parity
from funcgrad.compare.problem import Parameters, Problem
from funcgrad.compare.report import BackendResult, Curves, Difference, LeastSquaresGap, Report
from funcgrad.compare.run import compare
from funcgrad.compare.session import Session
from funcgrad.compare.timings import Speed, Timing, speed
from funcgrad.compare.trajectories import Drift, Trajectory, trajectory

__all__ = [
    "BACKENDS",
    "OPTIMIZERS",
    "Backend",
    "BackendResult",
    "Curves",
    "Difference",
    "Drawing",
    "Drift",
    "Leaf",
    "LeastSquaresGap",
    "Optimizer",
    "OptionError",
    "Parameters",
    "Parity",
    "Problem",
    "Report",
    "Session",
    "Speed",
    "Timing",
    "Trajectory",
    "compare",
    "draw",
    "on",
    "page",
    "parity",
    "speed",
    "trajectory",
]


def __dir__() -> list[str]:
    return __all__
