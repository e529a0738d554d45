"""The engine's errors in backward, in PyTorch's words."""

from math import inf

from funcgrad.engine import FreedError, GraphNode, Leaf, ModifiedError, Storage
from funcgrad.engine.graph import DETACHED
from funcgrad.engine.nodes import Moved
from funcgrad.teaching import cured
from funcgrad.torch._autograd.observing import Anomaly
from funcgrad.torch._memory.slices import type_of_write
from funcgrad.torch._memory.storages import is_view
from funcgrad.torch._tensor.view import BASE_MODIFIED, UNTRACKED, refusal
from funcgrad.torch._types.dtypes import from_numpy_dtype
from funcgrad.torch._types.node_names import op_name, short_name


def as_pytorch(error: RuntimeError) -> RuntimeError:
    """The engine's error, in PyTorch's words."""
    if isinstance(error, FreedError):
        return cured(RuntimeError(str(error)), "second backward")
    if not isinstance(error, ModifiedError):
        return RuntimeError(str(error))
    storage, (source, nr) = error.storage, error.source
    aval = storage.aval
    if not error.of_result and _has_node(storage, source):
        refused = refusal(storage, source, nr, BASE_MODIFIED)
        if refused:
            return RuntimeError(refused)
    kind = from_numpy_dtype(aval.dtype).legacy_name
    maker = _maker(error)
    if maker is None:
        return RuntimeError(DETACHED)
    complaint = RuntimeError(
        "one of the variables needed for gradient computation has been modified by an inplace operation: "
        f"[{kind} {list(aval.shape)}]{maker and f', which is {maker},'} is at version {storage.version}; expected version "
        f"{error.expected} instead. Hint: {_SEEN if Anomaly.enabled else _UNSEEN}"
    )
    return cured(complaint, "result changed" if maker else "leaf changed")


def moved_of(storage: Storage) -> Moved | None:
    """Where writes in place have moved the tensor of this storage in the graph; for a view, its base's record."""
    return getattr(storage.counter, "moved", None)


def _has_node(storage: Storage, source: GraphNode | None) -> bool:
    """Whether a variable comes from a node. A view does too if a write gave its base one after the view was saved."""
    if source is UNTRACKED or (source is not None and not isinstance(source, Leaf)):
        return True
    moved = moved_of(storage)
    return moved is not None and moved.node_type is not None


def _maker(error: ModifiedError) -> str | None:
    """Name the output and the op that the changed variable now comes from; empty for a leaf, None if it was detached since."""
    storage, (source, nr) = error.storage, error.source
    if error.of_result:
        return "" if source is None else f"output {nr} of {short_name(type_of_write(source))}"
    if is_view(storage) and _has_node(storage, source):
        return f"output 0 of {op_name(storage.remade_by)}"
    variable = source.reference() if isinstance(source, Leaf) else None
    if variable is not None and variable._current_node() is source:
        return ""  # still a leaf: the write went through another tensor of this memory
    moved, at = moved_of(storage), inf if source is None else source.sequence
    if moved is not None and (at in moved.starts or moved.first <= at <= moved.last):
        if moved.node_type is None:
            return None if at < inf else ""
        return f"output {moved.nr} of {short_name(moved.node_type)}"
    return "" if at == inf else f"output {nr} of {short_name(type(source))}"


_SEEN = (
    "the backtrace further above shows the operation that failed to compute its gradient. The variable in question was "
    "changed in there or anywhere later. Good luck!"
)
_UNSEEN = (
    "enable anomaly detection to find the operation that failed to compute its gradient, with "
    "torch.autograd.set_detect_anomaly(True, check_nan=False)."
)
