"""The objective of generalised linear models: minus the log likelihood, and its derivatives by sums over rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from funcgrad.regression.families import Family
from funcgrad.regression.newton import Value
from funcgrad.regression.products import dot


class Problem(NamedTuple):
    """The rows of a model: minimise Σ count · error + penalty / 2 · Σ weights².

    Attributes:
        x, y: as for `glm`.
        counts: how much each row counts.
        offset: is added to the linear prediction of each row; or None.
        penalty: of the weights, not the bias.
    """

    x: Float[Array, "rows features"]
    y: Float[Array, rows * classes]
    counts: Float[Array, " rows"]
    offset: Float[Array, rows * classes] | None
    penalty: Float[Array, ""]

    def of(self, cut: Callable[[Any], Any]) -> Problem:
        """Return the problem of some rows, which a function cuts out of an array of all."""
        offset = None if self.offset is None else cut(self.offset)
        return Problem(cut(self.x), cut(self.y), cut(self.counts), offset, self.penalty)


class OfRows(NamedTuple):
    """The sum of the rows' errors, and the derivatives of each by the linear prediction, times its count."""

    total: Float[Array, ""]
    slopes: Float[Array, rows * classes]
    information: Float[Array, rows * classes * classes]


# Models whose information is the second derivative itself, not its mean.
_CANONICAL = {
    ("gaussian", "identity"),
    ("binomial", "logit"),
    ("poisson", "log"),
    ("gamma", "inverse"),
}


def is_canonical(family: Family | None) -> bool:
    """Return whether the information is the Hessian of the error; None is the family of classes."""
    return family is None or (family.name, family.link) in _CANONICAL


def of_rows(family: Family | None, linear: Array, y: Array, counts: Array) -> OfRows:
    """Return what the rows add, by their linear predictions."""
    errors, slopes = jax.vmap(jax.value_and_grad(error_of(family)))(linear, y)
    if family is not None:
        information = family.information(linear)
    else:
        shares = jax.nn.softmax(linear)
        diagonal = jnp.eye(shares.shape[1]) * shares[:, :, None]
        information = diagonal - shares[:, :, None] * shares[:, None, :] + _shift(shares.shape[1])
    total = jnp.sum(counts * errors)
    return OfRows(total, (counts * slopes.T).T, (counts * information.T).T)


def error_of(family: Family | None) -> Callable[[Array, Array], Array]:
    """Return the error of a row, a function of its linear prediction and target."""
    return _cross_entropy if family is None else family.error


def _cross_entropy(linear: Array, y: Array) -> Array:
    return jax.scipy.special.logsumexp(linear) - jnp.sum(y * linear)


def _shift(classes: int) -> float:
    """Return what makes the information of several classes positive: weights that all of them share change nothing."""
    return 1 / classes**2


def linear_prediction(problem: Problem, weights: Array) -> Array:
    """Return the linear prediction, with a bias where there is a row of weights more than features."""
    x = problem.x
    bias = len(weights) - x.shape[1]
    of_features = weights[bias:]
    product = dot(x, of_features if weights.ndim == 2 else of_features[:, None])
    product = product.reshape(len(x), *weights.shape[1:])
    product = product + weights[0] if bias else product
    return product if problem.offset is None else product + problem.offset


def sums_of_rows(problem: Problem, family: Family | None, weights: Array) -> Value:
    """Return the sums over rows that a value is made of, without the penalty's part."""
    found = of_rows(family, linear_prediction(problem, weights), problem.y, problem.counts)
    return Value(
        found.total,
        _weighted_rows(problem.x, found.slopes, weights),
        _gram(_columns(problem.x, weights), found.information),
    )


def _gram(x: Array, information: Array) -> Array:
    """Return Σ information ⊗ row rowᵀ, by the parameters in the order of the weights' elements."""
    if information.ndim == 1:
        return dot(x.T, information[:, None] * x)
    of_pair = jax.vmap(lambda inner: dot(x.T, inner[:, None] * x), 1)
    blocks = jax.vmap(of_pair, 2)(information)
    parameters = x.shape[1] * information.shape[1]
    return blocks.transpose(2, 0, 3, 1).reshape(parameters, parameters)


def summed(of_problem: Callable[[Problem], Value], problem: Problem, block: int | None) -> Value:
    """Return the sum of a function of rows, all at once or a block at a time."""
    if block is None:
        return of_problem(problem)
    blocks, rest = divmod(len(problem.x), block)

    def from_row(start: Any, rows: int) -> Value:
        return of_problem(problem.of(lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, start, rows)))

    return jax.lax.fori_loop(
        0,
        blocks,
        lambda index, sofar: jax.tree.map(jnp.add, sofar, from_row(rest + index * block, block)),
        from_row(0, rest),
    )


def _columns(x: Array, weights: Array) -> Array:
    """Return the design matrix, with the bias's ones where there is one."""
    return jnp.hstack([jnp.ones((len(x), len(weights) - x.shape[1])), x])


def _weighted_rows(x: Array, slopes: Array, weights: Array) -> Array:
    """Return Σ slope · row, of the shape of the weights."""
    weighted = slopes.T.reshape(-1, len(x))
    found = dot(weighted, x).T
    if len(weights) > x.shape[1]:
        found = jnp.vstack([weighted.sum(axis=1), found])
    return found.reshape(weights.shape)


def objective(problem: Problem, family: Family | None, pull: Array, weights: Array) -> Array:
    """Return the function to minimise; pull is the penalty of each row of weights."""
    errors = jax.vmap(error_of(family))(linear_prediction(problem, weights), problem.y)
    return jnp.sum(problem.counts * errors) + jnp.sum(pull * jnp.square(weights).T) / 2


def gradient(problem: Problem, family: Family | None, pull: Array, weights: Array) -> Array:
    """Return the derivative of the objective by the weights."""
    slopes = jax.vmap(jax.grad(error_of(family)))(linear_prediction(problem, weights), problem.y)
    slopes = (problem.counts * slopes.T).T
    return _weighted_rows(problem.x, slopes, weights) + (pull * weights.T).T


def shift(problem: Problem, weights: Array) -> Array:
    """Return what makes the Hessian of several classes positive definite."""
    if weights.ndim == 1:
        return jnp.zeros(())
    classes, x = weights.shape[1], _columns(problem.x, weights)
    of_rows = dot(x.T, problem.counts[:, None] * x)
    return jnp.kron(of_rows, jnp.full((classes, classes), _shift(classes)))
