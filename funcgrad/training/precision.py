"""Computing in float64 where the arrays given are, whatever JAX's default."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PyTree


def float64_where_given(tree: PyTree) -> AbstractContextManager[Any]:
    """Let JAX's float64 arrays stay what they are; NumPy's follow JAX's default."""
    arrays = (leaf for leaf in jax.tree.leaves(tree) if isinstance(leaf, jax.Array))
    if any(leaf.dtype == jnp.float64 for leaf in arrays):
        return jax.enable_x64(True)
    return nullcontext()
