"""Training for any pure loss `(params, x, y) -> scalar`: the loop, its batches, its progress.

It asks nothing else of a loss; the regression's loss lives in `funcgrad.regression`.
"""

from funcgrad.training.checkpoints import Checkpoint, CheckpointError, CheckpointWarning
from funcgrad.training.fitting import fit
from funcgrad.training.progress import Progress, StreamProgress
from funcgrad.training.results import ConvergenceWarning, DivergenceWarning, FitResult
from funcgrad.training.rows import RowSharding, row_weighted
from funcgrad.training.summing import moments_of_batches
from funcgrad.training.watching import Reached

__all__ = [
    "Checkpoint",
    "CheckpointError",
    "CheckpointWarning",
    "ConvergenceWarning",
    "DivergenceWarning",
    "FitResult",
    "Progress",
    "Reached",
    "RowSharding",
    "StreamProgress",
    "fit",
    "moments_of_batches",
    "row_weighted",
]


def __dir__() -> list[str]:
    return __all__
