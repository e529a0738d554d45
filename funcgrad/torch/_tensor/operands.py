"""Operands and results of ops: numbers as variables, PyTorch's promotion of dtypes, the result's layout, and checks.

The ops themselves are in `_ops`; the tensor class is in `tensor`.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from funcgrad.engine import Aval, Op, Value, Variable, record
from funcgrad.teaching import cured
from funcgrad.torch._memory.constants import constant
from funcgrad.torch._memory.formats import (
    RANKS,
    geometry_in,
    memory_format,
    preserve_format,
    suggested_format,
)
from funcgrad.torch._memory.geometry import Geometry
from funcgrad.torch._memory.result_order import in_geometry, result_storage
from funcgrad.torch._memory.storages import geometry_of
from funcgrad.torch._tensor.tensor import Tensor, place, tensor_of
from funcgrad.torch._types.dtypes import bool_, dtype, from_numpy_dtype, result_dtype
from funcgrad.torch._types.numbers import as_scalar, check_fits

NUMBERS = (bool, int, float, complex, np.number, np.bool_)


def call(op: Op, *tensors: Variable) -> Any:
    """Record an op; returns its tensor, or a tuple of tensors if it has several outputs."""
    result = record(op, tensors)
    if isinstance(result, tuple):
        return tensor_of(*result)
    return tuple([tensor_of(*each) for each in result])


def number(value: Any, aval: Aval) -> Variable:
    """A Python number as an operand of arithmetic: a 0-d variable of this type. Integers wrap around.

    Raises:
        OverflowError, RuntimeError: see `as_scalar`.
    """
    return constant(value, aval, as_scalar)


def stored_number(value: Any, aval: Aval) -> Variable:
    """`number` for a number that the dtype must hold exactly, since it is stored and does not wrap around.

    Raises:
        OverflowError, RuntimeError: the number does not fit.
    """
    check_fits(value, aval.dtype)
    return number(value, aval)


def plain_number(
    given: Any, function: str, argument: str, position: int = 0, kind: str = "Number"
) -> Any:
    """An argument that has to be a number: a 0-d tensor counts as its element, anything else is returned unchanged.

    Args:
        given: the argument.
        function, argument, position: for the error; the position is 0 for an argument given by name only.
        kind: the name of the type that is due.

    Raises:
        TypeError: the tensor requires grad, so that its gradient would be lost, or has dimensions.
    """
    if not isinstance(given, Tensor):
        return given
    if given.ndim or given.requires_grad:
        place = f" (position {position})" if position else ""
        raise TypeError(f"{function}(): argument '{argument}'{place} must be {kind}, not Tensor")
    return given.item()


def compared_number(value: Any, aval: Aval) -> Variable:
    """`number` for a number beside which elements are compared or chosen: an integer must fit, a float may overflow.

    Raises:
        OverflowError, RuntimeError: an integer does not fit; wrapped around it would compare as another number.
    """
    return (stored_number if aval.dtype.kind in "iu" else number)(value, aval)


def of_array(given: Any, kinds: Any = jax.Array) -> Any:
    """An array beside a tensor as a tensor of its elements; None for anything else.

    NumPy's arrays are left to NumPy, as PyTorch leaves them: it asks for the tensor's elements, and is refused where a
    gradient is wanted. JAX's own would lose the gradient without a word, so they become constants of the graph.

    Args:
        given: the other operand.
        kinds: the classes of arrays that are taken.

    Raises:
        TypeError: it is a tensor of PyTorch.
    """
    if not isinstance(given, kinds):
        if is_pytorchs(given):
            raise cured(
                TypeError("the other operand is a tensor of PyTorch itself"), "two libraries"
            )
        return None
    try:
        stored = from_numpy_dtype(given.dtype).numpy_dtype
    except TypeError:
        return None
    return tensor_of(place(given.astype(stored) if given.dtype != stored else given))


def is_pytorchs(given: Any) -> bool:
    """Whether something is a tensor of PyTorch itself, which is not imported for that."""
    return isinstance(given, getattr(sys.modules.get("torch"), "Tensor", ()))


def promoted(operands: tuple[Any, ...]) -> dtype:
    """The dtype in which PyTorch computes on these tensors and Python numbers."""
    avals = [each._storage.aval for each in operands if isinstance(each, Variable)]
    return result_dtype(
        [from_numpy_dtype(aval.dtype) for aval in avals if aval.shape],
        [from_numpy_dtype(aval.dtype) for aval in avals if not aval.shape],
        [type(operand) for operand in operands if not isinstance(operand, Variable)],
    )


def check_factor(name: str, factor: Any, computed: dtype) -> None:
    """Check that a factor, a number or a tensor of one, is of a kind that the dtype of the result holds.

    Raises:
        RuntimeError: it is not.
    """
    kind = promoted((factor,))
    if kind is bool_ and computed is not bool_:
        raise RuntimeError(f"Boolean {name} only supported for Boolean results.")
    inexact = computed.is_floating_point or computed.is_complex
    if not inexact and (kind.is_floating_point or kind.is_complex):
        raise RuntimeError(
            f"For integral input tensors, argument {name} must not be a floating point number."
        )
    if kind.is_complex and not computed.is_complex:
        raise RuntimeError(
            f"For non-complex input tensors, argument {name} must not be a complex number."
        )


def laid_out(result: Tensor, *operands: Variable) -> Tensor:
    """Lay out the result of an elementwise op in memory as PyTorch does, in the order of the operands' elements.

    Only views among the operands can lie in another order than their indices.
    """
    # Inference tensors and batched values are left as they are.
    plain = result._storage.is_plain and type(result._storage.read()) is Value
    if plain and any(each._storage.is_part for each in operands):
        storage = result_storage(result._storage.read(), operands)
        if storage is not None:
            result._storage = storage
    return result


def in_format_of(result: Tensor, operands: Sequence[Variable], rule: Callable[..., bool]) -> None:
    """Lay out the result of an op on images in memory as PyTorch does: as `channels_last` if its operands lie so.

    Args:
        result: the result.
        operands: the op's operands.
        rule: `any` or `all`: how many of the operands have to lie so, of those with the result's number of dimensions.
    """
    if any(each._storage.is_part for each in operands):
        rank = len(result._storage.aval.shape)
        given = [geometry_of(each._storage) for each in operands]
        found = [suggested_format(each) for each in given if len(each.size) == rank]
        wanted = next((each for each in found if each in RANKS), None)
        if wanted is not None and rule(each is wanted for each in found):
            in_format(result, wanted)


def in_format(result: Tensor, wanted: memory_format | None, like: Tensor | None = None) -> Tensor:
    """Lay out a new tensor's elements in memory in a format.

    Args:
        result: the tensor.
        wanted: the format; None and `preserve_format` are the order of `like`.
        like: another tensor of the shape.

    Raises:
        RuntimeError: the format is one of tensors of another rank.
    """
    if wanted is None or wanted is preserve_format:
        return result if like is None else laid_out(result, like)
    made = geometry_in(wanted, tuple(result.shape))
    if made is not None and result._storage.is_plain and type(result._storage.read()) is Value:
        result._storage = in_geometry(result._storage.read(), made)
    return result


def in_order(result: Tensor, dims: Sequence[int]) -> Tensor:
    """Lay out a new tensor's elements in memory with these dimensions from the slowest to the fastest."""
    shape = result._storage.aval.shape
    strides, step = [0] * len(shape), 1
    for dim in reversed(dims):
        strides[dim] = step
        step *= shape[dim]
    made = Geometry(shape, tuple(strides))
    plain = result._storage.is_plain and type(result._storage.read()) is Value
    if step and plain and not made.is_contiguous:
        result._storage = in_geometry(result._storage.read(), made)
    return result


def check_broadcast(*avals: Aval) -> None:
    """`check_shapes` of the types' shapes."""
    check_shapes(*[aval.shape for aval in avals])


def check_shapes(*shapes: tuple[int, ...]) -> None:
    """Check that shapes broadcast.

    Raises:
        RuntimeError: two lengths differ and neither is 1.
    """
    shape: tuple[int, ...] = ()
    for each in shapes:
        if not shape or each in ((), shape):
            shape = shape or each
            continue
        try:
            shape = np.broadcast_shapes(shape, each)
        except ValueError:
            for back in range(1, min(len(shape), len(each)) + 1):
                a, b = shape[-back], each[-back]
                if a != b and 1 not in (a, b):
                    error = RuntimeError(
                        f"The size of tensor a ({a}) must match the size of tensor b ({b}) at non-singleton dimension "
                        f"{max(len(shape), len(each)) - back}"
                    )
                    raise cured(error, _cure(list(shapes))) from None


def _cure(shapes: list[tuple[int, ...]]) -> str:
    """The cure for shapes that do not broadcast: a last dimension of one for the smaller of two, if that mends it."""
    small, *large = sorted(shapes, key=len)
    rows = len(large) == 1 and bool(small) and len(large[0]) == len(small) + 1
    fits = rows and all(n in (1, m) for n, m in zip(small, large[0], strict=False))
    return "broadcast a row" if fits else "broadcast"


def check_result_fits(target: tuple[int, ...], result: tuple[int, ...]) -> None:
    """Check that a result has its target's shape.

    Raises:
        RuntimeError: the shapes differ.
    """
    if target != result:
        raise RuntimeError(
            f"output with shape {list(target)} doesn't match the broadcast shape {list(result)}"
        )


def check_castable(result: dtype, target: dtype) -> None:
    """Check that an in-place op may convert its result's dtype to the target's dtype.

    Raises:
        RuntimeError: the conversion would lose the category (complex, floating point, integer, bool).
    """
    if (
        (result.is_complex and not target.is_complex)
        or (result.is_floating_point and not (target.is_floating_point or target.is_complex))
        or (result is not bool_ and target is bool_)
    ):
        raise RuntimeError(
            f"result type {result.scalar_type} can't be cast to the desired output type {target.scalar_type}"
        )
