"""The elements of a new tensor, from Python's numbers, sequences and arrays, with the dtype that PyTorch infers."""

from collections.abc import Iterable
from functools import reduce
from math import isfinite
from typing import Any

import jax
import numpy as np

from funcgrad.torch._levels.refusals import ITEM, NO_STORAGE
from funcgrad.torch._tensor.tensor import Tensor, concrete
from funcgrad.torch._types.dtypes import (
    bfloat16,
    dtype,
    float16,
    from_numpy_dtype,
    get_default_dtype,
    int64,
    promote_types,
    scalar_category_dtype,
)
from funcgrad.torch._types.warning import warn


def elements(data: Any, wanted: dtype | None) -> Any:
    """The elements of `data` as an array.

    Args:
        data: a number, nested sequences of numbers, a NumPy or JAX array.
        wanted: the dtype; the one that PyTorch infers if None.

    Raises:
        ValueError: sequences are ragged, an integer has more than 64 bits, or a tensor among the numbers has several elements.
        TypeError: an element is no number, or is complex where a real one is due.
        RuntimeError: nothing to make a tensor of, or the dtype cannot hold an element.
    """
    if isinstance(data, jax.Array):
        stored = (wanted or from_numpy_dtype(data.dtype)).numpy_dtype
        with jax.enable_x64(True):
            return data if data.dtype == stored else data.astype(stored)
    if isinstance(data, np.ndarray):
        inferred = from_numpy_dtype(data.dtype)
        with np.errstate(over="ignore", invalid="ignore"):
            return data.astype((wanted or inferred).numpy_dtype)
    shape = _shape(data)
    flat: list[Any] = []
    try:
        _flatten(data, shape, flat)
    except (TypeError, ValueError):
        if wanted is None:
            _inferred(_leaves(data))  # comes first
        raise
    if wanted is None:
        nested = any(is_sequence(each) for each in flat)
        wanted = _inferred(_leaves(data) if nested else flat)
    with np.errstate(over="ignore", invalid="ignore"):
        return _converted(flat, wanted).reshape(shape)


def is_sequence(data: Any) -> bool:
    """Whether its elements are those of a tensor: it has a length, and is indexed."""
    kind = type(data)
    return isinstance(data, (list, tuple)) or (
        hasattr(kind, "__getitem__")
        and hasattr(kind, "__len__")
        and not isinstance(data, (str, bytes, dict, Tensor, np.generic))
    )


def _shape(data: Any) -> tuple[int, ...]:
    """The shape of nested sequences, read from the first item at each depth."""
    shape = []
    while is_sequence(data):
        shape.append(len(data))
        if not shape[-1]:
            break
        data = data[0]
        if isinstance(data, str):
            raise ValueError("too many dimensions 'str'")
    return tuple(shape)


def _flatten(data: Any, shape: tuple[int, ...], flat: list[Any], dim: int = 0) -> None:
    """Gather the elements of nested sequences of a shape.

    Raises:
        TypeError, ValueError: they have another.
    """
    if dim == len(shape):
        if isinstance(data, Tensor) and data.requires_grad:
            warn(
                "Converting a tensor with requires_grad=True to a scalar may lead to unexpected behavior.\n"
                "Consider using tensor.detach() first."
            )
        flat.append(_scalar(data) if isinstance(data, (Tensor, jax.Array)) else data)
        return
    if isinstance(data, Tensor):
        data = np.asarray(concrete(data._array(), NO_STORAGE))
    if not is_sequence(data):
        raise TypeError("not a sequence")
    if len(data) != shape[dim]:
        raise ValueError(f"expected sequence of length {shape[dim]} at dim {dim} (got {len(data)})")
    if isinstance(data, np.ndarray) and data.shape == shape[dim:]:
        flat.extend(data.ravel())  # as NumPy's scalars, which have their dtype
    elif dim + 1 == len(shape) and set(map(type, data)) <= _PLAIN:
        flat.extend(data)
    else:
        for each in data:
            _flatten(each, shape, flat, dim + 1)


_PLAIN = {bool, int, float, complex}


def _scalar(data: Any) -> Any:
    """The element of a tensor or array as NumPy's scalar, which has its dtype."""
    if isinstance(data, jax.Array):
        found = np.asarray(data)[()]
        return bool(found) if isinstance(found, np.bool_) else found
    if data.numel() != 1:
        raise ValueError("only one element tensors can be converted to Python scalars")
    found = np.asarray(concrete(data._array(), NO_STORAGE if data.ndim else ITEM)).reshape(())[()]
    return bool(found) if isinstance(found, np.bool_) else found


def _leaves(data: Any) -> Iterable[Any]:
    """The elements of nested sequences of any shape."""
    if is_sequence(data):
        for each in data:
            yield from _leaves(each)
    else:
        yield _scalar(data) if isinstance(data, (Tensor, jax.Array)) else data


def _inferred(flat: Iterable[Any]) -> dtype:
    """The dtype that PyTorch infers from numbers; the default dtype if there are none."""
    kinds = dict.fromkeys(map(type, flat))
    return reduce(promote_types, map(_of_type, kinds)) if kinds else get_default_dtype()


def _of_type(kind: type) -> dtype:
    if kind.__module__ == "ml_dtypes" or issubclass(kind, np.generic):
        return from_numpy_dtype(kind)
    if issubclass(kind, (bool, int, float, complex)):
        return scalar_category_dtype(kind)
    if issubclass(kind, (str, bytes)):
        raise TypeError(f"new(): invalid data type '{kind.__name__}'")
    raise RuntimeError(f"Could not infer dtype of {kind.__name__}")


def _converted(flat: list[Any], wanted: dtype) -> np.ndarray:
    """Numbers as elements of a dtype."""
    stored = wanted.numpy_dtype
    if stored.kind == "b":
        return np.array([bool(each) for each in flat], bool)
    if stored.kind in "iu":
        return _integers(flat, wanted)
    kinds = set(map(type, flat))
    for kind in kinds:
        if not hasattr(kind, "__float__") and not (stored.kind == "c" and kind is complex):
            raise TypeError(f"must be real number, not {kind.__name__}")
    if stored.kind == "c":
        return np.array([complex(each) for each in flat], np.complex128).astype(stored)
    if any(issubclass(kind, np.complexfloating) for kind in kinds):
        raise TypeError("must be real number, not complex")
    plain = kinds <= _PLAIN
    array = np.array(flat if plain else [float(each) for each in flat], np.float64)
    # As in PyTorch, half precision is rounded from float32.
    return (array.astype(np.float32) if wanted in (float16, bfloat16) else array).astype(stored)


def _integers(flat: list[Any], wanted: dtype) -> np.ndarray:
    kinds = set(map(type, flat))
    limits = np.iinfo(wanted.numpy_dtype)
    overflow = RuntimeError(f"value cannot be converted to type {wanted.name} without overflow")
    if not kinds <= {bool, int}:
        for kind in kinds:
            real = hasattr(kind, "__int__") and not issubclass(kind, np.complexfloating)
            if not real or issubclass(kind, (str, bytes, np.bool_)):
                name = "numpy.bool" if kind is np.bool_ else kind.__name__
                raise TypeError(f"'{name}' object cannot be interpreted as an integer")
            if issubclass(kind, (float, np.floating)) and not all(
                isfinite(each) and limits.min <= each <= limits.max and each < 2.0**63
                for each in flat
                if isinstance(each, kind)
            ):
                raise overflow
        flat = [int(each) for each in flat]
    try:
        array = np.array(flat, np.int64)
    except OverflowError:
        raise ValueError("Overflow when unpacking long long") from None
    if wanted is not int64 and array.size:
        # An integer below zero wraps around in an unsigned dtype.
        smallest = -int(limits.max) if limits.kind == "u" else int(limits.min)
        if array.min() < smallest or array.max() > limits.max:
            raise overflow
    return array.astype(wanted.numpy_dtype)
