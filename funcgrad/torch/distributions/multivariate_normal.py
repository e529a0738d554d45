"""`MultivariateNormal`."""

import math
from functools import cached_property
from typing import Any, ClassVar, Self

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.size import Size
from funcgrad.torch.distributions import constraints
from funcgrad.torch.distributions.distribution import Distribution
from funcgrad.torch.distributions.utils import _standard_normal

__all__ = ["MultivariateNormal"]


def __dir__() -> list[str]:
    return __all__


def _factor_of(name: str, matrix: Tensor) -> Tensor:
    """The lower Cholesky factor of the covariance matrix, of the matrix with this name."""
    if name == "scale_tril":
        return matrix
    if name == "covariance_matrix":
        return torch.linalg.cholesky(matrix)
    return _precision_to_scale_tril(matrix)


def _precision_to_scale_tril(P: Tensor) -> Tensor:
    """The Cholesky factor of an inverse, by the factor of the flipped matrix."""
    flipped = torch.linalg.cholesky(torch.flip(P, (-2, -1)))
    factor = torch.flip(flipped, (-2, -1)).mT
    eye = torch.eye(P.shape[-1], dtype=P.dtype, device=P.device)
    return torch.linalg.solve_triangular(factor, eye, upper=False)


class MultivariateNormal(Distribution):
    """The normal distribution of vectors.

    Args:
        loc: the mean.
        covariance_matrix: positive definite.
        precision_matrix: instead, the inverse of the covariance matrix.
        scale_tril: instead, the lower Cholesky factor of the covariance matrix.
        validate_args: whether to check parameters and values.

    Raises:
        ValueError: not exactly one of the three matrices is given, or shapes do not fit.
    """

    arg_constraints: ClassVar[Any] = {
        "loc": constraints.real_vector,
        "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
    }
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self,
        loc: Tensor,
        covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None,
        scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        if loc.dim() < 1:
            raise ValueError("loc must be at least one-dimensional.")
        matrices = {
            "covariance_matrix": covariance_matrix,
            "scale_tril": scale_tril,
            "precision_matrix": precision_matrix,
        }
        given = {name: matrix for name, matrix in matrices.items() if matrix is not None}
        if len(given) != 1:
            raise ValueError(
                "Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified."
            )
        ((name, matrix),) = given.items()
        if matrix.dim() < 2:
            raise ValueError(
                f"{name} must be at least two-dimensional, with optional leading batch dimensions"
            )
        batch = torch.broadcast_shapes(matrix.shape[:-2], loc.shape[:-1])
        self.loc = loc.expand((*batch, -1))
        setattr(self, name, matrix.expand((*batch, -1, -1)))
        super().__init__(batch, self.loc.shape[-1:], validate_args=validate_args)
        self._unbroadcasted_scale_tril = _factor_of(name, matrix)

    _unbroadcasted_scale_tril: Tensor

    @cached_property
    def scale_tril(self) -> Tensor:
        """The lower Cholesky factor of the covariance matrix."""
        events = self._event_shape
        return self._unbroadcasted_scale_tril.expand(self._batch_shape + events + events)

    @cached_property
    def covariance_matrix(self) -> Tensor:
        """The covariance matrix."""
        return self.scale_tril @ self.scale_tril.mT

    @cached_property
    def precision_matrix(self) -> Tensor:
        """The inverse of the covariance matrix."""
        return torch.cholesky_inverse(self.scale_tril)

    mean = mode = property(lambda self: self.loc)
    variance = property(
        lambda self: (self._unbroadcasted_scale_tril**2).sum(-1).expand(self._extended_shape())
    )

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws `loc + scale_tril @ eps` of standard normal `eps`."""
        eps = _standard_normal(self._extended_shape(sample_shape), self.loc.dtype, self.loc.device)
        return self.loc + (self._unbroadcasted_scale_tril @ eps.unsqueeze(-1)).squeeze(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        if self._validate_args:
            self._validate_sample(value)
        away = (value - self.loc).unsqueeze(-1)
        factor = self._unbroadcasted_scale_tril.expand(
            *away.shape[:-2], *self._unbroadcasted_scale_tril.shape[-2:]
        )
        white = torch.linalg.solve_triangular(factor, away, upper=False)
        squares = white.pow(2).sum((-2, -1))
        constant = self._event_shape[0] * math.log(2 * math.pi)
        return -0.5 * (constant + squares) - self._half_log_det()

    def entropy(self) -> Tensor:
        """The entropy in nats."""
        whole = 0.5 * self._event_shape[0] * (1.0 + math.log(2 * math.pi)) + self._half_log_det()
        return whole.expand(self._batch_shape) if self._batch_shape else whole

    def _half_log_det(self) -> Tensor:
        return self._unbroadcasted_scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        """The same distribution with its batch shape expanded."""
        shape = Size(batch_shape)
        loc = self.loc.expand(shape + self._event_shape)
        factor = self._unbroadcasted_scale_tril.expand(shape + self._event_shape * 2)
        return self._remade(_instance, loc, scale_tril=factor)
