"""Turns the pytrees of a loop into the arrays of a checkpoint, and back to exactly what they were."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jaxtyping import PyTree

from funcgrad.training.checkpoints import Checkpoint, CheckpointError, CheckpointWarning


class Saving:
    """Saves the state of a compiled loop, which says by its `steps` how far it is."""

    def __init__(self, checkpoint: Checkpoint | str | Path, identity: Mapping[str, Any]) -> None:
        if not isinstance(checkpoint, Checkpoint):
            checkpoint = Checkpoint(checkpoint)
        self._common, self._own, self._identity = checkpoint, own(checkpoint), identity
        self.due = self._own.due

    def restore(self, state: Any, *, resume: bool) -> Any:
        """Return the state last saved, or the one given where nothing was."""
        saved = load_common(self._common, self._identity, resume=resume)
        return state if saved is None else from_arrays(saved, "state", state)

    def save(self, state: Any) -> None:
        """Write the state."""
        arrays = {**to_arrays(state, "state"), "steps": np.asarray(state.steps)}
        self._own.save(arrays, self._identity)


def identity_of(
    loss: Any, state: PyTree, learning_rate: jax.Array | None, **more: Any
) -> dict[str, Any]:
    """Return what tells a run from another: its loss by name, and what its state looks like."""
    leaves = [f"{leaf.dtype}{list(leaf.shape)}" for leaf in jax.tree.leaves(state)]
    name = getattr(loss, "__qualname__", type(loss).__qualname__)
    return {
        "loss": f"{getattr(loss, '__module__', '')}.{name}",
        "state": [str(jax.tree.structure(state)), *leaves],
        "learning rate": None if learning_rate is None else float(learning_rate),
        **more,
    }


def to_arrays(tree: PyTree, name: str) -> dict[str, np.ndarray]:
    """Return the leaves of a pytree as named NumPy arrays."""
    leaves = jax.tree.leaves(tree)
    return {f"{name}{i}": np.asarray(_raw(leaf)) for i, leaf in enumerate(leaves)}


def from_arrays(arrays: Mapping[str, np.ndarray], name: str, like: PyTree) -> PyTree:
    """Return a pytree with the structure, dtypes and placement of another, from named arrays.

    Raises:
        CheckpointError: the arrays are not of such a tree.
    """
    leaves, structure = jax.tree.flatten(like)
    loaded = []
    for i, leaf in enumerate(leaves):
        stored, raw = arrays.get(f"{name}{i}"), _raw(leaf)
        if stored is None or stored.shape != raw.shape:
            raise CheckpointError(f"the checkpoint holds no {name} of these shapes")
        if stored.dtype.kind == "V":  # as NumPy stores bfloat16
            stored = stored.view(raw.dtype)
        if stored.dtype != raw.dtype:
            raise CheckpointError(
                f"the checkpoint holds {stored.dtype} where {raw.dtype} is wanted"
            )
        loaded.append(_place(stored, leaf))
    return jax.tree.unflatten(structure, loaded)


def free_arrays(arrays: Mapping[str, np.ndarray], name: str, like: PyTree) -> PyTree:
    """Return a pytree of NumPy arrays and whole numbers, of any shapes, with the structure of another."""
    leaves, structure = jax.tree.flatten(like)
    loaded = [arrays[f"{name}{i}"] for i in range(len(leaves))]
    return jax.tree.unflatten(
        structure,
        [
            int(stored) if isinstance(leaf, int) else stored
            for stored, leaf in zip(loaded, leaves, strict=True)
        ],
    )


def own(checkpoint: Checkpoint) -> Checkpoint:
    """Return the checkpoint that this process writes: each of several has its own."""
    count = jax.process_count()
    return checkpoint if count == 1 else checkpoint.of_process(jax.process_index(), count)


def load_own(
    checkpoint: Checkpoint, identity: Mapping[str, Any], *, resume: bool
) -> dict[str, np.ndarray] | None:
    """Return the arrays that this process saved last; None where it saved none.

    Raises:
        CheckpointError: if there are checkpoints and none that can be used, or any without `resume`.
    """
    checkpoint = own(checkpoint)
    _refuse_unasked(checkpoint, checkpoint.exists(), resume=resume)
    return checkpoint.load(identity)


def load_common(
    checkpoint: Checkpoint, identity: Mapping[str, Any], *, resume: bool
) -> dict[str, np.ndarray] | None:
    """Return the last saved arrays that every process has, by their "steps"; None where nobody saved.

    Raises:
        CheckpointError: in every process, if one of them has checkpoints and none that can be used, if
            they have no step in common, or if there are any without `resume`.
    """
    if jax.process_count() == 1:
        return load_own(checkpoint, identity, resume=resume)
    checkpoint = own(checkpoint)
    with_one = multihost_utils.process_allgather(np.asarray(checkpoint.exists()))
    found = bool(np.any(with_one))
    _refuse_unasked(checkpoint, found, resume=resume)
    if found and not np.all(with_one):
        # Such as one killed before its first: the others' cannot be gone on from.
        without = np.flatnonzero(~np.asarray(with_one)).tolist()
        warnings.warn(
            f"processes {without} have no checkpoint, so the run begins anew",
            CheckpointWarning,
            stacklevel=2,
        )
        return None
    usable, refused = checkpoint.read(identity)
    steps = [int(arrays["steps"]) for arrays in usable]
    mine = np.asarray([*steps, -1, -1][:2])
    everyone = [set(row.tolist()) - {-1} for row in multihost_utils.process_allgather(mine)]
    common = set.intersection(*everyone)
    if common:
        return usable[steps.index(max(common))]
    if found:
        reason = "; ".join(refused) or "another process has none of the same step"
        raise CheckpointError(f"{checkpoint.path} cannot be used: {reason}")
    return None


def _refuse_unasked(checkpoint: Checkpoint, found: bool, *, resume: bool) -> None:
    if found and not resume:
        raise CheckpointError(
            f"there is a checkpoint already, {checkpoint.path}: resume from it, or remove it"
        )


def _raw(leaf: Any) -> Any:
    is_key = isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.random.key_data(leaf) if is_key else leaf


def _place(stored: np.ndarray, leaf: jax.Array) -> jax.Array:
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(jnp.asarray(stored), impl=jax.random.key_impl(leaf))
    if leaf.is_fully_addressable:
        return jax.device_put(stored, leaf.sharding)
    return jax.make_array_from_callback(stored.shape, leaf.sharding, lambda index: stored[index])
