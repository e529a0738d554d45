"""What looks at every graph node of a thread while it is on: saved-tensor hooks, and anomaly mode.

Both are rare, so the engine asks one thing only: whether this thread has an observer.
"""

import threading
import traceback
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from funcgrad.engine import Constant, GraphNode, Node, Storage, Value, Variable, grad_mode, local
from funcgrad.engine.nodes import Packed
from funcgrad.torch.pointwise import FUNCTIONS as POINTWISE
from funcgrad.torch.reductions import FUNCTIONS as REDUCTIONS
from funcgrad.torch.tensor import Tensor, tensor_of

_PACKAGE = str(Path(__file__).parents[2])

Pack = Callable[[Tensor], Any]
Unpack = Callable[[Any], Tensor]


class Anomaly:
    """Whether anomaly mode is on, in the whole process, and whether it looks for NaN."""

    enabled = False
    check_nan = True


class _Local(threading.local):
    def __init__(self) -> None:
        self.hooks: list[tuple[Pack, Unpack]] = []
        self.disabled: str | None = None
        self.visited: GraphNode | None = None


state = _Local()
_metadata: WeakKeyDictionary[GraphNode, dict[str, Any]] = WeakKeyDictionary()


def metadata(node: GraphNode) -> dict[str, Any]:
    """What is noted down about a node, by the user or by anomaly mode."""
    held = _metadata.get(node)
    return _metadata.setdefault(node, {}) if held is None else held


def observe() -> None:
    """Let this thread have its observer, if anything is on, and only then."""
    local.recorder.observer = _observer if state.hooks or Anomaly.enabled else None


def saved_entry(tensor: Tensor) -> tuple[Any, Storage, int, Any]:
    """How a node keeps a tensor for the way back: as it is, or handed to the hooks that are on.

    Raises:
        RuntimeError: a hook changed the tensor in place.
    """
    storage = tensor.storage
    if not state.hooks:
        value = storage.value
        return value, storage, storage.version, value
    pack, unpack = state.hooks[-1]
    version = storage.version
    with grad_mode(False):
        packed = pack(tensor)
    if storage.version != version:
        raise RuntimeError(
            "A saved tensor pack hook is modifying its input in place. Tensors provided as input to pack hook cannot "
            "be modified by in-place operations as this can lead to unexpected side-effects. Please open an issue if "
            "you need to perform in-place operations on the input to a pack hook."
        )

    def unpacked() -> Value:
        with grad_mode(False):
            result = unpack(packed)
        if not isinstance(result, Tensor):
            raise TypeError(
                "Output of saved tensor unpack_hook expected to be a Tensor but got result of type "
                f"{type(result).__name__}"
            )
        return result.storage.value

    return Packed(unpacked).saved


class _Observer:
    """The engine's observer: does what is on."""

    def made(self, node: GraphNode) -> None:
        """Note where the node was made, and hand what it saved to the hooks."""
        if Anomaly.enabled:
            notes = metadata(node)
            notes["traceback_"] = _stack()
            if state.visited is not None:
                notes["parent_"] = state.visited
        if state.hooks and isinstance(node, Node) and node.saved:
            edges = dict(zip(node.rule.wants, node.edges, strict=True))
            entries: list[Any] = []
            for position, entry in zip(node.rule.saves, node.saved, strict=True):
                value, storage, *_ = entry
                if type(storage) is Constant:
                    entries.append(entry)
                    continue
                alias = tensor_of(value, *edges.get(position, (None, 0)))
                alias.storage = storage
                entries.append(saved_entry(alias))
            node.saved = tuple(entries)

    def visits(self, node: GraphNode) -> None:
        """Remember which node's way back the ops to come belong to."""
        state.visited = node

    def failed(self, node: GraphNode, error: BaseException) -> None:
        """Warn of the forward line of a node whose way back failed."""
        state.visited = None
        if Anomaly.enabled and isinstance(error, Exception):
            _warn_of(node)

    def gave(self, node: GraphNode, gradients: Sequence[Variable | None]) -> None:
        """Look for NaN among the gradients.

        Raises:
            RuntimeError: there is one.
        """
        state.visited = None
        if not (Anomaly.enabled and Anomaly.check_nan):
            return
        for number, gradient in enumerate(gradients):
            if gradient is None or not gradient.storage.value.aval.inexact:
                continue
            with grad_mode(False):
                plain = tensor_of(gradient.storage.value)
                found = REDUCTIONS["any"](POINTWISE["isnan"](plain)).item()
            if found:
                _warn_of(node)
                raise RuntimeError(
                    f"Function '{type(node).__name__}' returned nan values in its {number}th output."
                )


_observer = _Observer()


def _stack() -> list[str]:
    """The lines that led here, without this package's own."""
    frames = traceback.extract_stack()
    while frames and frames[-1].filename.startswith(_PACKAGE):
        frames.pop()
    return traceback.format_list(frames)


def _warn_of(node: GraphNode) -> None:
    """Warn with the forward line of a node, and of the nodes in whose way back it was made."""
    name = type(node).__name__
    lines = metadata(node).get("traceback_")
    if lines is None:
        warnings.warn(
            f"Error detected in {name}. No forward pass information available. Enable detect anomaly during forward "
            "pass for more information.",
            stacklevel=2,
        )
        return
    warnings.warn(
        f"Error detected in {name}. Traceback of forward call that caused the error:\n{''.join(lines)}",
        stacklevel=2,
    )
    parent = metadata(node).get("parent_")
    while parent is not None:
        lines = metadata(parent).get("traceback_")
        warnings.warn(
            f"\n\nPrevious calculation was induced by {type(parent).__name__}. "
            + (
                "No forward pass information available."
                if lines is None
                else f"Traceback of forward call that induced the previous calculation:\n{''.join(lines)}"
            ),
            stacklevel=2,
        )
        parent = metadata(parent).get("parent_")
