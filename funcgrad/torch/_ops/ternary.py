"""Ops that work element by element on three operands, or with a factor: `add` with `alpha`, `clamp`, `addcmul`, `lerp`."""

from collections.abc import Callable
from functools import lru_cache
from re import sub
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcgrad.engine import Aval, Op, Variable, record
from funcgrad.torch._memory.storages import aval_of
from funcgrad.torch._ops.refusals import check_dtypes, refusing
from funcgrad.torch._tensor.in_place import in_place, writable
from funcgrad.torch._tensor.operands import (
    NUMBERS,
    check_castable,
    laid_out,
    promoted,
    stored_number,
)
from funcgrad.torch._tensor.tensor import Tensor, tensor_of
from funcgrad.torch._types.dtypes import dtype, kernel_name


def _clamped(has_low: bool, has_high: bool) -> Callable[..., Any]:
    # Not minimum and maximum, which share the gradient where they are equal. Of NaN there is none.
    def function(x: Any, *bounds: Any) -> Any:
        if has_low:
            low = bounds[0]
            x = jnp.where(x >= low, x, jnp.where(x < low, low, jax.lax.stop_gradient(x + low)))
        if has_high:
            high = bounds[-1]
            x = jnp.where(x <= high, x, jnp.where(x > high, high, jax.lax.stop_gradient(x + high)))
        return x

    return function


def _between(x: Any, end: Any, weight: Any) -> Any:
    """`x + weight * (end - x)`, from the nearer end."""
    near = jnp.abs(weight) < 0.5
    return jnp.where(near, x, end) + jnp.where(near, weight, weight - 1) * (end - x)


# By the graph node's name: the function, and how many of its arguments are inputs of the node.
_FUNCTIONS: dict[str, tuple[Callable[..., Any], int]] = {
    "AddBackward0": (lambda x, other, alpha: x + alpha * other, 2),
    "SubBackward0": (lambda x, other, alpha: x - alpha * other, 2),
    "AddcdivBackward0": (lambda x, a, b, value: x + value * a / b, 3),
    "AddcmulBackward0": (lambda x, a, b, value: x + value * a * b, 3),
    "LerpBackward0": (_between, 2),
    "LerpBackward1": (_between, 3),
    "ClampBackward0": (_clamped(True, True), 3),
    "ClampBackward0 min": (_clamped(True, False), 2),
    "ClampBackward0 max": (_clamped(False, True), 2),
    "ClampBackward1": (_clamped(True, True), 1),
    "ClampBackward1 min": (_clamped(True, False), 1),
    "ClampBackward1 max": (_clamped(False, True), 1),
    "ClampMinBackward0": (_clamped(True, False), 1),
    "ClampMinBackward1": (_clamped(True, False), 2),
    "ClampMaxBackward0": (_clamped(False, True), 1),
    "ClampMaxBackward1": (_clamped(False, True), 2),
}
# Which of several operands a complaint names that were changed since: PyTorch goes by their names.
_NAMED_FIRST = {"AddcdivBackward0": (1,), "AddcmulBackward0": (1,), "LerpBackward1": (1, 0)}


def _check_broadcast(*avals: Aval) -> None:
    shape: tuple[int, ...] = ()
    for aval in avals:
        try:
            shape = np.broadcast_shapes(shape, aval.shape)
        except ValueError:
            for back in range(1, min(len(shape), len(aval.shape)) + 1):
                a, b = shape[-back], aval.shape[-back]
                if a != b and 1 not in (a, b):
                    raise RuntimeError(
                        f"The size of tensor a ({a}) must match the size of tensor b ({b}) at non-singleton dimension "
                        f"{max(len(shape), len(aval.shape)) - back}"
                    ) from None


@lru_cache(maxsize=1024)
def _op(label: str, compute: dtype, store: dtype) -> Op:
    function, counted = _FUNCTIONS[label]

    def cast(*arrays: Any) -> Any:
        made = function(*[array.astype(compute.numpy_dtype) for array in arrays])
        return made.astype(store.numpy_dtype)

    label = label.split(" ")[0]
    check = refusing(_name(label), _check_broadcast)
    return Op(
        _name(label),
        cast,
        label=label,
        check=check,
        counted=counted,
        constants_from=counted,
        named_first=_NAMED_FIRST.get(label, ()),
    )


def _name(label: str) -> str:
    return sub(r"(?<=[a-z])(?=[A-Z])", "_", label.split("Backward")[0]).lower()


_NO_INTEGERS = (
    "Integer division with addcdiv is no longer supported, and in a future  release addcdiv will perform a true division of "
    "tensor1 and tensor2. The historic addcdiv behavior can be implemented as (input + value * torch.trunc(tensor1 / "
    "tensor2)).to(input.dtype) for integer inputs and as (input + value * tensor1 / tensor2) for float inputs. The future "
    "addcdiv behavior is just the latter implementation: (input + value * tensor1 / tensor2), for all dtypes."
)


def _check_same_dtype(x: Tensor, *operands: Tensor) -> None:
    """Check that `lerp` gets what PyTorch's does.

    Raises:
        RuntimeError, NotImplementedError: a dtype is another, or is not floating point or complex.
    """
    for name, each in zip(("end", "weight"), operands, strict=False):
        if each.dtype is not x.dtype and (name == "end" or each.ndim):
            raise RuntimeError(
                f"expected dtype {kernel_name(x.dtype)} for `{name}` but got dtype {kernel_name(each.dtype)}"
            )
    if not (x.dtype.is_floating_point or x.dtype.is_complex):
        kernel = "lerp_kernel_tensor" if len(operands) > 1 else "lerp_kernel_scalar"
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{x.dtype.scalar_type}'")


def apply(label: str, stored: bool, x: Tensor, *operands: Any, factor: Any = None) -> Tensor:
    """Compute an op of the table, and store the result in `x` if `stored`.

    Args:
        label: its graph node's name.
        stored: whether in place.
        x, operands: tensors and Python numbers, which decide the dtype together.
        factor: a last number, which does not.
    """
    compute = promoted((x, *operands))
    if label.startswith("Lerp"):
        _check_same_dtype(x, *operands)
    if label == "AddcdivBackward0" and not any(
        each.dtype.is_floating_point or each.dtype.is_complex for each in operands
    ):
        raise RuntimeError(_NO_INTEGERS)
    aval = Aval((), compute.numpy_dtype)
    more = operands if factor is None else (*operands, factor)
    others: list[Variable] = [
        each if isinstance(each, Tensor) else stored_number(each, aval) for each in more
    ]
    if not stored:
        result = tensor_of(*record(_op(label, compute, compute), (x, *others)))
        return laid_out(result, x, *others)
    writable(x, *others, name=f"{_name(label)}_")
    avals = [aval_of(x._storage), *[other._storage.value.aval for other in others]]
    check_dtypes(_name(label), *avals)
    check_castable(compute, x.dtype)
    _check_broadcast(*avals)
    shape = np.broadcast_shapes(*[each.shape for each in avals])
    if shape != avals[0].shape:
        raise RuntimeError(
            f"output with shape {list(avals[0].shape)} doesn't match the broadcast shape {list(shape)}"
        )
    return in_place(_op(label, compute, x.dtype), x, *others)


def scaled(name: str, stored: bool, x: Tensor, other: Any, alpha: Any) -> Tensor:
    """`add` or `sub` with the second operand times `alpha`."""
    compute = promoted((x, other))
    if isinstance(alpha, (float, complex)) and not (
        compute.is_floating_point or compute.is_complex
    ):
        raise RuntimeError(
            "For integral input tensors, argument alpha must not be a floating point number."
        )
    return apply(f"{name.capitalize()}Backward0", stored, x, other, factor=alpha)


def _clamp(stored: bool, input: Tensor, min: Any, max: Any) -> Tensor:
    bounds = [each for each in (min, max) if each is not None]
    if not bounds:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    which = " max" if min is None else " min" if max is None else ""
    of_tensors = any(isinstance(each, Tensor) for each in bounds)
    label = f"ClampBackward{0 if of_tensors else 1}{which}"
    return apply(label, stored, input, *bounds)


def clamp(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """The elements, or the nearest bound where they are outside; a bound may be a number, a tensor or None.

    >>> import funcgrad.torch as torch
    >>> torch.tensor([-1.0, 0.5, 2.0]).clamp(0, 1)
    tensor([0.0000, 0.5000, 1.0000])
    """
    return _clamp(False, input, min, max)


def clamp_(self: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """`clamp` stored in the tensor itself."""
    return _clamp(True, self, min, max)


def _bounded(name: str, label: str, stored: bool) -> Callable[..., Tensor]:
    def function(input: Tensor, bound: Any) -> Tensor:
        return apply(f"{label}{0 if isinstance(bound, NUMBERS) else 1}", stored, input, bound)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"`clamp` on one side, as `torch.{name}`."
    return function


def _with_factor(name: str, label: str, stored: bool) -> Callable[..., Tensor]:
    def function(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Any = 1) -> Tensor:
        return apply(label, stored, input, tensor1, tensor2, factor=value)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"As `torch.{name}`."
    return function


def _lerp(name: str, stored: bool) -> Callable[..., Tensor]:
    def function(input: Tensor, end: Tensor, weight: Any) -> Tensor:
        if isinstance(weight, Tensor):
            return apply("LerpBackward1", stored, input, end, weight)
        return apply("LerpBackward0", stored, input, end, factor=weight)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"From the tensor to `end`, `weight` of the way, as `torch.{name}`."
    return function


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "addcdiv": _with_factor("addcdiv", "AddcdivBackward0", False),
    "addcmul": _with_factor("addcmul", "AddcmulBackward0", False),
    "clamp": clamp,
    "clamp_max": _bounded("clamp_max", "ClampMaxBackward", False),
    "clamp_min": _bounded("clamp_min", "ClampMinBackward", False),
    "clip": clamp,
    "lerp": _lerp("lerp", False),
}
METHODS: dict[str, Callable[..., Any]] = {
    **FUNCTIONS,
    "addcdiv_": _with_factor("addcdiv_", "AddcdivBackward0", True),
    "addcmul_": _with_factor("addcmul_", "AddcmulBackward0", True),
    "clamp_": clamp_,
    "clamp_max_": _bounded("clamp_max_", "ClampMaxBackward", True),
    "clamp_min_": _bounded("clamp_min_", "ClampMinBackward", True),
    "clip_": clamp_,
    "lerp_": _lerp("lerp_", True),
}
