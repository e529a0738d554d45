"""The distributions and links of generalised linear models, each a row of formulas; nothing here is fitted.

Source of the formulas: P. McCullagh, J. A. Nelder, "Generalized Linear Models", 2nd edition, 1989, chapter 2.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln, log_ndtr, ndtr, ndtri, xlogy
from jax.scipy.stats import norm
from jax.typing import ArrayLike
from jaxtyping import Array

Elementwise = Callable[[Array], Array]


class Link(NamedTuple):
    """A link: of the mean to the linear prediction, and back."""

    of_mean: Elementwise
    to_mean: Elementwise


LINKS = {
    "identity": Link(lambda mean: mean, lambda linear: linear),
    "log": Link(jnp.log, jnp.exp),
    "logit": Link(lambda mean: jnp.log(mean) - jnp.log1p(-mean), jax.nn.sigmoid),
    "probit": Link(ndtri, ndtr),
    "cloglog": Link(
        lambda mean: jnp.log(-jnp.log1p(-mean)), lambda linear: -jnp.expm1(-jnp.exp(linear))
    ),
    "inverse": Link(lambda mean: 1 / mean, lambda linear: 1 / linear),
}


class Distribution(NamedTuple):
    """A distribution of the targets given their mean.

    Attributes:
        links: the links it may have, the usual one first.
        error: (mean, y) -> the part of minus the log likelihood that depends on the mean, at dispersion one.
        variance: of a target, as a function of its mean, at dispersion one.
        log_likelihood: (mean, y, dispersion) -> of a target, all its terms included.
        saturated: y -> the least error that a mean can have.
        allowed: y -> whether it is a value of this distribution, in words `domain`.
        has_dispersion: whether the dispersion is estimated; it is one otherwise.
    """

    links: tuple[str, ...]
    error: Callable[[Array, Array], Array]
    variance: Elementwise
    log_likelihood: Callable[[Any, Any, Any], Array]
    saturated: Elementwise
    allowed: Elementwise
    domain: str
    has_dispersion: bool


def _normal(mean: Any, y: Any, dispersion: Any) -> Array:
    return -0.5 * (jnp.square(y - mean) / dispersion + jnp.log(2 * jnp.pi * dispersion))


def _gamma(mean: Any, y: Any, dispersion: Any) -> Array:
    shape = 1 / dispersion
    return xlogy(shape, shape * y / mean) - shape * y / mean - gammaln(shape) - jnp.log(y)


DISTRIBUTIONS = {
    "gaussian": Distribution(
        links=("identity", "log", "inverse"),
        error=lambda mean, y: jnp.square(y - mean) / 2,
        variance=jnp.ones_like,
        log_likelihood=_normal,
        saturated=jnp.zeros_like,
        allowed=lambda y: abs(y) < np.inf,
        domain="finite",
        has_dispersion=True,
    ),
    "binomial": Distribution(
        links=("logit", "probit", "cloglog", "log", "identity"),
        error=lambda mean, y: -xlogy(y, mean) - xlogy(1 - y, 1 - mean),
        variance=lambda mean: mean * (1 - mean),
        log_likelihood=lambda mean, y, _: xlogy(y, mean) + xlogy(1 - y, 1 - mean),
        saturated=lambda y: -xlogy(y, y) - xlogy(1 - y, 1 - y),
        allowed=lambda y: (y >= 0) & (y <= 1),
        domain="0 or 1, or a share between them",
        has_dispersion=False,
    ),
    "poisson": Distribution(
        links=("log", "identity"),
        error=lambda mean, y: mean - xlogy(y, mean),
        variance=lambda mean: mean,
        log_likelihood=lambda mean, y, _: xlogy(y, mean) - mean - gammaln(y + 1),
        saturated=lambda y: y - xlogy(y, y),
        allowed=lambda y: (y >= 0) & (y < np.inf),
        domain="0 or more",
        has_dispersion=False,
    ),
    "gamma": Distribution(
        links=("log", "inverse", "identity"),
        error=lambda mean, y: y / mean + jnp.log(mean),
        variance=jnp.square,
        log_likelihood=_gamma,
        saturated=lambda y: 1 + jnp.log(y),
        allowed=lambda y: (y > 0) & (y < np.inf),
        domain="greater than 0",
        has_dispersion=True,
    ),
}


class _ByLinear(NamedTuple):
    """Minus the log likelihood, and its expected second derivative, by the linear prediction."""

    error: Callable[[Array, Array], Array]
    information: Elementwise


def _small_power(linear: Array) -> Array:
    # A choice, where abs would have no derivative at 0.
    return jnp.exp(jnp.where(linear >= 0, -linear, linear))


def _logistic(linear: Array, y: Array) -> Array:
    """Return log(1 + exp(linear)) - y · linear by one power, which its derivative and the information share."""
    return jnp.where(linear >= 0, linear, 0) + jnp.log1p(_small_power(linear)) - y * linear


def _information_of_logit(linear: Array) -> Array:
    power = _small_power(linear)
    return power / jnp.square(1 + power)


def _log_of_cloglog(linear: Array) -> Array:
    """Return the logarithm of 1 - exp(-exp(linear))."""
    small = linear < _SMALL
    return jnp.where(small, linear, jnp.log(-jnp.expm1(-jnp.exp(jnp.maximum(linear, _SMALL)))))


def _information_of_cloglog(linear: Array) -> Array:
    power = jnp.exp(jnp.clip(linear, -_LARGE, _VANISHED))
    return jnp.square(power) / jnp.expm1(power)


# Of x: below the first, 1 - exp(-exp(x)) is exp(x) to rounding; up to the second, exp(x) has a square in float64; above the
# third, exp(-exp(x)) is nothing beside 1.
_SMALL, _LARGE, _VANISHED = -40.0, 350.0, 6.0
# Formulas for where the way over the mean loses digits, overflows, or divides zero by zero.
_STABLE = {
    ("binomial", "logit"): _ByLinear(_logistic, _information_of_logit),
    ("binomial", "probit"): _ByLinear(
        lambda linear, y: -y * log_ndtr(linear) - (1 - y) * log_ndtr(-linear),
        lambda linear: jnp.exp(2 * norm.logpdf(linear) - log_ndtr(linear) - log_ndtr(-linear)),
    ),
    ("binomial", "cloglog"): _ByLinear(
        lambda linear, y: (
            (1 - y) * jnp.exp(jnp.minimum(linear, _LARGE)) - y * _log_of_cloglog(linear)
        ),
        _information_of_cloglog,
    ),
    ("poisson", "log"): _ByLinear(lambda linear, y: jnp.exp(linear) - y * linear, jnp.exp),
    ("gamma", "log"): _ByLinear(
        lambda linear, y: y * jnp.exp(-linear) + linear, lambda linear: jnp.ones_like(linear)
    ),
}


class Family(NamedTuple):
    """A distribution with a link.

    Attributes:
        name, link, distribution: as in the tables.
        error: (linear, y) -> minus the log likelihood by the linear prediction; elementwise, for `mean_loss`.
        information: linear -> the expected second derivative of the error.
        to_mean, of_mean: of the linear prediction to the mean, and back.
    """

    name: str
    link: str
    distribution: Distribution
    error: Callable[[Array, Array], Array]
    information: Elementwise
    to_mean: Elementwise
    of_mean: Elementwise

    def deviance(self, mean: ArrayLike, y: ArrayLike, counts: ArrayLike = 1.0) -> float:
        """Return twice the log likelihood that is missing from that of the targets as their own means.

        Args:
            mean: of each row's target, shape (rows,).
            y: the targets, shape (rows,).
            counts: how often each row counts.

        (P. McCullagh, J. A. Nelder, "Generalized Linear Models" (1989), 2.3.)

        >>> float(f"{family_of('poisson').deviance(np.array([2.0]), np.array([1.0])):.6f}")
        0.613706
        """
        errors = self.distribution.error(jnp.asarray(mean), jnp.asarray(y))
        missing = np.asarray(errors - self.distribution.saturated(jnp.asarray(y)))
        return float(2 * np.sum(counts * missing))


@lru_cache(maxsize=64)
def family_of(name: str, link: str | None = None) -> Family:
    """Return a family by its name, and its link, the usual one unless given.

    Raises:
        ValueError: there is no such family or link.

    >>> family_of("poisson").link, family_of("gamma", "inverse").link
    ('log', 'inverse')
    """
    if name not in DISTRIBUTIONS:
        raise ValueError(f"family must be one of {', '.join(DISTRIBUTIONS)}, got {name!r}")
    distribution = DISTRIBUTIONS[name]
    chosen = distribution.links[0] if link is None else link
    if chosen not in distribution.links:
        raise ValueError(
            f"the links of family {name!r} are {', '.join(distribution.links)}, got {link!r}"
        )
    of_mean, to_mean = LINKS[chosen]

    def error(linear: Array, y: Array) -> Array:
        return distribution.error(to_mean(linear), y)

    def information(linear: Array) -> Array:
        mean, slope = jax.jvp(to_mean, (linear,), (jnp.ones_like(linear),))
        variance = distribution.variance(mean)
        # A mean at the edge of its range has neither, and tells as good as nothing.
        vanished = variance == 0
        return jnp.where(vanished, 0, jnp.square(slope) / jnp.where(vanished, 1, variance))

    by_linear = _STABLE.get((name, chosen), _ByLinear(error, information))
    return Family(name, chosen, distribution, *by_linear, to_mean, of_mean)
