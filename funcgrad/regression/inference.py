"""How sure a fitted model is: the covariance of its parameters, and the numbers that follow from it.

It works on NumPy arrays in float64, after the fit; nothing here is traced. The table that prints it is in
`funcgrad.regression.report`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy import linalg, special

from funcgrad.regression.exact import least_squares, rows_and_targets
from funcgrad.regression.families import Family, family_of
from funcgrad.regression.generalised import glm, mean_without_features, offset_of
from funcgrad.regression.model import Params, weights_and_bias
from funcgrad.regression.precision import by_values, check_indices, numbers, own_work
from funcgrad.regression.report import Summary, student_p, student_quantile
from funcgrad.regression.weights import row_weights

Errors = Literal["classical", "HC0", "HC1", "HC2", "HC3", "cluster"]
# Leverage this near to one leaves a residual that is rounding.
_ALL_OF_IT = 1 - 1e-12


class Fitted(NamedTuple):
    """A fitted model with its rows, as NumPy arrays; the intercept comes first.

    Attributes:
        x: the design matrix with the intercept's column, shape (rows, unknowns).
        y: the targets, shape (rows,).
        counts: the rows' weights, shape (rows,).
        params: shape (unknowns,).
        linear: the linear prediction, shape (rows,).
        offset: the part of it that has no parameter, shape (rows,); or None.
        slopes, curvatures: of the error by the linear prediction, shape (rows,).
        intercept: whether there is one.
        classical: the classical standard errors where they are known to the last digit, or None.
    """

    x: np.ndarray
    y: np.ndarray
    counts: np.ndarray
    params: np.ndarray
    linear: np.ndarray
    offset: np.ndarray | None
    slopes: np.ndarray
    curvatures: np.ndarray
    intercept: bool
    classical: np.ndarray | None


def summary(
    x: Any,
    y: Any,
    *,
    intercept: bool = False,
    weights: Any = None,
    offset: Any = None,
    exposure: Any = None,
    family: str = "gaussian",
    link: str | None = None,
    params: Any = None,
    loss: Any = None,
    errors: Errors = "classical",
    groups: Any = None,
    level: float = 0.95,
    feature_names: Sequence[str] | None = None,
    target_name: str | None = None,
) -> Summary:
    """Fit a model, and return how sure its parameters are.

    The classical standard errors are those of least squares, the expected information of a generalised linear model,
    or, with `loss`, the Hessian at the optimum: right where the loss is a mean of minus log likelihoods. The robust
    ones (HC0 to HC3, cluster) ask only that the errors of rows, or of groups, are independent. Linear models, and those
    whose dispersion is estimated, use Student's t distribution with rows - rank degrees of freedom, or the
    number of groups less one; the others use the normal distribution.

    Args:
        x: the design matrix, shape (rows, features), without a column for the intercept; a data frame too.
        y: the targets, shape (rows,).
        intercept: whether the model has a bias; with `params`, they tell.
        weights: how much each row counts, shape (rows,), 0 or more. The variance of a row is in proportion to one
            over its weight; rows of weight 0 are left out.
        offset, exposure: as for `glm`. A linear model is that of y - offset.
        family, link: as for `glm`; "gaussian" with its usual link is least squares.
        params: a model that is fitted already, or a result that holds one, such as that of `fit`: nothing is fitted
            then.
        loss: for `params` that minimise a `mean_loss`; it takes the place of family and link.
        errors: "classical", "HC0", "HC1", "HC2", "HC3", or "cluster".
        groups: for "cluster", which group each row belongs to, shape (rows,).
        level: of the confidence intervals.
        feature_names: of the columns of x, for the table; a data frame's own, or x0, x1, ..., unless given.
        target_name: for the table; a data frame's own, or y, unless given.

    Raises:
        ValueError: if the shapes do not fit, options do not go together, or there are no more rows than parameters.
        TypeError: if an array is complex, or traced by JAX, or the loss is no `mean_loss`.

    Sources: J. G. MacKinnon, H. White, "Some heteroskedasticity-consistent covariance matrix estimators with improved
    finite sample properties", J. Econometrics 29 (1985); A. C. Cameron, D. L. Miller, "A practitioner's guide to
    cluster-robust inference", J. Human Resources 50 (2015).

    >>> import numpy as np
    >>> from funcgrad import regression
    >>> x, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([1.0, 2.0, 4.0, 5.0])
    >>> found = regression.summary(x, y, intercept=True)
    >>> found.standard_errors.round(6), found.p_values.round(6)
    (array([0.264575, 0.141421]), array([0.076619, 0.010051]))
    """
    if errors not in get_args(Errors):
        raise ValueError(f"errors must be one of {', '.join(get_args(Errors))}, got {errors!r}")
    if (errors == "cluster") != (groups is not None):
        raise ValueError("errors='cluster' and groups go together")
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}")
    if loss is not None and (params is None or not hasattr(loss, "error")):
        raise TypeError("loss is a regression.mean_loss, and needs the params that minimise it")
    chosen = None if loss is not None else family_of(family, link)
    if feature_names is None and hasattr(x, "columns"):
        feature_names = list(map(str, x.columns))
    if target_name is None:
        target_name = str(getattr(y, "name", None) or "y")
    check_indices(x=x, y=y, weights=weights, groups=groups, offset=offset, exposure=exposure)
    return by_values(
        "summary",
        _fitted_summary,
        _Data(x, y, weights, groups, offset, exposure),
        chosen,
        params,
        loss,
        errors,
        level,
        intercept,
        feature_names,
        target_name,
    )


class _Data(NamedTuple):
    """The data as it was given."""

    x: Any
    y: Any
    weights: Any
    groups: Any
    offset: Any
    exposure: Any


def _fitted_summary(
    data: _Data,
    chosen: Family | None,
    params: Any,
    loss: Any,
    errors: str,
    level: float,
    intercept: bool,
    feature_names: Sequence[str] | None,
    target_name: str,
) -> Summary:
    linear_model = chosen is not None and (chosen.name, chosen.link) == ("gaussian", "identity")
    link = "that of a loss" if chosen is None else chosen.link
    x, y, weights, groups, offset = _counted_rows(*data, link)
    if linear_model and offset is not None:
        y, offset = y - offset, None
    if linear_model:
        for name, values in (("x", x), ("y", y)):
            with np.errstate(over="ignore"):
                if not np.isfinite(np.square(values).sum()):
                    raise ValueError(f"{name} is too large to square in float64: scale it down")
    made = None
    if params is None:
        made = _fit(x, y, intercept, weights, offset, None if linear_model else chosen)
        params = made
    error = loss.error if chosen is None else chosen.error
    fitted = _fitted(x, y, weights, offset, getattr(params, "params", params), error, chosen)
    if made is not None and linear_model:
        fitted = fitted._replace(classical=_flat(made.standard_errors))
    return _summary(
        fitted,
        None if chosen is None else chosen,
        errors,
        groups,
        level,
        _names(feature_names, x.shape[1], intercept=fitted.intercept),
        target_name,
        bool(getattr(params, "converged", True)),
    )


def _counted_rows(
    x: Any, y: Any, weights: Any, groups: Any, offset: Any, exposure: Any, link: str
) -> tuple[Any, ...]:
    """Return the data as NumPy's, without the rows that do not count."""
    with own_work():
        design, targets, _ = rows_and_targets(x, y)
        checked = row_weights(weights, len(targets))
    if targets.ndim != 1:
        raise ValueError(f"y must have shape ({len(targets)},), got {targets.shape}")
    with own_work():
        added = offset_of(offset, exposure, targets, link)
    offset = None if added is None else np.asarray(added)
    x, y = np.asarray(design.high) + np.asarray(design.low), np.asarray(targets)
    counts = np.ones(len(y)) if checked is None else np.asarray(checked)
    if groups is not None:
        groups = np.asarray(groups)
        if any(label is None or label != label for label in groups.ravel().tolist()):
            raise ValueError(
                "groups are missing in part: leave out those rows, or give them a group"
            )
        groups = np.unique(groups, return_inverse=True)[1]
        if groups.shape != y.shape:
            raise ValueError(f"groups must have shape {y.shape}, got {groups.shape}")
    kept = counts > 0
    if not kept.all():
        x, y, counts = x[kept], y[kept], counts[kept]
        groups, offset = (None if each is None else each[kept] for each in (groups, offset))
    for name, values in (("x", x), ("y", y)):
        if not np.isfinite(values).all():
            raise ValueError(f"{name} holds values that are not finite")
    return x, y, counts, groups, offset


def _fit(x: Any, y: Any, intercept: bool, weights: Any, offset: Any, family: Family | None) -> Any:
    counts = None if (weights == 1).all() else weights
    if family is None:
        return least_squares(x, y, intercept=intercept, weights=counts)
    return glm(
        x, y, family.name, link=family.link, intercept=intercept, weights=counts, offset=offset
    )


def _flat(params: Params) -> np.ndarray:
    weights, bias = _parts(params)
    weights, bias = np.asarray(weights), None if bias is None else np.asarray(bias)
    if weights.ndim != 1:
        raise ValueError(f"a summary is of one output, got weights of shape {weights.shape}")
    return weights if bias is None else np.concatenate([[bias], weights])


def _parts(params: Params) -> tuple[Any, Any]:
    with own_work():
        return weights_and_bias(jax.tree.map(partial(numbers, "params"), params))


def _fitted(
    x: np.ndarray,
    y: np.ndarray,
    counts: np.ndarray,
    offset: np.ndarray | None,
    params: Params,
    error: Any,
    family: Any,
) -> Fitted:
    flat = _flat(params).astype(np.float64)
    intercept = len(flat) != x.shape[1]
    design = np.column_stack([np.ones(len(x)), x]) if intercept else x
    if design.shape[1] != len(flat):
        raise ValueError(f"{len(flat)} parameters do not fit x of shape {x.shape}")
    if len(y) <= len(flat):
        raise ValueError(
            f"{len(y)} rows that count cannot tell how sure {len(flat)} parameters are: more are needed"
        )
    linear = design @ flat if offset is None else design @ flat + offset
    with own_work():
        slopes, curvatures = map(np.asarray, _derivatives(error, linear, y))
        if family is not None:
            curvatures = np.asarray(family.information(jnp.asarray(linear)))
    return Fitted(design, y, counts, flat, linear, offset, slopes, curvatures, intercept, None)


def _derivatives(error: Any, linear: np.ndarray, y: np.ndarray) -> Any:
    return _compiled_derivatives(error)(linear, y)


@lru_cache(maxsize=64)
def _compiled_derivatives(error: Callable[..., Any]) -> Any:
    """Return the first and the second derivative of an elementwise error."""

    def scalar(linear: Any, y: Any) -> Any:
        return jnp.sum(error(linear, y))

    first = jax.grad(scalar)
    return jax.jit(jax.vmap(lambda linear, y: (first(linear, y), jax.grad(first)(linear, y))))


def _names(given: Sequence[str] | None, features: int, *, intercept: bool) -> tuple[str, ...]:
    names = [f"x{j}" for j in range(features)] if given is None else [str(name) for name in given]
    if len(names) != features:
        raise ValueError(f"there are {features} features, and feature_names has {len(names)}")
    return ("(intercept)", *names) if intercept else tuple(names)


class _Bread(NamedTuple):
    """The inverse of Xᵀ diag(information) X, each row's leverage in it, and the rank."""

    inverse: Float[np.ndarray, "unknowns unknowns"]
    leverage: Float[np.ndarray, " rows"]
    rank: int


def _bread(x: np.ndarray, information: np.ndarray) -> _Bread:
    if not (information >= 0).all():
        raise ValueError(
            "the loss is not convex in the prediction at these params: no minimum is there"
        )
    rows = x * np.sqrt(information)[:, None]
    size = np.sqrt(np.square(rows).sum(axis=0))
    size[size == 0] = 1
    q, r = linalg.qr(rows / size, mode="economic", check_finite=False)
    u, singular, vt = linalg.svd(r, check_finite=False)
    kept = singular > singular[0] * len(size) * np.finfo(float).eps * 10
    half = (vt.T[:, kept] / singular[kept]) / size[:, None]
    return _Bread(half @ half.T, np.square(q @ u[:, kept]).sum(axis=1), int(kept.sum()))


def _covariance(
    fitted: Fitted, bread: _Bread, scale: float, errors: str, groups: Any
) -> np.ndarray:
    if errors == "classical":
        return scale * bread.inverse
    rows, unknowns = len(fitted.y), bread.rank
    scores = fitted.x * (fitted.counts * fitted.slopes)[:, None]
    factor = 1.0
    if errors == "cluster":
        count = groups.max() + 1
        if count < 2:
            raise ValueError("errors='cluster' needs two groups at least")
        scores = np.stack([np.bincount(groups, column, count) for column in scores.T], axis=1)
        factor = count / (count - 1) * (rows - 1) / (rows - unknowns)
    elif errors == "HC1":
        factor = rows / (rows - unknowns)
    elif errors in ("HC2", "HC3"):
        if (bread.leverage > _ALL_OF_IT).any():
            row = int(bread.leverage.argmax())
            raise ValueError(
                f"row {row} alone decides a parameter (its leverage is one): {errors} is not defined; "
                "HC0 and HC1 are"
            )
        power = 0.5 if errors == "HC2" else 1.0
        scores = scores / (1 - bread.leverage[:, None]) ** power
    half = scores @ bread.inverse
    return factor * half.T @ half


def _summary(
    fitted: Fitted,
    family: Family | None,
    errors: str,
    groups: Any,
    level: float,
    names: tuple[str, ...],
    target_name: str,
    converged: bool,
) -> Summary:
    bread = _bread(fitted.x, fitted.counts * fitted.curvatures)
    rows, left = len(fitted.y), len(fitted.y) - bread.rank
    linear_model = family is not None and (family.name, family.link) == ("gaussian", "identity")
    estimated = family is not None and family.distribution.has_dispersion
    fit = _of_fit(fitted, family, bread.rank)
    scale = fit["scale"] if estimated else 1.0
    covariance = _covariance(fitted, bread, scale, errors, groups)
    deviations = np.sqrt(np.diag(covariance))
    if errors == "classical" and fitted.classical is not None:
        deviations = fitted.classical
    freedom: float = np.inf
    if estimated:
        freedom = groups.max() if groups is not None else left
    with np.errstate(divide="ignore", invalid="ignore"):
        statistics = fitted.params / deviations
    wide = student_quantile(freedom, level) * deviations
    if linear_model:
        fit |= _wald(fitted, covariance, bread.rank, freedom)
        fit |= _of_residuals(fitted)
    return Summary(
        names=names,
        target_name=target_name,
        params=fitted.params,
        standard_errors=deviations,
        statistics=statistics,
        p_values=student_p(freedom, statistics),
        intervals=np.stack([fitted.params - wide, fitted.params + wide], axis=1),
        covariance=covariance,
        level=level,
        errors=errors,
        degrees_of_freedom=float(freedom),
        rows=rows,
        rank=bread.rank,
        family=None if family is None else family.name,
        link=None if family is None else family.link,
        intercept=fitted.intercept,
        converged=converged,
        condition_number=float(np.linalg.cond(fitted.x * np.sqrt(fitted.counts)[:, None])),
        variance_inflation=_variance_inflation(fitted),
        fit=fit,
    )


def _of_fit(fitted: Fitted, family: Family | None, rank: int) -> dict[str, float]:
    """Return the numbers that tell how good the fit is."""
    y, counts, rows = fitted.y, fitted.counts, len(fitted.y)
    left = rows - rank
    if family is None:
        return {"scale": 1.0}
    with own_work():
        mean = np.asarray(family.to_mean(jnp.asarray(fitted.linear)))
        variance = np.asarray(family.distribution.variance(jnp.asarray(mean)))
        pearson = float(np.sum(counts * np.square(y - mean) / variance))
        dispersion = pearson / left if family.distribution.has_dispersion else 1.0
        if (family.name, family.link) == ("gaussian", "identity"):
            # The likelihood at the variance that makes it largest, the rows' weights in it.
            with np.errstate(divide="ignore"):  # infinite where the fit is perfect
                size = np.log(2 * np.pi * pearson / rows)
            likelihood = -rows / 2 * (size + 1) + np.log(counts).sum() / 2
            centre = np.average(y, weights=counts) if fitted.intercept else 0.0
            variation = float(np.sum(counts * np.square(y - centre)))
            shares = {"r_squared": 1 - pearson / variation if variation else float("nan")}
            free = rows - fitted.intercept
            shares["adjusted_r_squared"] = 1 - free / left * (1 - shares["r_squared"])
        else:
            each = family.distribution.log_likelihood(
                mean, y, dispersion / _of_dispersion(family, counts)
            )
            likelihood = float(np.sum(np.asarray(each) * _of_likelihood(family, counts)))
            shares = _deviances(fitted, family, mean)
    return {
        "scale": dispersion,
        "log_likelihood": float(likelihood),
        "aic": float(-2 * likelihood + 2 * rank),
        "bic": float(-2 * likelihood + np.log(rows) * rank),
        **shares,
        **({"pearson_chi2": pearson} if "deviance" in shares else {}),
    }


def _of_dispersion(family: Family, counts: np.ndarray) -> Any:
    """Return how weights divide a dispersion that is estimated."""
    return counts if family.distribution.has_dispersion else 1.0


def _of_likelihood(family: Family, counts: np.ndarray) -> Any:
    """Return how weights count log likelihoods where the dispersion is one."""
    return 1.0 if family.distribution.has_dispersion else counts


def _deviances(fitted: Fitted, family: Family, mean: np.ndarray) -> dict[str, float]:
    y, counts = fitted.y, fitted.counts
    distribution = family.distribution
    found = {"deviance": family.deviance(mean, y, counts)}
    if fitted.intercept:
        alone = mean_without_features(family, y, counts, fitted.offset)
        found["null_deviance"] = family.deviance(alone, y, counts)
        if not distribution.has_dispersion:
            likelihoods = [
                float(np.sum(counts * np.asarray(distribution.log_likelihood(at, y, 1.0))))
                for at in (mean, alone)
            ]
            free = len(fitted.params) - 1
            ratio = 2 * (likelihoods[0] - likelihoods[1])
            found["pseudo_r_squared"] = 1 - likelihoods[0] / likelihoods[1]
            found["likelihood_ratio"] = ratio
            found["likelihood_ratio_p_value"] = float(special.chdtrc(free, ratio))
    return found


def _wald(fitted: Fitted, covariance: np.ndarray, rank: int, freedom: float) -> dict[str, float]:
    """Return the F test that all weights but the intercept are zero."""
    first = int(fitted.intercept)
    count = rank - first
    if count < 1:
        return {}
    weights = fitted.params[first:]
    solved, *_ = linalg.lstsq(covariance[first:, first:], weights)
    statistic = float(weights @ solved) / count
    return {
        "f_statistic": statistic,
        "f_p_value": float(special.fdtrc(count, freedom, statistic)),
        "f_degrees_of_freedom": float(count),
    }


def _of_residuals(fitted: Fitted) -> dict[str, float]:
    """Return the numbers that tell whether residuals look normal and independent."""
    residuals = np.sqrt(fitted.counts) * (fitted.y - fitted.linear)
    centred = residuals - residuals.mean()
    second, third, fourth = (np.mean(centred**power) for power in (2, 3, 4))
    if not second:
        return {}
    skew, kurtosis = float(third / second**1.5), float(fourth / second**2)
    jarque_bera = len(residuals) / 6 * (skew**2 + (kurtosis - 3) ** 2 / 4)
    return {
        "durbin_watson": float(np.square(np.diff(residuals)).sum() / np.square(residuals).sum()),
        "jarque_bera": jarque_bera,
        "jarque_bera_p_value": float(np.exp(-jarque_bera / 2)),
        "skew": skew,
        "kurtosis": kurtosis,
    }


def _variance_inflation(fitted: Fitted) -> np.ndarray:
    """Return, for each feature, the variance of its weight over that without the other features."""
    first = int(fitted.intercept)
    x = fitted.x[:, first:]
    if fitted.intercept:
        x = x - x.mean(axis=0)
    squares = np.square(x).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        x = x / np.sqrt(squares)
        if not np.isfinite(x).all():
            return np.full(x.shape[1], np.nan)
        r = linalg.qr(x, mode="r", check_finite=False)[0][: x.shape[1]]
        if np.abs(np.diag(r)).min() < 1e-14:
            return np.full(x.shape[1], np.inf)
    inverse = linalg.solve_triangular(r, np.eye(len(r)))
    return np.square(inverse).sum(axis=1)
