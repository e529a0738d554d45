"""Copies of a tensor in another dtype or on another device, and filling one with a number."""

from functools import cache, lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcgrad.engine import Aval, Op, record
from funcgrad.torch import dtypes
from funcgrad.torch.calling import number, writable, write
from funcgrad.torch.devices import device as device_of
from funcgrad.torch.dtypes import dtype
from funcgrad.torch.tensor import Tensor, tensor_of

CLONE = Op("clone", jnp.copy, label="CloneBackward0")


@cache
def _cast(wanted: np.dtype, where: Any) -> Op:
    def convert(x: Any) -> Any:
        return (
            jnp.astype(x, wanted) if where is None else jax.device_put(jnp.astype(x, wanted), where)
        )

    return Op(f"to {wanted.name}", convert, label="ToCopyBackward0")


@lru_cache(maxsize=1024)
def _fill(aval: Aval) -> Op:
    return Op("fill", lambda value: jnp.full(aval.shape, value, aval.dtype))


def clone(input: Tensor) -> Tensor:
    """A copy, through which gradients flow."""
    return tensor_of(*record(CLONE, (input,)))


def to(
    self: Tensor, *args: Any, dtype: dtype | None = None, device: Any = None, copy: bool = False
) -> Tensor:
    """The tensor in another dtype, on another device, or as another tensor is; itself where nothing changes."""
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

        moved.storage.value = Value.of(array)
        return moved
    if wanted is self.dtype:
        return clone(self) if copy else self
    return tensor_of(*record(_cast(wanted.numpy_dtype, None), (self,)))


def fill_(self: Tensor, value: Any) -> Tensor:
    """Set every element to a number."""
    writable(self)
    aval = self.storage.value.aval
    held = value if isinstance(value, Tensor) else number(value, Aval((), aval.dtype))
    result = record(_fill(aval), (held,))
    return write(self, result)


def zero_(self: Tensor) -> Tensor:
    """Set every element to zero."""
    return fill_(self, 0)


def _to(name: str) -> Any:
    wanted = getattr(dtypes, name)

    def convert(self: Tensor) -> Tensor:
        return to(self, wanted)

    convert.__doc__ = f"The tensor as {wanted}."
    return convert


FUNCTIONS = {"clone": clone}
METHODS = {
    "clone": clone,
    "to": to,
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
}
