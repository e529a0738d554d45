"""A memory's bits as elements of another dtype."""

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from funcgrad.engine import Op


def as_pairs(x: Any) -> Any:
    """The real and imaginary parts of complex numbers, one after another in one dimension."""
    return jnp.stack([x.real, x.imag], -1).reshape(-1)


def as_complex(x: Any) -> Any:
    """Complex numbers in one dimension, from real and imaginary parts one after another in any shape."""
    pairs = _grouped(x, 2)
    return jax.lax.complex(pairs[:, 0], pairs[:, 1])


def _grouped(x: Any, count: int) -> Any:
    flat = x.reshape(-1)
    return flat[: flat.size // count * count].reshape(-1, count)


def seen_as(x: Any, dtype: np.dtype) -> Any:
    """The bits of an array as elements of a dtype, in one dimension; an incomplete element at the end is dropped.

    >>> seen_as(jnp.ones(1, np.float32), np.dtype(np.int32)).tolist()
    [1065353216]
    """
    if x.dtype == dtype:
        return x.reshape(-1)
    if x.dtype.kind == "c":
        return seen_as(as_pairs(x), dtype)
    if x.dtype.kind == "b":
        return seen_as(x.astype(np.uint8), dtype)
    if dtype.kind == "c":
        return as_complex(seen_as(x, np.zeros((), dtype).real.dtype))
    if dtype.kind == "b":
        return seen_as(x, np.dtype(np.uint8)) != 0
    if x.dtype.itemsize < dtype.itemsize:
        x = _grouped(x, dtype.itemsize // x.dtype.itemsize)
    return jax.lax.bitcast_convert_type(x, dtype).reshape(-1)


def put_bits(x: Any, new: Any) -> Any:
    """`x` with its bits replaced by the bits of `new`; further bits of `x` stay."""
    if new.dtype.kind == "b" and x.dtype.kind != "b":
        # A byte whose truth value does not change stays as it is.
        held = seen_as(x, np.dtype(np.uint8))
        new = jnp.where((held != 0) == new, held, new.astype(np.uint8))
    bits = seen_as(new, x.dtype)
    return jnp.concatenate([bits, x.reshape(-1)[bits.size :]]).reshape(x.shape)


@lru_cache(maxsize=256)
def seen_op(dtype: np.dtype) -> Op:
    """The op memory -> its bits as elements of another dtype."""
    return Op(f"view_as_{dtype.name}", lambda memory: seen_as(memory, dtype))


PUT_BACK = Op("put bits", put_bits)
