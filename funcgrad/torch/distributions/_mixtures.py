"""Mixtures and a normal distribution of few factors: `MixtureSameFamily`, `LowRankMultivariateNormal`; and `VonMises`, of angles."""

import math
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.size import Size
from funcgrad.torch.distributions import constraints
from funcgrad.torch.distributions._discrete import Categorical
from funcgrad.torch.distributions.distribution import Distribution, _broadcast_all

__all__ = ["LowRankMultivariateNormal", "MixtureSameFamily", "VonMises"]


class MixtureSameFamily(Distribution):
    """A mixture of distributions of one family.

    Args:
        mixture_distribution: a `Categorical`, the weights of the components.
        component_distribution: the components, along the last batch dimension.
        validate_args: whether to check values.

    Raises:
        ValueError: an argument is something else, or the numbers of components differ.

    >>> import funcgrad.torch as torch
    >>> D = torch.distributions
    >>> mixture = D.MixtureSameFamily(D.Categorical(torch.ones(2)), D.Normal(torch.tensor([-1.0, 1.0]), 1.0))
    >>> mixture.mean, mixture.variance
    (tensor(0.), tensor(2.))
    """

    def __init__(
        self,
        mixture_distribution: Any,
        component_distribution: Any,
        validate_args: bool | None = None,
    ) -> None:
        if not isinstance(mixture_distribution, Categorical):
            raise ValueError(
                " The Mixture distribution needs to be an  instance of torch.distributions.Categorical"
            )
        if not isinstance(component_distribution, Distribution):
            raise ValueError(
                "The Component distribution needs to be an instance of torch.distributions.Distribution"
            )
        weights, parts = mixture_distribution, component_distribution
        batch, given = parts.batch_shape[:-1], weights.batch_shape
        for mine, other in zip(reversed(given), reversed(batch), strict=False):
            if 1 not in (mine, other) and mine != other:
                raise ValueError(
                    f"`mixture_distribution.batch_shape` ({given}) is not compatible with "
                    f"`component_distribution.batch_shape`({batch})"
                )
        count = weights.logits.shape[-1]
        if count != parts.batch_shape[-1]:
            raise ValueError(
                f"`mixture_distribution component` ({count}) does not equal `component_distribution.batch_shape[-1]` "
                f"({parts.batch_shape[-1]})"
            )
        self.mixture_distribution, self.component_distribution = weights, parts
        super().__init__(batch, parts.event_shape, validate_args=validate_args)

    def expand(self, batch_shape: Any) -> Self:
        """The same distribution with its batch shape expanded."""
        shape = Size(batch_shape)
        parts = self.component_distribution.expand(shape + self.component_distribution.batch_shape[-1:])  # fmt: skip
        return type(self)(self.mixture_distribution.expand(shape), parts, validate_args=False)

    @property
    def support(self) -> Any:
        """The support of the components."""
        return constraints.MixtureSameFamilyConstraint(self.component_distribution.support)

    def _weighted(self, of: Any) -> Any:
        """The sum over the components of something, with their weights."""
        dims = len(self.event_shape)
        probs = self.mixture_distribution.probs
        return (probs.reshape(*probs.shape, *(1,) * dims) * of).sum(-1 - dims)

    def _each(self, value: Any) -> Any:
        """The value, for each component."""
        return value.unsqueeze(-1 - len(self.event_shape))

    @property
    def mean(self) -> Tensor:
        """The mean."""
        return self._weighted(self.component_distribution.mean)

    @property
    def variance(self) -> Tensor:
        """The variance: the mean of the components' variances, and the variance of their means."""
        away = self.component_distribution.mean - self._each(self.mean)
        return self._weighted(self.component_distribution.variance) + self._weighted(away.pow(2))

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of at most a value."""
        found = self.component_distribution.cdf(self._each(value))
        return torch.sum(found * self.mixture_distribution.probs, dim=-1)

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density, or of the probability."""
        if self._validate_args:
            self._validate_sample(value)
        found = self.component_distribution.log_prob(self._each(value))
        weights = torch.log_softmax(self.mixture_distribution.logits, dim=-1)
        return torch.logsumexp(found + weights, dim=-1)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws of a component, after a draw of which."""
        with torch.no_grad():
            place = len(sample_shape) + len(self.batch_shape)
            chosen = self.mixture_distribution.sample(sample_shape)
            drawn = self.component_distribution.sample(sample_shape)
            ones = (1,) * (len(self.event_shape) + 1)
            index = chosen.reshape(*chosen.shape, *ones)
            wide = (*drawn.shape[:place], 1, *drawn.shape[place + 1 :])
            return torch.gather(drawn, place, index.expand(wide)).squeeze(place)

    def __repr__(self) -> str:
        return f"MixtureSameFamily(\n  {self.mixture_distribution},\n  {self.component_distribution})"  # fmt: skip


class LowRankMultivariateNormal(Distribution):
    """The normal distribution of vectors whose covariance matrix is `W @ W.T + diag(d)`.

    Args:
        loc: the mean, (..., n).
        cov_factor: W, (..., n, k).
        cov_diag: d, (..., n), positive.
        validate_args: whether to check parameters and values.

    Raises:
        ValueError: shapes do not fit.
    """

    arg_constraints: ClassVar[Any] = {
        "loc": constraints.real_vector,
        "cov_factor": constraints.independent(constraints.real, 2),
        "cov_diag": constraints.independent(constraints.positive, 1),
    }
    support = constraints.real_vector
    has_rsample = True
    _given = ("loc", "cov_factor", "cov_diag")

    def __init__(
        self, loc: Any, cov_factor: Any, cov_diag: Any, validate_args: bool | None = None
    ) -> None:
        if loc.dim() < 1:
            raise ValueError("loc must be at least one-dimensional.")
        if cov_factor.dim() < 2:
            raise ValueError(
                "cov_factor must be at least two-dimensional, with optional leading batch dimensions"
            )
        event = loc.shape[-1:]
        if cov_factor.shape[-2:-1] != event:
            raise ValueError(f"cov_factor must be a batch of matrices with shape {event[0]} x m")
        if cov_diag.shape[-1:] != event:
            raise ValueError(f"cov_diag must be a batch of vectors with shape {event}")
        try:
            batch = torch.broadcast_shapes(loc.shape[:-1], cov_factor.shape[:-2], cov_diag.shape[:-1])  # fmt: skip
        except RuntimeError:
            raise ValueError(
                f"Incompatible batch shapes: loc {loc.shape}, cov_factor {cov_factor.shape}, cov_diag {cov_diag.shape}"
            ) from None
        self.loc = loc.expand(*batch, -1)
        self.cov_factor = cov_factor.expand(*batch, -1, -1)
        self.cov_diag = cov_diag.expand(*batch, -1)
        super().__init__(batch, event, validate_args=validate_args)

    mean = mode = property(lambda self: self.loc)

    @property
    def variance(self) -> Tensor:
        """The variance of each element."""
        return self.cov_factor.pow(2).sum(-1) + self.cov_diag

    @cached_property
    def covariance_matrix(self) -> Tensor:
        """The covariance matrix."""
        return self.cov_factor @ self.cov_factor.mT + torch.diag_embed(self.cov_diag)

    @cached_property
    def scale_tril(self) -> Tensor:
        """The lower Cholesky factor of the covariance matrix."""
        return torch.linalg.cholesky(self.covariance_matrix)

    @cached_property
    def precision_matrix(self) -> Tensor:
        """The inverse of the covariance matrix."""
        scaled = self.cov_factor.mT / self.cov_diag.unsqueeze(-2)
        rest = torch.linalg.solve_triangular(self._small, scaled, upper=False)
        return torch.diag_embed(self.cov_diag.reciprocal()) - rest.mT @ rest

    @cached_property
    def _small(self) -> Tensor:
        """The Cholesky factor of `I + W.T @ diag(1 / d) @ W`, a k x k matrix."""
        scaled = self.cov_factor.mT / self.cov_diag.unsqueeze(-2)
        eye = torch.eye(self.cov_factor.shape[-1], dtype=self.loc.dtype)
        return torch.linalg.cholesky(scaled @ self.cov_factor + eye)

    def _log_det(self) -> Any:
        small = self._small.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return 2 * small + self.cov_diag.log().sum(-1)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws `loc + W @ a + sqrt(d) * b` of standard normal `a` and `b`."""
        shape = self._extended_shape(sample_shape)
        dtype = self.loc.dtype
        a, b = (
            torch.empty(each, dtype=dtype).normal_()
            for each in ((*shape[:-1], self.cov_factor.shape[-1]), shape)
        )
        return self.loc + (self.cov_factor @ a.unsqueeze(-1)).squeeze(-1) + self.cov_diag.sqrt() * b

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density, by the formulas of Woodbury and Sylvester."""
        if self._validate_args:
            self._validate_sample(value)
        away: Any = value - self.loc
        scaled = (self.cov_factor.mT @ (away / self.cov_diag).unsqueeze(-1)).squeeze(-1)
        inner = torch.linalg.solve_triangular(self._small, scaled.unsqueeze(-1), upper=False)
        distance = (away.pow(2) / self.cov_diag).sum(-1) - inner.squeeze(-1).pow(2).sum(-1)
        constant = self.event_shape[0] * math.log(2 * math.pi)
        return -0.5 * (constant + self._log_det() + distance)

    def entropy(self) -> Tensor:
        """The entropy in nats."""
        return 0.5 * (self.event_shape[0] * (1 + math.log(2 * math.pi)) + self._log_det())


# Polynomials for the modified Bessel functions of orders 0 and 1, each for small and for large arguments.
# Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 9.8.1 to 9.8.4.
_BESSEL = (
    ((1.0, 3.5156229, 3.0899424, 1.2067492, 0.2659732, 0.360768e-1, 0.45813e-2),
     (0.39894228, 0.1328592e-1, 0.225319e-2, -0.157565e-2, 0.916281e-2, -0.2057706e-1, 0.2635537e-1, -0.1647633e-1, 0.392377e-2)),
    ((0.5, 0.87890594, 0.51498869, 0.15084934, 0.2658733e-1, 0.301532e-2, 0.32411e-3),
     (0.39894228, -0.3988024e-1, -0.362018e-2, 0.163801e-2, -0.1031555e-1, 0.2282967e-1, -0.2895312e-1, 0.1787654e-1, -0.420059e-2)),
)  # fmt: skip


def _log_bessel(x: Any, order: int) -> Any:
    """The logarithm of the modified Bessel function of the first kind."""
    small, large = (
        sum(c * y**k for k, c in enumerate(coefficients))
        for y, coefficients in zip(((x / 3.75) ** 2, 3.75 / x), _BESSEL[order], strict=True)
    )
    small = (x.abs() * small if order else small).log()
    return torch.where(x < 3.75, small, x - 0.5 * x.log() + large.log())


class VonMises(Distribution):
    """The normal distribution's kin on a circle.

    Args:
        loc: the mean angle, in radians.
        concentration: positive; the larger, the closer are draws to `loc`.
        validate_args: whether to check parameters and values.

    Source: Best, Fisher, "Efficient simulation of the von Mises distribution", 1979.
    """

    arg_constraints: ClassVar[Any] = {
        "loc": constraints.real,
        "concentration": constraints.positive,
    }
    support = constraints.real
    _given = ("loc", "concentration")

    def __init__(self, loc: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.loc, self.concentration = _broadcast_all(loc, concentration)
        super().__init__(self.loc.shape, validate_args=validate_args)

    mean = mode = property(lambda self: self.loc)

    @property
    def variance(self) -> Tensor:
        """The circular variance."""
        ratio = _log_bessel(self.concentration, 1) - _log_bessel(self.concentration, 0)
        return 1 - ratio.exp()

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        if self._validate_args:
            self._validate_sample(value)
        peak = self.concentration * torch.cos(value - self.loc)
        return peak - math.log(2 * math.pi) - _log_bessel(self.concentration, 0)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws: proposals of a wrapped Cauchy, rejected until each is accepted."""
        shape = self._extended_shape(sample_shape)
        kappa = self.concentration.detach().double().numpy()
        loc = self.loc.detach().double().numpy()
        tau = 1 + np.sqrt(1 + 4 * kappa**2)
        rho = (tau - np.sqrt(2 * tau)) / (2 * kappa)
        r = np.where(kappa < 1e-5, 1 / kappa + kappa, (1 + rho**2) / (2 * rho))
        found, done = np.empty(shape), np.zeros(shape, bool)
        while not done.all():
            u1, u2, u3 = torch.rand((3, *shape), dtype=torch.float64).numpy()
            z = np.cos(math.pi * u1)
            f = (1 + r * z) / (r + z)
            c = kappa * (r - f)
            with np.errstate(divide="ignore", invalid="ignore"):
                accept = (c * (2 - c) - u2 > 0) | (np.log(c / u2) + 1 - c >= 0)
            found = np.where(accept, np.sign(u3 - 0.5) * np.arccos(f), found)
            done |= accept
        angles = (found + math.pi + loc) % (2 * math.pi) - math.pi
        return torch.tensor(angles, dtype=self.loc.dtype)
