"""Sets of values that a distribution's parameters and samples lie in: each checks a tensor elementwise."""

from typing import Any

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor

__all__ = [
    "Constraint",
    "MixtureSameFamilyConstraint",
    "boolean",
    "dependent",
    "greater_than",
    "greater_than_eq",
    "half_open_interval",
    "independent",
    "integer_interval",
    "interval",
    "less_than",
    "lower_cholesky",
    "multinomial",
    "nonnegative",
    "nonnegative_integer",
    "one_hot",
    "positive",
    "positive_definite",
    "real",
    "real_vector",
    "simplex",
    "unit_interval",
]


def __dir__() -> list[str]:
    return __all__


class Constraint:
    """A set of values; `event_dim` trailing dimensions are one value."""

    event_dim = 0

    def check(self, value: Tensor) -> Tensor:
        """Whether each value lies in the set."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return type(self).__name__[1:] + "()"


class _Dependent(Constraint):
    """A set that depends on other parameters; it cannot be checked."""


class _Real(Constraint):
    def check(self, value: Tensor) -> Tensor:
        return value == value  # not NaN


class _Boolean(Constraint):
    def check(self, value: Tensor) -> Tensor:
        return (value == 0) | (value == 1)


class _Simplex(Constraint):
    event_dim = 1

    def check(self, value: Tensor) -> Tensor:
        return torch.all(value >= 0, dim=-1) & ((value.sum(-1) - 1).abs() < 1e-6)


class _OneHot(Constraint):
    event_dim = 1

    def check(self, value: Tensor) -> Tensor:
        return ((value == 0) | (value == 1)).all(-1) & value.sum(-1).eq(1)


class _Multinomial(Constraint):
    """Counts with at most a sum."""

    event_dim = 1

    def __init__(self, upper_bound: Any) -> None:
        self.upper_bound = upper_bound

    def check(self, value: Tensor) -> Tensor:
        return (value >= 0).all(dim=-1) & (value.sum(dim=-1) <= self.upper_bound)


class _LowerCholesky(Constraint):
    event_dim = 2

    def check(self, value: Tensor) -> Tensor:
        lower = (value.tril() == value).flatten(-2).all(-1)
        return lower & (value.diagonal(dim1=-2, dim2=-1) > 0).all(-1)


class _PositiveDefinite(Constraint):
    event_dim = 2

    def check(self, value: Tensor) -> Tensor:
        symmetric = torch.isclose(value, value.mT, atol=1e-6).all(-2).all(-1)
        if not symmetric.all():
            return symmetric
        return torch.linalg.cholesky_ex(value).info.eq(0)


class _Bounded(Constraint):
    """Values between bounds, which may be tensors."""

    whole = without_lower = without_upper = False

    def __init__(self, **bounds: Any) -> None:
        self.bounds = bounds

    def check(self, value: Tensor) -> Tensor:
        inside = value % 1 == 0 if self.whole else value == value
        low, high = self.bounds.get("lower_bound"), self.bounds.get("upper_bound")
        if low is not None:
            inside = inside & (low < value if self.without_lower else low <= value)
        if high is None:
            return inside
        return inside & (value < high if self.without_upper else value <= high)

    def __repr__(self) -> str:
        bounds = ", ".join(f"{name}={bound}" for name, bound in self.bounds.items())
        return f"{type(self).__name__[1:]}({bounds})"


class _GreaterThan(_Bounded):
    without_lower = True


class _GreaterThanEq(_Bounded):
    pass


class _LessThan(_Bounded):
    without_upper = True


class _HalfOpenInterval(_Bounded):
    without_upper = True


class _Interval(_Bounded):
    pass


class _IntegerInterval(_Bounded):
    whole = True


class _IntegerGreaterThan(_Bounded):
    whole = True


class _IndependentConstraint(Constraint):
    """A set for each of the last dimensions together."""

    def __init__(self, base: Constraint, dims: int) -> None:
        self.base, self.dims, self.event_dim = base, dims, base.event_dim + dims

    def check(self, value: Tensor) -> Tensor:
        inside = self.base.check(value)
        return inside.reshape(*inside.shape[: inside.dim() - self.dims], -1).all(-1)

    def __repr__(self) -> str:
        return f"IndependentConstraint({self.base}, {self.dims})"


class MixtureSameFamilyConstraint(Constraint):
    """The support of a mixture: that of its components."""

    def __init__(self, base_constraint: Constraint) -> None:
        self.base_constraint = base_constraint
        self.event_dim = base_constraint.event_dim

    def check(self, value: Tensor) -> Tensor:
        """Whether each value lies in it."""
        return self.base_constraint.check(value)

    def __repr__(self) -> str:
        return f"MixtureSameFamilyConstraint({self.base_constraint})"


def greater_than(lower_bound: Any) -> Constraint:
    """Numbers above a bound."""
    return _GreaterThan(lower_bound=lower_bound)


def greater_than_eq(lower_bound: Any) -> Constraint:
    """Numbers from a bound on."""
    return _GreaterThanEq(lower_bound=lower_bound)


def half_open_interval(lower_bound: Any, upper_bound: Any) -> Constraint:
    """Numbers between two bounds, the upper one not included."""
    return _HalfOpenInterval(lower_bound=lower_bound, upper_bound=upper_bound)


def less_than(upper_bound: Any) -> Constraint:
    """Numbers below a bound."""
    return _LessThan(upper_bound=upper_bound)


def interval(lower_bound: Any, upper_bound: Any) -> Constraint:
    """Numbers between two bounds, bounds included."""
    return _Interval(lower_bound=lower_bound, upper_bound=upper_bound)


def integer_interval(lower_bound: Any, upper_bound: Any) -> Constraint:
    """Whole numbers between two bounds, bounds included."""
    return _IntegerInterval(lower_bound=lower_bound, upper_bound=upper_bound)


def independent(base: Constraint, dims: int) -> Constraint:
    """A constraint on the last `dims` dimensions together."""
    return _IndependentConstraint(base, dims)


def multinomial(upper_bound: Any) -> Constraint:
    """Counts along the last dimension whose sum is at most a bound."""
    return _Multinomial(upper_bound)


one_hot = _OneHot()
boolean, dependent, real, simplex = _Boolean(), _Dependent(), _Real(), _Simplex()
lower_cholesky, positive_definite = _LowerCholesky(), _PositiveDefinite()
positive = greater_than(0.0)
nonnegative = _GreaterThanEq(lower_bound=0.0)
nonnegative_integer = _IntegerGreaterThan(lower_bound=0)
unit_interval = interval(0.0, 1.0)
real_vector = independent(real, 1)
