"""`TransformedDistribution`."""

from typing import Any, Self

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.size import Size
from funcgrad.torch.distributions import constraints
from funcgrad.torch.distributions.distribution import Distribution
from funcgrad.torch.distributions.independent import Independent
from funcgrad.torch.distributions.transforms import ComposeTransform, Transform
from funcgrad.torch.distributions.utils import _sum_rightmost

__all__ = ["TransformedDistribution"]


def __dir__() -> list[str]:
    return __all__


class TransformedDistribution(Distribution):
    """The distribution of a transformed value.

    Args:
        base_distribution: of the value.
        transforms: a transform, or a list of them, the first one first.
        validate_args: whether to check values.

    Raises:
        ValueError: `transforms` is something else.

    >>> import funcgrad.torch as torch
    >>> D = torch.distributions
    >>> squashed = D.TransformedDistribution(D.Normal(0.0, 1.0), D.TanhTransform())
    >>> squashed.log_prob(torch.tensor(0.0))
    tensor(-0.9189)
    """

    def __init__(
        self, base_distribution: Any, transforms: Any, validate_args: bool | None = None
    ) -> None:
        if isinstance(transforms, Transform):
            self.transforms = [transforms]
        elif not isinstance(transforms, list):
            raise ValueError(f"transforms must be a Transform or list, but was {transforms}")
        elif not all(isinstance(each, Transform) for each in transforms):
            raise ValueError("transforms must be a Transform or a list of Transforms")
        else:
            self.transforms = transforms
        whole = ComposeTransform(self.transforms)
        shape = base_distribution.batch_shape + base_distribution.event_shape
        dims = len(base_distribution.event_shape)
        if len(shape) < whole.domain.event_dim:
            raise ValueError(
                f"base_distribution needs to have shape with size at least {whole.domain.event_dim}, but got {shape}."
            )
        forward = Size(whole.forward_shape(shape))
        needed = Size(whole.inverse_shape(forward))
        if shape != needed:
            base_distribution = base_distribution.expand(needed[: len(needed) - dims])
        if whole.domain.event_dim > dims:
            base_distribution = Independent(base_distribution, whole.domain.event_dim - dims)
        self.base_dist = base_distribution
        change = whole.codomain.event_dim - whole.domain.event_dim
        events = max(whole.codomain.event_dim, dims + change)
        cut = len(forward) - events
        super().__init__(forward[:cut], forward[cut:], validate_args=validate_args)

    has_rsample = property(lambda self: self.base_dist.has_rsample)

    @constraints.dependent_property
    def support(self) -> Any:
        """The results of the last transform."""
        if not self.transforms:
            return self.base_dist.support
        last = self.transforms[-1].codomain
        more = len(self.event_shape) - last.event_dim
        return constraints.independent(last, more) if more > 0 else last

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        """The same distribution with its batch shape expanded."""
        shape = Size(batch_shape) + self.event_shape
        for each in reversed(self.transforms):
            shape = Size(each.inverse_shape(shape))
        base = self.base_dist.expand(shape[: len(shape) - len(self.base_dist.event_shape)])
        made = self._get_checked_instance(self._class(), _instance)
        TransformedDistribution.__init__(made, base, self.transforms, validate_args=False)
        made._validate_args = self._validate_args
        return made

    def _forward(self, value: Any) -> Any:
        for each in self.transforms:
            value = each(value)
        return value

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Transformed draws without a gradient."""
        with torch.no_grad():
            return self._forward(self.base_dist.sample(sample_shape))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Transformed draws."""
        return self._forward(self.base_dist.rsample(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """The base's logarithm at the inverse, less the logarithm of the slope."""
        if self._validate_args:
            self._validate_sample(value)
        dims = len(self.event_shape)
        found: Any = 0.0
        for each in reversed(self.transforms):
            before = each.inv(value)
            dims += each.domain.event_dim - each.codomain.event_dim
            slope = each.log_abs_det_jacobian(before, value)
            found = found - _sum_rightmost(slope, dims - each.domain.event_dim)
            value = before
        base = self.base_dist.log_prob(value)
        return found + _sum_rightmost(base, dims - len(self.base_dist.event_shape))

    def _monotone(self, value: Any) -> Any:
        sign: Any = 1
        for each in self.transforms:
            sign = sign * each.sign
        return value if isinstance(sign, int) and sign == 1 else sign * (value - 0.5) + 0.5

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of at most a value."""
        for each in reversed(self.transforms):
            value = each.inv(value)
        if self._validate_args:
            self.base_dist._validate_sample(value)
        return self._monotone(self.base_dist.cdf(value))

    def icdf(self, value: Tensor) -> Tensor:
        """The quantile of a probability."""
        return self._forward(self.base_dist.icdf(self._monotone(value)))


class _OfParameters(TransformedDistribution):
    """Base of transformed distributions that are made anew of their parameters."""

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        """The same distribution with its batch shape expanded."""
        given = {name: getattr(self, name).expand(batch_shape) for name in self._given}
        return self._remade(_instance, **given)
