"""`biject_to` and `transform_to`: the transform of all real numbers to the set that a constraint describes.

Behaviour: https://pytorch.org/docs/stable/distributions.html#module-torch.distributions.constraint_registry
"""

from collections.abc import Callable
from functools import partial
from numbers import Number
from typing import Any

from funcgrad.torch.distributions import constraints, transforms

__all__ = ["ConstraintRegistry", "biject_to", "transform_to"]


def __dir__() -> list[str]:
    return __all__


class ConstraintRegistry:
    """Transforms by constraint.

    >>> import funcgrad.torch as torch
    >>> D = torch.distributions
    >>> D.transform_to(D.constraints.interval(1.0, 3.0))(torch.zeros(1))
    tensor([2.])
    """

    def __init__(self) -> None:
        self._registry: dict[type, Callable[[Any], Any]] = {}

    def register(self, constraint: Any, factory: Callable[[Any], Any] | None = None) -> Any:
        """Give a constraint's class, or that of a constraint, a function that makes its transform. Also a decorator.

        Raises:
            TypeError: it is no constraint.
        """
        if factory is None:
            return lambda factory: self.register(constraint, factory)
        if isinstance(constraint, constraints.Constraint):
            constraint = type(constraint)
        if not isinstance(constraint, type) or not issubclass(constraint, constraints.Constraint):
            raise TypeError(
                f"Expected constraint to be either a Constraint subclass or instance, but got {constraint}"
            )
        self._registry[constraint] = factory
        return factory

    def __call__(self, constraint: Any) -> Any:
        """The transform of a constraint.

        Raises:
            NotImplementedError: there is none.
        """
        if type(constraint) not in self._registry:
            raise NotImplementedError(f"Cannot transform {type(constraint).__name__} constraints")
        return self._registry[type(constraint)](constraint)


biject_to, transform_to = ConstraintRegistry(), ConstraintRegistry()


def _shifted_exp(bound: Any, sign: int) -> Any:
    steps = [transforms.ExpTransform(), transforms.AffineTransform(bound, sign)]
    return transforms.ComposeTransform(steps)


def _interval(constraint: Any) -> Any:
    low, high = constraint.lower_bound, constraint.upper_bound
    if isinstance(low, Number) and isinstance(high, Number) and (low, high) == (0, 1):
        return transforms.SigmoidTransform()
    steps = [transforms.SigmoidTransform(), transforms.AffineTransform(low, high - low)]
    return transforms.ComposeTransform(steps)


def _positive_definite(_constraint: Any) -> Any:
    return transforms.PositiveDefiniteTransform()


def _fill() -> None:
    """Register PyTorch's constraints."""
    # For both registries; `to` is the registry itself, for constraints that are made of others.
    rows: list[tuple[Any, Callable[..., Any]]] = [
        (constraints.real, lambda _c, to: transforms.identity_transform),
        (constraints.independent, lambda c, to: transforms.IndependentTransform(to(c.base_constraint), c.reinterpreted_batch_ndims)),
        (constraints.greater_than, lambda c, to: _shifted_exp(c.lower_bound, 1)),
        (constraints.greater_than_eq, lambda c, to: _shifted_exp(c.lower_bound, 1)),
        (constraints.less_than, lambda c, to: _shifted_exp(c.upper_bound, -1)),
        (constraints.interval, lambda c, to: _interval(c)),
        (constraints.half_open_interval, lambda c, to: _interval(c)),
        (constraints.corr_cholesky, lambda _c, to: transforms.CorrCholeskyTransform()),
        (constraints.cat, lambda c, to: transforms.CatTransform([to(each) for each in c.cseq], c.dim, c.lengths)),
        (constraints.stack, lambda c, to: transforms.StackTransform([to(each) for each in c.cseq], c.dim)),
    ]  # fmt: skip
    for registry in (biject_to, transform_to):
        for constraint, make in rows:
            registry.register(constraint, partial(make, to=registry))
    biject_to.register(constraints.simplex, lambda _: transforms.StickBreakingTransform())
    transform_to.register(constraints.simplex, lambda _: transforms.SoftmaxTransform())
    transform_to.register(constraints.lower_cholesky, lambda _: transforms.LowerCholeskyTransform())
    transform_to.register(constraints.positive_definite, _positive_definite)
    transform_to.register(constraints.positive_semidefinite, _positive_definite)


_fill()
