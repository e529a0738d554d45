"""Tensors that are views. A view's node follows its base: it is made anew after the base was written in place.

How PyTorch does it: https://github.com/pytorch/pytorch/blob/main/torch/csrc/autograd/variable.cpp
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import jax.numpy as jnp

from funcgrad.engine import (
    FreedError,
    FunctionNode,
    GraphNode,
    Leaf,
    Op,
    Storage,
    Variable,
    grad_mode,
    local,
    record,
)
from funcgrad.engine.levels import where
from funcgrad.engine.nodes import next_sequence
from funcgrad.engine.values import settled
from funcgrad.teaching import cured
from funcgrad.torch._levels.refusals import REQUIRES_GRAD
from funcgrad.torch._memory import geometry as geometries
from funcgrad.torch._memory import inference
from funcgrad.torch._memory.constants import index_variable
from funcgrad.torch._memory.slices import as_strided, copy_slices, relative
from funcgrad.torch._memory.storages import (
    Creation,
    ViewStorage,
    geometry_of,
    reinterpreted,
    view_of,
    writing,
)
from funcgrad.torch._tensor.operands import call
from funcgrad.torch._tensor.rebasing import move_retained, rebase
from funcgrad.torch._tensor.tensor import AccumulateGrad, Tensor
from funcgrad.torch._types.node_names import short_name

_new = object.__new__


# The words for a view that is refused at its next use. For a refused write they are "is being".
BASE_MODIFIED = "its base or another view of its base has been"
# The error's words for the mode in which a view was made, and for the mode in which it is written.
_MODES = {
    Creation.NO_GRAD: ("no_grad", " with grad mode enabled"),
    Creation.INFERENCE: ("inference", " in normal mode"),
}


def refusal(storage: Storage, node: Any, nr: int, modified: str) -> str:
    """PyTorch's error message for a view that must not be written; empty if it may be written.

    Args:
        storage: the view's storage.
        node, nr: the view's node, and the view's position among the node's outputs.
        modified: the words for the modification: `BASE_MODIFIED` or "is being".
    """
    creation = getattr(storage, "creation", None)
    if creation is None or creation is Creation.PLAIN:
        return ""
    if node is None or isinstance(node, Leaf):
        made, written = _MODES.get(creation, _MODES[Creation.NO_GRAD])
        what = f"A view was created in {made} mode and {modified} modified inplace{written}."
    else:
        made, written = _MODES.get(creation, ("", ""))
        of = made and f" of a view which was created in {made} mode"
        name = short_name(type(node))
        what = f"Output {nr} of {name} is a view{of} and {modified} modified inplace{written}."
    return f"{what} {creation.value}"


class _Nobody:
    """A throwaway referent: the leaf's weak reference to it is dead immediately."""


# The node of a view that requires grad only because its base does. As in PyTorch, its gradients are lost.
UNTRACKED = AccumulateGrad(_Nobody())  # type: ignore[arg-type]


class Unmade(NamedTuple):
    """Stands for the node of a view that was written in place. The node is made when it is asked for.

    Attributes:
        edge: the base's edge after the write; None if the base still has it then.
        version: the version after the write.
        sequence: the sequence number of the node, as if it were made at the write.
    """

    edge: tuple[GraphNode, int] | None = None
    version: int = 0
    sequence: float = 0


class AsStridedBackward0(FunctionNode):
    """The node of a view whose base was detached in place. It passes no gradient on."""

    __slots__ = ()

    def pull_back(self, cotangents: Sequence[Variable | None]) -> Sequence[Variable | None]:
        """No gradient."""
        return [None]


class CopySlices(FunctionNode):
    """The node of a base after a Python function wrote to a view of it. All other writes use `copy_slices`."""

    __slots__ = ("offset", "position", "way", "within")

    def __init__(self, within: FunctionNode, position: int, view: "ViewTensor") -> None:
        base, storage = view._viewed, view._storage
        edges = list(within.edges)
        edges[position] = (base._node or UNTRACKED, base._nr)  # a base is no view
        super().__init__(tuple(edges), (base._storage.aval,))
        self.within: FunctionNode | None = within
        self.position = position
        self.way, self.offset = relative(base._storage, storage), storage.offset  # type: ignore[arg-type, attr-defined]

    @property
    def saved(self) -> Any:
        """The function's node; backward frees it."""
        return None if self.within is None else (self.within,)

    @saved.setter
    def saved(self, saved: Any) -> None:
        if saved is None:
            self.within = None

    def pull_back(self, cotangents: Sequence[Variable | None]) -> Sequence[Variable | None]:
        """Run the function's backward on the view's part of the cotangent; the other part is passed on unchanged.

        Raises:
            FreedError: an earlier backward freed the function's node.
        """
        if self.within is None:
            raise FreedError
        whole = cotangents[0]
        if whole is None:
            return [None] * len(self.edges)
        gradients = list(self.within.pull_back([call(as_strided(*self.way), whole, self.offset)]))
        part = gradients[self.position]
        op = copy_slices(_PUT if part is not None else _CLEAR, *self.way)
        arguments = (whole, self.offset) if part is None else (whole, part, self.offset)
        gradients[self.position] = call(op, *arguments)
        return gradients


_PUT = Op("put", lambda _, new: new)
_CLEAR = Op("clear", jnp.zeros_like)


class ViewTensor(Tensor):
    """A tensor that is a view of another, its base. To the user it is a `Tensor`.

    Attributes:
        _viewed: the base, which is not a view itself.
        _known_node: the view's node as it was last made, or `Unmade`; None if it has none of its own.
        _known_version: the version of the memory for which that node is right.
    """

    _viewed: Tensor
    _known_node: GraphNode | Unmade | None
    _known_version: int
    # Only `_current_node` and `_set_edge` know a view's node, so reading or assigning the attribute is an error.
    _node = property()

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """`Tensor`: PyTorch has one class for tensors and views."""
        return Tensor

    @property
    def _creation(self) -> Creation:
        """How the view was made."""
        return self._storage.creation  # type: ignore[attr-defined]

    @_creation.setter
    def _creation(self, creation: Creation) -> None:
        self._storage.creation = creation  # type: ignore[attr-defined]

    # -- its place in the graph -----------------------------------------------------------------------------------

    def _current_node(self) -> Any:
        """The view's node. It is made anew if the base was written in place since it was last made.

        Raises:
            RuntimeError: it must be made anew, and the view was made without grad mode or by an op with several outputs.
        """
        known, base = self._known_node, self._viewed
        if base._node is None and (known is None or isinstance(known, Leaf)):
            return known
        if known is None and inference.is_of_inference(self._storage):
            return None
        if isinstance(known, Unmade) or self._known_version != self._storage.version:
            self._check_creation(BASE_MODIFIED)
            self._make_node()
            known = self._known_node
        return UNTRACKED if known is None else known

    def _set_edge(self, node: GraphNode | None, nr: int = 0) -> None:
        self._known_node, self._nr = node, nr

    def _known_edge(self) -> tuple[Any, int]:
        return self._known_node, self._nr

    @Tensor.requires_grad.getter  # type: ignore[attr-defined]
    def requires_grad(self) -> bool:
        """Whether a gradient flows to it."""
        if self._known_node is not None:
            return True
        # A view of an inference tensor does not follow its base in the graph.
        return self._viewed._node is not None and not inference.is_of_inference(self._storage)

    def _ask(self, wanted: bool) -> None:
        if wanted and local.recorder.levels:
            raise RuntimeError(REQUIRES_GRAD)
        node = self._current_node()
        if not self.is_leaf or (node is not None and node.begins):
            super()._ask(wanted)
        elif not wanted:
            self._former, self._known_node = self._known_node or self._former, None
        elif self._known_node is None:
            # Not `node is None`: the untracked node, which follows from the base, is not the view's own.
            self._check_may_require_grad()
            self._known_node = self._former or AccumulateGrad(self)

    def _is_result(self) -> bool:
        return self._known_node is not None and not isinstance(self._known_node, Leaf)

    @property
    def _base(self) -> Tensor | None:
        return self._viewed if self._is_view() else None

    def _is_view(self) -> bool:
        # PyTorch does not track views of inference tensors.
        return not inference.is_of_inference(self._storage)

    def _make_node(self) -> None:
        """Make the view's node anew: the node of the op that reads the view from its base."""
        storage: Any = self._storage
        base: Variable = self._viewed
        known, sequence = self._known_node, None
        if (
            isinstance(known, Unmade)
            and known.edge is not None
            and known.version == storage.version
        ):
            # This holds even if the base was detached since.
            base, sequence = Variable(base._storage, *known.edge), known.sequence
        with where(self._viewed._storage.read()), grad_mode(True):
            op = as_strided(*relative(self._viewed._storage, storage), storage.remade_by)
            value, self._known_node, self._nr = record(op, (base, storage.offset))
        if self._known_node is None:
            self._known_node = AsStridedBackward0(((UNTRACKED, 0),), (storage.aval,))
        if sequence is not None:
            self._known_node.sequence = sequence  # type: ignore[misc]
        held = storage.viewed.read()
        if storage.cached is None or storage.cached[0] is not held:
            storage.cached = held, value
        self._known_version = storage.version
        if self._retained is not None:
            move_retained(self)

    def _rebase_on(self, node: FunctionNode, position: int) -> None:
        """After a Python function wrote to this view: give the base a node that runs the function on the view's part.

        Args:
            node: the function's node, with one output.
            position: the position of the view's edge among the node's edges.
        """
        self._check_writable(())
        made = CopySlices(node, position, self)
        rebase(self._viewed, made, 0)
        self._expect_node(made, 0)

    def _expect_node(self, node: GraphNode, nr: int) -> None:
        """After a write through this view: let its node be made on demand, with a sequence number as if made now.

        Args:
            node, nr: the base's node after the write, and the base's position among its outputs.
        """
        self._known_node = Unmade((node, nr), self._storage.version, next_sequence())
        if self._retained is not None:
            move_retained(self)

    def _see_version(self) -> None:
        """Mark the present node as valid for the present version."""
        self._known_version = self._storage.version

    # -- writing to it --------------------------------------------------------------------------------------------

    def _check_writable(self, others: Sequence[Variable]) -> None:
        """Check that autograd can record an in-place op on this view. Call it only in grad mode.

        Raises:
            RuntimeError: the base is a leaf that requires grad, or the view was made in a way that forbids the write.
        """
        requires_grad = self.requires_grad
        if requires_grad or any(_requires_grad(other) for other in others):
            self._check_creation("is being")
            if requires_grad and self._viewed.is_leaf:
                raise cured(
                    RuntimeError(
                        "a view of a leaf Variable that requires grad is being used in an in-place operation."
                    ),
                    "view of a leaf in place",
                )

    def _check_creation(self, modified: str) -> None:
        refused = refusal(self._storage, self._known_node, self._nr, modified)
        if refused:
            raise RuntimeError(refused)

    def _write_in_place(self, op: Op, others: Sequence[Variable]) -> Any:
        """Record `op` on this view and `others`, and store its result in the memory.

        One op maps the old base to the new base, so its derivative covers the whole base.

        Returns:
            The new graph node, or None.
        """
        written, node = self._try_to_write(op, others)
        if not written:
            with writing:
                _, node = self._try_to_write(op, others, alone=True)
        return node

    def _try_to_write(
        self, op: Op, others: Sequence[Variable], alone: bool = False
    ) -> tuple[bool, Any]:
        """Record the op and store its result, unless another thread has written to the memory in between.

        With `alone`, the caller holds `writing`, so no other thread can write.

        Returns:
            Whether the result was stored, and the new node or None.
        """
        storage: Any = self._storage
        base = self._viewed
        if local.recorder.grad_enabled and base._storage.memory is storage.memory:
            target, whole = base._storage, base
            before, source = target.read(), base._node
            arguments = (as_it_was(base), *others, storage.offset)
            value, node, nr = record(copy_slices(op, *relative(base._storage, storage)), arguments)
            keep_apart(node)
        else:
            target, whole = storage.viewed, None
            before, source = target.read(), None
            with grad_mode(False):
                arguments = (storage.held, *others, storage.offset)
                value, node, nr = record(copy_slices(op, storage.layout, None), arguments)
        with writing:
            if not alone and (
                target.read() is not before or (whole is not None and whole._node is not source)
            ):
                return False, None
            target.write(value)
            storage.counter.version += 1
            storage.cached = None  # the old elements are out of date
            if node is not None:
                rebase(base, node, nr)
                self._expect_node(node, nr)
        return True, node


ViewTensor.__name__ = ViewTensor.__qualname__ = "Tensor"
ViewTensor.__module__ = "funcgrad.torch"


def _requires_grad(variable: Variable) -> bool:
    return variable.requires_grad if isinstance(variable, Tensor) else variable._node is not None


def as_it_was(target: Variable) -> Variable:
    """The target of an in-place op as an argument.

    With an observer it gets a storage of its own, so that saved-tensor hooks do not see the coming change.
    """
    if local.recorder.observer is None:
        return target
    return Variable(Storage(settled(target._storage.read())), *target._edge())


def keep_apart(node: Any) -> None:
    """Let the node of an in-place op keep its target's old value if the derivative needs it; PyTorch keeps a copy."""
    if node is not None and node.saved and 0 in node.rule.saves:
        value = node.saved[0][0]
        node.saved = ((value, Storage(value), 0, value), *node.saved[1:])


# A tensor's own attributes; the user added all others.
OWN_ATTRIBUTES = {*Tensor.__annotations__, *ViewTensor.__annotations__}


def attributes(tensor: Tensor) -> dict[str, Any]:
    """The attributes that the user added to a tensor."""
    return {name: held for name, held in vars(tensor).items() if name not in OWN_ATTRIBUTES}


# ------------------------------------------------------------------------------------------- making views


@lru_cache(256)
def view_class(cls: type[Tensor]) -> type[ViewTensor]:
    """The class of views that users see as `cls`, a subclass of `Tensor`."""
    seen = {name: getattr(cls, name) for name in ("__module__", "__qualname__", "__doc__")}
    kind: Any = type(cls)
    return kind(cls.__name__, (cls, ViewTensor), {"__class__": property(lambda _: cls), **seen})


def view_tensor(
    input: Tensor, storage: ViewStorage, node: Any, nr: int, creation: Creation
) -> Tensor:
    """The tensor of a view of `input`."""
    made = _new(ViewTensor)
    made._storage = storage
    made._known_node, made._nr = node, nr
    try:
        made._known_version = storage.version
    except RuntimeError:  # an inference tensor has no version, and never a node
        made._known_version = 0
    if isinstance(input, ViewTensor):
        made._viewed = input._viewed
        creation = input._creation if creation is Creation.PLAIN else creation
    else:
        made._viewed = input
    storage.creation = creation
    return made


def made_now() -> Creation:
    """The `Creation` of a view made now, by this thread's modes."""
    if local.recorder.grad_enabled:
        return Creation.PLAIN
    return Creation.INFERENCE if inference.enabled() else Creation.NO_GRAD


def make_view(input: Tensor, geometry: Any, op: Op, places: tuple[int, ...] = ()) -> Tensor:
    """A view of a tensor.

    Args:
        input: the tensor, which may be a view itself.
        geometry: the view's geometry.
        op: gives the view's elements from the input's; recorded only if the view gets a node.
        places: the op's numbers, its arguments after the input.
    """
    storage = view_of(input._storage, geometry)
    node, nr = None, 0
    if _leaves_node(input):
        arguments = (input, *map(index_variable, places)) if places else (input,)
        value, node, nr = record(op, arguments)
        storage.cached = storage.viewed.read(), value
    return view_tensor(input, storage, node, nr, made_now())


def _leaves_node(input: Tensor) -> bool:
    """Whether a new view of a tensor gets a node. A view of an inference tensor gets none."""
    return (
        local.recorder.grad_enabled
        and input._current_node() is not None
        and not inference.is_of_inference(input._storage)
    )


def written_view(input: Tensor, geometry: Any) -> Tensor:
    """A view that is only written to, so that it needs no recorded op."""
    node = Unmade() if input.requires_grad else None
    return view_tensor(input, view_of(input._storage, geometry), node, 0, made_now())


def make_reinterpreted(input: Tensor, geometry: Any, dtype: Any, op: Op) -> Tensor:
    """A view of the input's elements as real or as complex numbers."""
    storage = reinterpreted(input._storage, geometry, dtype)
    storage.remade_by = op.label
    node, nr = None, 0
    if _leaves_node(input):
        value, node, nr = record(op, (input,))
        storage.cached = storage.viewed.read(), value
    return view_tensor(input, storage, node, nr, made_now())


def view_of_itself(input: Tensor) -> Tensor:
    """A view of a whole tensor, without a node. A custom function that returns its argument returns this view."""
    of = geometry(input)
    made = geometries.view(of, of.size) or of
    return view_tensor(input, view_of(input._storage, made), None, 0, Creation.FUNCTION)


def make_views(input: Tensor, geometries: Sequence[Any], op: Op) -> tuple[Tensor, ...]:
    """The views of an op with several outputs."""
    storages = [view_of(input._storage, each) for each in geometries]
    creation = Creation.SEVERAL if local.recorder.grad_enabled else made_now()
    if not _leaves_node(input):
        return tuple([view_tensor(input, each, None, 0, creation) for each in storages])
    results = record(op, (input,))
    results = [results] if isinstance(results, tuple) else results
    held = storages[0].viewed.read()
    tensors = []
    for storage, (value, node, nr) in zip(storages, results, strict=True):
        storage.cached = held, value
        tensors.append(view_tensor(input, storage, node, nr, creation))
    return tuple(tensors)


def geometry(of: Tensor) -> Any:
    """A tensor's geometry: the places of its elements in memory."""
    return geometry_of(of._storage)
