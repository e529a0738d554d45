"""PyTorch's `torch.distributions.transforms`: functions with an inverse and the logarithm of their slope.

Behaviour: https://pytorch.org/docs/stable/distributions.html#module-torch.distributions.transforms
"""

import math
import operator
from collections.abc import Sequence
from functools import reduce
from numbers import Number
from typing import Any, Self

import funcgrad.torch as torch
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types.missing import no_attribute as _no_attribute
from funcgrad.torch.distributions import constraints
from funcgrad.torch.distributions._several import _summed
from funcgrad.torch.distributions.distribution import _broadcast_all

__all__ = [
    "AbsTransform",
    "AffineTransform",
    "ComposeTransform",
    "ExpTransform",
    "PowerTransform",
    "SigmoidTransform",
    "SoftplusTransform",
    "TanhTransform",
    "Transform",
    "identity_transform",
]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    raise _no_attribute(__name__, name)


class Transform:
    """A function of values, and its inverse. A transform of one's own defines `_call`, `_inverse` and the slope.

    Args:
        cache_size: 1 remembers the last value, so that its inverse is exact; 0 does not.

    Attributes:
        domain, codomain: the constraints of arguments and results.
        bijective: whether the inverse is one on the whole codomain.
        sign: +1 if it rises, -1 if it falls.

    Raises:
        ValueError: `cache_size` is neither 0 nor 1.
    """

    bijective: Any = False
    domain: Any
    codomain: Any
    sign: Any

    def __init__(self, cache_size: int = 0) -> None:
        if cache_size not in (0, 1):
            raise ValueError("cache_size must be 0 or 1")
        self._cache_size = cache_size
        self._cached_x_y: tuple[Any, Any] = (None, None)
        self._inv: Any = None

    @property
    def event_dim(self) -> int:
        """The dimensions of one value.

        Raises:
            ValueError: arguments and results have different ones.
        """
        if self.domain.event_dim == self.codomain.event_dim:
            return self.domain.event_dim
        raise ValueError("Please use either .domain.event_dim or .codomain.event_dim")

    @property
    def inv(self) -> "Transform":
        """The inverse, a transform whose inverse is this."""
        if self._inv is None:
            self._inv = _InverseTransform(self)
        return self._inv

    def with_cache(self, cache_size: int = 1) -> Self:
        """The same transform with another cache."""
        if self._cache_size == cache_size:
            return self
        return type(self)(**self._parameters(), cache_size=cache_size)

    def _parameters(self) -> dict[str, Any]:
        return {}

    def __call__(self, x: Any) -> Any:
        """The value of the function."""
        if self._cache_size and x is self._cached_x_y[0]:
            return self._cached_x_y[1]
        y = self._call(x)
        self._remember(x, y)
        return y

    def _inv_call(self, y: Any) -> Any:
        if self._cache_size and y is self._cached_x_y[1]:
            return self._cached_x_y[0]
        x = self._inverse(y)
        self._remember(x, y)
        return x

    def _remember(self, x: Any, y: Any) -> None:
        if self._cache_size:
            self._cached_x_y = x, y

    def _call(self, x: Any) -> Any:
        raise NotImplementedError

    def _inverse(self, y: Any) -> Any:
        raise NotImplementedError

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """The logarithm of the slope, or of the Jacobian's determinant, at an argument and its value."""
        raise NotImplementedError

    def forward_shape(self, shape: Any) -> Any:
        """The shape of the value, of the argument's."""
        return shape

    def inverse_shape(self, shape: Any) -> Any:
        """The shape of the argument, of the value's."""
        return shape

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return type(self) is type(other) and type(self) in _WITHOUT_PARAMETERS

    __hash__ = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class _InverseTransform(Transform):
    """The inverse of a transform."""

    def __init__(self, transform: Transform) -> None:
        super().__init__(transform._cache_size)
        self._inv = transform

    domain = property(lambda self: self._inv.codomain)
    codomain = property(lambda self: self._inv.domain)
    bijective = property(lambda self: self._inv.bijective)
    sign = property(lambda self: self._inv.sign)

    def with_cache(self, cache_size: int = 1) -> Any:
        return self._inv.with_cache(cache_size).inv

    def __call__(self, x: Any) -> Any:
        return self._inv._inv_call(x)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return -self._inv.log_abs_det_jacobian(y, x)

    def forward_shape(self, shape: Any) -> Any:
        return self._inv.inverse_shape(shape)

    def inverse_shape(self, shape: Any) -> Any:
        return self._inv.forward_shape(shape)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _InverseTransform) and self._inv == other._inv

    __hash__ = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._inv!r})"


class ComposeTransform(Transform):
    """Several transforms, one after the other.

    Args:
        parts: the transforms, the first one first.
        cache_size: as of `Transform`, for each part.
    """

    def __init__(self, parts: Sequence[Transform], cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.parts = [part.with_cache(cache_size) if cache_size else part for part in parts]

    bijective = property(lambda self: all(part.bijective for part in self.parts))
    sign = property(lambda self: reduce(operator.mul, (part.sign for part in self.parts), 1))

    @property
    def domain(self) -> Any:
        """The arguments of the first part, with as many dimensions as any part needs."""
        if not self.parts:
            return constraints.real
        dims = self.parts[-1].codomain.event_dim
        for part in reversed(self.parts):
            dims += part.domain.event_dim - part.codomain.event_dim
            dims = max(dims, part.domain.event_dim)
        return _widened(self.parts[0].domain, dims)

    @property
    def codomain(self) -> Any:
        """The results of the last part, with as many dimensions as any part gives."""
        if not self.parts:
            return constraints.real
        dims = self.parts[0].domain.event_dim
        for part in self.parts:
            dims += part.codomain.event_dim - part.domain.event_dim
            dims = max(dims, part.codomain.event_dim)
        return _widened(self.parts[-1].codomain, dims)

    @property
    def inv(self) -> Transform:
        """The inverses, the last one first."""
        if self._inv is None:
            self._inv = ComposeTransform([part.inv for part in reversed(self.parts)])
            self._inv._inv = self
        return self._inv

    def _parameters(self) -> dict[str, Any]:
        return {"parts": self.parts}

    def __call__(self, x: Any) -> Any:
        """The value of the last part."""
        for part in self.parts:
            x = part(x)
        return x

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """The sum of the parts' logarithms."""
        if not self.parts:
            return torch.zeros_like(x)
        values = [x]
        for part in self.parts[:-1]:
            values.append(part(values[-1]))
        values.append(y)
        terms, dims = [], self.domain.event_dim
        for k, part in enumerate(self.parts):
            slope = part.log_abs_det_jacobian(values[k], values[k + 1])
            terms.append(_summed(slope, dims - part.domain.event_dim))
            dims += part.codomain.event_dim - part.domain.event_dim
        return reduce(operator.add, terms)

    def forward_shape(self, shape: Any) -> Any:
        """The shape of the last part's value."""
        for part in self.parts:
            shape = part.forward_shape(shape)
        return shape

    def inverse_shape(self, shape: Any) -> Any:
        """The shape of the first part's argument."""
        for part in reversed(self.parts):
            shape = part.inverse_shape(shape)
        return shape

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ComposeTransform) and self.parts == other.parts

    __hash__ = None

    def __repr__(self) -> str:
        parts = ",\n    ".join(repr(part) for part in self.parts)
        return f"{type(self).__name__}(\n    {parts}\n)"


def _widened(constraint: Any, dims: int) -> Any:
    more = dims - constraint.event_dim
    return constraints.independent(constraint, more) if more > 0 else constraint


class ExpTransform(Transform):
    """The exponential."""

    domain, codomain, bijective, sign = constraints.real, constraints.positive, True, +1

    def _call(self, x: Any) -> Any:
        return x.exp()

    def _inverse(self, y: Any) -> Any:
        return y.log()

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """The argument."""
        return x


class PowerTransform(Transform):
    """A power of positive numbers.

    Args:
        exponent: not zero.
        cache_size: as of `Transform`.
    """

    domain = codomain = constraints.positive
    bijective = True

    def __init__(self, exponent: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        (self.exponent,) = _broadcast_all(exponent)

    sign = property(lambda self: self.exponent.sign())

    def _parameters(self) -> dict[str, Any]:
        return {"exponent": self.exponent}

    def _call(self, x: Any) -> Any:
        return x.pow(self.exponent)

    def _inverse(self, y: Any) -> Any:
        return y.pow(1 / self.exponent)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """The logarithm of `exponent * y / x`."""
        return (self.exponent * y / x).abs().log()

    def forward_shape(self, shape: Any) -> Any:
        """The shape of the argument and the exponent together."""
        return torch.broadcast_shapes(shape, self.exponent.shape)

    inverse_shape = forward_shape

    def __eq__(self, other: object) -> bool:
        same = isinstance(other, PowerTransform)
        return same and bool(self.exponent.eq(other.exponent).all())

    __hash__ = None


class SigmoidTransform(Transform):
    """The logistic function, kept from 0 and 1."""

    domain, codomain, bijective, sign = constraints.real, constraints.unit_interval, True, +1

    def _call(self, x: Any) -> Any:
        return _inside(torch.sigmoid(x))

    def _inverse(self, y: Any) -> Any:
        y = _inside(y)
        return y.log() - (-y).log1p()

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """The logarithm of `y * (1 - y)`."""
        softplus = torch.nn.functional.softplus
        return -softplus(-x) - softplus(x)


def _inside(x: Any) -> Any:
    info = torch.finfo(x.dtype)
    return torch.clamp(x, min=info.tiny, max=1.0 - info.eps)


class SoftplusTransform(Transform):
    """The softplus, `log(1 + exp(x))`."""

    domain, codomain, bijective, sign = constraints.real, constraints.positive, True, +1

    def _call(self, x: Any) -> Any:
        return torch.nn.functional.softplus(x)

    def _inverse(self, y: Any) -> Any:
        return (-y).expm1().neg().log() + y

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """The logarithm of the logistic function."""
        return -torch.nn.functional.softplus(-x)


class TanhTransform(Transform):
    """The hyperbolic tangent; `cache_size=1` keeps its inverse exact near the bounds."""

    domain, codomain, bijective, sign = constraints.real, constraints.interval(-1.0, 1.0), True, +1

    def _call(self, x: Any) -> Any:
        return x.tanh()

    def _inverse(self, y: Any) -> Any:
        return torch.atanh(y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """The logarithm of `1 - y ** 2`, without a loss of digits."""
        return 2.0 * (math.log(2.0) - x - torch.nn.functional.softplus(-2.0 * x))


class AbsTransform(Transform):
    """The absolute value; its inverse is the positive one."""

    domain, codomain = constraints.real, constraints.positive

    def _call(self, x: Any) -> Any:
        return x.abs()

    def _inverse(self, y: Any) -> Any:
        return y


class AffineTransform(Transform):
    """`loc + scale * x`.

    Args:
        loc, scale: tensors or numbers.
        event_dim: the dimensions of one value.
        cache_size: as of `Transform`.
    """

    bijective = True

    def __init__(self, loc: Any, scale: Any, event_dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.loc, self.scale, self._event_dim = loc, scale, event_dim

    event_dim = property(lambda self: self._event_dim)
    domain = codomain = property(lambda self: _widened(constraints.real, self._event_dim))

    @property
    def sign(self) -> Any:
        """The sign of the scale."""
        if isinstance(self.scale, Tensor):
            return self.scale.sign()
        return (self.scale > 0) - (self.scale < 0)

    def _parameters(self) -> dict[str, Any]:
        return {"loc": self.loc, "scale": self.scale, "event_dim": self._event_dim}

    def _call(self, x: Any) -> Any:
        return self.loc + self.scale * x

    def _inverse(self, y: Any) -> Any:
        return (y - self.loc) / self.scale

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """The logarithm of the scale, summed over the dimensions of a value."""
        shape = x.shape
        if isinstance(self.scale, Tensor):
            slope = torch.abs(self.scale).log()
        else:
            slope = torch.full_like(x, math.log(abs(self.scale)))
        if self._event_dim:
            slope = slope.view(*slope.size()[: -self._event_dim], -1).sum(-1)
            shape = shape[: -self._event_dim]
        return slope.expand(shape)

    def forward_shape(self, shape: Any) -> Any:
        """The shape of the argument and the parameters together."""
        given = [getattr(each, "shape", ()) for each in (self.loc, self.scale)]
        return torch.broadcast_shapes(shape, *given)

    inverse_shape = forward_shape

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AffineTransform):
            return False
        return _same(self.loc, other.loc) and _same(self.scale, other.scale)

    __hash__ = None


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Number) and isinstance(other, Number):
        return one == other
    return bool((one == other).all())


_WITHOUT_PARAMETERS = (
    AbsTransform,
    ExpTransform,
    SigmoidTransform,
    SoftplusTransform,
    TanhTransform,
)
identity_transform = ComposeTransform([])
