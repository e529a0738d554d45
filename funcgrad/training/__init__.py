"""Training for any pure loss `(params, x, y) -> scalar`: the loop, its batches, its progress.

What a loss computes is none of its business; the regression's loss lives in `funcgrad.regression`.
"""

from funcgrad.training.fitting import DivergenceWarning, FitResult, fit
from funcgrad.training.progress import Progress

__all__ = ["DivergenceWarning", "FitResult", "Progress", "fit"]
