"""Lets a computation whose result is small run on data that is sharded over any mesh."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import jax
from jax.sharding import NamedSharding, PartitionSpec


def replicating(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let the compiler choose the shardings within a function of arrays; its result is replicated.

    Only data on an explicit mesh (`jax.make_mesh`'s default) needs it: there, a product that sums over
    a sharded axis must name its result's sharding, and factorizations refuse sharded input.
    """

    @wraps(function)
    def wrapped(*args: Any) -> Any:
        for leaf in jax.tree.leaves(args):
            mesh = jax.typeof(leaf).sharding.mesh
            if not mesh.empty and not mesh.are_all_axes_auto:
                replicated = NamedSharding(mesh, PartitionSpec())
                return jax.sharding.auto_axes(function, out_sharding=replicated)(*args)
        return function(*args)

    return wrapped


def shards_of_rows(x: jax.Array) -> int:
    """Return over how many devices' shards the first axis goes, as far as is known: 1 in most traces."""
    sharding = jax.typeof(x).sharding if isinstance(x, jax.core.Tracer) else x.sharding
    if isinstance(sharding, NamedSharding) and sharding.mesh.empty:
        return 1
    local = sharding.shard_shape(x.shape)[0]
    return x.shape[0] // local if local else 1
