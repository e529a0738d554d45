"""The exact answer of `funcgrad fit`: from the sums, or from the rows where sums would lose too many digits."""

import math
import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from funcgrad import regression
from funcgrad.datasets import Stream
from funcgrad.regression import Linear, Moments

# Sums square the condition of the data, and with it the digits lost. With fewer than these left they are not
# good enough where there is a better way.
_DIGITS_WANTED = 10
# `least_squares` holds about as many copies of the rows.
_COPIES = 16


class Answer(NamedTuple):
    """A model's parameters, and its mean squared error where that is known better than by the sums."""

    params: Linear
    loss: float | None = None


def exact_answer(
    sums: Moments, penalty: float | None, rows: Callable[[], Stream], memory: int
) -> Answer:
    """Return the least-squares answer, or ridge's with a penalty.

    Args:
        sums: of all rows, as NumPy arrays.
        penalty: of ridge.
        rows: opens a stream of all rows, to read them once more where their columns are nearly dependent.
        memory: a bound on the bytes that may be held to work on them.

    Warns:
        RuntimeWarning: if features depend on one another, or few digits are sure.
    """
    penalty = penalty or 0.0
    # Scaled, so that the columns' units decide neither the rank nor the digits.
    scale, epsilon = np.hypot(scale_of(sums), np.sqrt(penalty)), float(np.finfo(float).eps)
    gram, right = np.asarray(sums.xx) / np.outer(scale, scale), np.asarray(sums.xy) / scale
    gram = gram + np.diag(penalty / scale**2)
    weights, _, rank, singular = np.linalg.lstsq(gram, right, rcond=len(scale) * epsilon)
    condition = singular[0] / singular[-1] if singular[-1] > 0 else math.inf
    digits = max(0, int(-math.log10(min(condition * epsilon, 1))))
    if digits < _DIGITS_WANTED:
        needed = float(sums.rows) * (len(scale) + 1) * 8 * _COPIES
        better = _from_rows(rows(), penalty) if needed <= memory else None
        if better is not None:
            return better
        if rank < len(scale):
            message = (
                f"{len(scale) - rank} of the {len(scale)} features depend on the others or are constant: "
                "the weights are the smallest, after scaling, of the many that fit equally well"
            )
        else:
            message = (
                f"the features nearly depend on one another: about {digits} digits of the weights are "
                f"sure; --memory {math.ceil(needed / (1 << 20))} would let all be"
            )
        warnings.warn(message, RuntimeWarning, stacklevel=2)
    weights = weights / scale
    return Answer(Linear(weights, np.asarray(sums.y_mean) - np.asarray(sums.x_mean) @ weights))


def least_loss(sums: Moments) -> float:
    """Return the mean squared error of the exact answer, to the digits that sums hold."""
    scale = scale_of(sums)
    gram, right = np.asarray(sums.xx) / np.outer(scale, scale), np.asarray(sums.xy) / scale
    weights = np.linalg.lstsq(gram, right)[0]
    return max(0.0, float(sums.yy - right @ weights)) / float(sums.rows)


def scale_of(sums: Moments) -> np.ndarray:
    """Return the root of each feature's sum of squares about its mean, 1 where that is rounding."""
    squares, mean = np.diag(np.asarray(sums.xx)), np.asarray(sums.x_mean)
    rounding = float(sums.rows) * (mean * np.finfo(float).eps) ** 2
    return np.sqrt(np.where(squares > rounding, squares, 1.0))


def mean_squared_error(params: Linear, sums: Moments, rows: Callable[[], Stream]) -> float:
    """Return the mean squared error, from the sums where they hold enough of its digits, else from the rows.

    Args:
        params: the model, as NumPy arrays.
        sums: of all rows, as NumPy arrays.
        rows: opens a stream of all rows.
    """
    with warnings.catch_warnings():
        # The rows have the digits that it is about.
        warnings.simplefilter("ignore", regression.LostDigitsWarning)
        loss = float(regression.loss(params, sums, None))
    if loss > 10**_DIGITS_WANTED * regression.rounding(params, sums):
        return loss
    squares = 0.0
    for x, y in rows():
        y, weights = y if isinstance(y, tuple) else (y, 1.0)
        # Centred, so that large means cost no digits.
        fitted = (x - sums.x_mean) @ params.weights
        offset = sums.y_mean - sums.x_mean @ params.weights - params.bias
        residuals = (y - sums.y_mean) - fitted + offset
        squares += float(np.sum(weights * np.square(residuals)))
    return squares / float(sums.rows)


def _from_rows(stream: Stream, penalty: float) -> Answer | None:
    """Return the answer to its last digit; None where the columns depend on one another."""
    batches = [(x, *(y if isinstance(y, tuple) else (y,))) for x, y in stream]
    x, y, *more = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    counts = more[0] if more else None
    if penalty:
        params = regression.ridge((x, y), penalty, intercept=True, weights=counts)
        assert isinstance(params, Linear)
        return Answer(Linear(np.asarray(params.weights), np.asarray(params.bias)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", np.exceptions.RankWarning)
        answer = regression.least_squares(x, y, intercept=True, weights=counts)
    if int(answer.rank) < x.shape[1] + 1:
        return None
    assert isinstance(answer.params, Linear)
    weights, bias = answer.params
    return Answer(Linear(np.asarray(weights), np.asarray(bias)), float(answer.loss))
