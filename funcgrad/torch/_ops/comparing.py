"""Comparisons of tensors: `isclose`, `equal`, `isin`, and the like."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from funcgrad.torch._ops.out import store
from funcgrad.torch._ops.row import Index, op
from funcgrad.torch._tensor.kinds import refusal
from funcgrad.torch._tensor.operands import NUMBERS, check_broadcast
from funcgrad.torch._tensor.registry import publish
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._types import dtypes
from funcgrad.torch._types.dtypes import as_dtype, dtype, result_dtype


def _check_close(input: Tensor, other: Tensor, rtol: float, atol: float, equal_nan: bool) -> None:
    for k, (name, each) in enumerate((("input", input), ("other", other)), start=1):
        if not isinstance(each, Tensor):
            raise TypeError(
                f"isclose(): argument '{name}' (position {k}) must be Tensor, not {type(each).__name__}"
            )
    if input.dtype is not other.dtype:
        raise RuntimeError(f"{input.dtype.scalar_type} did not match {other.dtype.scalar_type}")
    for name, tolerance in (("rtol", rtol), ("atol", atol)):
        if tolerance < 0:
            raise RuntimeError(
                f"{name} must be greater than or equal to zero, but got {tolerance:g}"
            )


@op("isclose", "NotImplemented", prepare=_check_close, check=check_broadcast)
def isclose(
    input: Index, other: Index, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> Any:
    """Whether elements are equal, or differ by at most `atol + rtol * |other|`."""
    close = input == other
    if not (rtol or atol) and not equal_nan:
        return close
    inexact = jnp.issubdtype(input.dtype, jnp.inexact)
    if equal_nan and inexact:
        close |= jnp.isnan(input) & jnp.isnan(other)
    wide = input.dtype if inexact else np.float64
    allowed = atol + rtol * jnp.abs(other.astype(wide))
    actual = jnp.abs(input - other if inexact else input.astype(wide) - other.astype(wide))
    return close | (jnp.isfinite(actual) & (actual <= allowed))


def allclose(
    input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> bool:
    """Whether all elements are close, as `isclose` says."""
    return bool(isclose(input, other, rtol, atol, equal_nan).all())


def equal(input: Tensor, other: Tensor) -> bool:
    """Whether two tensors have one shape and the same elements."""
    for k, (name, each) in enumerate((("input", input), ("other", other)), start=1):
        if not isinstance(each, Tensor):
            raise TypeError(
                f"equal(): argument '{name}' (position {k}) must be Tensor, not {type(each).__name__}"
            )
    return input.shape == other.shape and bool((input.detach() == other.detach()).all())


@op("isin.of", "NotImplemented")
def _isin(elements: Index, test_elements: Index, invert: bool) -> Any:
    return jnp.isin(elements, test_elements, invert=invert)


def isin(
    elements: Any,
    test_elements: Any,
    *,
    assume_unique: bool = False,
    invert: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """Whether each element is among others; whether it is not, with `invert`."""
    for name, k, each in (("elements", 1, elements), ("test_elements", 2, test_elements)):
        if not isinstance(each, (Tensor, *NUMBERS)):
            raise refusal("isin", name, k, "Tensor", each)
    if out is not None:
        if out.dtype is not dtypes.bool_:
            raise RuntimeError(
                f"Expected out tensor to have dtype bool, but got {out.dtype} instead"
            )
        given = (elements, test_elements)
        return store("isin", out, given, lambda: isin(elements, test_elements, invert=invert))
    tensors = [each for each in (elements, test_elements) if isinstance(each, Tensor)]
    if not tensors:
        raise TypeError(
            "isin() received an invalid combination of arguments: one of elements and test_elements must be a Tensor"
        )
    first, second = (
        each.detach()
        if isinstance(each, Tensor)
        else tensors[0].new_tensor(each, dtype=_kind(each, tensors[0]))
        for each in (elements, test_elements)
    )
    for each in (first, second):
        if each.dtype.is_complex or each.dtype is dtypes.bool_:
            raise RuntimeError(
                f"Unsupported input type encountered for isin(): {each.dtype.scalar_type}"
            )
    return _isin(first, second, invert)


def _kind(number: Any, beside: Tensor) -> dtype:
    return result_type(beside, number)


def result_type(tensor: Any, other: Any) -> dtype:
    """The dtype in which arithmetic of two operands is computed; each is a tensor or a number."""
    tensors = [each for each in (tensor, other) if isinstance(each, Tensor)]
    numbers = [type(each) for each in (tensor, other) if isinstance(each, NUMBERS)]
    return result_dtype(
        [each.dtype for each in tensors if each.ndim],
        [each.dtype for each in tensors if not each.ndim],
        numbers,
    )


def can_cast(from_: Any, to: Any) -> bool:
    """Whether a conversion keeps the category: complex, floating point, integer, bool."""
    given, wanted = as_dtype(from_, "can_cast"), as_dtype(to, "can_cast")
    if given.is_complex:
        return wanted.is_complex
    if given.is_floating_point:
        return wanted.is_floating_point or wanted.is_complex
    return wanted is not dtypes.bool_ or given is dtypes.bool_


def is_nonzero(input: Tensor) -> bool:
    """Whether the one element is not zero."""
    if input.numel() != 1:
        what = "no values" if not input.numel() else "more than one value"
        raise RuntimeError(f"Boolean value of Tensor with {what} is ambiguous")
    return bool(input)


def is_same_size(input: Tensor, other: Tensor) -> bool:
    """Whether two tensors have one shape."""
    return input.shape == other.shape


def is_signed(input: Tensor) -> bool:
    """Whether the dtype has negative numbers."""
    return input.dtype.is_signed


for _each in (allclose, equal, is_nonzero, is_same_size, is_signed):
    publish(_each)
for _function in (isin, result_type, can_cast):
    publish(_function, method=False)
