"""Elementwise ops of three operands, or with a factor: `add` with `alpha`, `clamp`, `addcmul`, `lerp`."""

import inspect
from typing import Any

import jax
import jax.numpy as jnp

from funcgrad.torch._ops.elementwise import Elementwise
from funcgrad.torch._ops.out import CASTS, store
from funcgrad.torch._ops.pointwise import ADD, RSUB, SUB, check_subtraction
from funcgrad.torch._ops.row import (
    PROMOTED,
    Array,
    Factor,
    Operand,
    Refusal,
    Row,
    named,
    no_kernel,
    op,
    tell_of_old_form,
)
from funcgrad.torch._tensor.kinds import is_number
from funcgrad.torch._tensor.operands import NUMBERS, check_broadcast, check_factor, promoted
from funcgrad.torch._tensor.registry import publish
from funcgrad.torch._tensor.tensor import Tensor, without_history
from funcgrad.torch._types.dtypes import kernel_name

_CLAMP_OUT = "Found dtype {Given} but expected {Wanted}"
_NO_COMPLEX = Refusal("c", NotImplementedError, "clamp is not supported for complex types")


# ------------------------------------------------------------------------------------------- add and sub


def _check_alpha(input: Any, other: Any, alpha: Any) -> None:
    check_factor("alpha", alpha, promoted((input, other)))


@op(
    "add.alpha",
    "AddBackward0",
    dtype=PROMOTED,
    accumulates=True,
    check=check_broadcast,
    prepare=_check_alpha,
    laid_out=CASTS,
    in_place=True,
)
def _add(input: Array, other: Operand, *, alpha: Factor) -> Any:
    return input + alpha * other


@op(
    "sub.alpha",
    "SubBackward0",
    dtype=PROMOTED,
    accumulates=True,
    check=check_subtraction,
    prepare=_check_alpha,
    laid_out=CASTS,
    in_place=True,
)
def _sub(input: Array, other: Operand, *, alpha: Factor) -> Any:
    return input - alpha * other


def _is_one(alpha: Any) -> bool:
    return type(alpha) is int and alpha == 1


def _in_old_form(name: str, alpha: Any, old: tuple[Any, ...], named_alpha: Any) -> tuple[Any, Any]:
    """`other` and `alpha` of the deprecated form `x.add(alpha, other)`.

    Raises:
        TypeError: it is not that form.
    """
    if len(old) > 1 or not is_number(alpha) or not _is_one(named_alpha):
        given = 2 + len(old)
        raise TypeError(f"{name}() takes 2 positional arguments but {given} were given")
    tell_of_old_form(name, ("alpha",))
    return old[0], alpha


def _without_star(function: Any) -> None:
    """Let the signature show PyTorch's present form alone."""
    shown = inspect.signature(function)
    kept = [each for each in shown.parameters.values() if each.kind is not each.VAR_POSITIONAL]
    function.__signature__ = shown.replace(parameters=kept)


def _publish_scaled(
    plain: Elementwise, scaled: Row, operators: tuple[str, ...], reflected: tuple[str, ...]
) -> None:
    """Publish `add` or `sub`. Without `alpha` the call takes the shorter path."""
    name, binary = plain.row.name, plain.binary()

    def function(
        input: Tensor, other: Any, *old: Any, alpha: Any = 1, out: Tensor | None = None
    ) -> Tensor:
        if old:
            other, alpha = _in_old_form(name, other, old, alpha)
        if out is not None:
            return store(name, out, (input, other), lambda: function(input, other, alpha=alpha))
        if _is_one(alpha):
            return binary(input, other)
        if isinstance(input, NUMBERS) and isinstance(other, (Tensor, *NUMBERS)):
            input = without_history(plain.first_number(input, other)._storage)
        return scaled(input, other, alpha=alpha)

    def stored(self: Tensor, other: Any, *old: Any, alpha: Any = 1) -> Tensor:
        if old:
            other, alpha = _in_old_form(f"{name}_", other, old, alpha)
        return (
            plain.in_place(self, other)
            if _is_one(alpha)
            else scaled.stored(self, other, alpha=alpha)
        )

    _without_star(function)
    _without_star(stored)
    names = (name, {"add": "add", "sub": "subtract"}[name])
    publish(named(function, name), *dict.fromkeys(names), checks_input=True)
    plain.publish_in_place(stored, tuple(dict.fromkeys(names)))
    for each in (*operators, *reflected):
        publish(plain.operator(), each, function=False)


_publish_scaled(ADD, _add, ("__add__",), ("__radd__",))
_publish_scaled(SUB, _sub, ("__sub__",), ())


@op(
    "rsub.alpha",
    "RsubBackward0",
    node_of_number="RsubBackward1",
    dtype=PROMOTED,
    accumulates=True,
    check=check_subtraction,
    prepare=_check_alpha,
    laid_out=CASTS,
)
def _rsub(input: Array, other: Operand, *, alpha: Factor) -> Any:
    return other - alpha * input


def rsub(input: Tensor, other: Any, *, alpha: Any = 1) -> Tensor:
    """`other - alpha * input`, element by element."""
    if _is_one(alpha) and not isinstance(other, Tensor):
        return _RSUB(input, other)
    return _rsub(input, other, alpha=alpha)


_RSUB = RSUB.binary()
publish(rsub, method=False)
publish(RSUB.operator(), "__rsub__", function=False)


# ------------------------------------------------------------------------------------------- with a factor

_NO_INTEGERS = (
    "Integer division with addcdiv is no longer supported, and in a future  release addcdiv will perform a true division of "
    "tensor1 and tensor2. The historic addcdiv behavior can be implemented as (input + value * torch.trunc(tensor1 / "
    "tensor2)).to(input.dtype) for integer inputs and as (input + value * tensor1 / tensor2) for float inputs. The future "
    "addcdiv behavior is just the latter implementation: (input + value * tensor1 / tensor2), for all dtypes."
)


def _check_division(input: Any, tensor1: Any, tensor2: Any, value: Any) -> None:
    if not any(
        each.dtype.is_floating_point or each.dtype.is_complex for each in (tensor1, tensor2)
    ):
        raise RuntimeError(_NO_INTEGERS)


@op(
    "addcdiv",
    "AddcdivBackward0",
    dtype=PROMOTED,
    accumulates=True,
    exact_numbers=True,
    check=check_broadcast,
    prepare=_check_division,
    named_first=(1,),
    laid_out=CASTS,
    in_place=True,
    out=CASTS,
)
def addcdiv(input: Array, tensor1: Array, tensor2: Array, *, value: Factor = 1) -> Any:
    """`input + value * tensor1 / tensor2`, element by element."""
    return input + value * tensor1 / tensor2


@op(
    "addcmul",
    "AddcmulBackward0",
    dtype=PROMOTED,
    accumulates=True,
    exact_numbers=True,
    refuses=(no_kernel("b", "addcmul_cpu_out"),),
    check=check_broadcast,
    named_first=(1,),
    laid_out=CASTS,
    in_place=True,
    out=CASTS,
)
def addcmul(input: Array, tensor1: Array, tensor2: Array, *, value: Factor = 1) -> Any:
    """`input + value * tensor1 * tensor2`, element by element."""
    return input + value * tensor1 * tensor2


# ------------------------------------------------------------------------------------------- lerp


def between(x: Any, end: Any, weight: Any) -> Any:
    """`x + weight * (end - x)`, computed from the nearer end."""
    near = jnp.abs(weight) < 0.5
    return jnp.where(near, x, end) + jnp.where(near, weight, weight - 1) * (end - x)


def _check_same_dtype(input: Tensor, end: Tensor, weight: Any) -> None:
    """Check the dtypes of `lerp`'s arguments, as PyTorch does.

    Raises:
        RuntimeError, NotImplementedError: the dtypes differ, or are not floating point or complex.
    """
    for name, each in (("end", end), ("weight", weight)):
        if (
            isinstance(each, Tensor)
            and each.dtype is not input.dtype
            and (name == "end" or each.ndim)
        ):
            raise RuntimeError(
                f"expected dtype {kernel_name(input.dtype)} for `{name}` but got dtype {kernel_name(each.dtype)}"
            )
    if not (input.dtype.is_floating_point or input.dtype.is_complex):
        kernel = "lerp_kernel_tensor" if isinstance(weight, Tensor) else "lerp_kernel_scalar"
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{input.dtype.scalar_type}'")


@op(
    "lerp.Tensor",
    "LerpBackward1",
    dtype=PROMOTED,
    accumulates=True,
    check=check_broadcast,
    prepare=_check_same_dtype,
    named_first=(1, 0),
    laid_out=CASTS,
    in_place=True,
)
def _lerp_tensor(input: Array, end: Array, weight: Array) -> Any:
    return between(input, end, weight)


@op(
    "lerp.Scalar",
    "LerpBackward0",
    dtype=PROMOTED,
    accumulates=True,
    exact_numbers=True,
    check=check_broadcast,
    prepare=_check_same_dtype,
    laid_out=CASTS,
    in_place=True,
)
def _lerp_number(input: Array, end: Array, weight: Factor) -> Any:
    return between(input, end, weight)


def lerp(input: Tensor, end: Tensor, weight: Any, *, out: Tensor | None = None) -> Tensor:
    """The point between the tensor and `end`, `weight` of the way."""
    if out is not None:
        return store("lerp", out, (input, end, weight), lambda: lerp(input, end, weight))
    return (_lerp_tensor if isinstance(weight, Tensor) else _lerp_number)(input, end, weight)


def lerp_(self: Tensor, end: Tensor, weight: Any) -> Tensor:
    """`lerp`, stored in the tensor itself."""
    row = _lerp_tensor if isinstance(weight, Tensor) else _lerp_number
    return row.stored(self, end, weight)


publish(lerp)
publish(lerp_, function=False)


# ------------------------------------------------------------------------------------------- clamp


def _bounded(x: Any, low: Any, high: Any) -> Any:
    # Not minimum and maximum: these share the gradient at equality. NaN passes no gradient.
    if low is not None and high is not None:
        low = jnp.where(low == high, jax.lax.stop_gradient(low), low)
    if low is not None:
        x = jnp.where(x >= low, x, jnp.where(x < low, low, jax.lax.stop_gradient(x + low)))
    if high is not None:
        x = jnp.where(x <= high, x, jnp.where(x > high, high, jax.lax.stop_gradient(x + high)))
    return x


def _check_bounds(input: Tensor, min: Any, max: Any) -> None:
    if min is None and max is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")


@op(
    "clamp",
    "ClampBackward0",
    aliases=("clip",),
    node_of_number="ClampBackward1",
    dtype=PROMOTED,
    refuses=(_NO_COMPLEX,),
    check=check_broadcast,
    prepare=_check_bounds,
    laid_out=_CLAMP_OUT,
    in_place=True,
    out=_CLAMP_OUT,
)
def clamp(input: Array, min: Operand = None, max: Operand = None) -> Any:
    """The elements, with each one outside the bounds set to the nearer bound. A bound may be a number, a tensor or None.

    >>> import funcgrad.torch as torch
    >>> torch.tensor([-1.0, 0.5, 2.0]).clamp(0, 1)
    tensor([0.0000, 0.5000, 1.0000])
    """
    return _bounded(input, min, max)


@op(
    "clamp_min",
    "ClampMinBackward1",
    node_of_number="ClampMinBackward0",
    dtype=PROMOTED,
    refuses=(_NO_COMPLEX,),
    check=check_broadcast,
    laid_out=_CLAMP_OUT,
    in_place=True,
    out=_CLAMP_OUT,
)
def clamp_min(input: Array, min: Operand) -> Any:
    """The elements, with each one below `min` set to `min`."""
    return _bounded(input, min, None)


@op(
    "clamp_max",
    "ClampMaxBackward1",
    node_of_number="ClampMaxBackward0",
    dtype=PROMOTED,
    refuses=(_NO_COMPLEX,),
    check=check_broadcast,
    laid_out=_CLAMP_OUT,
    in_place=True,
    out=_CLAMP_OUT,
)
def clamp_max(input: Array, max: Operand) -> Any:
    """The elements, with each one above `max` set to `max`."""
    return _bounded(input, None, max)
