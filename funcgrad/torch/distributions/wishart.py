"""`Wishart`."""

import math
import warnings
from functools import cached_property
from numbers import Number
from typing import Any, Self

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.size import Size
from funcgrad.torch.distributions import constraints
from funcgrad.torch.distributions.chi2 import Chi2
from funcgrad.torch.distributions.exp_family import ExponentialFamily
from funcgrad.torch.distributions.multivariate_normal import _factor_of

__all__ = ["Wishart"]


def __dir__() -> list[str]:
    return __all__


class Wishart(ExponentialFamily):
    """The distribution of `df` times the covariance matrix of `df` normal vectors.

    Args:
        df: the degrees of freedom, more than the size of the matrix less one.
        covariance_matrix: of the vectors, positive definite.
        precision_matrix: instead, its inverse.
        scale_tril: instead, its lower Cholesky factor.
        validate_args: whether to check parameters and values.

    Raises:
        AssertionError: not one of the matrices is given.
        ValueError: `df` is too small, or the matrix has fewer than two dimensions.

    Source: Odell, Feiveson, "A numerical procedure to generate a sample covariance matrix", 1966 (Bartlett's
    decomposition).
    """

    support = constraints.positive_definite
    has_rsample = True
    _mean_carrier_measure = 0

    def __init__(
        self,
        df: Any,
        covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None,
        scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        matrices = {
            "covariance_matrix": covariance_matrix,
            "precision_matrix": precision_matrix,
            "scale_tril": scale_tril,
        }
        given = {name: matrix for name, matrix in matrices.items() if matrix is not None}
        if len(given) != 1:
            raise AssertionError(
                "Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified."
            )
        ((name, matrix),) = given.items()
        if matrix.dim() < 2:
            raise ValueError(
                "scale_tril must be at least two-dimensional, with optional leading batch dimensions"
            )
        batch = matrix.shape[:-2]
        if isinstance(df, Number):
            self.df = torch.tensor(df, dtype=matrix.dtype, device=matrix.device)
        else:
            batch = torch.broadcast_shapes(batch, df.shape)
            self.df = df.expand(batch)
        size = matrix.shape[-1]
        if self.df.le(size - 1).any():
            raise ValueError(f"Value of df={df} expected to be greater than ndim - 1 = {size - 1}.")
        setattr(self, name, matrix.expand((*batch, -1, -1)))
        if self.df.lt(size).any():
            warnings.warn(
                "Low df values detected. Singular samples are highly likely to occur for ndim - 1 < df < ndim.",
                stacklevel=2,
            )
        super().__init__(batch, matrix.shape[-2:], validate_args=validate_args)
        self._unbroadcasted_scale_tril = _factor_of(name, matrix)
        rows = torch.arange(size, dtype=matrix.dtype, device=matrix.device)
        self._chi2 = Chi2(self.df.unsqueeze(-1) - rows)

    @property
    def arg_constraints(self) -> Any:
        """The constraints of the parameters."""
        return {
            "covariance_matrix": constraints.positive_definite,
            "precision_matrix": constraints.positive_definite,
            "scale_tril": constraints.lower_cholesky,
            "df": constraints.greater_than(self.event_shape[-1] - 1),
        }

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        """The same distribution with its batch shape expanded."""
        shape = Size(batch_shape)
        factor = self._unbroadcasted_scale_tril.expand(shape + self._event_shape)
        return self._remade(_instance, self.df.expand(shape), scale_tril=factor)

    @cached_property
    def scale_tril(self) -> Tensor:
        """The lower Cholesky factor of the covariance matrix."""
        return self._unbroadcasted_scale_tril.expand(self._batch_shape + self._event_shape)

    @cached_property
    def covariance_matrix(self) -> Tensor:
        """The covariance matrix."""
        return self.scale_tril @ self.scale_tril.mT

    @cached_property
    def precision_matrix(self) -> Tensor:
        """The inverse of the covariance matrix."""
        return torch.cholesky_inverse(self.scale_tril)

    def _spread(self, number: Tensor) -> Tensor:
        return number.unsqueeze(-1).unsqueeze(-1)

    @property
    def mean(self) -> Tensor:
        """The mean."""
        return self._spread(self.df) * self.covariance_matrix

    @property
    def mode(self) -> Tensor:
        """The most likely matrix; NaN where `df` is at most the matrix's size and one."""
        more = self.df - self._event_shape[-1] - 1
        return self._spread(torch.where(more <= 0, math.nan, more)) * self.covariance_matrix

    @property
    def variance(self) -> Tensor:
        """The variance of each element."""
        diagonal = self.covariance_matrix.diagonal(dim1=-2, dim2=-1)
        products = diagonal.unsqueeze(-1) * diagonal.unsqueeze(-2)
        return self._spread(self.df) * (self.covariance_matrix.pow(2) + products)

    def _drawn(self, sample_shape: Any) -> Tensor:
        size = self._event_shape[-1]
        roots = self._chi2.rsample(sample_shape).sqrt()
        noise = roots.clamp(min=torch.finfo(roots.dtype).eps).diag_embed(dim1=-2, dim2=-1)
        row, column = torch.tril_indices(size, size, offset=-1)
        shape = (*sample_shape, *self._batch_shape, size * (size - 1) // 2)
        below = torch.randn(shape, dtype=noise.dtype, device=noise.device)
        noise[..., row, column] = below
        factor = self._unbroadcasted_scale_tril @ noise
        return factor @ factor.mT

    def rsample(self, sample_shape: Any = (), max_try_correction: int | None = None) -> Tensor:
        """Draws, by Bartlett's decomposition.

        Args:
            sample_shape: how many draws.
            max_try_correction: how often singular draws are drawn again; 10 without it.
        """
        drawn = self._drawn(sample_shape)
        # PyTorch takes the regular first draws for the singular ones. The numbers are to be its, so they are drawn again.
        again = self._holds(drawn)
        for _ in range(10 if max_try_correction is None else max_try_correction):
            if not again.any():
                return drawn
            redrawn = self._drawn((int(again.sum()),))
            drawn[again] = redrawn
            again = again.masked_scatter(again, self._holds(redrawn, invert=True))
        warnings.warn("Singular sample detected.", stacklevel=2)
        return drawn

    def _holds(self, drawn: Tensor, invert: bool = False) -> Tensor:
        """For each draw of all batches, whether one of its matrices is regular; with `invert`, singular."""
        regular = self.support.check(drawn)
        found: Any = ~regular if invert else regular
        return found.flatten(-len(self._batch_shape)).any(-1) if self._batch_shape else found

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        if self._validate_args:
            self._validate_sample(value)
        half, size = self.df / 2, self._event_shape[-1]
        scaled = torch.cholesky_solve(value, self._unbroadcasted_scale_tril)
        trace = scaled.diagonal(dim1=-2, dim2=-1).sum(-1)
        volume = torch.linalg.slogdet(value).logabsdet
        found = (self.df - size - 1) / 2 * volume - trace / 2
        return found - torch.mvlgamma(half, p=size) - self.df * self._half_log_det()

    def _half_log_det(self) -> Tensor:
        """Half the logarithm of the determinant of twice the covariance matrix."""
        diagonal = self._unbroadcasted_scale_tril.diagonal(dim1=-2, dim2=-1)
        return self._event_shape[-1] * math.log(2) / 2 + diagonal.log().sum(-1)

    def entropy(self) -> Tensor:
        """The entropy in nats."""
        half, size = self.df / 2, self._event_shape[-1]
        steps = torch.arange(size, dtype=half.dtype, device=half.device) / 2
        digammas = torch.digamma(half.unsqueeze(-1) - steps).sum(-1)
        whole = (size + 1) * self._half_log_det() + torch.mvlgamma(half, p=size)
        return whole - (self.df - size - 1) / 2 * digammas + self.df * size / 2

    @property
    def _natural_params(self) -> tuple[Tensor, Tensor]:
        size = self._event_shape[-1]
        return -self.precision_matrix / 2, (self.df - size - 1) / 2

    def _log_normalizer(self, *natural_params: Tensor) -> Tensor:
        matrix, power = natural_params
        size = self._event_shape[-1]
        half = power + (size + 1) / 2
        volume = -torch.linalg.slogdet(-2 * matrix).logabsdet + math.log(2) * size
        return half * volume + torch.mvlgamma(half, p=size)
