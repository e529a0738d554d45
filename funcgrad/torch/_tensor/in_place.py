"""The one way to write in place: the check of the target, the recording, and the storages that the node watches."""

from collections.abc import Sequence
from typing import Any

from funcgrad.engine import Leaf, Op, Storage, Value, Variable, local, record
from funcgrad.engine.levels import duals
from funcgrad.engine.nodes import Packed
from funcgrad.engine.values import META, Indirect, Wrapped
from funcgrad.teaching import cured
from funcgrad.torch._levels.refusals import check_not_batched, check_transformed
from funcgrad.torch._levels.storages import rewritten, still_dual
from funcgrad.torch._memory.inference import enabled as inferring
from funcgrad.torch._memory.inference import uncounted
from funcgrad.torch._memory.storages import geometry_of, writing
from funcgrad.torch._tensor.rebasing import rebase
from funcgrad.torch._tensor.tensor import Tensor
from funcgrad.torch._tensor.view import ViewTensor, as_it_was, keep_apart


def in_place(
    op: Op,
    target: Tensor,
    *others: Variable,
    saves_result: bool = False,
    saves_arguments: bool = False,
) -> Tensor:
    """Record `op` on a tensor and others, and store the result in the tensor. Call `writable` first.

    Set `saves_result` if PyTorch's derivative needs the result, and also `saves_arguments` if it needs both; see `watch`.
    """
    if isinstance(target, ViewTensor):
        node = target._write_in_place(op, others)
    else:
        node = _write(op, target, others)
    if saves_result:
        watch(node, target._storage, arguments=saves_arguments)
    return target


def _write(op: Op, target: Tensor, others: Sequence[Variable]) -> Any:
    """Record `op` on a tensor that is not a view, and store the result there; returns the new node, or None."""
    before = target._storage.read()
    result = record(op, (as_it_was(target), *others))
    if not write(target, result, before):
        with writing:
            result = record(op, (as_it_was(target), *others))
            write(target, result)
    return result[1]


def write(target: Tensor, result: tuple[Value, Any, int], before: Value | None = None) -> bool:
    """Store a recorded result in a tensor: the last step of an in-place op. Call `writable` first.

    Args:
        target: the tensor.
        result: the recorded result.
        before: the tensor's value at the recording, if the result depends on it.

    Returns:
        True if the result was stored; False if another thread has written to the tensor in between.
    """
    value, node, nr = result
    if isinstance(target, ViewTensor):
        target._write_in_place(_REPLACE, (Variable(Storage(value), node, nr),))
        return True
    storage = target._storage
    if isinstance(value, Wrapped):
        check_not_batched(target, value)
        if not local.recorder.grad_enabled:
            value = rewritten(storage.read(), value, tangents=False)
    elif duals:
        value = still_dual(storage.read(), value)
    keep_apart(node)
    with writing:
        if before is not None and storage.read() is not before:
            return False
        storage.write(value)
        storage.version += 1
        if node is not None:
            rebase(target, node, nr)
    return True


_REPLACE = Op("write", lambda _, new: new)


def watch(node: Any, *watched: Storage, arguments: bool = False) -> None:
    """Check the versions of these storages, instead of the arguments', when the node runs backward.

    PyTorch computes some derivatives from the result: for `exp` it is `exp` itself. So the result must not be changed in
    place before `backward()`, and the argument may be. For some ops PyTorch saves both.

    Args:
        node: the op's node, or None.
        watched: the storages that must not be changed: results or indices.
        arguments: whether to check the arguments too.
    """
    if node is None or not node.saved:
        return
    for entry in node.saved:
        if isinstance(entry[0], Packed):
            return  # hooks hold the saved value, so a change of the storage does no harm
    if arguments:
        (value, argument, _, held), *rest = node.saved
        both = Watched((argument, *watched), first=1)
        node.saved = ((value, both, both.version, held), *rest)
        return
    storage = watched[0] if len(watched) == 1 else Watched(watched, first=0)
    version, held = storage.version, storage.read()
    node.saved = tuple([(value, storage, version, held) for value, *_ in node.saved])


class Watched(Indirect):
    """Several storages that must not be changed; the node's saved value is the first one's.

    Args:
        parts: the storages.
        first: the place of the first result among them.
    """

    __slots__ = ("first", "parts")

    def __init__(self, parts: Sequence[Storage], first: int) -> None:
        self.parts, self.first = parts, first

    def read(self) -> Value:
        """The first storage's value."""
        return self.parts[0].read()

    @property
    def version(self) -> Any:  # type: ignore[override]
        """The versions of all the storages."""
        return tuple([part.version for part in self.parts])

    def changed(self, version: Any) -> tuple[Storage, int, int | None]:
        """The first storage that was changed."""
        k = next(k for k, part in enumerate(self.parts) if part.version != version[k])
        return self.parts[k], version[k], None if k < self.first else k - self.first


def writable(target: Tensor, *others: Variable, repeats: bool = False, name: str = "") -> None:
    """Check that an in-place op may change `target`; `name` is the op's method.

    Raises:
        RuntimeError: grad mode is on, and the target is a leaf that requires grad or a view of one. Or some of its elements
            share a place in memory, with one another or with another operand. Or it was made in inference mode, and
            inference mode is off.
    """
    if local.recorder.watch is not None:
        local.recorder.watch.writes(target)
    if uncounted(target._storage) and not inferring():
        raise RuntimeError(
            "Inplace update to inference tensor outside InferenceMode is not allowed.You can make a clone to get a "
            "normal tensor before doing inplace update.See https://github.com/pytorch/rfcs/pull/17 for more details."
        )
    if local.recorder.grad_enabled:
        if isinstance(target, ViewTensor):
            target._check_writable(others)
        elif isinstance(target._current_node(), Leaf):
            raise cured(
                RuntimeError(
                    "a leaf Variable that requires grad is being used in an in-place operation."
                ),
                "leaf in place",
            )
    if local.recorder.levels or duals:
        check_transformed(target, others, name)
    check_present(target, *others)
    viewed = target._storage.is_part
    for other in others:
        if viewed or other._storage.is_part:
            check_no_overlap(target, other)
    if viewed and not repeats:
        check_no_repeats(target._storage)


def check_present(target: Variable, *others: Variable) -> None:
    """Check that no operand on the device `meta` is written to a target with elements.

    Raises:
        NotImplementedError: one is.
    """
    for other in others:
        if other._storage.aval.device is META is not target._storage.aval.device:
            raise NotImplementedError("Cannot copy out of meta tensor; no data!")


def check_no_repeats(storage: Any) -> None:
    """Check that each element of a storage has its own place in memory.

    Raises:
        RuntimeError: several elements share a place, as after `expand`.
    """
    if geometry_of(storage).repeats:
        raise RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a single memory location. "
            "Please clone() the tensor before performing the operation."
        )


def check_no_overlap(target: Variable, other: Variable, whole: bool = False) -> None:
    """Refuse partial overlap between target and operand; with `whole`, refuse any overlap.

    Raises:
        RuntimeError: the overlap is partial; with `whole`, there is an overlap.
    """
    if target is other:
        overlap = whole
    elif target._storage.memory is not other._storage.memory:
        return
    else:
        a, b = geometry_of(target._storage), geometry_of(other._storage)
        same = (a.stride, a.offset, a.end) == (b.stride, b.offset, b.end)
        some = 0 not in a.size and 0 not in b.size and a.is_dense and b.is_dense
        overlap = some and a.offset < b.end and b.offset < a.end and (whole or not same)
    if overlap:
        raise RuntimeError(
            "unsupported operation: some elements of the input tensor and the written-to tensor refer to a single "
            "memory location. Please clone() the tensor before performing the operation."
        )
