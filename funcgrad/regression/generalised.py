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

from funcgrad.regression.exact import real_rows
from funcgrad.regression.families import Family, family_of
from funcgrad.regression.model import Linear, Params
from funcgrad.regression.precision import lie_on_one_cpu, on_device, own_work
from funcgrad.regression.products import dot
from funcgrad.regression.weights import row_weights

_MOST_STEPS, _MOST_HALVINGS = 200, 40
# Rows read at a time.
_BLOCK = 4096
# A step that moves each scaled weight by less than this, relative to the largest, is the last.
_SMALL = 1e-13
# A step below this that is no smaller than the one before is rounding.
_STUCK, _SHRINKS = 1e-7, 0.9
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

    Logistic regression is the family of classes, 0 or 1; its predictions are probabilities:

    >>> x, y = np.repeat([[0.0], [1.0]], 4, axis=0), np.array([0, 0, 0, 1, 0, 1, 1, 1])
    >>> logistic = regression.glm(x, y, "binomial", intercept=True)
    >>> np.asarray(regression.predict(logistic, x[3:5])).round(6)
    array([0.25, 0.75])
    """
    with own_work():
        rows, targets, dtype = real_rows(x, y)
        if not isinstance(rows, jax.core.Tracer) and not jnp.isfinite(rows).all():
            raise ValueError("x holds values that are not finite")
        counts = row_weights(weights, len(targets))
        counts = on_device(np.ones(len(targets))) if counts is None else counts
        chosen = None if family == "multinomial" else family_of(family, link)
        _check_targets(targets, chosen, link)
        pull = jnp.asarray(penalty, jnp.float64)
        block = _BLOCK if len(targets) > _BLOCK and _is_whole(rows) else None
        params, end = _fitted(
            rows, targets, counts, pull, family=chosen, intercept=intercept, block=block
        )
        _warn(end, family)
        params, loss = jax.tree.map(lambda leaf: leaf.astype(dtype), (params, end.value.loss))
        name, link = (family, "softmax") if chosen is None else (chosen.name, chosen.link)
        return Generalised(params, loss, end.converged, end.steps, name, link)


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
    row = int(_first_not_allowed(y, family))
    if row < len(y):
        name = "multinomial" if family is None else family.name
        raise ValueError(f"the targets of family {name!r} are {domain}; y[{row}] is {y[row]}")


@partial(jax.jit, static_argnames="family")
def _first_not_allowed(y: Array, family: Family | None) -> Int[Array, ""]:
    """Return the first row whose targets are none of the family's, the number of rows where there is none."""
    if family is None:
        allowed = (y >= 0).all(axis=1) & (jnp.abs(y.sum(axis=1) - 1) < 1e-6)
    else:
        allowed = family.distribution.allowed(y)
    return jnp.where(allowed.all(), len(y), jnp.argmin(allowed))


class _Problem(NamedTuple):
    x: Float[Array, "rows features"]
    y: Float[Array, rows * classes]
    counts: Float[Array, " rows"]
    penalty: Float[Array, ""]


class _Value(NamedTuple):
    """The function to minimise, the mean error in it, and the derivatives by the weights, at some weights."""

    objective: Float[Array, ""]
    loss: Float[Array, ""]
    gradient: Float[Array, unknowns * classes]
    hessian: Float[Array, "parameters parameters"]


class _State(NamedTuple):
    """Where the steps are."""

    weights: Float[Array, unknowns * classes]
    value: _Value
    converged: Bool[Array, ""]
    failed: Bool[Array, ""]
    moved: Float[Array, ""]
    steps: Int[Array, ""]


def _warn(end: _State, family: str) -> None:
    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(end)):
        return
    least = _SEPARATED if end.converged else _NEARLY
    if family in ("binomial", "multinomial") and float(end.value.loss) < least:
        message = (
            "the classes are separated: the larger the weights the better, so no answer is finite"
        )
    elif not end.converged:
        message = (
            f"the model has not converged after {int(end.steps)} steps: columns may depend on one another, or "
            "tell some of the targets without error"
        )
    else:
        return
    warnings.warn(f"{message}. A penalty gives an answer", RuntimeWarning, stacklevel=3)


@partial(jax.jit, static_argnames=("family", "intercept", "block"))
def _fitted(
    x: Array,
    y: Array,
    counts: Array,
    penalty: Array,
    *,
    family: Family | None,
    intercept: bool,
    block: int | None,
) -> tuple[Params, _State]:
    problem = _Problem(x.astype(jnp.float64), y.astype(jnp.float64), counts, penalty)
    error = _cross_entropy if family is None else family.error
    fixed = jax.lax.stop_gradient(problem)
    hessian = _hessian_of_classes if family is None else partial(_information, family)
    # Columns of one size, so that neither the digits nor the end of the steps depend on units.
    size = jnp.sqrt(jnp.square(fixed.x).mean(axis=0))
    size = jnp.append(jnp.ones(int(intercept)), jnp.where(size > 0, size, 1))
    pull = problem.penalty * (jnp.arange(len(size)) >= intercept)

    def valued(weights: Array) -> _Value:
        """Return the value at weights of scaled columns, by one read of the rows."""
        weights = (weights.T / size).T
        of_rows = partial(_value, error=error, hessian=hessian, weights=weights)
        found = _summed(of_rows, fixed, block)
        repeated = jnp.repeat(size, weights.size // len(size))
        objective = found.objective + jnp.sum(pull * jnp.square(weights).T) / 2
        slope = ((found.gradient + (pull * weights.T).T).T / size).T
        matrix = found.hessian + jnp.diag(jnp.repeat(pull, weights.size // len(size)))
        return _Value(
            objective,
            found.loss / fixed.counts.sum(),
            slope,
            matrix / repeated / repeated[:, None],
        )

    end = _stepped(valued, _start(fixed, size, family, intercept=intercept))

    def solved(hessian: Any, right: Array) -> Array:
        basis = jnp.eye(right.size).reshape(-1, *right.shape)
        matrix = jax.vmap(hessian)(basis).reshape(right.size, right.size)
        matrix = matrix + _of_common_shift(problem, right)
        factor = jax.scipy.linalg.cho_factor(matrix)
        return jax.scipy.linalg.cho_solve(factor, right.reshape(-1)).reshape(right.shape)

    weights = jax.lax.custom_root(
        partial(_gradient, problem, error, pull),
        (end.weights.T / size).T,
        lambda _, weights: weights,
        solved,
    )
    _, loss = _objective(problem, error, pull, weights)
    params = Linear(weights[1:], weights[0]) if intercept else weights
    return params, end._replace(value=end.value._replace(loss=loss))


def _summed(of_rows: Any, problem: _Problem, block: int | None) -> _Value:
    """Return the sum of a function of rows, all at once or a block at a time."""
    if block is None:
        return of_rows(problem)
    data = problem.x, problem.y, problem.counts
    blocks, rest = divmod(len(problem.x), block)

    def from_row(start: Any, rows: int) -> _Value:
        cut = [jax.lax.dynamic_slice_in_dim(leaf, start, rows) for leaf in data]
        return of_rows(_Problem(cut[0], cut[1], cut[2], problem.penalty))

    return jax.lax.fori_loop(
        0,
        blocks,
        lambda index, sofar: jax.tree.map(jnp.add, sofar, from_row(rest + index * block, block)),
        from_row(0, rest),
    )


def _value(problem: _Problem, *, error: Any, hessian: Any, weights: Array) -> _Value:
    """Return the sums over rows that a value is made of, without the penalty's part."""
    linear = _linear(problem.x, weights)
    errors, slopes = jax.vmap(jax.value_and_grad(error))(linear, problem.y)
    total = jnp.sum(problem.counts * errors)
    return _Value(total, total, _weighted_rows(problem, slopes, weights), hessian(problem, weights))


def _cross_entropy(linear: Array, y: Array) -> Array:
    """Return the error of a row, for its classes' linear predictions."""
    return jax.scipy.special.logsumexp(linear) - jnp.sum(y * linear)


def _linear(x: Array, weights: Array) -> Array:
    """Return the linear prediction, with a bias where there is a row of weights more than features."""
    bias = len(weights) - x.shape[1]
    of_features = weights[bias:]
    product = dot(x, of_features if weights.ndim == 2 else of_features[:, None])
    product = product.reshape(len(x), *weights.shape[1:])
    return product + weights[0] if bias else product


def _columns(x: Array, weights: Array) -> Array:
    """Return the design matrix, with the bias's ones where there is one."""
    return jnp.hstack([jnp.ones((len(x), len(weights) - x.shape[1])), x])


def _weighted_rows(problem: _Problem, slopes: Array, weights: Array) -> Array:
    """Return Σ count · slope · row, of the shape of the weights."""
    weighted = (problem.counts * slopes.T).reshape(-1, len(problem.x))
    found = dot(weighted, problem.x).T
    if len(weights) > problem.x.shape[1]:
        found = jnp.vstack([weighted.sum(axis=1), found])
    return found.reshape(weights.shape)


def _objective(problem: _Problem, error: Any, pull: Array, weights: Array) -> tuple[Array, Array]:
    """Return the function to minimise, and the mean error in it."""
    errors = jax.vmap(error)(_linear(problem.x, weights), problem.y)
    total = jnp.sum(problem.counts * errors)
    return total + jnp.sum(pull * jnp.square(weights).T) / 2, total / problem.counts.sum()


def _gradient(problem: _Problem, error: Any, pull: Array, weights: Array) -> Array:
    slopes = jax.vmap(jax.grad(error))(_linear(problem.x, weights), problem.y)
    return _weighted_rows(problem, slopes, weights) + (pull * weights.T).T


def _information(family: Family, problem: _Problem, weights: Array) -> Array:
    information = problem.counts * family.information(_linear(problem.x, weights))
    x = _columns(problem.x, weights)
    return dot(x.T, information[:, None] * x)


def _hessian_of_classes(problem: _Problem, weights: Array) -> Array:
    unknowns, classes = weights.shape
    x, shares = _columns(problem.x, weights), jax.nn.softmax(_linear(problem.x, weights))

    def block(first: Array, second: Array, same: Array) -> Array:
        inner = problem.counts * (same * first - first * second)
        return dot(x.T, inner[:, None] * x)

    over = jax.vmap(jax.vmap(block, (None, 1, 0)), (1, None, 0))
    blocks = over(shares, shares, jnp.eye(classes))
    flat = blocks.transpose(2, 0, 3, 1).reshape(unknowns * classes, unknowns * classes)
    return flat + _of_common_shift(problem, weights)


def _of_common_shift(problem: _Problem, weights: Array) -> Array:
    """Return a matrix that makes the Hessian of several classes positive: weights that all of them share change nothing."""
    if weights.ndim == 1:
        return jnp.zeros(())
    classes, x = weights.shape[1], _columns(problem.x, weights)
    gram = dot(x.T, problem.counts[:, None] * x)
    return jnp.kron(gram, jnp.full((classes, classes), 1 / classes**2))


def _start(
    problem: _Problem, size: Array, family: Family | None, *, intercept: bool
) -> Float[Array, unknowns * classes]:
    """Return the weights of scaled columns to begin with."""
    unknowns = len(size)
    if family is None:
        return jnp.zeros((unknowns, problem.y.shape[1]))
    mean = jnp.sum(problem.counts * problem.y) / problem.counts.sum()
    centre = jnp.clip(mean, 1e-6, 1 - 1e-6) if family.name == "binomial" else mean
    if not intercept and family.link in ("inverse", "identity") and family.name != "gaussian":
        return jnp.linalg.lstsq(problem.x / size, family.of_mean(problem.y))[0]
    first = family.of_mean(centre) if intercept else jnp.zeros(())
    return jnp.where(jnp.isfinite(first), first, 0) * (jnp.arange(unknowns) < intercept)


def _stepped(valued: Callable[[Array], _Value], start: Array) -> _State:
    """Take Newton's steps, each halved until it lowers the objective."""

    def improve(state: _State) -> _State:
        factor = jax.scipy.linalg.cho_factor(state.value.hessian)
        step = -jax.scipy.linalg.cho_solve(factor, state.value.gradient.reshape(-1))
        step = step.reshape(state.weights.shape)
        # Rounding may lift the objective by so much at its minimum.
        allowed = state.value.objective + 1e-14 * (jnp.abs(state.value.objective) + 1)

        def worse(tried: tuple[Array, Array, _Value]) -> Array:
            _, halvings, value = tried
            return ~(value.objective <= allowed) & (halvings < _MOST_HALVINGS)

        def half(tried: tuple[Array, Array, _Value]) -> tuple[Array, Array, _Value]:
            share, halvings, _ = tried
            return share / 2, halvings + 1, valued(state.weights + share / 2 * step)

        # The first share tried is one, and so the rows' function is compiled once.
        unknown = state.value._replace(objective=jnp.full((), jnp.inf))
        share, halvings, value = jax.lax.while_loop(
            worse, half, (jnp.full((), 2.0), jnp.full((), -1, jnp.int32), unknown)
        )
        reached = state.weights + share * step
        moved = jnp.abs(share * step).max() / jnp.maximum(jnp.abs(reached).max(), 1e-3)
        stuck = (moved <= _STUCK) & (moved > _SHRINKS * state.moved)
        failed = ~jnp.isfinite(step).all() | (halvings == _MOST_HALVINGS)
        better = _State(
            weights=reached,
            value=value,
            converged=(moved <= _SMALL) | stuck,
            failed=failed,
            moved=moved,
            steps=state.steps + 1,
        )
        # Where no share of the step is better, the weights are the best as far as rounding tells.
        ended = state._replace(
            failed=failed, converged=jnp.abs(step).max() <= _STUCK, steps=state.steps + 1
        )
        return jax.tree.map(partial(jnp.where, failed), ended, better)

    no, none = jnp.asarray(False), jnp.zeros((), jnp.int32)
    return jax.lax.while_loop(
        lambda state: ~state.converged & ~state.failed & (state.steps < _MOST_STEPS),
        improve,
        _State(start, valued(start), no, no, jnp.full((), jnp.inf), none),
    )
