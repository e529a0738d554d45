"""The regressions as scikit-learn estimators: for pipelines, cross-validation and searches over parameters.

Nothing is computed here that `funcgrad.regression` and `funcgrad.training` do not; scikit-learn is needed
(`pip install 'funcgrad[sklearn]'`). Each has the parameters of scikit-learn's estimator of its name that mean something
here, with the same meaning.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Literal, Self

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike, Float

from funcgrad import regression
from funcgrad.regression import Linear
from funcgrad.regression.penalised import sparse
from funcgrad.regression.precision import by_values

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, MultiOutputMixin, RegressorMixin
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import (
        _check_sample_weight,
        check_is_fitted,
        validate_data,
    )
except ImportError as error:
    raise ImportError(
        "funcgrad.sklearn needs scikit-learn (pip install 'funcgrad[sklearn]')"
    ) from error

if TYPE_CHECKING:
    from funcgrad.training.loop import Optimizer

__all__ = [
    "ElasticNet",
    "GammaRegressor",
    "HuberRegressor",
    "Lasso",
    "LinearRegression",
    "LogisticRegression",
    "PoissonRegressor",
    "QuantileRegressor",
    "Ridge",
]


class _Regressor(RegressorMixin, BaseEstimator):
    """The regressions' base: it checks the data before the fit, and names the numbers after it."""

    coef_: Float[np.ndarray, "*outputs features"]
    intercept_: Any
    n_iter_: int
    fit_intercept: bool
    _family: str | None = None
    _several_outputs = False

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the model.

        Args:
            X: the features, shape (rows, features).
            y: the targets, shape (rows,), or (rows, outputs) where several are allowed.
            sample_weight: how much each row counts, shape (rows,), 0 or more.
        """
        x, y = validate_data(
            self,
            X,
            y,
            dtype=np.float64,
            y_numeric=True,
            multi_output=self._several_outputs,
            ensure_min_samples=2,
        )
        weights = _checked_weights(sample_weight, x)
        params = by_values("fit", self._params, x, np.asarray(y, np.float64), weights)
        outputs = np.shape(y)[1:]
        pair = params if isinstance(params, Linear) else Linear(params, np.zeros(outputs))
        self.coef_ = np.asarray(pair.weights).T
        self.intercept_ = np.asarray(pair.bias)[()]
        return self

    def _params(self, x: np.ndarray, y: np.ndarray, weights: Any) -> Any:
        raise NotImplementedError

    def predict(self, X: ArrayLike) -> Float[np.ndarray, rows * outputs]:
        """Return the predictions for rows of features, shape (rows,) or (rows, outputs)."""
        check_is_fitted(self)
        x = validate_data(self, X, dtype=np.float64, reset=False)
        linear = x @ self.coef_.T + self.intercept_
        return linear if self._family is None else np.exp(linear)


def _checked_weights(sample_weight: Any, x: np.ndarray) -> np.ndarray | None:
    if sample_weight is None:
        return None
    return np.asarray(_check_sample_weight(sample_weight, x, dtype=np.float64))


def _said_as_scikit_learn_does(caught: list[warnings.WarningMessage]) -> None:
    """Give warnings again, a missed convergence in scikit-learn's category."""
    for each in caught:
        plain = each.category is RuntimeWarning and "converged" in str(each.message)
        category = ConvergenceWarning if plain else each.category
        warnings.warn(str(each.message), category, stacklevel=6)


class LinearRegression(MultiOutputMixin, _Regressor):
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

    _several_outputs = True

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

    def _params(self, x: np.ndarray, y: np.ndarray, weights: Any) -> Any:
        if self.optimizer is not None:
            return self._trained(x, y, weights)
        self.n_iter_ = 1
        return regression.least_squares(x, y, intercept=self.fit_intercept, weights=weights).params

    def _trained(self, x: np.ndarray, y: np.ndarray, weights: Any) -> regression.Params:
        # Here, since the exact answer does not wait for optax.
        from funcgrad.training import ConvergenceWarning as NotConverged
        from funcgrad.training import fit

        with jax.enable_x64(True):
            zeros = jnp.zeros((x.shape[1], *y.shape[1:]))
            start = Linear(zeros, jnp.zeros(y.shape[1:])) if self.fit_intercept else zeros
        with warnings.catch_warnings():
            # Said below in scikit-learn's words; the loss from sums is used for nothing.
            warnings.simplefilter("ignore", NotConverged)
            warnings.simplefilter("ignore", regression.LostDigitsWarning)
            result = fit(
                regression.loss,
                start,
                regression.moments(x, y, weights),
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
                stacklevel=5,
            )
        self.n_iter_ = int(result.steps)
        return result.params


class Ridge(MultiOutputMixin, _Regressor):
    """Least squares with a penalty on squares: Σ weight · residual² + alpha · Σ coef². Exact, in float64.

    Args:
        alpha: the penalty, 0 or more.
        fit_intercept: whether the model has a bias, which is not penalised.

    >>> from funcgrad.sklearn import Ridge
    >>> Ridge(alpha=14.0, fit_intercept=False).fit([[1.0], [2.0], [3.0]], [2.0, 4.0, 6.0]).coef_
    array([1.])
    """

    _several_outputs = True

    def __init__(self, alpha: float = 1.0, *, fit_intercept: bool = True) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept

    def _params(self, x: np.ndarray, y: np.ndarray, weights: Any) -> Any:
        return regression.ridge((x, y), self.alpha, intercept=self.fit_intercept, weights=weights)


class ElasticNet(MultiOutputMixin, _Regressor):
    """Least squares with a penalty on sizes and squares, as `regression.elastic_net`.

    Args:
        alpha: the penalty, greater than 0.
        l1_ratio: the share of the sizes in it, greater than 0, at most 1.
        fit_intercept: whether the model has a bias, which is not penalised.
        max_iter: the most sweeps over all weights.
        tol: the largest gap of the objective to its minimum, as a share of its value at weights of zero.
    """

    _several_outputs = True

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        l1_ratio: float = 0.5,
        fit_intercept: bool = True,
        max_iter: int = 100_000,
        tol: float = 1e-12,
    ) -> None:
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol

    def _params(self, x: np.ndarray, y: np.ndarray, weights: Any) -> Any:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            params, sweeps = sparse(
                regression.moments(x, y, weights),
                self.alpha,
                self._ratio,
                intercept=self.fit_intercept,
                tolerance=self.tol,
                steps=self.max_iter,
            )
        _said_as_scikit_learn_does(caught)
        self.n_iter_ = int(sweeps)
        return params

    @property
    def _ratio(self) -> float:
        return self.l1_ratio


class Lasso(ElasticNet):
    """Least squares with a penalty on sizes, as `regression.lasso`.

    Args:
        alpha: the penalty, greater than 0.
        fit_intercept: whether the model has a bias, which is not penalised.
        max_iter: the most sweeps over all weights.
        tol: the largest gap of the objective to its minimum, as a share of its value at weights of zero.
    """

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        fit_intercept: bool = True,
        max_iter: int = 100_000,
        tol: float = 1e-12,
    ) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol

    @property
    def _ratio(self) -> float:
        return 1.0


class HuberRegressor(_Regressor):
    """Least squares in which outliers count by their size, not by its square, as `regression.huber`.

    Args:
        epsilon: where outliers begin, as a multiple of the residuals' scale; greater than 1.
        alpha: the penalty; alpha · Σ coef² is added to what is minimised.
        fit_intercept: whether the model has a bias, which is not penalised.

    Attributes:
        scale_: the size of the residuals that are not outliers.
        outliers_: which rows are, shape (rows,).

    >>> from funcgrad.sklearn import HuberRegressor
    >>> model = HuberRegressor(alpha=0.0).fit(
    ...     [[0.0], [1.0], [2.0], [3.0], [4.0]], [1, 3, 900, 7, 9]
    ... )
    >>> model.coef_.round(6), model.outliers_.tolist()
    (array([2.]), [False, False, True, False, False])
    """

    scale_: float
    outliers_: np.ndarray

    def __init__(
        self, *, epsilon: float = 1.35, alpha: float = 0.0001, fit_intercept: bool = True
    ) -> None:
        self.epsilon = epsilon
        self.alpha = alpha
        self.fit_intercept = fit_intercept

    def _params(self, x: np.ndarray, y: np.ndarray, weights: Any) -> Any:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            answer = regression.huber(
                x,
                y,
                epsilon=self.epsilon,
                penalty=self.alpha,
                intercept=self.fit_intercept,
                weights=weights,
            )
        _said_as_scikit_learn_does(caught)
        self.n_iter_, self.scale_ = answer.steps, float(answer.scale)
        residuals = np.abs(y - np.asarray(regression.predict(answer.params, x)))
        self.outliers_ = residuals > self.scale_ * self.epsilon
        return answer.params


class QuantileRegressor(_Regressor):
    """Regression of a quantile, as `regression.quantile`.

    Args:
        quantile: which; greater than 0, less than 1.
        alpha: the penalty; the mean pinball loss + alpha · Σ |coef| is minimised.
        fit_intercept: whether the model has a bias, which is not penalised.
    """

    def __init__(
        self, *, quantile: float = 0.5, alpha: float = 1.0, fit_intercept: bool = True
    ) -> None:
        self.quantile = quantile
        self.alpha = alpha
        self.fit_intercept = fit_intercept

    def _params(self, x: np.ndarray, y: np.ndarray, weights: Any) -> Any:
        total = len(y) if weights is None else weights.sum()
        self.n_iter_ = 1
        return regression.quantile(
            x,
            y,
            self.quantile,
            penalty=self.alpha * total,
            intercept=self.fit_intercept,
            weights=weights,
        ).params


class _Generalised(_Regressor):
    """A generalised linear model with the logarithm as link, and a penalty as scikit-learn has it."""

    _family: str
    # Of the variance with the mean, by which scikit-learn names deviances.
    _power: int

    def __init__(self, *, alpha: float = 1.0, fit_intercept: bool = True) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.positive_only = True
        return tags

    def _params(self, x: np.ndarray, y: np.ndarray, weights: Any) -> Any:
        total = len(y) if weights is None else weights.sum()
        return _fitted_glm(self, x, y, weights, self._family, self.alpha * total)

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """The share of the deviance that the model explains, D²."""
        from sklearn.metrics import d2_tweedie_score  # loaded as late as scikit-learn does

        predictions = self.predict(X)
        return float(
            d2_tweedie_score(y, predictions, sample_weight=sample_weight, power=self._power)
        )


class PoissonRegressor(_Generalised):
    """Poisson regression: counts whose mean is the exponential of the linear prediction.

    Args:
        alpha: the penalty; half the mean deviance + alpha / 2 · Σ coef² is minimised.
        fit_intercept: whether the model has a bias, which is not penalised.
    """

    _family = "poisson"
    _power = 1


class GammaRegressor(_Generalised):
    """Gamma regression: positive targets whose mean is the exponential of the linear prediction.

    Args:
        alpha: the penalty; half the mean deviance + alpha / 2 · Σ coef² is minimised.
        fit_intercept: whether the model has a bias, which is not penalised.
    """

    _family = "gamma"
    _power = 2


class LogisticRegression(ClassifierMixin, BaseEstimator):
    """Logistic regression of two classes, multinomial regression of more.

    Args:
        C: one over the penalty: C · Σ weight · error + Σ coef² / 2 is minimised; infinity is no penalty.
        fit_intercept: whether the model has a bias, which is not penalised.

    >>> from funcgrad.sklearn import LogisticRegression
    >>> model = LogisticRegression().fit([[0.0], [1.0], [2.0], [3.0]], ["no", "no", "yes", "yes"])
    >>> model.predict([[-1.0], [4.0]]).tolist()
    ['no', 'yes']
    """

    classes_: np.ndarray
    coef_: Float[np.ndarray, "classes features"]
    intercept_: Float[np.ndarray, " classes"]
    n_iter_: int

    def __init__(self, *, C: float = 1.0, fit_intercept: bool = True) -> None:
        self.C = C
        self.fit_intercept = fit_intercept

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the model.

        Args:
            X: the features, shape (rows, features).
            y: the classes, of any type that can be sorted, shape (rows,).
            sample_weight: how much each row counts, shape (rows,), 0 or more.
        """
        x, y = validate_data(self, X, y, dtype=np.float64, ensure_min_samples=2)
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        count = len(self.classes_)
        if count < 2:
            raise ValueError(f"there is one class only, {self.classes_[0]!r}: two are needed")
        weights = _checked_weights(sample_weight, x)
        targets = labels.astype(np.float64) if count == 2 else np.eye(count)[labels]
        family = "binomial" if count == 2 else "multinomial"
        params = by_values("fit", _fitted_glm, self, x, targets, weights, family, 1 / self.C)
        pair = params if isinstance(params, Linear) else Linear(params, np.zeros(targets.shape[1:]))
        self.coef_ = np.atleast_2d(np.asarray(pair.weights).T)
        self.intercept_ = np.atleast_1d(np.asarray(pair.bias))
        return self

    def decision_function(self, X: ArrayLike) -> Float[np.ndarray, rows * classes]:
        """Return the linear prediction: of the second of two classes, or of each."""
        check_is_fitted(self)
        x = validate_data(self, X, dtype=np.float64, reset=False)
        linear = x @ self.coef_.T + self.intercept_
        return linear[:, 0] if len(self.classes_) == 2 else linear

    def predict_proba(self, X: ArrayLike) -> Float[np.ndarray, "rows classes"]:
        """Return the probability of each class."""
        linear = self.decision_function(X)
        if linear.ndim == 1:
            linear = np.stack([np.zeros_like(linear), linear], axis=1)
        shares = np.exp(linear - linear.max(axis=1, keepdims=True))
        return shares / shares.sum(axis=1, keepdims=True)

    def predict_log_proba(self, X: ArrayLike) -> Float[np.ndarray, "rows classes"]:
        """Return the logarithm of the probability of each class."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Return the most probable class of each row."""
        linear = self.decision_function(X)
        return self.classes_[
            (linear > 0).astype(int) if linear.ndim == 1 else linear.argmax(axis=1)
        ]


def _fitted_glm(
    estimator: Any, x: np.ndarray, y: np.ndarray, weights: Any, family: str, penalty: float
) -> Any:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        answer = regression.glm(
            x,
            y,
            family,
            intercept=estimator.fit_intercept,
            weights=weights,
            penalty=penalty,
        )
    _said_as_scikit_learn_does(caught)
    estimator.n_iter_ = int(answer.steps)
    return answer.params
