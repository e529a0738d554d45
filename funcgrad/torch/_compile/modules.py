"""The parameters and buffers of a module as arguments of its pure function."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcgrad.engine import grad_mode
from funcgrad.torch._compile.objects import tensor_from
from funcgrad.torch._tensor.tensor import Tensor

# Modules live in a room above this one, so they are recognised by these attributes, not imported.
_PLACES = ("_parameters", "_buffers", "_modules")


def is_module(thing: Any) -> bool:
    """Whether a thing is a module of `torch.nn`."""
    return all(hasattr(thing, place) for place in _PLACES)


def held(module: Any, kind: str) -> dict[str, Tensor]:
    """A module's "parameters" or "buffers" by name, each once."""
    return dict(getattr(module, f"named_{kind}")())


def check_names(module: Any, parameters: Any, buffers: Any) -> None:
    """Check that arrays are there for each of a module's tensors.

    Raises:
        ValueError: names are missing, or unknown.
    """
    for kind, given in (("parameters", parameters), ("buffers", buffers)):
        wanted = held(module, kind)
        if set(given) != set(wanted):
            raise ValueError(
                f"the module's {kind} are {list(wanted)}, not {list(given)}: begin with what `{kind}()` returns"
            )
        for name, tensor in wanted.items():
            if tuple(np.shape(given[name])) != tuple(tensor.shape):
                raise ValueError(
                    f"{name} is of shape {tuple(tensor.shape)}, not {tuple(np.shape(given[name]))}"
                )


def load(module: Any, parameters: Any, buffers: Any = None) -> None:
    """Copy arrays into a module's parameters and buffers; buffers that are not given stay as they are.

    Raises:
        ValueError: names or shapes do not fit.
    """
    own = held(module, "buffers")
    check_names(module, parameters, own if buffers is None else buffers)
    tensors = held(module, "parameters") | own
    with grad_mode(False):
        for name, array in {**parameters, **(buffers or {})}.items():
            tensors[name].copy_(array if isinstance(array, Tensor) else tensor_from(array))


@contextmanager
def swapped(module: Any, tensors: dict[str, Tensor]) -> Iterator[None]:
    """A block with other tensors in place of a module's own; a tensor that is held twice is replaced twice."""
    tables = [table for each in module.modules() for table in (each._parameters, each._buffers)]
    names = {id(tensor): name for kind in ("parameters", "buffers") for name, tensor in held(module, kind).items()}  # fmt: skip
    before = [(table, name, tensor) for table in tables for name, tensor in table.items()]
    try:
        for table, name, tensor in before:
            if tensor is not None:
                table[name] = tensors[names[id(tensor)]]
        yield
    finally:
        for table, name, tensor in before:
            table[name] = tensor


def array_of_key(key: Any) -> Any:
    """The bits of a JAX key, as integers that a tensor can hold.

    Raises:
        TypeError: it is not a key.
    """
    if not hasattr(key, "dtype"):
        raise TypeError(f"random_key is a key of jax.random, not {key!r}")
    bits = jax.random.key_data(key) if jnp.issubdtype(key.dtype, jax.dtypes.prng_key) else key
    return jax.lax.bitcast_convert_type(bits, np.int32)


def key_of(bits: Any) -> Any:
    """The JAX key of `array_of_key`'s bits, which come as a tensor; None for None."""
    if bits is None:
        return None
    return jax.random.wrap_key_data(jax.lax.bitcast_convert_type(bits._array(), np.uint32))
