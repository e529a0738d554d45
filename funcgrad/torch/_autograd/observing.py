"""Saved-tensor hooks and anomaly mode. While on, they observe every graph node of a thread.

Both are rare, so the engine makes a single check: does this thread have an observer?
"""

import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from funcgrad.engine import Constant, GraphNode, Node, Storage, Value, Variable, grad_mode, local
from funcgrad.engine.nodes import Packed, behind
from funcgrad.engine.recording import Recorder, recorders
from funcgrad.engine.threads import PerThread
from funcgrad.torch._ops.conversions import to
from funcgrad.torch._ops.row import SAVED
from funcgrad.torch._tensor.registry import FUNCTIONS
from funcgrad.torch._tensor.tensor import Tensor, tensor_of
from funcgrad.torch._types.dtypes import from_numpy_dtype
from funcgrad.torch._types.node_names import node_name

_PACKAGE = str(Path(__file__).parents[2])

Pack = Callable[[Tensor], Any]
Unpack = Callable[[Any], Tensor]


class Anomaly:
    """Whether anomaly mode is on in the process, and whether it checks for NaN."""

    enabled = False
    check_nan = True


class Disabled(PerThread):
    """Why this thread refuses saved-tensor hooks; None if it does not."""

    reason: str | None = None


disabled = Disabled()
_switching = threading.Lock()
_metadata: WeakKeyDictionary[GraphNode, dict[str, Any]] = WeakKeyDictionary()


def metadata(node: GraphNode) -> dict[str, Any]:
    """Notes about a node, by the user or by anomaly mode."""
    held = _metadata.get(node)
    return _metadata.setdefault(node, {}) if held is None else held


def set_anomaly(enabled: bool, check_nan: bool) -> None:
    """Switch anomaly mode, in all threads."""
    with _switching:
        Anomaly.enabled, Anomaly.check_nan = enabled, check_nan
        for recorder in recorders():
            observer = recorder.observer
            if enabled:
                recorder.observer = observer or Observer()
            elif isinstance(observer, Observer) and not observer.hooks:
                recorder.observer = None


def active_hooks() -> Sequence[tuple[Pack, Unpack]]:
    """The active saved-tensor hooks of this thread, innermost last."""
    observer: Any = local.recorder.observer
    return () if observer is None else observer.hooks


def push_hooks(pack: Pack, unpack: Unpack) -> None:
    """Switch saved-tensor hooks on in this thread."""
    with _switching:
        observer: Any = local.recorder.observer or Observer()
        observer.hooks.append((pack, unpack))
        local.recorder.observer = observer


def pop_hooks() -> None:
    """Switch the innermost saved-tensor hooks off."""
    with _switching:
        observer: Any = local.recorder.observer
        observer.hooks.pop()
        if not (observer.hooks or Anomaly.enabled):
            local.recorder.observer = None


def saved_entry(tensor: Tensor) -> tuple[Any, Storage, int, Any]:
    """The entry that a node saves for a tensor: the tensor itself, or the result of the active hooks.

    Raises:
        RuntimeError: a hook changed the tensor in place.
    """
    storage = tensor._storage
    hooks = active_hooks()
    if not hooks:
        value = storage.read()
        return value, storage, storage.version, value
    return packed(tensor, *hooks[-1]).saved


def packed(tensor: Tensor, pack: Pack, unpack: Unpack) -> Packed:
    """Pack a tensor with a hook; the result stands for the tensor.

    Raises:
        RuntimeError: the hook changed the tensor in place.
    """
    storage, aval = tensor._storage, tensor._storage.aval
    version = storage.version
    with grad_mode(False):
        held = pack(tensor)
    if storage.version != version:
        raise RuntimeError(
            "A saved tensor pack hook is modifying its input in place. Tensors provided as input to pack hook cannot "
            "be modified by in-place operations as this can lead to unexpected side-effects. Please open an issue if "
            "you need to perform in-place operations on the input to a pack hook."
        )

    def unpacked() -> Value:
        result = unpack(held)
        if not isinstance(result, Tensor):
            raise TypeError(
                "Output of saved tensor unpack_hook expected to be a Tensor but got result of type "
                f"{type(result).__name__}"
            )
        found = result._storage.aval
        if found.shape != aval.shape:
            raise RuntimeError(
                f"saved tensor unpack_hook returned a tensor of shape {list(found.shape)} where one of shape "
                f"{list(aval.shape)} was saved"
            )
        if aval.inexact and not found.inexact:
            raise RuntimeError(
                "Only Tensors of floating point and complex dtype can require gradients"
            )
        if found.dtype != aval.dtype:
            with grad_mode(False):
                result = to(result, from_numpy_dtype(aval.dtype))
        return result._storage.read()

    return Packed(unpacked)


class Observer:
    """Per-thread observer; runs saved-tensor hooks and anomaly mode if enabled.

    Attributes:
        hooks: the saved-tensor hooks, innermost last.
        visited: the node that runs backward now; ops called now belong to its backward.
    """

    __slots__ = ("hooks", "visited")

    def __init__(self) -> None:
        self.hooks: list[tuple[Pack, Unpack]] = []
        self.visited: GraphNode | None = None

    def made(self, node: GraphNode, arguments: Sequence[Variable]) -> None:
        """Note the line that made the node, and give its saved tensors to the hooks."""
        if Anomaly.enabled:
            notes = metadata(node)
            notes["traceback_"] = _stack()
            if self.visited is not None:
                notes["parent_"] = self.visited
        if self.hooks and isinstance(node, Node) and node.saved:
            edges = dict(zip(node.rule.wants, node.edges, strict=True))
            entries = dict(zip(node.rule.saves, node.saved, strict=True))
            for rank, position in enumerate(_in_pytorchs_order(node)):
                value, storage, *_ = entries[position]
                if isinstance(storage, Constant):
                    continue
                tensor = arguments[position]
                if not isinstance(tensor, Tensor):
                    tensor = tensor_of(value, *edges.get(position, (None, 0)))
                    tensor._storage = storage
                entries[position] = saved_entry(tensor)
                if isinstance(entries[position][0], Packed):
                    entries[position][0].rank = rank  # PyTorch unpacks in the same order
            node.saved = tuple(entries.values())

    def visits(self, node: GraphNode) -> None:
        """Remember the node that runs backward now."""
        self.visited = node

    def failed(self, node: GraphNode) -> None:
        """Warn with the forward line of a node whose backward failed."""
        self.visited = None
        if Anomaly.enabled:
            _warn_of(node)

    def gave(self, node: GraphNode, gradients: Sequence[Variable | None]) -> None:
        """Check the gradients for NaN.

        Raises:
            RuntimeError: there is a NaN.
        """
        self.visited = None
        if not (Anomaly.enabled and Anomaly.check_nan):
            return
        for number, gradient in enumerate(gradients):
            if gradient is None or not gradient._storage.aval.inexact:
                continue
            with grad_mode(False):
                plain = tensor_of(behind(gradient._storage.read()))  # the whole batch
                found = FUNCTIONS["any"](FUNCTIONS["isnan"](plain)).item()
            if found:
                _warn_of(node)
                raise RuntimeError(
                    f"Function '{node_name(type(node))}' returned nan values in its {number}th output."
                )


def _in_pytorchs_order(node: Node) -> list[int]:
    """The positions of a node's saved arguments in the order in which PyTorch packs them: that of their names."""
    places = SAVED.get(type(node).__name__, {})
    names = {place: name for name, place in reversed(places.items())}
    return sorted(node.rule.saves, key=lambda position: names.get(position, ""))


Recorder.observing = staticmethod(lambda: Observer() if Anomaly.enabled else None)


def _stack() -> list[str]:
    """The call stack, without this package's own lines."""
    frames = traceback.extract_stack()
    while frames and frames[-1].filename.startswith(_PACKAGE):
        frames.pop()
    return traceback.format_list(frames)


def _warn_of(node: GraphNode) -> None:
    """Warn with the forward line of a node, and of each node whose backward made it."""
    lines = metadata(node).get("traceback_")
    if lines is None:
        warnings.warn(
            f"Error detected in {node_name(type(node))}. No forward pass information available. Enable detect anomaly during forward "
            "pass for more information.",
            stacklevel=2,
        )
        return
    warnings.warn(
        f"Error detected in {node_name(type(node))}. Traceback of forward call that caused the error:\n{''.join(lines)}",
        stacklevel=2,
    )
    parent = metadata(node).get("parent_")
    while parent is not None:
        lines = metadata(parent).get("traceback_")
        warnings.warn(
            f"\n\nPrevious calculation was induced by {node_name(type(parent))}. "
            + (
                "No forward pass information available."
                if lines is None
                else f"Traceback of forward call that induced the previous calculation:\n{''.join(lines)}"
            ),
            stacklevel=2,
        )
        parent = metadata(parent).get("parent_")


@contextmanager
def disable_saved_tensors_hooks(error_message: str) -> Iterator[None]:
    """A block in which `saved_tensors_hooks` raises RuntimeError with this message.

    Raises:
        RuntimeError: hooks are on already.

    Behaviour: https://pytorch.org/docs/stable/autograd.html#torch.autograd.graph.disable_saved_tensors_hooks
    """
    if active_hooks():
        raise RuntimeError(error_message)
    before, disabled.reason = disabled.reason, error_message
    try:
        yield
    finally:
        disabled.reason = before
