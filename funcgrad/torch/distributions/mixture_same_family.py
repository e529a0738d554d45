"""`MixtureSameFamily`."""

from typing import Any, Self

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.size import Size
from funcgrad.torch.distributions import constraints
from funcgrad.torch.distributions.categorical import Categorical
from funcgrad.torch.distributions.distribution import Distribution

__all__ = ["MixtureSameFamily"]


def __dir__() -> list[str]:
    return __all__


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

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        """The same distribution with its batch shape expanded."""
        shape = Size(batch_shape)
        parts = self.component_distribution.expand(shape + self.component_distribution.batch_shape[-1:])  # fmt: skip
        return self._remade(_instance, self.mixture_distribution.expand(shape), parts)

    @constraints.dependent_property
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
