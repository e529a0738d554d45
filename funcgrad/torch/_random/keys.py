"""Random numbers from a JAX key: inside a block with a key, draws come from it and not from PyTorch's stream."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np

_DRAWS: dict[str, Callable[..., Any]] = {
    "bernoulli": lambda key, shape, p: jax.random.bernoulli(key, p, shape),
    "exponential": lambda key, shape, lambd: jax.random.exponential(key, shape) / lambd,
    "normal": lambda key, shape, mean, std: mean + std * jax.random.normal(key, shape),
    "uniform": lambda key, shape, low, high: jax.random.uniform(
        key, shape, minval=low, maxval=high
    ),
}


class _Source(threading.local):
    """The key of this thread's block, and how many draws it has given."""

    key: Any = None
    draws = 0


_source = _Source()


@contextmanager
def drawing_from(key: Any) -> Iterator[None]:
    """A block whose draws come from a key; each takes another one that is folded in."""
    before = _source.key, _source.draws
    _source.key, _source.draws = key, 0
    try:
        yield
    finally:
        _source.key, _source.draws = before


def drawn_from_key(name: str, shape: tuple[int, ...], dtype: np.dtype, *values: Any) -> Any:
    """An array drawn from the block's key, as `Tensor.<name>_` would fill it; None without a key, or for another draw."""
    if _source.key is None or name not in _DRAWS:
        return None
    key = jax.random.fold_in(_source.key, _source.draws)
    _source.draws += 1
    return _DRAWS[name](key, shape, *values).astype(dtype)
