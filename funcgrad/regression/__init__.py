"""Least-squares regression as pure functions: model, loss, gradient, update, curvature, exact answer;
generalised linear models, and how sure a model is.

Nothing here loops or keeps state; training loops live in `funcgrad.training`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from funcgrad.regression.curvature import largest_eigenvalue, largest_stable_learning_rate
from funcgrad.regression.descent import step, update, value_and_grad
from funcgrad.regression.exact import LeastSquares, least_squares
from funcgrad.regression.generalised import Generalised, glm
from funcgrad.regression.model import (
    Linear,
    Params,
    loss,
    mean_loss,
    predict,
    rounding,
    squared_error,
)
from funcgrad.regression.one_pass import read_once
from funcgrad.regression.penalised import elastic_net, lasso, ridge
from funcgrad.regression.sums import LostDigitsWarning, Moments, moments
from funcgrad.regression.two_floats import TwoFloats, powers

if TYPE_CHECKING:
    from funcgrad.regression.inference import summary
    from funcgrad.regression.report import Intervals, Summary
    from funcgrad.regression.robust import Huber, Quantile, huber, quantile

__all__ = [
    "Generalised",
    "Huber",
    "Intervals",
    "LeastSquares",
    "Linear",
    "LostDigitsWarning",
    "Moments",
    "Params",
    "Quantile",
    "Summary",
    "TwoFloats",
    "elastic_net",
    "glm",
    "huber",
    "largest_eigenvalue",
    "largest_stable_learning_rate",
    "lasso",
    "least_squares",
    "loss",
    "mean_loss",
    "moments",
    "powers",
    "predict",
    "quantile",
    "read_once",
    "ridge",
    "rounding",
    "squared_error",
    "step",
    "summary",
    "update",
    "value_and_grad",
]

# These load SciPy's distributions and its linear programs, which a fit does not wait for.
_LATER = {"summary": "inference", "Intervals": "report", "Summary": "report"}
_LATER |= dict.fromkeys(("Huber", "Quantile", "huber", "quantile"), "robust")


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(import_module(f"funcgrad.regression.{_LATER[name]}"), name)
    raise AttributeError(f"module 'funcgrad.regression' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
