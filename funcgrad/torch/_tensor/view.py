"""Tensors that are views: their place in the graph follows that of their base, which may be written in place.

How PyTorch does it: https://github.com/pytorch/pytorch/blob/main/torch/csrc/autograd/variable.cpp
"""

from collections.abc import Sequence
from math import inf
from typing import Any

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
from funcgrad.torch._levels.refusals import REQUIRES_GRAD
from funcgrad.torch._memory import geometry as geometries
from funcgrad.torch._memory import inference
from funcgrad.torch._memory.constants import place
from funcgrad.torch._memory.slices import as_strided, copy_slices, relative
from funcgrad.torch._memory.storages import (
    Creation,
    ViewStorage,
    aval_of,
    geometry_of,
    reinterpreted,
    view_of,
    writing,
)
from funcgrad.torch._tensor.rebasing import move_retained, rebase
from funcgrad.torch._tensor.tensor import AccumulateGrad, Tensor, tensor_of
from funcgrad.torch._types.dtypes import dtype, from_numpy_dtype
from funcgrad.torch._types.node_names import short_name
from funcgrad.torch._types.size import Size

_new = object.__new__


# What has been modified where a view is refused when it is next used; where it is written, it "is being" modified.
BASE_MODIFIED = "its base or another view of its base has been"
# The mode a view was made in, and the one that it was written in.
_MODES = {
    Creation.NO_GRAD: ("no_grad", " with grad mode enabled"),
    Creation.INFERENCE: ("inference", " in normal mode"),
}


def refusal(storage: Storage, node: Any, nr: int, modified: str) -> str:
    """What PyTorch says of a view that must not be written; empty where it may be.

    Args:
        storage: the view's.
        node, nr: where it comes from.
        modified: what is or has been modified.
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
    """Somebody for a leaf to know weakly, and who is gone at once."""


# The node of a view that requires grad only because its base does: gradients that arrive there are lost, as in PyTorch.
UNTRACKED = AccumulateGrad(_Nobody())  # type: ignore[arg-type]
# Stands for the node that a view written in place will have once it is asked for.
_REBASED = GraphNode()
_REBASED.edges, _REBASED.saved, _REBASED.sequence = (), (), inf


class AsStridedBackward0(FunctionNode):
    """The node of a view of a result that was detached in place: it leads nowhere."""

    __slots__ = ()

    def pull_back(self, cotangents: Sequence[Variable | None]) -> Sequence[Variable | None]:
        """Nothing."""
        return [None]


class CopySlices(FunctionNode):
    """The node of a base after a Python function wrote to a view of it; see `copy_slices` for all other writes."""

    __slots__ = ("offset", "position", "way", "within")

    def __init__(self, within: FunctionNode, position: int, view: "ViewTensor") -> None:
        base, storage = view._viewed, view._storage
        edges = list(within.edges)
        edges[position] = (base._node or UNTRACKED, base._nr)
        super().__init__(tuple(edges), (aval_of(base._storage),))
        self.within: FunctionNode | None = within
        self.position = position
        self.way, self.offset = relative(base._storage, storage), storage.offset  # type: ignore[arg-type, attr-defined]

    @property
    def saved(self) -> Any:
        """The function's node, which a walk lets go of."""
        return None if self.within is None else (self.within,)

    @saved.setter
    def saved(self, saved: Any) -> None:
        if saved is None:
            self.within = None

    def pull_back(self, cotangents: Sequence[Variable | None]) -> Sequence[Variable | None]:
        """The function's own way back for the view's part of the cotangent; the rest stays as it is.

        Raises:
            FreedError: an earlier walk let go of the function.
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


def call(op: Op, *arguments: Variable) -> Tensor:
    """The tensor that an op with one output gives."""
    return tensor_of(*record(op, arguments))


_PUT = Op("put", lambda _, new: new)
_CLEAR = Op("clear", jnp.zeros_like)


class ViewTensor(Tensor):
    """A tensor that is a view of another, its base. To the user it is a `Tensor`.

    Attributes:
        _viewed: the tensor viewed, no view itself.
    """

    _viewed: Tensor
    _own_node: Any
    _own_nr: int
    _seen: int
    # Once it was written in place: where its base came from then, the version that this left, and the number that its
    # own node, made later, is to have.
    _written: tuple[GraphNode, int, int, float] | None = None

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """PyTorch has one class of tensors."""
        return Tensor

    @property
    def _creation(self) -> Creation:
        """How it was made."""
        return self._storage.creation  # type: ignore[attr-defined]

    @_creation.setter
    def _creation(self, creation: Creation) -> None:
        self._storage.creation = creation  # type: ignore[attr-defined]

    # -- what it is, without reading its elements -----------------------------------------------------------------

    @property
    def shape(self) -> Size:
        """The lengths of its dimensions."""
        return Size(aval_of(self._storage).shape)

    @property
    def ndim(self) -> int:
        """How many dimensions it has."""
        return len(aval_of(self._storage).shape)

    @property
    def dtype(self) -> dtype:
        """The type of its elements."""
        return from_numpy_dtype(aval_of(self._storage).dtype)

    # -- its place in the graph -----------------------------------------------------------------------------------

    @property
    def _node(self) -> Any:
        """The graph node it comes from: made anew where the base was written in place since it was last made.

        Raises:
            RuntimeError: that must not be, since the view was made without a gradient or by an op with several outputs.
        """
        known, base = self._own_node, self._viewed
        if base._node is None and (known is None or isinstance(known, Leaf)):
            return known
        if known is None and inference.is_of_inference(self._storage):
            return None
        if known is _REBASED or self._seen != self._storage.version:
            self._check_creation(BASE_MODIFIED)
            self._rebase()
            known = self._own_node
        return UNTRACKED if known is None else known

    @_node.setter
    def _node(self, node: Any) -> None:
        self._own_node = node

    @property
    def _nr(self) -> int:
        """Which of the node's outputs it is."""
        return self._own_nr

    @_nr.setter
    def _nr(self, nr: int) -> None:
        self._own_nr = nr

    @Tensor.requires_grad.getter  # type: ignore[attr-defined]
    def requires_grad(self) -> bool:
        """Whether a gradient flows to it."""
        if self._own_node is not None:
            return True
        # What was made in inference mode has no views, as far as gradients are concerned.
        return self._viewed._node is not None and not inference.is_of_inference(self._storage)

    def _ask(self, wanted: bool) -> None:
        if wanted and local.recorder.levels:
            raise RuntimeError(REQUIRES_GRAD)
        if wanted and self.is_leaf and self._own_node is None:
            # Asked of the property, this would be the untracked node.
            self._check_may_require_grad()
            self._own_node = self._former or AccumulateGrad(self)
        elif not wanted and self.is_leaf:
            self._former, self._own_node = self._own_node or self._former, None
        elif not wanted:
            super()._ask(wanted)

    @property
    def is_leaf(self) -> bool:
        """Whether no op made it, as far as gradients are concerned."""
        node = self._node
        return node is None or isinstance(node, Leaf)

    def _is_result(self) -> bool:
        return self._own_node is not None and not isinstance(self._own_node, Leaf)

    @property
    def grad_fn(self) -> Any:
        """The graph node of the op that made it; None for a leaf."""
        node = self._node
        return None if node is None or isinstance(node, Leaf) else node.face

    @property
    def _base(self) -> Tensor | None:
        return self._viewed if self._is_view() else None

    def _is_view(self) -> bool:
        # Of what was made in inference mode PyTorch keeps no account.
        return not inference.is_of_inference(self._storage)

    def _rebase(self) -> None:
        storage: Any = self._storage
        base: Variable = self._viewed
        sequence = None
        if self._written is not None and self._own_node is _REBASED:
            node, nr, version, number = self._written
            if version == storage.version:
                # Also where the base was detached since.
                base, sequence = Variable(base._storage, node, nr), number
        self._written = None
        with where(self._viewed._storage.value), grad_mode(True):
            op = as_strided(*relative(self._viewed._storage, storage), storage.remade_by)
            value, self._own_node, self._own_nr = record(op, (base, storage.offset))
        if self._own_node is None:
            self._own_node = AsStridedBackward0(((UNTRACKED, 0),), (aval_of(storage),))
        if sequence is not None:
            self._own_node.sequence = sequence
        held = storage.viewed.value
        if storage.cached is None or storage.cached[0] is not held:
            storage.cached = held, value
        self._seen = storage.version
        if self._retained is not None:
            move_retained(self)

    def _rebase_on(self, node: FunctionNode, position: int) -> None:
        """After a Python function wrote to this view: let its node be that of the base, for the view's part of it.

        Args:
            node: the function's, with one output.
            position: which of its edges is the view's.
        """
        self._check_writable(())
        made = CopySlices(node, position, self)
        rebase(self._viewed, made, 0)
        self._expect_node(made, 0)

    def _expect_node(self, node: GraphNode, nr: int) -> None:
        """Its base was written to through it: its node is made when it is asked for, as if it had been made now.

        Args:
            node, nr: where the base comes from after the write.
        """
        self._own_node, self._written = _REBASED, (node, nr, self._storage.version, next_sequence())
        if self._retained is not None:
            move_retained(self)

    def _see_version(self) -> None:
        """Take the node as it is for that of the present version."""
        self._seen = self._storage.version

    # -- writing to it --------------------------------------------------------------------------------------------

    def _check_writable(self, others: Sequence[Variable]) -> None:
        """Check that autograd can follow an in-place op on this view. Called where grad mode is on.

        Raises:
            RuntimeError: it cannot: the base is a leaf, or the view was made in a way that forbids it.
        """
        requires_grad = self.requires_grad
        if requires_grad or any(_requires_grad(other) for other in others):
            self._check_creation("is being")
            if requires_grad and self._viewed.is_leaf:
                raise RuntimeError(
                    "a view of a leaf Variable that requires grad is being used in an in-place operation."
                )

    def _check_creation(self, modified: str) -> None:
        refused = refusal(self._storage, self._own_node, self._own_nr, modified)
        if refused:
            raise RuntimeError(refused)

    def _write_in_place(self, op: Op, others: Sequence[Variable]) -> Any:
        """Record `op` on this view and `others`, and store its result in the memory.

        One op does all of it, from base to base, so its derivative is that of the whole.

        Returns:
            The graph node it left behind, if any.
        """
        written, node = self._try_to_write(op, others)
        if not written:
            with writing:
                _, node = self._try_to_write(op, others, alone=True)
        return node

    def _try_to_write(
        self, op: Op, others: Sequence[Variable], alone: bool = False
    ) -> tuple[bool, Any]:
        """Record and store, unless another thread has written to the memory in between; none can where this one is `alone`.

        Returns:
            Whether it is stored, and the node.
        """
        storage: Any = self._storage
        base = self._viewed
        if local.recorder.grad_enabled and base._storage.memory is storage.memory:
            target, whole = base._storage, base
            before, source = target.value, base._node
            arguments = (as_it_was(base), *others, storage.offset)
            value, node, nr = record(copy_slices(op, *relative(base._storage, storage)), arguments)
            keep_apart(node)
        else:
            target, whole = storage.viewed, None
            before, source = target.value, None
            with grad_mode(False):
                arguments = (storage.held, *others, storage.offset)
                value, node, nr = record(copy_slices(op, storage.layout, None), arguments)
        with writing:
            if not alone and (
                target.value is not before or (whole is not None and whole._node is not source)
            ):
                return False, None
            target.value = value
            storage.counter.version += 1
            storage.cached = None  # nobody needs the elements as they were
            if node is not None:
                rebase(base, node, nr)
                self._expect_node(node, nr)
        return True, node


ViewTensor.__name__ = ViewTensor.__qualname__ = "Tensor"
ViewTensor.__module__ = "funcgrad.torch"


def _requires_grad(variable: Variable) -> bool:
    return variable.requires_grad if isinstance(variable, Tensor) else variable._node is not None


def as_it_was(target: Variable) -> Variable:
    """The target of an in-place op as an argument: hooks on saved tensors must not be given what is about to change."""
    if local.recorder.observer is None:
        return target
    return Variable(Storage(target._storage.value), target._node, target._nr)


def keep_apart(node: Any) -> None:
    """Let the node of an in-place op keep what it needs of its target as it was, as PyTorch keeps a copy."""
    if node is not None and node.saved and 0 in node.rule.saves:
        value = node.saved[0][0]
        node.saved = ((value, Storage(value), 0, value), *node.saved[1:])


# ------------------------------------------------------------------------------------------- making views


def view_tensor(
    input: Tensor, storage: ViewStorage, node: Any, nr: int, creation: Creation
) -> Tensor:
    """The tensor of a view of `input`."""
    made = _new(ViewTensor)
    made._storage = storage
    made._own_node, made._own_nr = node, nr
    try:
        made._seen = storage.version
    except RuntimeError:  # of a tensor made in inference mode, which has none, and never a node
        made._seen = 0
    if type(input) is ViewTensor:
        made._viewed = input._viewed
        creation = input._creation if creation is Creation.PLAIN else creation
    else:
        made._viewed = input
    storage.creation = creation
    return made


def made_now() -> Creation:
    """How views are made in this thread's grad mode."""
    if local.recorder.grad_enabled:
        return Creation.PLAIN
    return Creation.INFERENCE if inference.enabled() else Creation.NO_GRAD


def make_view(input: Tensor, geometry: Any, op: Op, places: tuple[int, ...] = ()) -> Tensor:
    """A view of a tensor.

    Args:
        input: the tensor, which may be a view itself.
        geometry: where the view's elements are.
        op: gives the view's elements from the input's; recorded only where a gradient is wanted.
        places: the numbers that it takes beside them.
    """
    storage = view_of(input._storage, geometry)
    node, nr = None, 0
    if _leaves_node(input):
        arguments = (input, *map(place, places)) if places else (input,)
        value, node, nr = record(op, arguments)
        storage.cached = storage.viewed.value, value
    return view_tensor(input, storage, node, nr, made_now())


def _leaves_node(input: Tensor) -> bool:
    """Whether a view of a tensor has a node: not of one that was made in inference mode."""
    return (
        local.recorder.grad_enabled
        and input._node is not None
        and not inference.is_of_inference(input._storage)
    )


def written_view(input: Tensor, geometry: Any) -> Tensor:
    """A view of a tensor that is only written to, so that no op need be recorded for it."""
    node = None if not input.requires_grad else _REBASED
    return view_tensor(input, view_of(input._storage, geometry), node, 0, made_now())


def make_reinterpreted(input: Tensor, geometry: Any, dtype: Any, op: Op) -> Tensor:
    """A view whose elements are the input's seen as real or as complex numbers."""
    storage = reinterpreted(input._storage, geometry, dtype)
    storage.remade_by = op.label
    node, nr = None, 0
    if _leaves_node(input):
        value, node, nr = record(op, (input,))
        storage.cached = storage.viewed.value, value
    return view_tensor(input, storage, node, nr, made_now())


def view_of_itself(input: Tensor) -> Tensor:
    """A view of all of a tensor, without a node: what a custom function makes of an argument that it returns."""
    of = geometry(input)
    made = geometries.view(of, of.size) or of
    return view_tensor(input, view_of(input._storage, made), None, 0, Creation.FUNCTION)


def make_views(input: Tensor, geometries: Sequence[Any], op: Op) -> tuple[Tensor, ...]:
    """The views that one op gives."""
    storages = [view_of(input._storage, each) for each in geometries]
    creation = Creation.SEVERAL if local.recorder.grad_enabled else made_now()
    if not _leaves_node(input):
        return tuple([view_tensor(input, each, None, 0, creation) for each in storages])
    results = record(op, (input,))
    results = [results] if type(results) is tuple else results
    held = storages[0].viewed.value
    tensors = []
    for storage, (value, node, nr) in zip(storages, results, strict=True):
        storage.cached = held, value
        tensors.append(view_tensor(input, storage, node, nr, creation))
    return tuple(tensors)


def geometry(of: Tensor) -> Any:
    """Where a tensor's elements lie."""
    return geometry_of(of._storage)
