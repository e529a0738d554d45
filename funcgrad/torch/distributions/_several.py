"""Distributions of vectors: `MultivariateNormal`, and `Independent`, which makes one of a batch."""

import math
from functools import cached_property
from typing import Any, ClassVar, Self

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.size import Size
from funcgrad.torch.distributions import constraints
from funcgrad.torch.distributions.distribution import Distribution

__all__ = ["Independent", "MultivariateNormal"]


def _summed(tensor: Tensor, dims: int) -> Tensor:
    """The sum over the last `dims` dimensions."""
    return tensor if dims == 0 else tensor.reshape(*tensor.shape[:-dims], -1).sum(-1)


class Independent(Distribution):
    """A distribution whose last batch dimensions are dimensions of one event.

    Args:
        base_distribution: the distribution.
        reinterpreted_batch_ndims: how many batch dimensions, from the last.
        validate_args: whether to check values.

    Raises:
        ValueError: it has fewer batch dimensions.
    """

    def __init__(
        self,
        base_distribution: Distribution,
        reinterpreted_batch_ndims: int,
        validate_args: bool | None = None,
    ) -> None:
        batch, event = base_distribution.batch_shape, base_distribution.event_shape
        if reinterpreted_batch_ndims > len(batch):
            raise ValueError(
                "Expected reinterpreted_batch_ndims <= len(base_distribution.batch_shape), "
                f"actual {reinterpreted_batch_ndims} vs {len(batch)}"
            )
        self.base_dist = base_distribution
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims
        kept = len(batch) - reinterpreted_batch_ndims
        super().__init__(batch[:kept], batch[kept:] + event, validate_args=validate_args)

    has_rsample = property(lambda self: self.base_dist.has_rsample)
    mean = property(lambda self: self.base_dist.mean)
    mode = property(lambda self: self.base_dist.mode)
    variance = property(lambda self: self.base_dist.variance)

    @property
    def support(self) -> Any:
        """The support of the base, of the last dimensions together."""
        dims = self.reinterpreted_batch_ndims
        base = self.base_dist.support
        return constraints.independent(base, dims) if dims and base is not None else base

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws of the base."""
        return self.base_dist.sample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws of the base, with a gradient."""
        return self.base_dist.rsample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """The sum of the base's logarithms."""
        return _summed(self.base_dist.log_prob(value), self.reinterpreted_batch_ndims)

    def entropy(self) -> Tensor:
        """The sum of the base's entropies."""
        return _summed(self.base_dist.entropy(), self.reinterpreted_batch_ndims)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All values that can be drawn, along the first dimension.

        Raises:
            NotImplementedError: an event has several values.
        """
        if self.reinterpreted_batch_ndims:
            raise NotImplementedError("Enumeration over cartesian product is not implemented")
        return self.base_dist.enumerate_support(expand)

    def expand(self, batch_shape: Any) -> Self:
        """The same distribution with its batch shape expanded."""
        dims = self.reinterpreted_batch_ndims
        events = self.event_shape[:dims]
        base = self.base_dist.expand(Size(batch_shape) + events)
        return type(self)(base, dims, validate_args=False)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_dist}, {self.reinterpreted_batch_ndims})"


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
        if name == "precision_matrix":
            # The Cholesky factor of an inverse, by the factor of the flipped matrix.
            flipped = torch.linalg.cholesky(torch.flip(matrix, (-2, -1)))
            factor = torch.flip(flipped, (-2, -1)).mT
            eye = torch.eye(matrix.shape[-1], dtype=matrix.dtype)
            factor = torch.linalg.solve_triangular(factor, eye, upper=False)
        else:
            factor = torch.linalg.cholesky(matrix) if name != "scale_tril" else matrix
        self._factor = factor

    _factor: Tensor

    @cached_property
    def scale_tril(self) -> Tensor:
        """The lower Cholesky factor of the covariance matrix."""
        events = self._event_shape
        return self._factor.expand(self._batch_shape + events + events)

    @cached_property
    def covariance_matrix(self) -> Tensor:
        """The covariance matrix."""
        return self.scale_tril @ self.scale_tril.mT

    @cached_property
    def precision_matrix(self) -> Tensor:
        """The inverse of the covariance matrix."""
        return torch.cholesky_inverse(self.scale_tril)

    mean = mode = property(lambda self: self.loc)
    variance = property(lambda self: (self._factor**2).sum(-1).expand(self._extended_shape()))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws `loc + scale_tril @ eps` of standard normal `eps`."""
        eps = torch.empty(self._extended_shape(sample_shape), dtype=self.loc.dtype).normal_()
        return self.loc + (self._factor @ eps.unsqueeze(-1)).squeeze(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        if self._validate_args:
            self._validate_sample(value)
        away = (value - self.loc).unsqueeze(-1)
        factor = self._factor.expand(*away.shape[:-2], *self._factor.shape[-2:])
        white = torch.linalg.solve_triangular(factor, away, upper=False)
        squares = white.pow(2).sum((-2, -1))
        constant = self._event_shape[0] * math.log(2 * math.pi)
        return -0.5 * (constant + squares) - self._half_log_det()

    def entropy(self) -> Tensor:
        """The entropy in nats."""
        whole = 0.5 * self._event_shape[0] * (1.0 + math.log(2 * math.pi)) + self._half_log_det()
        return whole.expand(self._batch_shape) if self._batch_shape else whole

    def _half_log_det(self) -> Tensor:
        return self._factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def expand(self, batch_shape: Any) -> Self:
        """The same distribution with its batch shape expanded."""
        shape = Size(batch_shape)
        loc = self.loc.expand(shape + self._event_shape)
        factor = self._factor.expand(shape + self._event_shape * 2)
        return type(self)(loc, scale_tril=factor, validate_args=False)
