"""`Independent`."""

from typing import Any, Self

from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.size import Size
from funcgrad.torch.distributions import constraints
from funcgrad.torch.distributions.distribution import Distribution
from funcgrad.torch.distributions.utils import _sum_rightmost

__all__ = ["Independent"]


def __dir__() -> list[str]:
    return __all__


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

    @constraints.dependent_property
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
        return _sum_rightmost(self.base_dist.log_prob(value), self.reinterpreted_batch_ndims)

    def entropy(self) -> Tensor:
        """The sum of the base's entropies."""
        return _sum_rightmost(self.base_dist.entropy(), self.reinterpreted_batch_ndims)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All values that can be drawn, along the first dimension.

        Raises:
            NotImplementedError: an event has several values.
        """
        if self.reinterpreted_batch_ndims:
            raise NotImplementedError("Enumeration over cartesian product is not implemented")
        return self.base_dist.enumerate_support(expand)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        """The same distribution with its batch shape expanded."""
        dims = self.reinterpreted_batch_ndims
        events = self.event_shape[:dims]
        base = self.base_dist.expand(Size(batch_shape) + events)
        return self._remade(_instance, base, dims)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_dist}, {self.reinterpreted_batch_ndims})"
