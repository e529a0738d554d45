"""`LKJCholesky`."""

import math
from typing import Any, ClassVar, Self

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.size import Size
from funcgrad.torch.distributions import constraints
from funcgrad.torch.distributions.beta import Beta
from funcgrad.torch.distributions.distribution import Distribution
from funcgrad.torch.distributions.utils import broadcast_all

__all__ = ["LKJCholesky"]


def __dir__() -> list[str]:
    return __all__


class LKJCholesky(Distribution):
    """Cholesky factors of correlation matrices, with a density of `det(L @ L.T) ** (concentration - 1)` for the matrices.

    Args:
        dim: the size of the matrices, at least two.
        concentration: positive; with one all correlation matrices are equally likely.
        validate_args: whether to check parameters and values.

    Raises:
        ValueError: `dim` is less than two.

    Source: Lewandowski, Kurowicka, Joe, "Generating random correlation matrices based on vines and extended onion method",
    2009. Draws are by its onion method, section 3.2.
    """

    arg_constraints: ClassVar[Any] = {"concentration": constraints.positive}
    support = constraints.corr_cholesky

    def __init__(
        self, dim: int, concentration: Any = 1.0, validate_args: bool | None = None
    ) -> None:
        if dim < 2:
            raise ValueError(
                f"Expected dim to be an integer greater than or equal to 2. Found dim={dim}."
            )
        self.dim = dim
        (self.concentration,) = broadcast_all(concentration)
        rows = torch.arange(dim - 1, dtype=self.concentration.dtype)
        rows = torch.cat([rows.new_zeros((1,)), rows])
        rest = (self.concentration + 0.5 * (dim - 2)).unsqueeze(-1)
        self._beta = Beta(rows + 0.5, rest - 0.5 * rows)
        super().__init__(self.concentration.shape, (dim, dim), validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        """The same distribution with its batch shape expanded."""
        concentration = self.concentration.expand(Size(batch_shape))
        return self._remade(_instance, self.dim, concentration)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws without a gradient: each row is a point on a sphere, of a length drawn from a beta distribution."""
        with torch.no_grad():
            square = self._beta.sample(sample_shape).unsqueeze(-1)
            normal = torch.randn(self._extended_shape(sample_shape), dtype=square.dtype).tril(-1)
            direction = normal / normal.norm(dim=-1, keepdim=True)
            direction[..., 0, :] = 0.0
            below = square.sqrt() * direction
            left = 1 - (below**2).sum(-1)
            return below + left.clamp(min=torch.finfo(below.dtype).tiny).sqrt().diag_embed()

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density of a factor."""
        if self._validate_args:
            self._validate_sample(value)
        diagonal = value.diagonal(dim1=-1, dim2=-2)[..., 1:]
        powers = (
            2 * (self.concentration - 1).unsqueeze(-1) + self.dim - torch.arange(2, self.dim + 1)
        )
        found = (powers * diagonal.log()).sum(-1)
        rest = self.dim - 1
        alpha = self.concentration + 0.5 * rest
        constant = 0.5 * rest * math.log(math.pi) + torch.mvlgamma(alpha - 0.5, rest)
        return found - (constant - torch.lgamma(alpha) * rest)
