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
from funcgrad.torch._types.size import Size
from funcgrad.torch.distributions import constraints
from funcgrad.torch.distributions.utils import (
    _sum_rightmost,
    broadcast_all,
    tril_matrix_to_vec,
    vec_to_tril_matrix,
)

__all__ = [
    "AbsTransform",
    "AffineTransform",
    "CatTransform",
    "ComposeTransform",
    "CorrCholeskyTransform",
    "CumulativeDistributionTransform",
    "ExpTransform",
    "IndependentTransform",
    "LowerCholeskyTransform",
    "PositiveDefiniteTransform",
    "PowerTransform",
    "ReshapeTransform",
    "SigmoidTransform",
    "SoftmaxTransform",
    "SoftplusTransform",
    "StackTransform",
    "StickBreakingTransform",
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
    # Whether all transforms of this class are equal.
    _alike = False

    def __init__(self, cache_size: int = 0) -> None:
        if cache_size not in (0, 1):
            raise ValueError("cache_size must be 0 or 1")
        self._cache_size = cache_size
        self._cached_x_y: tuple[Any, Any] = (None, None)
        self._inv: Any = None

    @property
    def sign(self) -> Any:
        """+1 or -1, if the transform is monotone.

        Raises:
            NotImplementedError: the class does not say.
        """
        raise NotImplementedError

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

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_inv": None}

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
        return self._alike and type(self) is type(other)

    __hash__ = None  # type: ignore[assignment]

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

    @constraints.dependent_property
    def domain(self) -> Any:
        """The arguments of the first part, with as many dimensions as any part needs."""
        if not self.parts:
            return constraints.real
        dims = self.parts[-1].codomain.event_dim
        for part in reversed(self.parts):
            dims += part.domain.event_dim - part.codomain.event_dim
            dims = max(dims, part.domain.event_dim)
        return _widened(self.parts[0].domain, dims)

    @constraints.dependent_property
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
            terms.append(_sum_rightmost(slope, dims - part.domain.event_dim))
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

    _alike = True
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
        (self.exponent,) = broadcast_all(exponent)

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
        if not isinstance(other, PowerTransform):
            return False
        return bool(self.exponent.eq(other.exponent).all())

    __hash__ = None


class SigmoidTransform(Transform):
    """The logistic function, kept from 0 and 1."""

    _alike = True
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

    _alike = True
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

    _alike = True
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

    _alike = True
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


class IndependentTransform(Transform):
    """A transform whose last dimensions are one value: its slope is summed over them.

    Args:
        base_transform: the transform.
        reinterpreted_batch_ndims: how many more dimensions are one value.
        cache_size: as of `Transform`.
    """

    def __init__(
        self, base_transform: Transform, reinterpreted_batch_ndims: int, cache_size: int = 0
    ) -> None:
        super().__init__(cache_size)
        self.base_transform = base_transform.with_cache(cache_size)
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims

    bijective = property(lambda self: self.base_transform.bijective)
    sign = property(lambda self: self.base_transform.sign)

    @constraints.dependent_property(is_discrete=False)
    def domain(self) -> Any:
        """The arguments of the transform, together."""
        return constraints.independent(self.base_transform.domain, self.reinterpreted_batch_ndims)

    @constraints.dependent_property(is_discrete=False)
    def codomain(self) -> Any:
        """The results of the transform, together."""
        return constraints.independent(self.base_transform.codomain, self.reinterpreted_batch_ndims)

    def _parameters(self) -> dict[str, Any]:
        dims = self.reinterpreted_batch_ndims
        return {"base_transform": self.base_transform, "reinterpreted_batch_ndims": dims}

    def _call(self, x: Any) -> Any:
        _check_dims(x.shape, self.domain.event_dim)
        return self.base_transform(x)

    def _inverse(self, y: Any) -> Any:
        _check_dims(y.shape, self.codomain.event_dim)
        return self.base_transform.inv(y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """The sum of the transform's logarithms."""
        slope = self.base_transform.log_abs_det_jacobian(x, y)
        return _sum_rightmost(slope, self.reinterpreted_batch_ndims)

    def forward_shape(self, shape: Any) -> Any:
        """The shape of the value, of the argument's."""
        return self.base_transform.forward_shape(shape)

    def inverse_shape(self, shape: Any) -> Any:
        """The shape of the argument, of the value's."""
        return self.base_transform.inverse_shape(shape)

    def __repr__(self) -> str:
        name = type(self).__name__
        return f"{name}({self.base_transform!r}, {self.reinterpreted_batch_ndims})"


def _check_dims(shape: Any, least: int) -> None:
    if len(shape) < least:
        raise ValueError("Too few dimensions on input")


class ReshapeTransform(Transform):
    """Values of another shape with the same elements.

    Args:
        in_shape: the shape of one argument.
        out_shape: the shape of one value.
        cache_size: as of `Transform`.

    Raises:
        ValueError: the shapes have different numbers of elements.
    """

    bijective = True

    def __init__(self, in_shape: Any, out_shape: Any, cache_size: int = 0) -> None:
        self.in_shape, self.out_shape = Size(in_shape), Size(out_shape)
        if self.in_shape.numel() != self.out_shape.numel():
            raise ValueError("in_shape, out_shape have different numbers of elements")
        super().__init__(cache_size)

    @constraints.dependent_property
    def domain(self) -> Any:
        """Arrays of real numbers."""
        return constraints.independent(constraints.real, len(self.in_shape))

    @constraints.dependent_property
    def codomain(self) -> Any:
        """Arrays of real numbers."""
        return constraints.independent(constraints.real, len(self.out_shape))

    def _parameters(self) -> dict[str, Any]:
        return {"in_shape": self.in_shape, "out_shape": self.out_shape}

    def _call(self, x: Any) -> Any:
        return x.reshape(x.shape[: x.dim() - len(self.in_shape)] + self.out_shape)

    def _inverse(self, y: Any) -> Any:
        return y.reshape(y.shape[: y.dim() - len(self.out_shape)] + self.in_shape)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """Zeros."""
        return x.new_zeros(x.shape[: x.dim() - len(self.in_shape)])

    def forward_shape(self, shape: Any) -> Any:
        """The shape of the value, of the argument's."""
        return _replaced(shape, self.in_shape, self.out_shape)

    def inverse_shape(self, shape: Any) -> Any:
        """The shape of the argument, of the value's."""
        return _replaced(shape, self.out_shape, self.in_shape)


def _replaced(shape: Any, old: Size, new: Size) -> Any:
    _check_dims(shape, len(old))
    cut = len(shape) - len(old)
    if shape[cut:] != old:
        raise ValueError(f"Shape mismatch: expected {shape[cut:]} but got {old}")
    return shape[:cut] + new


class CorrCholeskyTransform(Transform):
    """A vector as the Cholesky factor of a correlation matrix.

    Each row of the factor is a stick-breaking of the squares of `tanh(x)`, with the signs of `x`.

    Source: Stan reference manual, "Cholesky factors of correlation matrices".
    """

    domain, codomain, bijective = constraints.real_vector, constraints.corr_cholesky, True

    def _call(self, x: Any) -> Any:
        eps = torch.finfo(x.dtype).eps
        part = vec_to_tril_matrix(torch.tanh(x).clamp(min=-1 + eps, max=1 - eps), diag=-1)
        left = (1 - part**2).sqrt().cumprod(-1)
        part = part + torch.eye(part.shape[-1], dtype=part.dtype, device=part.device)
        return part * _shifted(left)

    def _inverse(self, y: Any) -> Any:
        left = tril_matrix_to_vec(_shifted(1 - torch.cumsum(y * y, dim=-1)), diag=-1)
        part = tril_matrix_to_vec(y, diag=-1) / left.sqrt()
        return (part.log1p() - part.neg().log1p()) / 2

    def log_abs_det_jacobian(self, x: Any, y: Any, intermediates: Any = None) -> Any:
        """The logarithm of the determinant, for the elements below the diagonal."""
        left = tril_matrix_to_vec(1 - (y * y).cumsum(dim=-1), diag=-2)
        softplus = torch.nn.functional.softplus
        slopes = -2 * (x + softplus(-2 * x) - math.log(2.0)).sum(dim=-1)
        return 0.5 * left.log().sum(-1) + slopes

    def forward_shape(self, shape: Any) -> Any:
        """The shape (..., n, n) of a vector of n (n - 1) / 2 elements."""
        _check_dims(shape, 1)
        size = round((0.25 + 2 * shape[-1]) ** 0.5 + 0.5)
        if size * (size - 1) // 2 != shape[-1]:
            raise ValueError("Input is not a flattened lower-diagonal number")
        return type(shape)((*shape[:-1], size, size))

    def inverse_shape(self, shape: Any) -> Any:
        """The shape of the vector of a matrix."""
        _check_dims(shape, 2)
        if shape[-2] != shape[-1]:
            raise ValueError("Input is not square")
        return type(shape)((*shape[:-2], shape[-1] * (shape[-1] - 1) // 2))


def _shifted(x: Any) -> Any:
    """The elements moved by one along the last dimension, after a one."""
    return torch.nn.functional.pad(x[..., :-1], [1, 0], value=1)


class SoftmaxTransform(Transform):
    """Probabilities proportional to the exponentials. It is not bijective."""

    _alike = True
    domain, codomain = constraints.real_vector, constraints.simplex

    def _call(self, x: Any) -> Any:
        weights = (x - x.max(-1, True)[0]).exp()
        return weights / weights.sum(-1, True)

    def _inverse(self, y: Any) -> Any:
        return y.log()

    def forward_shape(self, shape: Any) -> Any:
        """The shape, of at least one dimension."""
        _check_dims(shape, 1)
        return shape

    inverse_shape = forward_shape


class StickBreakingTransform(Transform):
    """Probabilities, one more than there are numbers: each number says which part of the rest is taken."""

    _alike = True
    domain, codomain, bijective = constraints.real_vector, constraints.simplex, True

    def _call(self, x: Any) -> Any:
        part = _inside(torch.sigmoid(x - self._offset(x).log()))
        left = torch.nn.functional.pad((1 - part).cumprod(-1), [1, 0], value=1)
        return torch.nn.functional.pad(part, [0, 1], value=1) * left

    def _inverse(self, y: Any) -> Any:
        taken = y[..., :-1]
        left = torch.clamp(1 - taken.cumsum(-1), min=torch.finfo(y.dtype).tiny)
        return taken.log() - left.log() + self._offset(taken).log()

    def _offset(self, x: Any) -> Any:
        """How many probabilities are left, before each number."""
        return x.shape[-1] + 1 - x.new_ones(x.shape[-1]).cumsum(-1)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """The logarithm of the determinant, for all probabilities but the last."""
        x = x - self._offset(x).log()
        return (-x + torch.nn.functional.logsigmoid(x) + y[..., :-1].log()).sum(-1)

    def forward_shape(self, shape: Any) -> Any:
        """The shape with one element more."""
        _check_dims(shape, 1)
        return type(shape)((*shape[:-1], shape[-1] + 1))

    def inverse_shape(self, shape: Any) -> Any:
        """The shape with one element less."""
        _check_dims(shape, 1)
        return type(shape)((*shape[:-1], shape[-1] - 1))


class LowerCholeskyTransform(Transform):
    """Lower triangular matrices with a positive diagonal, the exponential of the argument's."""

    _alike = True
    domain, codomain = constraints.independent(constraints.real, 2), constraints.lower_cholesky

    def _call(self, x: Any) -> Any:
        return x.tril(-1) + x.diagonal(dim1=-2, dim2=-1).exp().diag_embed()

    def _inverse(self, y: Any) -> Any:
        return y.tril(-1) + y.diagonal(dim1=-2, dim2=-1).log().diag_embed()


class PositiveDefiniteTransform(Transform):
    """Positive definite matrices `L @ L.T`, of the `LowerCholeskyTransform` L of the argument."""

    _alike = True
    domain, codomain = constraints.independent(constraints.real, 2), constraints.positive_definite

    def _call(self, x: Any) -> Any:
        factor = LowerCholeskyTransform()(x)
        return factor @ factor.mT

    def _inverse(self, y: Any) -> Any:
        return LowerCholeskyTransform().inv(torch.linalg.cholesky(y))


class _PartsTransform(Transform):
    """A transform for each part of a value along a dimension."""

    # How an error names the number of parts, and the function that joins them.
    _counted: str

    def __init__(self, tseq: Sequence[Transform], dim: int, cache_size: int) -> None:
        if not all(isinstance(each, Transform) for each in tseq):
            raise AssertionError("All elements of tseq must be Transform instances")
        super().__init__(cache_size)
        self.transforms = [each.with_cache(cache_size) if cache_size else each for each in tseq]
        self.dim = dim

    bijective = property(lambda self: all(each.bijective for each in self.transforms))

    def _split(self, x: Any) -> Any:
        raise NotImplementedError

    def _join(self, parts: list[Any]) -> Any:
        raise NotImplementedError

    def _count(self) -> int:
        raise NotImplementedError

    def _parts(self, x: Any, name: str) -> Any:
        """Each transform with its part of a tensor."""
        if not -x.dim() <= self.dim < x.dim():
            raise AssertionError(
                f"dim {self.dim} out of range for {name} with {x.dim()} dimensions"
            )
        if x.size(self.dim) != self._count():
            letter = name if len(name) == 1 else "x"
            raise AssertionError(
                f"{letter}.size({self.dim}) = {x.size(self.dim)} must equal {self._counted} {self._count()}"
            )
        return zip(self.transforms, self._split(x), strict=True)

    def _call(self, x: Any) -> Any:
        return self._join([each(part) for each, part in self._parts(x, "tensor")])

    def _inverse(self, y: Any) -> Any:
        return self._join([each.inv(part) for each, part in self._parts(y, "tensor")])

    def _slopes(self, x: Any, y: Any) -> Any:
        """Each transform with the logarithms of its slope."""
        both = zip(self._parts(x, "x"), self._parts(y, "y"), strict=True)
        for (each, before), (_, after) in both:
            yield each, each.log_abs_det_jacobian(before, after)


class CatTransform(_PartsTransform):
    """Transforms of the parts that `torch.cat` joins.

    Args:
        tseq: the transforms.
        dim: the dimension.
        lengths: of the parts; one each without it.
        cache_size: as of `Transform`, for each transform.
    """

    _counted = "length"

    def __init__(
        self,
        tseq: Sequence[Transform],
        dim: int = 0,
        lengths: Sequence[int] | None = None,
        cache_size: int = 0,
    ) -> None:
        super().__init__(tseq, dim, cache_size)
        self.lengths = [1] * len(self.transforms) if lengths is None else list(lengths)
        if len(self.lengths) != len(self.transforms):
            raise AssertionError(
                f"lengths ({len(self.lengths)}) must match transforms ({len(self.transforms)})"
            )

    length = property(lambda self: sum(self.lengths))
    event_dim = property(lambda self: max(each.event_dim for each in self.transforms))

    @constraints.dependent_property
    def domain(self) -> Any:
        """The arguments of the transforms, joined."""
        domains = [each.domain for each in self.transforms]
        return constraints.cat(domains, self.dim, self.lengths)

    @constraints.dependent_property
    def codomain(self) -> Any:
        """The results of the transforms, joined."""
        codomains = [each.codomain for each in self.transforms]
        return constraints.cat(codomains, self.dim, self.lengths)

    def _parameters(self) -> dict[str, Any]:
        return {"tseq": self.transforms, "dim": self.dim, "lengths": self.lengths}

    def _count(self) -> int:
        return self.length

    def _split(self, x: Any) -> Any:
        return x.split(self.lengths, self.dim)

    def _join(self, parts: list[Any]) -> Any:
        return torch.cat(parts, dim=self.dim)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """The transforms' logarithms, joined, or their sum if a value spans the dimension."""
        slopes = [
            _sum_rightmost(slope, self.event_dim - each.event_dim)
            for each, slope in self._slopes(x, y)
        ]
        dim = (self.dim - x.dim() if self.dim >= 0 else self.dim) + self.event_dim
        return torch.cat(slopes, dim=dim) if dim < 0 else sum(slopes)


class StackTransform(_PartsTransform):
    """Transforms of the parts that `torch.stack` joins.

    Args:
        tseq: the transforms.
        dim: the dimension.
        cache_size: as of `Transform`, for each transform.
    """

    _counted = "len(transforms)"

    def __init__(self, tseq: Sequence[Transform], dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(tseq, dim, cache_size)

    @constraints.dependent_property
    def domain(self) -> Any:
        """The arguments of the transforms, joined."""
        return constraints.stack([each.domain for each in self.transforms], self.dim)

    @constraints.dependent_property
    def codomain(self) -> Any:
        """The results of the transforms, joined."""
        return constraints.stack([each.codomain for each in self.transforms], self.dim)

    def _parameters(self) -> dict[str, Any]:
        return {"tseq": self.transforms, "dim": self.dim}

    def _count(self) -> int:
        return len(self.transforms)

    def _split(self, x: Any) -> Any:
        return x.unbind(self.dim)

    def _join(self, parts: list[Any]) -> Any:
        return torch.stack(parts, dim=self.dim)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """The transforms' logarithms, joined."""
        return self._join([slope for _, slope in self._slopes(x, y)])


class CumulativeDistributionTransform(Transform):
    """The probability of at most the value, under a distribution.

    Args:
        distribution: it has `cdf` and `icdf`.
        cache_size: as of `Transform`.
    """

    codomain, bijective, sign = constraints.unit_interval, True, +1

    def __init__(self, distribution: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.distribution = distribution

    domain = property(lambda self: self.distribution.support)

    def _parameters(self) -> dict[str, Any]:
        return {"distribution": self.distribution}

    def _call(self, x: Any) -> Any:
        return self.distribution.cdf(x)

    def _inverse(self, y: Any) -> Any:
        return self.distribution.icdf(y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """The logarithm of the density."""
        return self.distribution.log_prob(x)


identity_transform = ComposeTransform([])
