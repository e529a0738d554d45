"""The axes of a mesh along which arrays vary, inside `jax.shard_map`.

JAX keeps these in the types of tracers. An op that JAX differentiates there takes arrays that vary along the same axes:
otherwise JAX would sum a gradient over devices inside the op, and once more outside.
"""

from collections.abc import Callable
from typing import Any

import jax

Axes = frozenset[Any]


def inside_mesh() -> bool:
    """Whether JAX traces for a mesh."""
    return not jax.sharding.get_abstract_mesh().empty


def varying(*arrays: Any) -> Axes:
    """The axes along which any of these arrays varies."""
    return Axes().union(*[jax.typeof(each).manual_axis_type.varying for each in arrays])


def varied(array: Any, axes: Axes) -> Any:
    """The array as one that varies along these axes; its cotangent is summed over the axes that it did not vary along."""
    missing = tuple(sorted(axes - varying(array)))
    return jax.lax.pcast(array, missing, to="varying") if missing else array


def varying_alike(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, called with arrays that all vary along the axes of any."""

    def called(*arrays: Any) -> Any:
        axes = varying(*arrays)
        return function(*[varied(each, axes) for each in arrays])

    return called
