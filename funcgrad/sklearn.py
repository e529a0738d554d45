"""The regression as a scikit-learn estimator: for pipelines, cross-validation and searches over parameters.

Nothing is computed here that `funcgrad.regression` and `funcgrad.training` do not; scikit-learn is needed
(`pip install 'funcgrad[sklearn]'`).
"""

import warnings
from typing import Any, Literal, Self

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike, Float

from funcgrad import regression
from funcgrad.regression import Linear
from funcgrad.training import ConvergenceWarning as NotConverged
from funcgrad.training import fit
from funcgrad.training.loop import Optimizer

try:
    from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError(
        "funcgrad.sklearn needs scikit-learn (pip install 'funcgrad[sklearn]')"
    ) from error

__all__ = ["LinearRegression"]


class LinearRegression(MultiOutputMixin, RegressorMixin, BaseEstimator):
    """Least squares in float64: the exact answer, or training with any optax optimizer.

    Args:
        fit_intercept: whether the model has a bias.
        optimizer: None for `regression.least_squares`; or what `funcgrad.fit` takes, such as `optax.adam`,
            which is then trained on the sums of the data.
        learning_rate: a number, or "auto", for an optimizer that is made from one; None for one that is
            ready, such as `optax.adam(1e-3)`.
        max_iter: the largest number of steps of the optimizer.
        tol: stop when the gradient's Euclidean norm is at most this; None takes all steps.

    Attributes:
        coef_: the weights, shape (features,) or (outputs, features).
        intercept_: the bias, a number or shape (outputs,).
        n_iter_: the steps taken; 1 for the exact answer.
        n_features_in_, feature_names_in_: as scikit-learn's estimators have them.

    Raises (in `fit`):
        ValueError, TypeError: as scikit-learn's estimators do, and as `funcgrad.fit` does.

    Warns (in `fit`):
        numpy.exceptions.RankWarning: if features depend on one another, as `least_squares` does.
        DivergenceWarning: if the training diverged, as `funcgrad.fit` does.
        sklearn.exceptions.ConvergenceWarning: if `max_iter` steps did not reach `tol`.

    >>> import numpy as np
    >>> from funcgrad.sklearn import LinearRegression
    >>> model = LinearRegression().fit([[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0])
    >>> model.coef_.round(6), float(model.intercept_.round(6)), model.predict([[3.0]]).round(6)
    (array([2.]), 1.0, array([7.]))
    """

    coef_: Float[np.ndarray, "*outputs features"]
    intercept_: Any
    n_iter_: int

    def __init__(
        self,
        *,
        fit_intercept: bool = True,
        optimizer: Optimizer | None = None,
        learning_rate: float | Literal["auto"] | None = None,
        max_iter: int = 1000,
        tol: float | None = None,
    ) -> None:
        self.fit_intercept = fit_intercept
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.tol = tol

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Fit the model.

        Args:
            X: the features, shape (rows, features).
            y: the targets, shape (rows,) or (rows, outputs).
        """
        x, y = validate_data(
            self, X, y, dtype=np.float64, y_numeric=True, multi_output=True, ensure_min_samples=2
        )
        y = np.asarray(y, np.float64)
        if self.optimizer is None:
            params = regression.least_squares(x, y, intercept=self.fit_intercept).params
            self.n_iter_ = 1
        else:
            params = self._trained(x, y)
        weights, bias = params if isinstance(params, Linear) else (params, np.zeros(y.shape[1:]))
        self.coef_ = np.asarray(weights).T
        self.intercept_ = np.asarray(bias)[()]
        return self

    def _trained(self, x: np.ndarray, y: np.ndarray) -> regression.Params:
        with jax.enable_x64(True):
            weights = jnp.zeros((x.shape[1], *y.shape[1:]))
            start = Linear(weights, jnp.zeros(y.shape[1:])) if self.fit_intercept else weights
        with warnings.catch_warnings():
            # Said below in scikit-learn's words; the loss from sums is used for nothing.
            warnings.simplefilter("ignore", NotConverged)
            warnings.simplefilter("ignore", regression.LostDigitsWarning)
            result = fit(
                regression.loss,
                start,
                regression.moments(x, y),
                None,
                optimizer=self.optimizer,
                learning_rate=self.learning_rate,
                steps=self.max_iter,
                tolerance=self.tol,
            )
        if self.tol is not None and not result.converged and not result.diverged:
            warnings.warn(
                f"after max_iter={self.max_iter} steps the gradient's norm is "
                f"{float(result.gradient_norm):.3g}, above tol={self.tol:g}",
                ConvergenceWarning,
                stacklevel=3,
            )
        self.n_iter_ = int(result.steps)
        return result.params

    def predict(self, X: ArrayLike) -> Float[np.ndarray, "rows *outputs"]:
        """Return the predictions for rows of features, shape (rows,) or (rows, outputs)."""
        check_is_fitted(self)
        x = validate_data(self, X, dtype=np.float64, reset=False)
        return x @ self.coef_.T + self.intercept_
