"""Batched values: lifting, random numbers, and unbatching."""

from collections.abc import Sequence
from typing import Any

from funcgrad.engine import Storage, Value, Variable, local
from funcgrad.engine.levels import BatchLevel, lift
from funcgrad.engine.values import Wrapped
from funcgrad.torch._levels.axes import expand


def lifted(value: Value) -> Value:
    """Lift a new value to the level of the running transformation, so that its function may write to it."""
    return lift(Variable(Storage(value)))._storage.read() if local.recorder.levels else value


RANDOM = (
    "vmap: called random operation while in randomness error mode. Please either use the 'same' or 'different' "
    "randomness flags on vmap or perform the randomness operation out of vmap"
)


def drawn_for_batches() -> tuple[int, ...] | None:
    """Inside `vmap`, the sizes of the batches with randomness "different"; None outside `vmap`.

    Raises:
        RuntimeError: a batch has randomness "error".
    """
    batches = [level for level in local.recorder.levels if isinstance(level, BatchLevel)]
    if any(level.randomness == "error" for level in batches):
        raise RuntimeError(RANDOM)
    if not batches:
        return None
    return tuple([level.size for level in batches if level.randomness == "different"])


def _batches_of(value: Value) -> list[BatchLevel]:
    """The batch levels of a value, innermost first."""
    found = []
    while isinstance(value, Wrapped):
        if value.axis is not None:
            found.append(value.level)
        value = value.inner._storage.read()
    return found


def is_batched(value: Value) -> bool:
    """Whether a value is batched, at any level."""
    return isinstance(value, Wrapped) and bool(_batches_of(value))


def as_batched(value: Value, like: Value) -> Value:
    """Expand a new value over the batches of another value; it is the same for every example."""
    batches = _batches_of(like)
    if not batches:
        return value
    while isinstance(value, Wrapped):
        value = value.inner._storage.read()
    made: Any = Variable(Storage(value))
    with local.recorder.levels[0].below():
        for level in batches:
            made = expand(made, level.size, 0)
    return _through_levels(made, batches)


def check_drawn_in_place(target: Variable) -> tuple[int, ...]:
    """For random numbers drawn into a tensor, the sizes of the batches with randomness "different".

    Raises:
        RuntimeError: a batch has randomness "error", or "different" and the tensor is not of that batch.
    """
    batches = drawn_for_batches()
    wanting = [
        level
        for level in local.recorder.levels
        if isinstance(level, BatchLevel) and level.randomness == "different"
    ]
    held = _batches_of(target._storage.read())
    if not all(level in held for level in wanting):
        raise RuntimeError(
            "vmap: Cannot ask for different inplace randomness on an unbatched tensor. This will appear like same "
            "randomness. If this is necessary for your usage, please file an issue with functorch."
        )
    return batches or ()


def of_batches(value: Value) -> Value:
    """Bring numbers drawn for `drawn_for_batches` to the level of the running transformation."""
    levels = local.recorder.levels
    wanting = [each for each in levels if getattr(each, "randomness", None) == "different"]
    return _through_levels(Variable(Storage(value)), wanting)


def _through_levels(variable: Variable, batches: Sequence[Any]) -> Value:
    """Bring a variable to the innermost level. Its first axes are these batches, outermost first."""
    for level in local.recorder.levels:
        if not isinstance(level, BatchLevel):
            variable = Variable(Storage(level.wrap(variable)))
        elif level in batches:
            variable = Variable(Storage(level.wrap_batch(variable, 0)))
    return variable._storage.read()
