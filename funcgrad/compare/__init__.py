"""The same regression on several backends: do they agree, and how long do they take?

Only this package imports the real PyTorch, and only when a comparison with it is asked for.
"""

from funcgrad.compare.backends import BACKENDS, Backend
from funcgrad.compare.errors import OptionError
from funcgrad.compare.optimizers import OPTIMIZERS, Optimizer
from funcgrad.compare.problem import Parameters, Problem
from funcgrad.compare.report import Difference, LeastSquaresGap, Report, Row
from funcgrad.compare.run import compare
from funcgrad.compare.session import Session

__all__ = [
    "BACKENDS",
    "OPTIMIZERS",
    "Backend",
    "Difference",
    "LeastSquaresGap",
    "Optimizer",
    "OptionError",
    "Parameters",
    "Problem",
    "Report",
    "Row",
    "Session",
    "compare",
]
