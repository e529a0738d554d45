"""The summary of a fitted model: its numbers by name, its intervals for new rows, and the table that prints them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike, Float, Num
from scipy import special

from funcgrad.regression.families import family_of
from funcgrad.regression.precision import numbers, own_work

_WIDTH = 78
_NAMES = {
    "r_squared": "R-squared",
    "adjusted_r_squared": "Adj. R-squared",
    "f_statistic": "F-statistic",
    "f_p_value": "Prob (F-statistic)",
    "log_likelihood": "Log-Likelihood",
    "aic": "AIC",
    "bic": "BIC",
    "scale": "Scale",
    "deviance": "Deviance",
    "null_deviance": "Null deviance",
    "pearson_chi2": "Pearson chi2",
    "pseudo_r_squared": "Pseudo R-squared",
    "likelihood_ratio_p_value": "LLR p-value",
}
_BELOW = {
    "durbin_watson": "Durbin-Watson",
    "jarque_bera": "Jarque-Bera (JB)",
    "jarque_bera_p_value": "Prob(JB)",
    "skew": "Skew",
    "kurtosis": "Kurtosis",
}


class Intervals(NamedTuple):
    """Predictions for new rows, and how sure they are; arrays of shape (rows,).

    Attributes:
        mean: the mean of the targets at these features.
        standard_error: of the linear prediction.
        lower, upper: the confidence interval of the mean.
        lower_of_target, upper_of_target: the prediction interval of a new target, NaN but for linear models.
    """

    mean: Float[np.ndarray, " rows"]
    standard_error: Float[np.ndarray, " rows"]
    lower: Float[np.ndarray, " rows"]
    upper: Float[np.ndarray, " rows"]
    lower_of_target: Float[np.ndarray, " rows"]
    upper_of_target: Float[np.ndarray, " rows"]


@dataclass(frozen=True)
class Summary:
    """How sure a fitted model is. `print(summary)` shows it as a table; `to_dict()` gives it as plain numbers.

    Attributes:
        names: of the parameters, the intercept first.
        params, standard_errors, statistics, p_values: of each parameter, shape (unknowns,).
        intervals: confidence intervals, shape (unknowns, 2).
        covariance: of the parameters, shape (unknowns, unknowns).
        level: of the intervals.
        errors: how the standard errors were computed, such as "classical" or "HC3".
        degrees_of_freedom: of Student's t distribution; infinity stands for the normal.
        rows, rank: how many rows count, and how many parameters they decide.
        family, link: their names, None for a loss of one's own.
        intercept: whether the first parameter is one.
        converged: whether the fit had.
        condition_number: of the design matrix, the intercept's column included, its rows weighted.
        variance_inflation: of each feature: the variance of its weight over that without the others.
        fit: how good the fit is, by name: "r_squared", "aic", "f_statistic", "deviance", ...
    """

    names: tuple[str, ...]
    target_name: str
    params: Float[np.ndarray, " unknowns"]
    standard_errors: Float[np.ndarray, " unknowns"]
    statistics: Float[np.ndarray, " unknowns"]
    p_values: Float[np.ndarray, " unknowns"]
    intervals: Float[np.ndarray, "unknowns 2"]
    covariance: Float[np.ndarray, "unknowns unknowns"]
    level: float
    errors: str
    degrees_of_freedom: float
    rows: int
    rank: int
    family: str | None
    link: str | None
    intercept: bool
    converged: bool
    condition_number: float
    variance_inflation: Float[np.ndarray, " features"]
    fit: dict[str, float] = field(default_factory=dict)

    def predict(
        self, x: Num[ArrayLike, "rows features"], *, level: float | None = None
    ) -> Intervals:
        """Return predictions with their intervals.

        Args:
            x: the features, shape (rows, features).
            level: of the intervals; the summary's unless given.

        Raises:
            ValueError: if the shape does not fit.
        """
        x = np.asarray(numbers("x", x), np.float64)
        features = len(self.params) - self.intercept
        if x.ndim != 2 or x.shape[1] != features:
            raise ValueError(f"x must have shape (rows, {features}), got {x.shape}")
        if self.intercept:
            x = np.column_stack([np.ones(len(x)), x])
        linear = x @ self.params
        variance = np.einsum("ij,jk,ik->i", x, self.covariance, x)
        wide = student_quantile(self.degrees_of_freedom, self.level if level is None else level)
        error = np.sqrt(variance)
        mean, first, second = linear, linear - wide * error, linear + wide * error
        nothing = np.full(len(linear), np.nan)
        if self.is_linear:
            around = wide * np.sqrt(variance + self.fit["scale"])
            return Intervals(mean, error, first, second, linear - around, linear + around)
        if self.family is not None:
            with own_work():
                to_mean = family_of(self.family, self.link).to_mean
                mean, first, second = (
                    np.asarray(to_mean(jnp.asarray(end))) for end in (mean, first, second)
                )
        lower, upper = np.minimum(first, second), np.maximum(first, second)
        return Intervals(mean, error, lower, upper, nothing, nothing)

    @property
    def is_linear(self) -> bool:
        """Whether it is least squares."""
        return (self.family, self.link) == ("gaussian", "identity")

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as dictionaries, lists, numbers and text, for JSON or a data frame."""
        columns = {
            "estimate": self.params,
            "standard_error": self.standard_errors,
            "statistic": self.statistics,
            "p_value": self.p_values,
            "lower": self.intervals[:, 0],
            "upper": self.intervals[:, 1],
        }
        inflation = dict(
            zip(self.names[self.intercept :], self.variance_inflation.tolist(), strict=True)
        )
        return {
            "target": self.target_name,
            "family": self.family,
            "link": self.link,
            "errors": self.errors,
            "level": self.level,
            "rows": self.rows,
            "rank": self.rank,
            "degrees_of_freedom": self.degrees_of_freedom,
            "converged": self.converged,
            "condition_number": self.condition_number,
            "parameters": {
                name: {key: float(values[j]) for key, values in columns.items()}
                for j, name in enumerate(self.names)
            },
            "variance_inflation": inflation,
            **self.fit,
        }

    def __str__(self) -> str:
        """Return the table."""
        return "\n".join(
            [
                self._title().center(_WIDTH).rstrip(),
                "=" * _WIDTH,
                *self._facts(),
                "=" * _WIDTH,
                *self._table(),
                "=" * _WIDTH,
                *_in_pairs(
                    [(said, self.fit[name]) for name, said in _BELOW.items() if name in self.fit]
                    + [("Cond. No.", self.condition_number)]
                ),
                "=" * _WIDTH,
                *self._notes(),
            ]
        )

    def _title(self) -> str:
        if self.is_linear:
            return "Least squares"
        if self.family is None:
            return "Mean loss"
        return f"Generalised linear model: {self.family}, link {self.link}"

    def _facts(self) -> list[str]:
        facts: list[tuple[str, Any]] = [
            ("Target", self.target_name),
            ("Rows", self.rows),
            ("Df Residuals", self.rows - self.rank),
            ("Df Model", self.rank - self.intercept),
            ("Standard errors", self.errors),
        ]
        facts += [(said, self.fit[name]) for name, said in _NAMES.items() if name in self.fit]
        if self.is_linear and not self.intercept:
            # Without an intercept they compare with zero, not with the mean of the targets.
            facts = [(said.replace("R-sq", "Uncentred R-sq", 1), value) for said, value in facts]
        return _in_pairs(facts)

    def _table(self) -> list[str]:
        letter = "z" if np.isinf(self.degrees_of_freedom) else "t"
        tail = (1 - self.level) / 2
        width = max(16, *map(len, self.names))
        heads = ["coef", "std err", letter, f"P>|{letter}|", f"[{tail:.3g}", f"{1 - tail:.3g}]"]
        lines = [
            " " * width
            + "".join(f"{head:>{size}}" for head, size in zip(heads, _SIZES, strict=True))
        ]
        lines.append("-" * _WIDTH)
        for j, name in enumerate(self.names):
            cells = [
                _short(self.params[j]),
                _short(self.standard_errors[j]),
                f"{self.statistics[j]:.3f}",
                f"{self.p_values[j]:.3f}",
                *map(_short, self.intervals[j]),
            ]
            lines.append(
                f"{name:<{width}}"
                + "".join(f"{cell:>{size}}" for cell, size in zip(cells, _SIZES, strict=True))
            )
        return lines

    def _notes(self) -> list[str]:
        notes = []
        if not self.intercept:
            notes.append("No intercept: intercept=True adds one.")
        if not self.converged:
            notes.append("The fit has not converged: none of these numbers can be trusted.")
        if self.rank < len(self.params):
            notes.append(
                f"The columns depend on one another: they decide {self.rank} of {len(self.params)} parameters."
            )
        large = [
            name
            for name, value in zip(
                self.names[self.intercept :], self.variance_inflation, strict=True
            )
            if value > 10
        ]
        if large:
            shown = ", ".join(large[:5]) + (", ..." if len(large) > 5 else "")
            notes.append(f"Nearly explained by the other features (VIF above 10): {shown}.")
        return notes


_SIZES = (11, 11, 10, 8, 11, 11)


def _short(value: float) -> str:
    """Return a number in at most ten characters."""
    return f"{value:.4f}" if 1e-3 <= abs(value) < 1e5 or value == 0 else f"{value:.3e}"


def _in_pairs(facts: list[tuple[str, Any]]) -> list[str]:
    """Return facts in two columns."""
    half = -(-len(facts) // 2)
    cells = [f"{name + ':':<20}{_shown(value):>17}" for name, value in facts]
    cells += [""] * (2 * half - len(cells))
    return [f"{cells[j]}    {cells[half + j]}".rstrip() for j in range(half)]


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def student_quantile(freedom: float, level: float) -> float:
    """Return the quantile within which a share `level` of Student's t distribution lies, the normal's for infinity."""
    tail = (1 + level) / 2
    return float(special.ndtri(tail) if np.isinf(freedom) else special.stdtrit(freedom, tail))


def student_p(freedom: float, statistic: Any) -> np.ndarray:
    """Return the probability of a statistic that far from zero, in both directions."""
    size = -np.abs(statistic)
    return 2 * np.asarray(special.ndtr(size) if np.isinf(freedom) else special.stdtr(freedom, size))
