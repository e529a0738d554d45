"""Where arrays lie: puts parameters beside data that is sharded over a mesh of devices.

JAX's meshes come in two kinds. On an explicit one (`jax.make_mesh`'s default) shardings are part of the
types and every contraction over a sharded axis must name its result's; on an automatic one the
compiler chooses. A training loop is written once, so it runs on the automatic twin of its data's mesh.
"""

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree


def mesh_of(tree: PyTree) -> Mesh | None:
    """Return the mesh that the first sharded array of a pytree lies on, or None."""
    for leaf in jax.tree.leaves(tree):
        if isinstance(leaf, jax.Array) and not isinstance(leaf, jax.core.Tracer):
            sharding = leaf.sharding
            if isinstance(sharding, NamedSharding) and isinstance(sharding.mesh, Mesh):
                return sharding.mesh
    return None


def automatic(mesh: Mesh) -> Mesh:
    """Return a mesh of the same devices and names on which the compiler chooses shardings."""
    return Mesh(mesh.devices, mesh.axis_names, axis_types=(AxisType.Auto,) * len(mesh.axis_names))


def on_mesh(tree: PyTree, mesh: Mesh | None) -> PyTree:
    """Return the pytree on the mesh: an array already sharded keeps its shards, another is replicated."""
    if mesh is None:
        return tree

    def place_leaf(leaf: jax.Array) -> jax.Array:
        if isinstance(leaf, jax.core.Tracer):
            return leaf
        sharding = leaf.sharding
        spec = sharding.spec if isinstance(sharding, NamedSharding) else PartitionSpec()
        return jax.device_put(leaf, NamedSharding(mesh, spec))

    return jax.tree.map(place_leaf, tree)
