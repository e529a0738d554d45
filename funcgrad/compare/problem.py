"""The one problem that every backend of a comparison is given: data, initial weights, algorithm."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from funcgrad import regression
from funcgrad.compare.devices import find_device, on_host
from funcgrad.compare.errors import OptionError
from funcgrad.compare.optimizers import OPTIMIZERS, Optimizer
from funcgrad.datasets import DataError

DTYPES = ("float32", "float64")


class Parameters(NamedTuple):
    """The weights and the bias of the model, as NumPy arrays, or their gradients."""

    weights: Float[np.ndarray, " features"]
    bias: Float[np.ndarray, ""]

    @property
    def joined(self) -> Float[np.ndarray, " parameters"]:
        """Both as one vector of their own dtype, the bias last."""
        return np.append(self.weights, self.bias)

    @property
    def vector(self) -> Float[np.ndarray, " parameters"]:
        """Both as one vector in float64, the bias last."""
        return self.joined.astype(np.float64)


@dataclass(frozen=True)
class Problem:
    """Data, initial parameters and algorithm; all arrays are NumPy's and of one dtype.

    Attributes:
        x: the standardised features: every column has mean 0 and standard deviation 1.
        y: the target, in its own unit.
        initial: the weights and the bias that training starts from.
        exact: the parameters with the smallest loss on x and y, in float64.
        unique: whether no other parameters have that loss.
        curvature: the largest eigenvalue of the loss's Hessian.
        optimizer: the algorithm.
        learning_rate: its learning rate.
        steps: how many full-batch steps to take.
        device: where to compute.
    """

    x: Float[np.ndarray, "rows features"]
    y: Float[np.ndarray, " rows"]
    initial: Parameters
    exact: Parameters
    unique: bool
    curvature: float
    optimizer: Optimizer
    learning_rate: float
    steps: int
    device: jax.Device

    @property
    def dtype(self) -> np.dtype:
        """The dtype of every array."""
        return self.y.dtype

    @cached_property
    def design(self) -> Float[np.ndarray, "rows parameters"]:
        """The design matrix: x with the intercept's column of ones, in float64."""
        return np.column_stack([self.x, np.ones(len(self.x))]).astype(np.float64)

    @property
    def largest_stable_rate(self) -> float | None:
        """The learning rate above which the algorithm diverges, where one is known."""
        return self.optimizer.stable(self.curvature) if self.optimizer.stable else None


def make_problem(
    x: Float[np.ndarray, "rows features"],
    y: Float[np.ndarray, " rows"],
    feature_names: Sequence[str] | None = None,
    *,
    optimizer: str = "sgd",
    learning_rate: float | Literal["auto"] = "auto",
    steps: int = 1000,
    dtype: str = "float32",
    device: str | None = None,
    seed: int = 0,
) -> Problem:
    """Check the options, standardise the features and draw the initial parameters.

    These are uniform within ±1/√features, like the parameters of PyTorch's `Linear`, from NumPy's
    `default_rng(seed)`: the weights, then the bias, drawn in float64 and rounded.

    Args and errors: as for `compare`.

    >>> import numpy as np
    >>> from funcgrad.compare.problem import make_problem
    >>> problem = make_problem(np.array([[1.0], [2.0], [3.0]]), np.array([1.0, 3.0, 5.0]))
    >>> problem.x.ravel(), round(problem.learning_rate, 6)
    (array([-1.2247449,  0.       ,  1.2247449], dtype=float32), 0.5)
    """
    if optimizer not in OPTIMIZERS:
        raise OptionError(f"unknown optimizer {optimizer!r}; there are: {', '.join(OPTIMIZERS)}")
    if dtype not in DTYPES:
        raise OptionError(f"unknown dtype {dtype!r}; there are: {', '.join(DTYPES)}")
    if steps < 1:
        raise OptionError(f"the number of steps must be at least 1, not {steps}")
    if seed < 0:
        raise OptionError(f"the seed must not be negative, not {seed}")
    place = find_device(device)
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    _check_data(x, y, feature_names or [f"x{j}" for j in range(x.shape[1])])
    x, y = _rounded(_standardised(x), dtype), _rounded(y, dtype)

    random, bound = np.random.default_rng(seed), 1 / math.sqrt(x.shape[1])
    weights, bias = (random.uniform(-bound, bound, size) for size in (x.shape[1], ()))
    initial = Parameters(_rounded(weights, dtype), _rounded(bias, dtype))
    with on_host(), jax.enable_x64(True):
        wide = x.astype(np.float64)
        with warnings.catch_warnings():
            # `unique` tells of dependent columns, and the report with it.
            warnings.simplefilter("ignore", np.exceptions.RankWarning)
            answer = regression.least_squares(wide, y.astype(np.float64), intercept=True)
        assert isinstance(answer.params, regression.Linear), "as it is with an intercept"
        exact = Parameters(*map(np.asarray, answer.params))
        curvature = float(regression.largest_eigenvalue(answer.params, wide))
    row = OPTIMIZERS[optimizer]
    if learning_rate == "auto":
        distance = float(np.abs(exact.vector - initial.vector).max())
        learning_rate = row.automatic(curvature, distance, steps)
    problem = Problem(
        x=x,
        y=y,
        initial=initial,
        exact=exact,
        unique=int(answer.rank) == x.shape[1] + 1,
        curvature=curvature,
        optimizer=row,
        learning_rate=float(learning_rate),
        steps=steps,
        device=place,
    )
    _check_learning_rate(problem)
    return problem


def divergence(problem: Problem) -> OptionError:
    """Return the error of a learning rate that is too large."""
    message = f"{problem.optimizer.name} diverges with a learning rate of {problem.learning_rate:g}"
    limit = problem.largest_stable_rate
    if limit is None:
        return OptionError(f"{message}; take a smaller one, or leave the choice to auto")
    return OptionError(f"{message}; the largest stable rate for this data is {limit:.6g}")


def _check_learning_rate(problem: Problem) -> None:
    if not 0 < problem.learning_rate < math.inf:
        raise OptionError(
            f"the learning rate must be positive and finite, not {problem.learning_rate:g}"
        )
    limit = problem.largest_stable_rate
    if limit is not None and problem.learning_rate > limit:
        raise divergence(problem)


def _check_data(x: np.ndarray, y: np.ndarray, names: Sequence[str]) -> None:
    if x.ndim != 2 or y.shape != x.shape[:1] or len(names) != x.shape[1]:
        raise DataError(
            f"x should have shape (rows, features) and y (rows,), with {len(names)} names; "
            f"they have shapes {x.shape} and {y.shape}"
        )
    rows, features = x.shape
    if not np.isfinite(x).all() or not np.isfinite(y).all():
        raise DataError("x and y must not hold a NaN or an infinity")
    if rows < 2:
        raise DataError(f"a regression needs at least two rows; there is {rows}")
    if rows <= features:
        raise DataError(
            f"there are more parameters ({features} features and an intercept) than rows ({rows}): "
            "infinitely many weights fit exactly"
        )
    constant = [name for name, column in zip(names, x.T, strict=True) if np.ptp(column) == 0]
    if constant:
        raise DataError(
            f"constant columns cannot be told from the intercept: {', '.join(map(repr, constant))}"
        )
    if np.ptp(y) == 0:
        raise DataError(f"the target is the same in every row ({y[0]:g})")


def _standardised(x: np.ndarray) -> np.ndarray:
    # Scaling first keeps the squares of huge or tiny columns within float64's range.
    scaled = x / np.abs(x).max(axis=0)
    centred = scaled - scaled.mean(axis=0)
    return centred / centred.std(axis=0)


def _rounded(values: np.ndarray, dtype: str) -> np.ndarray:
    with np.errstate(over="ignore"):
        rounded = np.asarray(values, dtype)
        if not np.isfinite(np.square(rounded).sum()):
            raise DataError(f"the sum of the squares of the values is too large for {dtype}")
    return rounded
