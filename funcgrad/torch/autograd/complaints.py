"""What the engine complains of on the way back, in PyTorch's words."""

from math import inf

from funcgrad.engine import Leaf, ModifiedError, Storage
from funcgrad.engine.graph import DETACHED
from funcgrad.engine.values import Moved
from funcgrad.torch.autograd.observing import Anomaly
from funcgrad.torch.base_ops import type_of_write
from funcgrad.torch.dtypes import from_numpy_dtype
from funcgrad.torch.node_names import op_name, short_name
from funcgrad.torch.view_storage import aval_of, counter_of, is_view
from funcgrad.torch.view_tensor import BASE_MODIFIED, refusal


def as_pytorch(error: RuntimeError) -> RuntimeError:
    """The engine's complaint in PyTorch's words."""
    if not isinstance(error, ModifiedError):
        return RuntimeError(str(error))
    storage, (source, nr) = error.storage, error.source
    aval = aval_of(storage)
    # A view that led nowhere does still, unless its base was given a node.
    if not error.of_result and (source is not None or moved_of(storage) is not None):
        refused = refusal(storage, source, nr, BASE_MODIFIED)
        if refused:
            return RuntimeError(refused)
    kind = from_numpy_dtype(aval.dtype).legacy_name
    maker = _maker(error)
    if maker is None:
        return RuntimeError(DETACHED)
    return RuntimeError(
        "one of the variables needed for gradient computation has been modified by an inplace operation: "
        f"[{kind} {list(aval.shape)}]{maker and f', which is {maker},'} is at version {storage.version}; expected version "
        f"{error.expected} instead. Hint: {_SEEN if Anomaly.enabled else _UNSEEN}"
    )


def moved_of(storage: Storage) -> Moved | None:
    """Where writes in place have taken the tensor of a storage, the base's where it is a view."""
    return getattr(counter_of(storage), "moved", None)


def _maker(error: ModifiedError) -> str | None:
    """Which output of which op the variable is now that was changed; empty for a leaf, None where it was detached since."""
    storage, (source, nr) = error.storage, error.source
    moved = moved_of(storage)
    at = inf if source is None else source.sequence
    if error.of_result:
        return "" if source is None else f"output {nr} of {short_name(type_of_write(source))}"
    if is_view(storage) and (at < inf or moved is not None):
        return f"output 0 of {op_name(storage.remade_by)}"
    variable = source.reference() if isinstance(source, Leaf) else None
    if variable is not None and variable.node is source:
        return ""  # a leaf still: it was another tensor of this memory that was written
    if moved is not None and (at == moved.start or moved.first <= at <= moved.last):
        found = moved.node_type
        return None if found is None else f"output {moved.nr} of {short_name(found)}"
    return "" if at == inf else f"output {nr} of {short_name(type(source))}"


_SEEN = (
    "the backtrace further above shows the operation that failed to compute its gradient. The variable in question was "
    "changed in there or anywhere later. Good luck!"
)
_UNSEEN = (
    "enable anomaly detection to find the operation that failed to compute its gradient, with "
    "torch.autograd.set_detect_anomaly(True, check_nan=False)."
)
