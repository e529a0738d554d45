"""Copies of a tensor in another dtype or on another device, and filling one with a number."""

import warnings
from functools import cache, lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcgrad.engine import Aval, Constant, Op, Variable, local, record
from funcgrad.torch._memory.storages import aval_of, geometry_of
from funcgrad.torch._tensor.in_place import in_place, writable
from funcgrad.torch._tensor.operands import (
    NUMBERS,
    check_broadcast,
    laid_out,
    number,
    stored_number,
)
from funcgrad.torch._tensor.rebasing import CLONE
from funcgrad.torch._tensor.registry import publish_all
from funcgrad.torch._tensor.tensor import Tensor, tensor_of
from funcgrad.torch._types import dtypes
from funcgrad.torch._types.devices import device as device_of
from funcgrad.torch._types.dtypes import dtype


@cache
def _cast(wanted: np.dtype, where: Any) -> Op:
    def convert(x: Any) -> Any:
        return (
            jnp.astype(x, wanted) if where is None else jax.device_put(jnp.astype(x, wanted), where)
        )

    return Op(f"to {wanted.name}", convert, label="ToCopyBackward0")


@lru_cache(maxsize=1024)
def _fill(aval: Aval, label: str) -> Op:
    return Op(
        "fill",
        lambda _, value: jnp.full(aval.shape, value, aval.dtype),
        label=label,
        counted=1 if label.endswith("2") else None,
    )


@lru_cache(maxsize=1024)
def _zero(aval: Aval) -> Op:
    return Op("zero", lambda _: jnp.zeros(aval.shape, aval.dtype), label="ZeroBackward0")


@lru_cache(maxsize=1024)
def _copy(aval: Aval) -> Op:
    def copy(_: Any, source: Any) -> Any:
        if source.dtype.kind == "c" and aval.dtype.kind != "c":
            source = source.real
        return jnp.broadcast_to(source, aval.shape).astype(aval.dtype)

    return Op("copy", copy, label="CopyBackwards")


def copy_of(source: Tensor) -> Tensor:
    """A differentiable copy, recorded as `copy_` into an empty tensor."""
    empty = Constant(source._storage.value)  # never read, so any value of this type will do
    return tensor_of(*record(_copy(source._storage.value.aval), (Variable(empty), source)))


def clone(input: Tensor) -> Tensor:
    """A differentiable copy."""
    return laid_out(tensor_of(*record(CLONE, (input,))), input)


def to(
    self: Tensor, *args: Any, dtype: dtype | None = None, device: Any = None, copy: bool = False
) -> Tensor:
    """The tensor in another dtype, on another device, or with those of another tensor; itself if nothing changes."""
    for given in args:
        if isinstance(given, dtypes.dtype):
            dtype = given
        elif isinstance(given, Tensor):
            dtype, device = given.dtype, given.device
        elif isinstance(given, bool):
            continue
        else:
            device = given
    wanted = dtype or self.dtype
    if device is not None and device_of(device) != self.device:
        where = device_of(device).jax_device()
        moved = tensor_of(*record(_cast(wanted.numpy_dtype, None), (self,)))
        array = jax.device_put(moved._array(), where)
        from funcgrad.engine import Value

        moved._storage.value = Value.of(array)
        if local.recorder.watch is not None:
            local.recorder.watch.applied([moved._storage.value])
        return moved
    if wanted is self.dtype:
        return clone(self) if copy else self
    return laid_out(tensor_of(*record(_cast(wanted.numpy_dtype, None), (self,))), self)


def fill_(self: Tensor, value: Any) -> Tensor:
    """Set every element to a number or to a 0-d tensor."""
    aval = aval_of(self._storage)
    if isinstance(value, Tensor):
        if value._storage.memory is self._storage.memory:
            value = clone(value)
        writable(self, value, name="fill_")
        if value.ndim:
            raise RuntimeError(
                f"fill_ only supports 0-dimension value tensor but got tensor with {value.ndim} dimensions."
            )
        return in_place(_fill(aval, "FillBackward3"), self, value)
    if not isinstance(value, NUMBERS):
        what = type(value).__name__
        wrong = f"didn't match because some of the arguments have invalid types: (!{what}!)"
        raise TypeError(
            f"fill_() received an invalid combination of arguments - got ({what}), but expected one of:\n"
            f" * (Tensor value)\n      {wrong}\n * (Number value)\n      {wrong}\n"
        )
    writable(self, repeats=True)
    stored = stored_number(value, Aval((), aval.dtype))
    return in_place(_fill(aval, "FillBackward2"), self, stored)


def zero_(self: Tensor) -> Tensor:
    """Set every element to zero."""
    writable(self, repeats=True)
    return in_place(_zero(aval_of(self._storage)), self)


def _same_elements(self: Tensor, other: Variable) -> bool:
    """Tell if two tensors have the same elements of one memory, in the same order."""
    a, b = self._storage, other._storage
    return a.memory is b.memory and geometry_of(a) == geometry_of(b)


def copy_(self: Tensor, other: Any, non_blocking: bool = False) -> Tensor:
    """Set the elements to those of another tensor, converted and broadcast."""
    aval = aval_of(self._storage)
    if isinstance(other, NUMBERS):
        other = number(other, Aval((), aval.dtype))
    elif not isinstance(other, Tensor):
        raise TypeError(
            f"copy_(): argument 'other' (position 1) must be Tensor, not {type(other).__name__}"
        )
    writable(self, other, repeats=_same_elements(self, other), name="copy_")
    given = other._storage.value.aval
    if given.dtype.kind == "c" and aval.dtype.kind != "c":
        warnings.warn(
            "Casting complex values to real discards the imaginary part", UserWarning, stacklevel=2
        )
    check_broadcast(aval, given)
    if np.broadcast_shapes(aval.shape, given.shape) != aval.shape:
        raise RuntimeError(
            f"output with shape {list(aval.shape)} doesn't match the broadcast shape "
            f"{list(np.broadcast_shapes(aval.shape, given.shape))}"
        )
    return in_place(_copy(aval), self, other)


def _to(name: str) -> Any:
    wanted = getattr(dtypes, name)

    def convert(self: Tensor) -> Tensor:
        return to(self, wanted)

    convert.__doc__ = f"The tensor as {wanted}."
    return convert


publish_all(
    {"clone": clone},
    {
        "clone": clone,
        "to": to,
        "copy_": copy_,
        "fill_": fill_,
        "zero_": zero_,
        "cpu": lambda self: to(self, "cpu"),
        "double": _to("float64"),
        "float": _to("float32"),
        "half": _to("float16"),
        "bfloat16": _to("bfloat16"),
        "long": _to("int64"),
        "int": _to("int32"),
        "bool": _to("bool_"),
    },
)
