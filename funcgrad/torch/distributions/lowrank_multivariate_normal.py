"""`LowRankMultivariateNormal`."""

import math
from functools import cached_property
from typing import Any, ClassVar

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch.distributions import constraints
from funcgrad.torch.distributions.distribution import Distribution
from funcgrad.torch.distributions.utils import _standard_normal

__all__ = ["LowRankMultivariateNormal"]


def __dir__() -> list[str]:
    return __all__


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
        a, b = (
            _standard_normal(each, self.loc.dtype, self.loc.device)
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
