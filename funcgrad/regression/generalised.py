"""Generalised linear models: the parameters of the largest likelihood, by Fisher scoring with halved steps."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float, Int, Num

from funcgrad.regression import by_blocks, likelihood
from funcgrad.regression.exact import real_rows
from funcgrad.regression.families import Family, family_of
from funcgrad.regression.likelihood import Problem
from funcgrad.regression.model import Linear, Params
from funcgrad.regression.namespaces import namespace
from funcgrad.regression.newton import State, Value, minimised
from funcgrad.regression.precision import (
    are_readable,
    check_indices,
    is_tracing,
    lie_on_one_cpu,
    numbers,
    on_device,
    own_work,
    put_beside,
)
from funcgrad.regression.weights import row_weights

# Rows read at a time.
_BLOCK = 4096
# The mean error of classes so far apart that larger weights would always be better; and where the steps ended early.
_SEPARATED, _NEARLY = 1e-7, 1e-3


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["params", "loss", "converged", "steps"],
    meta_fields=["family", "link"],
)
@dataclass(frozen=True)
class Generalised:
    """A fitted generalised linear model. `regression.predict(answer, x)` gives means of the targets.

    Attributes:
        params: the weights, shape (features,) or (features, classes), or `Linear(weights, bias)`: of the linear
            prediction.
        loss: the mean of the family's error, minus the log likelihood but for terms without parameters, shape ().
        converged: whether the last step was as small as rounding, shape ().
        steps: how many were taken, shape ().
        family, link: their names.
    """

    params: Params
    loss: Float[Array, ""]
    converged: Bool[Array, ""]
    steps: Int[Array, ""]
    family: str
    link: str

    def mean(self, linear: Array) -> Array:
        """Return the mean of the targets for a linear prediction."""
        if self.family == "multinomial":
            return jax.nn.softmax(linear)
        return family_of(self.family, self.link).to_mean(linear)


def glm(
    x: Num[ArrayLike, "rows features"],
    y: Num[ArrayLike, rows * classes],
    family: str = "gaussian",
    *,
    link: str | None = None,
    intercept: bool = False,
    weights: Num[ArrayLike, " rows"] | None = None,
    penalty: float | Float[Array, ""] = 0.0,
    offset: Num[ArrayLike, rows * classes] | None = None,
    exposure: Num[ArrayLike, " rows"] | None = None,
) -> Generalised:
    """Return the generalised linear model of the largest likelihood, computed in float64.

    It minimises Σ weight · error + penalty / 2 · Σ weights²; the bias is not penalised. The answer can be
    differentiated by x, y, weights and the penalty, as `least_squares` can.

    Args:
        x: the design matrix, shape (rows, features).
        y: the targets, shape (rows,): any for "gaussian", 0 or 1 or a share for "binomial", 0 or more for "poisson",
            greater than 0 for "gamma". For "multinomial", shape (rows, classes): 1 for each row's class, 0 for the
            others, or shares that add up to 1.
        family: "gaussian", "binomial", "poisson", "gamma" or "multinomial". For the last, each class has weights of
            its own, and for each feature they add up to 0 over the classes.
        link: "identity", "log", "logit", "probit", "cloglog" or "inverse", as the family allows; by default
            identity, logit, log and log.
        intercept: whether to add a bias to the model.
        weights: how much each row counts, shape (rows,), 0 or more.
        penalty: 0 or more.
        offset: is added to each row's linear prediction, of its shape. A prediction of the answer is for an offset of
            0: `answer.mean(regression.predict(answer.params, x) + offset)` has another.
        exposure: for the log link, for how long or how many each row's target was counted, shape (rows,), greater than
            0: its logarithm is an offset. A prediction of the answer is for an exposure of 1.

    Raises:
        ValueError: if the shapes do not fit, x holds values that are not finite, a target is none of the family's,
            or there is no such family or link.
        TypeError: if an array is complex.

    Warns:
        RuntimeWarning: if the steps did not converge, or the classes are separated so that no answer is finite.
            Not inside `jax.jit` or `jax.vmap`, where `converged` tells of the former.

    >>> import numpy as np
    >>> from funcgrad import regression
    >>> x, y = np.array([[0.0], [0.0], [1.0], [1.0]]), np.array([1.0, 3.0, 5.0, 11.0])
    >>> answer = regression.glm(x, y, "poisson", intercept=True)
    >>> np.asarray(regression.predict(answer, x[1:3])).round(6)
    array([2., 8.])

    >>> years = np.array([1.0, 2.0, 1.0, 2.0])
    >>> a_year = regression.glm(x, y, "poisson", intercept=True, exposure=years)
    >>> np.asarray(regression.predict(a_year, x[1:3])).round(6)
    array([1.333333, 5.333333])

    Logistic regression is the family of classes, 0 or 1; its predictions are probabilities:

    >>> x, y = np.repeat([[0.0], [1.0]], 4, axis=0), np.array([0, 0, 0, 1, 0, 1, 1, 1])
    >>> logistic = regression.glm(x, y, "binomial", intercept=True)
    >>> np.asarray(regression.predict(logistic, x[3:5])).round(6)
    array([0.25, 0.75])
    """
    check_indices(x=x, y=y, weights=weights, offset=offset, exposure=exposure)
    with own_work():
        rows, targets, dtype = real_rows(x, y, place=_kept_in_place)
        if not isinstance(rows, jax.core.Tracer) and not _is_finite(rows):
            raise ValueError("x holds values that are not finite")
        counts = row_weights(weights, len(targets))
        counts = on_device(np.ones(len(targets))) if counts is None else counts
        chosen = None if family == "multinomial" else family_of(family, link)
        _check_targets(targets, chosen, link)
        added = offset_of(offset, exposure, targets, "softmax" if chosen is None else chosen.link)
        problem = Problem(rows, targets, counts, added, jnp.asarray(penalty, jnp.float64))
        if by_numpy := _can_be_by_blocks(problem, chosen, intercept=intercept):
            fit = _fitted_by_blocks(
                jax.tree.map(np.asarray, problem), family=chosen, intercept=intercept
            )
        else:
            problem = jax.tree.map(on_device, problem)
            block = _BLOCK if len(targets) > _BLOCK and _is_whole(problem.x) else None
            fit = _fitted(problem, family=chosen, intercept=intercept, block=block)
        _warn(fit, family)
        found, loss = jax.tree.map(lambda leaf: leaf.astype(dtype), (fit.weights, fit.loss))
        params = Linear(found[1:], found[0]) if intercept else found
        numbers_of_fit = params, loss, fit.converged, fit.steps
        if by_numpy:
            theirs = [leaf for leaf in (rows, targets) if isinstance(leaf, jax.Array)]
            numbers_of_fit = put_beside(theirs, numbers_of_fit)
        name, link = (family, "softmax") if chosen is None else (chosen.name, chosen.link)
        return Generalised(*numbers_of_fit, name, link)


def mean_without_features(
    family: Family, y: np.ndarray, counts: np.ndarray, offset: np.ndarray | None
) -> Float[np.ndarray, " rows"]:
    """Return the mean of each row's target in a model of an intercept alone, beside the offset if there is one."""
    centre = np.average(y, weights=counts)
    if offset is None:
        return np.full(len(y), centre)
    with own_work(), np.errstate(all="ignore"):
        near = np.asarray(family.of_mean(centre)) - np.average(offset, weights=counts)
        offset = offset + np.where(np.isfinite(near), near, 0)
        ones = np.ones((len(y), 1))
        answer = glm(ones, y, family.name, link=family.link, weights=counts, offset=offset)
        shift = np.asarray(answer.params)
        return np.asarray(family.to_mean(jnp.asarray(offset + shift)))


def offset_of(offset: Any, exposure: Any, y: Array, link: str) -> Array | None:
    """Return the offset, or the exposure as one, in float64; None where there is neither."""
    if exposure is not None:
        if offset is not None:
            raise ValueError("exposure is an offset, its logarithm: give one of the two")
        if link != "log":
            raise ValueError(f"exposure is for the log link, and this is {link!r}: give an offset")
        exposure = on_device(numbers("exposure", exposure)).astype(jnp.float64)
        if not isinstance(exposure, jax.core.Tracer) and not (exposure > 0).all():
            raise ValueError("exposure must be greater than 0")
        offset = jnp.log(exposure)
    if offset is None:
        return None
    offset = on_device(numbers("offset", offset)).astype(jnp.float64)
    if offset.shape != y.shape:
        raise ValueError(f"offset and exposure must have shape {y.shape}, got {offset.shape}")
    if not isinstance(offset, jax.core.Tracer) and not jnp.isfinite(offset).all():
        raise ValueError("offset and exposure must be finite")
    return offset


def _is_finite(x: Array) -> Any:
    return np.isfinite(np.asarray(x)).all() if are_readable([x]) else jnp.isfinite(x).all()


def _kept_in_place(array: Any) -> Any:
    """Return NumPy's array as it is, unless a function is traced: copied to a device where it is needed there."""
    return array if isinstance(array, np.ndarray) and not is_tracing() else on_device(array)


def _is_whole(x: Array) -> bool:
    """Return whether an array lies on one CPU, where a block of rows stays in the cache."""
    return not isinstance(x, jax.core.Tracer) and lie_on_one_cpu([x])


def _check_targets(y: Array, family: Family | None, link: str | None) -> None:
    if family is None:
        if link not in (None, "softmax"):
            raise ValueError(f"the link of family 'multinomial' is softmax, got {link!r}")
        if y.ndim != 2:
            raise ValueError(
                f"y must have shape (rows, classes), got {y.shape}: jax.nn.one_hot makes it of labels"
            )
        domain = "shares of 1"
    else:
        if y.ndim != 1:
            raise ValueError(f"y must have shape ({len(y)},), got {y.shape}")
        domain = family.distribution.domain
    if isinstance(y, jax.core.Tracer):
        return
    if are_readable([y]):
        row = int(_first_not_allowed(np.asarray(y), family))
    else:
        row = int(_compiled_first_not_allowed(y, family))
    if row < len(y):
        name = "multinomial" if family is None else family.name
        raise ValueError(f"the targets of family {name!r} are {domain}; y[{row}] is {y[row]}")


def _first_not_allowed(y: Any, family: Family | None) -> Any:
    """Return the first row whose targets are none of the family's, the number of rows where there is none."""
    if family is None:
        allowed = (y >= 0).all(axis=1) & (abs(y.sum(axis=1) - 1) < 1e-6)
    else:
        allowed = family.distribution.allowed(y)
    return namespace(y).where(allowed.all(), len(y), allowed.argmin())


_compiled_first_not_allowed = jax.jit(_first_not_allowed, static_argnames="family")


def _is_separated(fit: _Fit, family: str) -> bool:
    least = _SEPARATED if fit.converged else _NEARLY
    return family in ("binomial", "multinomial") and float(fit.loss) < least


def _warn(fit: _Fit, family: str) -> None:
    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(fit)):
        return
    if _is_separated(fit, family):
        message = (
            "the classes are separated: the larger the weights the better, so no answer is finite"
        )
    elif not fit.converged:
        message = (
            f"the model has not converged after {int(fit.steps)} steps: columns may depend on one another, or "
            "tell some of the targets without error"
        )
    else:
        return
    warnings.warn(f"{message}. A penalty gives an answer", RuntimeWarning, stacklevel=3)


class _Fit(NamedTuple):
    """The weights, the bias's first, the mean error at them, and how the steps went."""

    weights: Float[Array, unknowns * classes]
    loss: Float[Array, ""]
    converged: Bool[Array, ""]
    steps: Int[Array, ""]


class _Scaled(NamedTuple):
    """A problem in weights of columns of one size, so that neither the digits nor the end of the steps depend on units."""

    size: Float[Array, " unknowns"]
    pull: Float[Array, " unknowns"]
    total: Float[Array, ""]

    def unscaled(self, weights: Any) -> Any:
        return (weights.T / self.size).T

    def value(self, summed: Callable[[Any], Value], weights: Any) -> Value:
        """Return the value at scaled weights, with the penalty's part."""
        weights = self.unscaled(weights)
        found, of_classes = summed(weights), weights.size // len(self.size)
        xp = namespace(weights)
        sizes, pulls = (xp.repeat(each, of_classes) for each in (self.size, self.pull))
        return Value(
            found.objective + self._penalty(weights),
            self.unscaled(found.gradient + (self.pull * weights.T).T),
            (found.hessian + xp.diag(pulls)) / sizes / sizes[:, None],
        )

    def fit(self, end: State) -> _Fit:
        weights = self.unscaled(end.weights)
        loss = (end.value.objective - self._penalty(weights)) / self.total
        return _Fit(weights, loss, end.converged, end.steps)

    def _penalty(self, weights: Any) -> Any:
        return (self.pull * (weights**2).T).sum() / 2


def _scaled(size: Any, problem: Problem, *, intercept: bool) -> _Scaled:
    """Scale by the root mean square of each column."""
    xp = namespace(size)
    size = xp.append(xp.ones(int(intercept)), xp.where(size > 0, size, 1))
    pull = problem.penalty * (xp.arange(len(size)) >= intercept)
    return _Scaled(size, pull, problem.counts.sum())


@partial(jax.jit, static_argnames=("family", "intercept", "block"))
def _fitted(problem: Problem, *, family: Family | None, intercept: bool, block: int | None) -> _Fit:
    problem = problem._replace(
        **{each: getattr(problem, each).astype(jnp.float64) for each in "xy"}
    )
    fixed = jax.lax.stop_gradient(problem)
    size = jnp.sqrt(jnp.square(fixed.x).mean(axis=0))
    scaled = _scaled(size, fixed, intercept=intercept)

    def sums(weights: Array) -> Value:
        of_problem = partial(likelihood.sums_of_rows, family=family, weights=weights)
        return likelihood.summed(of_problem, fixed, block)

    end = minimised(
        partial(scaled.value, sums),
        _start(fixed, scaled.size, family, intercept=intercept),
        exact=likelihood.is_canonical(family),
    )

    def solved(hessian: Any, right: Array) -> Array:
        basis = jnp.eye(right.size).reshape(-1, *right.shape)
        matrix = jax.vmap(hessian)(basis).reshape(right.size, right.size)
        matrix = matrix + likelihood.shift(problem, right)
        factor = jax.scipy.linalg.cho_factor(matrix)
        return jax.scipy.linalg.cho_solve(factor, right.reshape(-1)).reshape(right.shape)

    pull = problem.penalty * (jnp.arange(len(scaled.size)) >= intercept)
    weights = jax.lax.custom_root(
        partial(likelihood.gradient, problem, family, pull),
        scaled.unscaled(end.weights),
        lambda _, weights: weights,
        solved,
    )
    without = jnp.zeros(())
    loss = likelihood.objective(problem, family, without, weights) / problem.counts.sum()
    return scaled.fit(end)._replace(weights=weights, loss=loss)


def _fitted_by_blocks(problem: Problem, *, family: Family | None, intercept: bool) -> _Fit:
    """Return the same by NumPy's BLAS; first for some rows, whose answer is nearly that of all."""
    chunk = by_blocks.chunk_of(problem)
    few = by_blocks.sample(problem, chunk)
    size = np.sqrt(np.einsum("ij,ij->j", problem.x, problem.x, dtype=np.float64) / len(problem.x))
    start: Any = None
    name = "multinomial" if family is None else family.name
    for part in (few, problem) if few is not problem else (problem,):
        scaled = _scaled(size, part, intercept=intercept)
        if start is None:
            start = np.asarray(_start(few, scaled.size, family, intercept=intercept))
        with by_blocks.summing(part, family, chunk) as summed, np.errstate(all="ignore"):
            valued = partial(scaled.value, summed)
            end = minimised(valued, start, exact=likelihood.is_canonical(family))
        fit = scaled.fit(end)
        if fit.converged and not _is_separated(fit, name):
            start = end.weights
    return fit


def _can_be_by_blocks(problem: Problem, family: Family | None, *, intercept: bool) -> bool:
    if not are_readable(jax.tree.leaves(problem)):
        return False
    classes = problem.y.shape[1] if problem.y.ndim == 2 else 1
    few = classes <= by_blocks.MOST_CLASSES and problem.x.shape[1] <= by_blocks.MOST_COLUMNS
    return few and not _starts_at_targets(family, intercept=intercept)


def _starts_at_targets(family: Family | None, *, intercept: bool) -> bool:
    """Return whether a linear prediction of zero is no mean that the targets could have."""
    if family is None or intercept or family.name == "gaussian":
        return False
    return family.link in ("inverse", "identity")


def _start(
    problem: Problem, size: Array, family: Family | None, *, intercept: bool
) -> Float[Array, unknowns * classes]:
    """Return the weights of scaled columns to begin with."""
    unknowns, xp = len(size), namespace(size)
    if family is None:
        return xp.zeros((unknowns, problem.y.shape[1]))
    offset = xp.zeros(()) if problem.offset is None else problem.offset
    if _starts_at_targets(family, intercept=intercept):
        return jnp.linalg.lstsq(problem.x / size, family.of_mean(problem.y) - offset)[0]
    share = problem.counts / problem.counts.sum()
    mean = (share * problem.y).sum()
    centre = mean.clip(1e-6, 1 - 1e-6) if family.name == "binomial" else mean
    first = family.of_mean(centre) - (share * offset).sum() if intercept else xp.zeros(())
    first = xp.asarray(first)
    return xp.where(xp.isfinite(first), first, 0) * (xp.arange(unknowns) < intercept)
