"""Turns the pytrees of a loop into the arrays of a checkpoint, and back, bit for bit."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jaxtyping import PyTree

from funcgrad.training.checkpoints import Checkpoint, CheckpointError, CheckpointWarning
from funcgrad.training.identity import constants_of


class Saving:
    """Saves the state of a compiled loop of so many steps, which says by its `steps` how far it is."""

    def __init__(self, checkpoint: Checkpoint, identity: Mapping[str, Any], steps: int) -> None:
        self._common, self._own, self._identity = checkpoint, own(checkpoint), identity
        self._steps = steps
        self.due = self._own.due

    def restore(self, state: Any, *, resume: bool) -> Any:
        """Return the state last saved, or the one given where nothing was.

        Raises:
            CheckpointError: the checkpoint is not of this run, or of more steps than are to be taken.
        """
        saved = load_common(self._common, self._identity, resume=resume)
        if saved is None:
            return state
        whole, losses = field(saved, "steps", np.int64(0)), _name_of_leaf(state, "losses")
        if int(whole) > self._steps:
            raise CheckpointError(
                f"the checkpoint {self._own.path} is after {int(whole)} steps, which is more than the "
                f"{self._steps} to take"
            )
        # There is room for one loss a step. More steps may be asked for now than when it was saved.
        stored, room = saved.get(losses), np.asarray(state.losses)
        if stored is not None and stored.ndim == 1 and stored.dtype == room.dtype:
            room = np.full_like(room, np.nan)
            taken = stored[: len(room)]
            room[: len(taken)] = taken
            saved = {**saved, losses: room}
        return from_arrays(saved, "state", state)

    def save(self, state: Any) -> None:
        """Write the state."""
        arrays = {**to_arrays(state, "state"), "steps": np.asarray(state.steps, np.int64)}
        self._own.save(arrays, self._identity)


@contextmanager
def held(checkpoint: Checkpoint | str | Path | None) -> Iterator[Checkpoint | None]:
    """Yield the checkpoint to use, if any, kept from other runs while the block lasts.

    Raises:
        CheckpointError: another run holds it.
    """
    if checkpoint is None:
        yield None
        return
    if not isinstance(checkpoint, Checkpoint):
        checkpoint = Checkpoint(checkpoint)
    with own(checkpoint).held():
        yield checkpoint


def identity_of(
    loss: Any, state: PyTree, learning_rate: jax.Array | None, optimizer: Any, **more: Any
) -> dict[str, Any]:
    """Return the identity of a run, as JSON values.

    Its loss and optimizer by name and by their constants, what its state looks like, and more.
    """
    leaves = [f"{leaf.dtype}{list(leaf.shape)}" for leaf in jax.tree.leaves(state)]
    return {
        "loss": constants_of(loss),
        "state": [str(jax.tree.structure(state)), *leaves],
        "learning rate": None if learning_rate is None else float(learning_rate),
        "optimizer": constants_of(optimizer),
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
        loaded.append(_restored(stored, leaf))
    return jax.tree.unflatten(structure, loaded)


def free_arrays(arrays: Mapping[str, np.ndarray], name: str, like: PyTree) -> PyTree:
    """Return a pytree of NumPy arrays and whole numbers, of any lengths, with the structure of another.

    Raises:
        CheckpointError: the arrays are not of such a tree.
    """
    leaves, structure = jax.tree.flatten(like)
    loaded = [field(arrays, f"{name}{i}", leaf, free=True) for i, leaf in enumerate(leaves)]
    return jax.tree.unflatten(
        structure,
        [
            int(stored) if isinstance(leaf, int) else stored
            for stored, leaf in zip(loaded, leaves, strict=True)
        ],
    )


def field(
    arrays: Mapping[str, np.ndarray], name: str, like: Any, *, free: bool = False
) -> np.ndarray:
    """Return one array of a checkpoint, of the kind and shape of another; with `free`, of any length.

    Raises:
        CheckpointError: it is missing or another, or a count is negative.
    """
    stored, like = arrays.get(name), np.asarray(like)
    if stored is None:
        raise CheckpointError(f"the checkpoint is damaged: it has no {name}")
    same = stored.shape[1:] == like.shape[1:] and stored.ndim == like.ndim if free else False
    if stored.dtype.kind != like.dtype.kind or not (same or stored.shape == like.shape):
        raise CheckpointError(
            f"the checkpoint is damaged: {name} is {stored.dtype}{list(stored.shape)} where "
            f"{like.dtype}{list(like.shape)} is due"
        )
    if stored.dtype.kind in "iu" and (stored < 0).any():
        raise CheckpointError(f"the checkpoint is damaged: {name} is negative")
    return stored


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
    """Return the last saved arrays that every process has, by their "steps"; None if no process saved.

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
        # One was killed before its first save, for example: the run cannot go on from the others' alone.
        without = np.flatnonzero(~np.asarray(with_one)).tolist()
        warnings.warn(
            f"processes {without} have no checkpoint, so the run begins anew",
            CheckpointWarning,
            stacklevel=2,
        )
        return None
    usable, refused = checkpoint.read(identity)
    steps = [int(field(arrays, "steps", np.int64(0))) for arrays in usable]
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
            f"there is a checkpoint already, {checkpoint.path}: go on from it (resume=True, or --resume in the shell), "
            f"or remove {checkpoint.path}*"
        )


def _name_of_leaf(state: Any, attribute: str) -> str:
    """Return the name under which an array of a state is saved."""
    leaves, wanted = jax.tree.leaves(state), getattr(state, attribute)
    return f"state{next(i for i, leaf in enumerate(leaves) if leaf is wanted)}"


def _raw(leaf: Any) -> Any:
    is_key = isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.random.key_data(leaf) if is_key else leaf


def _restored(stored: np.ndarray, leaf: jax.Array) -> jax.Array:
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(jnp.asarray(stored), impl=jax.random.key_impl(leaf))
    if leaf.is_fully_addressable:
        return jax.device_put(stored, leaf.sharding)
    return jax.make_array_from_callback(stored.shape, leaf.sharding, lambda index: stored[index])
